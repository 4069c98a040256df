"""Are the baselines as good as they should be, and what do they score on every graph at hand?

    python -m experiments.baselines [--seeds 5] [--items 500]

First, the networks on the test nodes of Cora's own split (Planetoid's), with all edges and with only those that prompts
show (the training edges of the link split, 85 %), beside what their papers report. There features are Cora's own 1,433
binary words and the test nodes 1,000; here they are TF-IDF of the papers' texts and all others, 2,068.

Then every benchmark of every graph under SSL4RL_TEST_DATA (default ../shared/data), the same items for all baselines,
and one of the graphs written as a .pt file in each layout that is about. Results: experiments/results/baselines.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.build import load
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.environment import environment
from ssl4rl.errors import NotApplicable
from ssl4rl.evaluation.baselines.classical import joined, label_propagation, text_to_class, tfidf
from ssl4rl.evaluation.baselines.graph import NODE_NETWORKS, predict
from ssl4rl.evaluation.baselines.networks import classify_nodes
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.splits import node_split
from ssl4rl.graph.view import edge_view
from ssl4rl.registry import BENCHMARKS

FETCHED = ("cora", "wn18rr", "fb15k237")
FOLDERS = ("folder_tag", *(f"graphs/{name}" for name in ("wikispeedia", "webkb-texas", "umls", "peps", "spack")))
LITERATURE = {"gcn": 0.815, "gat": 0.830, "graphsage": 0.833, "label propagation": 0.680}
"""Kipf & Welling 2017, Table 2 (GCN and label propagation); Veličković et al. 2018, Table 2 (GAT); for GraphSAGE, whose
paper has no Cora, DGL's full-graph example (its README)."""


def planetoid(seeds: int) -> dict[str, Any]:
    """Accuracy on the test nodes of Cora by baseline and edges, of networks for every seed."""
    graph = load("cora")
    assert graph.labels is not None
    labels, count, split = graph.labels, len(graph.label_names), node_split(graph)
    train, val, test = (split[part] for part in ("train", "val", "test"))

    def accuracy(scores: Any) -> float:
        return round(float((scores[test].argmax(axis=1) == labels[test]).mean()), 4)

    features = tfidf(graph.texts)
    rows = []
    for name, edges in (("all", np.arange(graph.num_edges)), ("visible", edge_view(graph).asked["train"])):
        matrix = joined(graph.num_nodes, graph.edge_index[:, edges])
        row: dict[str, Any] = {"edges": name, "num_edges": len(edges)}
        row["label propagation"] = accuracy(label_propagation(matrix, train, labels[train], count))
        for kind in NODE_NETWORKS:
            start = time.perf_counter()
            found = [
                accuracy(classify_nodes(kind, features, matrix, labels, (train, val), count, seed=seed))
                for seed in range(seeds)
            ]
            mean, deviation = round(statistics.mean(found), 4), round(statistics.stdev(found), 4)
            seconds = round((time.perf_counter() - start) / seeds, 1)
            row[kind] = {"mean": mean, "deviation": deviation, "seeds": found, "seconds": seconds}
            print(f"cora, {name} edges: {kind} {mean:.3f} ± {deviation:.3f}, {seconds} s a seed", flush=True)
        rows.append(row)
    sizes = {part: len(split[part]) for part in ("train", "val", "test")}
    text = accuracy(text_to_class(features, train, labels[train], count))
    return {"split": sizes, "words": features.shape[1], "text only": text, "by_edges": rows, "literature": LITERATURE}


def layouts(graph: TextAttributedGraph, folder: Path) -> Iterator[tuple[str, Path]]:
    """The graph as a .pt file in each layout of the community, with a name for the layout."""
    import torch
    from torch_geometric.data import Data, HeteroData

    assert graph.labels is not None
    edges, y = torch.from_numpy(graph.edge_index.copy()), torch.from_numpy(graph.labels.copy())
    edges = edges if graph.directed else torch.cat([edges, edges.flip(0)], dim=1)
    split = {part: torch.from_numpy(nodes) for part, nodes in node_split(graph).items()}
    masks = {part: torch.zeros(graph.num_nodes, dtype=torch.bool).index_fill(0, split[part], True) for part in split}
    texts, classes = list(graph.texts), list(graph.label_names)
    names = [classes[label] for label in graph.labels]
    adjacency = torch.sparse_coo_tensor(edges.flip(0), torch.ones(edges.shape[1]), (graph.num_nodes,) * 2)
    named = {f"{part}_mask": mask for part, mask in masks.items()}
    hetero = HeteroData()
    hetero["product"].raw_texts, hetero["product"].y, hetero["product"].label_names = texts, y, classes
    for part, mask in named.items():
        hetero["product"][part] = mask
    hetero["product", "bought with", "product"].edge_index = edges
    made: dict[str, Any] = {
        "raw_texts, label_names by class, masks": Data(
            edge_index=edges, y=y, raw_texts=texts, label_names=classes, **named
        ),
        "raw_texts, label_names by node, lists of masks": Data(
            edge_index=edges, y=y, raw_texts=texts, label_names=names, **{f"{k}_masks": [m] for k, m in masks.items()}
        ),
        "raw_text, label_texts by node, indices": Data(
            edge_index=edges, y=y, raw_text=texts, label_texts=names, **{f"{k}_idx": v for k, v in split.items()}
        ),
        "adj_t": Data(adj_t=adjacency.coalesce(), y=y, raw_texts=texts, label_name=classes, **named),
        "dictionary": Data(edge_index=edges, y=y, text=texts, label_text=names, split_idx=split).to_dict(),
        "InMemoryDataset": (
            Data(edge_index=edges, y=y, raw_texts=texts, label_names=classes, **named).to_dict(), None, Data
        ),
        "HeteroData": hetero,
    }  # fmt: skip
    for place, (name, content) in enumerate(made.items()):
        path = folder / str(place) / f"{graph.name}.pt"
        path.parent.mkdir()
        torch.save(content, path)
        yield name, path


