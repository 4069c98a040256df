"""Two-hop subgraphs and whole `link` examples on a graph of a million nodes and ten million edges, on one core.

    python -m benchmarks.subgraph [--runs 7]

The peer is PyG's ``k_hop_subgraph``, which goes over all edges of the graph for each subgraph and takes whole
neighbourhoods, as it has no fan-out. So ours is compared with it twice: with a fan-out of 10 and 10, and with whole
neighbourhoods (where it must find the very same nodes and edges). The centres of a pair are the same on both sides.
Texts have 20 words and are in memory. A graph of a hundredth of the size shows that time per example does not grow with
the graph.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch_geometric.utils import k_hop_subgraph

from benchmarks.common import figure, paired, report
from benchmarks.random_graph import random_graph
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph, ego_subgraph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.view import edge_view

CENTRES = 20
EXAMPLES = 1000
EVERYTHING = 1 << 40


def in_memory(num_nodes: int, num_edges: int) -> TextAttributedGraph:
    with tempfile.TemporaryDirectory() as folder:
        graph = random_graph(num_nodes, num_edges, Path(folder) / "texts")
        return dataclasses.replace(graph, texts=list(graph.texts))


class Subgraphs:
    """The same centres on both sides; ``found`` is what was cut last."""

    def __init__(self, graph: TextAttributedGraph) -> None:
        self.adjacency = edge_view(graph).full
        both = np.concatenate([graph.edge_index, graph.edge_index[::-1]], axis=1)
        self.edge_index, self.num_nodes, self.num_edges = torch.from_numpy(both), graph.num_nodes, graph.num_edges
        self.rng = np.random.default_rng(1)
        self.draw()

    def draw(self) -> None:
        self.centres = [int(node) for node in self.rng.integers(self.num_nodes, size=CENTRES)]

    def ours(self, fanout: int) -> list[Subgraph]:
        rng = np.random.default_rng(0)
        self.found = [
            ego_subgraph(self.adjacency, [centre], rng, num_hops=2, fanout=fanout, max_nodes=EVERYTHING)
            for centre in self.centres
        ]
        return self.found

    def pyg(self) -> None:
        self.theirs = [
            k_hop_subgraph(centre, 2, self.edge_index, num_nodes=self.num_nodes)[0::3] for centre in self.centres
        ]

    def check(self) -> None:
        """Whole neighbourhoods: the same nodes and the same edges."""
        for mine, (nodes, mask) in zip(self.found, self.theirs, strict=True):
            edges = torch.unique(mask.nonzero().flatten() % self.num_edges)
            if sorted(mine.nodes) != nodes.tolist() or list(mine.edges) != edges.tolist():
                raise SystemExit(f"the subgraphs around node {mine.nodes[0]} differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    large, small = (in_memory(nodes, 10 * nodes) for nodes in (options.nodes, options.nodes // 100))
    subgraphs = Subgraphs(large)
    size = f"{large.num_nodes:,} nodes, {large.num_edges:,} edges"
    figures = []
    for name, fanout in (("fan-out 10, 10", 10), ("whole neighbourhoods", EVERYTHING)):
        ours, peer = [], []
        for pair in range(options.runs):
            subgraphs.draw()
            mine, theirs = paired(lambda: subgraphs.ours(fanout), subgraphs.pyg, 1, warmup=int(pair == 0))  # noqa: B023
            ours += [value / CENTRES for value in mine]
            peer += [value / CENTRES for value in theirs]
            if fanout == EVERYTHING:
                subgraphs.check()
        bound = 300.0 if fanout == 10 else None
        figures.append(figure(f"two-hop subgraph, {name}; {size}", ours, peer, at_least=bound))
    tasks = {"large": Link(large), "small": Link(small)}
    done = dict.fromkeys(tasks, 0)

    def build(name: str) -> None:
        for index in range(done[name], done[name] + EXAMPLES):
            tasks[name].example(index)
        done[name] += EXAMPLES

    here, there = paired(lambda: build("small"), lambda: build("large"), options.runs)
    rates = [EXAMPLES / value for value in there]
    figures.append(figure(f"link examples per second; {size}", rates, unit="examples/s", at_least=2000.0))
    title = f"time of a link example, {large.num_edges:,} edges over {small.num_edges:,}"
    per_example = ([value / EXAMPLES for value in values] for values in (here, there))
    figures.append(figure(title, *per_example, at_most=1.5))
    report("subgraph", figures, ["torch-geometric"])


if __name__ == "__main__":
    main()
