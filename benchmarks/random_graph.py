"""Graphs of any size for timing: uniformly random edges, texts of 20 words."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from ssl4rl.data.graphs.citations import SUBJECTS
from ssl4rl.graph.arrays import Texts
from ssl4rl.graph.graph import TextAttributedGraph

WORDS = [word for words in SUBJECTS.values() for word in words.split() if len(word) == 5]
WORDS_PER_TEXT = 20
CHUNK = 1 << 18


def random_texts(count: int, file: Path, rng: np.random.Generator) -> Texts:
    """Texts of 20 words, all of the same length, written to ``file`` and mapped from there."""
    letters = np.frombuffer("".join(f"{word} " for word in WORDS).encode(), dtype=np.uint8).reshape(len(WORDS), 6)
    width = 6 * WORDS_PER_TEXT - 1
    with file.open("wb") as out:
        for start in range(0, count, CHUNK):
            drawn = rng.integers(len(WORDS), size=(min(CHUNK, count - start), WORDS_PER_TEXT))
            out.write(letters[drawn].reshape(len(drawn), -1)[:, :width].tobytes())
    with file.open("rb") as written:
        content = mmap.mmap(written.fileno(), 0, access=mmap.ACCESS_READ)
    return Texts(content, np.arange(count + 1, dtype=np.int64) * width)


def random_graph(num_nodes: int, num_edges: int, file: Path) -> TextAttributedGraph:
    """An undirected graph; its texts lie in ``file``."""
    rng = np.random.default_rng(0)
    texts = random_texts(num_nodes, file, rng)
    return TextAttributedGraph.from_edges("random", texts, rng.integers(num_nodes, size=(2, num_edges)))