def evaluate(place: str, items: int) -> list[dict[str, Any]]:
    """Each benchmark that a graph has: the accuracy of every baseline on the same items, and its seconds."""
    graph, rows = load(place), []
    for name in ("node", "link", "relation"):
        try:
            benchmark: Any = BENCHMARKS.get(name)(graph, split="test")
            examples = [benchmark.example(index) for index in range(min(items, benchmark.size))]
        except NotApplicable:
            continue
        found = predict(benchmark, examples)
        accuracy = {}
        for each, answers in found.answers.items():
            replies = zip(examples, answers, strict=True)
            scores = [benchmark.score(example.reply_with(answer), example).value for example, answer in replies]
            accuracy[each] = round(statistics.mean(scores), 4)
        row = {"graph": graph.name, "benchmark": name, "n": len(examples), "accuracy": accuracy}
        rows.append({**row, "seconds": found.seconds, "notes": found.notes})
        print(
            f"{graph.name} {name}: " + ", ".join(f"{each} {value:.3f}" for each, value in accuracy.items()), flush=True
        )
    return rows


def evaluate_layouts(place: str, items: int) -> list[dict[str, Any]]:
    """The same of a graph's .pt files; equal graphs have the same items, whose answers are kept."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            {"layout": layout, **row}
            for layout, path in layouts(load(place), Path(folder))
            for row in evaluate(str(path), items)
        ]


def tables(found: dict[str, Any]) -> Iterator[str]:
    """What was found, as lines of Markdown."""
    kinds = ("label propagation", *NODE_NETWORKS)
    yield f"| edges | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}"
    for row in found["planetoid"]["by_edges"]:
        cells = [f"{100 * row[kind]['mean']:.1f} ± {100 * row[kind]['deviation']:.1f}" for kind in NODE_NETWORKS]
        yield f"| {row['edges']} | {100 * row['label propagation']:.1f} | {' | '.join(cells)} |"
    for benchmark in ("node", "link", "relation"):
        rows = [row for row in found["graphs"] if row["benchmark"] == benchmark]
        names = list(dict.fromkeys(name for row in rows for name in row["accuracy"]))
        yield f"\n| `{benchmark}` | n | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}"
        for row in rows:
            yield f"| {row['graph']} | {row['n']} | {' | '.join(_cell(row, name) for name in names)} |"


def _cell(row: dict[str, Any], name: str) -> str:
    """Accuracy, and the seconds that fitting took if it was more than one."""
    if name not in row["accuracy"]:
        return "–"
    seconds = row["seconds"].get(name, 0)
    return f"{row['accuracy'][name]:.3f}" + (f" ({seconds:.0f} s)" if seconds >= 1 else "")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/baselines.json"))
    options = parser.parse_args()
    folders = [str(options.data / folder) for folder in FOLDERS]
    where = environment()
    where["packages"] |= {package: version(package) for package in ("scikit-learn", "scipy", "torch-geometric")}
    found: dict[str, Any] = {"environment": where, "planetoid": {}, "graphs": [], "layouts": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        # Given a home of its own, a run that was stopped finds what it had fitted.
        os.environ.setdefault("SSL4RL_HOME", home)
        for name in FETCHED:
            fetch(name, options.data / "taglas")
        # Two processes of one thread each: two threads would mostly wait for each other.
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), _one_thread) as pool:
            jobs = {pool.submit(planetoid, options.seeds): "planetoid"}
            jobs |= {pool.submit(evaluate, place, options.items): "graphs" for place in (*folders, *FETCHED)}
            jobs[pool.submit(evaluate_layouts, folders[0], options.items)] = "layouts"
            for job in as_completed(jobs):
                if jobs[job] == "planetoid":
                    found["planetoid"] = job.result()
                else:
                    found[jobs[job]] += job.result()
                found["seconds"] = round(time.perf_counter() - started)
                options.output.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(tables(found)))


if __name__ == "__main__":
    main()
