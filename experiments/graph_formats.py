"""Does it matter how a graph is written? One model, the same questions, each format.

    python experiments/make_qwen.py --output QWEN
    python -m experiments.graph_formats --model QWEN [--limit 300] [--runs RUNS]

Neighbor prediction, link prediction and node classification on Cora, and neighbor prediction on UMLS, whose edges have
relations: answers only, greedy, bfloat16. Every format shows the same nodes, texts and edges, so replies are paired;
errors are clustered by what a question is about, and p-values are Holm's over the table. Replies are kept in RUNS as
they come, and a second call goes on from there. Data: SSL4RL_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from transformers import AutoTokenizer

import ssl4rl
from experiments.reply_form import Replies
from experiments.transfer import holm
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.environment import environment
from ssl4rl.graph.formats import GraphFormat
from ssl4rl.statistics import Estimate, PairedDifference
from ssl4rl.tasks import AnyTask

KNOBS: Mapping[str, Any] = {"reasoning": False, "text_budget": 140}
TOKENS = 4


def build(name: str, dataset: str, graph_format: str) -> AnyTask:
    """A task on split val, or a benchmark."""
    if name == "node":
        return ssl4rl.benchmark(name, dataset, graph_format=graph_format, **KNOBS)
    return ssl4rl.task(name, dataset, "medium", "val", graph_format=graph_format, **KNOBS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--runs", type=Path, default=Path("runs/graph_formats"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/graph_formats.json"))
    options = parser.parse_args()
    if not graph_folder("cora").is_dir():
        fetch("cora", options.data / "taglas")
    replies = Replies(options.model, options.runs / "replies.jsonl", "transformers")
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    cells: dict[str, dict[str, Any]] = {}
    for name, dataset in (
        ("neighbor", "cora"),
        ("link", "cora"),
        ("node", "cora"),
        ("neighbor", str(options.data / "graphs" / "umls")),
    ):
        label = f"{name}, {Path(dataset).name}"
        usual: list[float] = []
        for graph_format in get_args(GraphFormat):
            task = build(name, dataset, graph_format)
            examples = [task.example(index) for index in range(options.limit)]
            given = replies.to([example.text for example in examples], TOKENS)
            scored = [task.score(reply["reply"], each) for reply, each in zip(given, examples, strict=True)]
            values, items = [score.value for score in scored], [each.source_items for each in examples]
            lengths = [len(tokenizer(each.text)["input_ids"]) for each in examples]
            row = {
                **Estimate.of(scored, items).as_dict(),
                "tokens": float(np.median(lengths)),
            }
            if usual:
                row["against edge_list"] = PairedDifference.of(usual, values, items).as_dict()
            else:
                usual = values
            cells[f"{label}, {graph_format}"] = row
            print(json.dumps({"cell": f"{label}, {graph_format}", **row}), flush=True)
    holm([row["against edge_list"] for row in cells.values() if "against edge_list" in row])
    options.output.write_text(json.dumps({"environment": environment(), "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
