"""The TAGLAS datasets (Feng et al. 2024, "TAGLAS: An atlas of text-attributed graph datasets"), by name.

Each function opens the converted form that ``ssl4rl data fetch`` wrote, without torch. To add a dataset, write its
parser and list its files in :mod:`ssl4rl.data.graphs.taglas_raw`, then add a function here and its name to the
registry.
"""

from __future__ import annotations

from ssl4rl.data.graphs.store import read_graph
from ssl4rl.graph.graph import TextAttributedGraph


def cora() -> TextAttributedGraph:
    """2,708 machine-learning papers, 7 classes."""
    return read_graph("cora")


def pubmed() -> TextAttributedGraph:
    """19,717 papers on diabetes, 3 classes."""
    return read_graph("pubmed")


def wikics() -> TextAttributedGraph:
    """11,701 Wikipedia articles on computer science, 10 classes."""
    return read_graph("wikics")


def products() -> TextAttributedGraph:
    """54,025 Amazon products, 47 classes (44 of them in the splits)."""
    return read_graph("products")


def fb15k237() -> TextAttributedGraph:
    """14,541 Freebase entities, 237 relations."""
    return read_graph("fb15k237")


def wn18rr() -> TextAttributedGraph:
    """40,943 WordNet word senses, 11 relations."""
    return read_graph("wn18rr")
