"""Are the baselines as good as they should be? Node classification on Cora, compared with the literature.

    python -m experiments.gnn_baselines [--seeds 10]

The GCN and the text baseline on the test nodes of Cora's own split, with all edges and with only those that prompts
show (the training edges of the link split, 85 %). Kipf & Welling 2017, Table 2, report 81.5 % for the GCN and 68.0 %
for label propagation, with all edges, 1,000 test nodes and Cora's own 1,433 binary word features; here the features
are TF-IDF of the papers' texts and the test nodes all others, 2,068.
Real data is read from SSL4RL_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.build import load
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.environment import environment
from ssl4rl.evaluation.baselines.classical import joined, label_propagation, text_to_class, tfidf
from ssl4rl.evaluation.baselines.gcn import classify_nodes
from ssl4rl.graph.splits import node_split
from ssl4rl.graph.view import edge_view

LITERATURE = {"gcn": 0.815, "label propagation": 0.680}


def measure(seeds: int) -> dict[str, Any]:
    """Accuracy on the test nodes by baseline and edges; that of the GCN for every seed."""
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
        start = time.perf_counter()
        gcn = [
            accuracy(classify_nodes(features, matrix, labels, train, val, count, seed=seed)) for seed in range(seeds)
        ]
        row = {
            "edges": name,
            "num_edges": len(edges),
            "gcn": gcn,
            "gcn_seconds_per_seed": round((time.perf_counter() - start) / seeds, 1),
            "label propagation": accuracy(label_propagation(matrix, train, labels[train], count)),
        }
        print(f"{name} edges: gcn {np.median(gcn):.3f} ({min(gcn):.3f} to {max(gcn):.3f}, {seeds} seeds), ", end="")
        print(f"label propagation {row['label propagation']:.3f}", flush=True)
        rows.append(row)
    text = accuracy(text_to_class(features, train, labels[train], count))
    print(f"text only: {text:.3f}")
    sizes = {part: len(split[part]) for part in ("train", "val", "test")}
    return {"split": sizes, "words": features.shape[1], "text only": text, "by_edges": rows, "literature": LITERATURE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/gnn_baselines.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["SSL4RL_HOME"] = home
        fetch("cora", options.data / "taglas")
        found = measure(options.seeds)
    where = environment()
    where["packages"] |= {package: version(package) for package in ("scikit-learn", "scipy")}
    options.output.write_text(json.dumps({"environment": where, **found}, indent=1) + "\n")
    medians = {row["edges"]: float(np.median(row["gcn"])) for row in found["by_edges"]}
    print(json.dumps({"figure": "GCN on Cora's test nodes, median", **medians, "literature": LITERATURE["gcn"]}))


if __name__ == "__main__":
    main()
