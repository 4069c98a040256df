"""What graph tasks and benchmarks share: the knobs of the context, and cutting a subgraph around some nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Adjacency, IntArray
from ssl4rl.graph.budget import fair_shares, heads_of, shown_part
from ssl4rl.graph.formats import Form, GraphFormat, Restatement
from ssl4rl.graph.graph import Computed, TextAttributedGraph
from ssl4rl.graph.quotes import is_quoted
from ssl4rl.graph.rewire import rewired
from ssl4rl.graph.splits import pair_numbers
from ssl4rl.graph.subgraph import Pair, Subgraph, ego_subgraph
from ssl4rl.graph.text import Blanked, GraphText, write_subgraph
from ssl4rl.graph.view import edge_view, inductive_view
from ssl4rl.prompts import same_names
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SourceKind
from ssl4rl.tasks import Knobs, Task


class ContextKnobs(Knobs):
    """How much of the graph a prompt shows."""

    unseeded = frozenset({"corrupt", "graph_format"})

    num_hops: int = Field(1, ge=0, le=4)
    """How far from the asked nodes the context reaches; 0 shows no context."""
    fanout: int = Field(2, ge=1, le=50)
    """New neighbours sampled per node and hop."""
    max_nodes: int = Field(20, ge=2, le=500)
    """Most nodes shown."""
    text_budget: int = Field(400, ge=16, le=20000)
    """Pieces of text shown for nodes and options in all, and half as many again for edges (a piece is about a token).
    It decides how many nodes are shown: of each, at least 12 words are."""
    graph_format: GraphFormat = "edge_list"
    """How the graph is written: ``edge_list`` has the nodes and then the edges, ``adjacency_list`` the edges under each
    node that has them, ``outline`` a tree that grows from the asked nodes, ``json`` one JSON object. What is shown is
    the same."""
    inductive: bool = False
    """Whether training prompts leave out the nodes of val and test, texts and edges."""
    corrupt: Literal["text", "asked_text", "other_text", "edges", "directions"] | None = None
    """A control, under the right answers: ``text`` blanks the texts of all nodes that are shown (options stay),
    ``asked_text`` those of the asked nodes, ``other_text`` those around them; ``edges`` shows the neighbours that nodes
    have after all visible edges are rewired, each node keeping its degree; ``directions`` reverses every edge."""


MOST_READ = 1000
"""Neighbours of a hub whose texts are compared with an option's."""
PAPER_CONTEXT: Mapping[str, Any] = {"num_hops": 3, "fanout": 5, "max_nodes": 60, "text_budget": 700}
"""TAGLAS's subgraph default (3 hops, at most 5 new nodes per hop, induced), within the paper's prompt of 1,024
tokens. The paper published no code for its graph tasks, so this level reproduces what it describes."""

BLANKED: Mapping[str, Blanked] = {"text": "all", "asked_text": "asked", "other_text": "others"}
"""Whose texts are left out, by the value of ``corrupt``."""

DENSE = 0.02
"""From this share of the nodes on, the neighbours of a node are counted one by one."""

CROWDED, FEWEST_CROWDED = 0.1, 50
"""A graph is crowded if it has so many edges for each pair of nodes, and so many nodes (fewer say little anyway)."""

CK = TypeVar("CK", bound=ContextKnobs)


class GraphTask(Task[TextAttributedGraph, CK]):
    """Base of the tasks on graphs: prompts are cut from the edges that ``edge_view`` lets them see."""

    source_kind: ClassVar[SourceKind[Any]] = SOURCE_KINDS.deferred("graph")

    def prepare(self) -> None:
        if not self.source.has_text.any():
            raise NotApplicable(f"graph {self.source.name} has no nodes with a text, and prompts are made of texts")
        if self.knobs.corrupt == "directions" and not self.source.directed:
            raise NotApplicable(f"task.corrupt=directions: the edges of graph {self.source.name} have no direction")
        inductive = self.knobs.inductive and self.split == "train"
        self.view = inductive_view(self.source) if inductive else edge_view(self.source)

    @cached_property
    def original(self) -> Task[TextAttributedGraph, CK] | None:
        return None if self.knobs.corrupt is None else self.changed({"corrupt": None})

    @cached_property
    def shown(self) -> tuple[TextAttributedGraph, Adjacency]:
        """What prompts are cut from: the graph and its visible edges, or these rewired or reversed."""
        visible = self.view.visible
        match self.knobs.corrupt:
            case "edges":
                return rewired(self.source, visible)
            case "directions":
                return replace(self.source, edge_index=self.source.edge_index[::-1]), visible
        return self.source, visible

    def kept(self, name: str, compute: Callable[[], Computed]) -> Computed:
        """What all examples of the task share; it may depend on the split and on knobs, but on none of those that say
        how much a prompt shows (:class:`ContextKnobs`; ``inductive`` aside).

        Of a large graph that was converted it is computed once, and every process maps it.
        """
        knobs = self.knobs.model_dump(mode="json", exclude=ContextKnobs.model_fields.keys() - {"inductive"})
        key = json.dumps([self.name, self.version, self.split, knobs], sort_keys=True)
        return self.source.kept(f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}", compute)

    @property
    def restated(self) -> Restatement | None:
        """How the graph is written without changing what is asked; None for the usual way."""
        return None

    def cut(
        self,
        centers: Sequence[int],
        rng: np.random.Generator,
        hidden_pairs: Collection[Pair] = (),
        hidden_nodes: Collection[int] = (),
    ) -> Subgraph:
        """A subgraph around ``centers`` by this task's context knobs, over visible edges only."""
        return ego_subgraph(
            self.shown[1],
            centers,
            rng,
            num_hops=self.knobs.num_hops,
            fanout=self.knobs.fanout,
            max_nodes=max(self.knobs.max_nodes, len(centers)),
            hidden_pairs=hidden_pairs,
            hidden_nodes=hidden_nodes,
        )

    def write(
        self, subgraph: Subgraph, rng: np.random.Generator, text_budget: int | None = None, **about: Any
    ) -> GraphText:
        """The subgraph as text, by this task's knobs; ``about`` goes to :func:`ssl4rl.graph.text.write_subgraph`."""
        graph, budget = self.shown[0], text_budget or self.knobs.text_budget
        blank = BLANKED.get(self.knobs.corrupt or "")
        form = Form(rng, self.knobs.graph_format, self.restated)
        return write_subgraph(graph, subgraph, form, text_budget=budget, blank=blank, **about)

    def cut_options(self, nodes: Sequence[int]) -> tuple[dict[int, str], int]:
        """The texts of offered nodes, cut to three quarters of the budget at most, and what is left of that.

        The cuts are the same whichever of them is right: what is shown around it has no say.
        """
        heads = [heads_of(self.source).of(node, self.knobs.text_budget) for node in nodes]
        budget = self.knobs.text_budget * 3 // 4
        shares = fair_shares([head.pieces for head in heads], budget, [head.least for head in heads])
        left = max(self.knobs.text_budget - sum(shares), self.knobs.text_budget // 4)
        return dict(zip(nodes, map(shown_part, heads, shares), strict=True)), left

    def meta(self, subgraph: Subgraph, written: GraphText, **more: Any) -> dict[str, Any]:
        """What explains an example: local number → node, edges shown, node → characters cut, and what the task adds."""
        return {
            "nodes": {str(number): node for node, number in written.number.items()},
            "edges": self.shown[0].edge_index[:, list(written.edges)].T.tolist(),
            "edges_dropped": len(subgraph.edges) - len(written.edges),
            "dropped": {str(node): characters for node, characters in written.dropped.items()},
            **more,
        }

    def prompt(self, *paragraphs: str) -> tuple[str, ...]:
        """The prompt's one text part: an introduction of the graph, then the paragraphs."""
        intro = f"Part of a graph. Each node is {self.source.node_meaning}; an edge means {self.source.edge_meaning}."
        return ("\n".join((intro, *paragraphs)),)

    def steps_from(self, node: int, rng: np.random.Generator, steps: int = 2) -> int | None:
        """A random node that many visible steps away which no edge of the graph joins to ``node``, if one is found."""
        for _ in range(4):
            far: int | None = node
            for _ in range(steps):
                far = None if far is None else self._step(far, rng)
            if far is not None and far != node and not len(self.view.full.between(node, far)):
                return far
        return None

    def is_spared(self, nodes: Sequence[int], rng: np.random.Generator) -> bool:
        """Whether linked nodes are taken, as often as each could be the wrong answer elsewhere.

        A node that is linked with most others is seldom a wrong answer. Were it right as often as its edges say, its
        popularity would be the answer; in a sparse graph next to no node is passed over.
        """
        linked, full = self._num_linked, self.view.full
        for node in nodes:
            share = full.degree(node) / linked
            if share > DENSE:
                share = len(full.around(node)) / linked  # parallel edges count once
            if rng.random() < share:
                return False
        return True

    @cached_property
    def is_crowded(self) -> bool:
        """Whether so many pairs are linked that a wrong answer, which must not be, shows by its few edges.

        There a question is made the other way round: what is offered first, and then which of it is right, every one
        being as likely. So no property of a node is worth anything.
        """
        nodes, full = self.source.num_nodes, self.view.full
        most = CROWDED * nodes * (nodes - 1)
        if nodes < FEWEST_CROWDED or int(full.indptr[-1]) <= most:
            return False
        return 2 * pair_numbers(full)[1] > most  # parallel edges count once

    def refuse_crowds(self, what: str) -> None:
        """Refuses a graph in which nearly everything is near everything else.

        Raises:
            NotApplicable: if the graph is crowded.
        """
        if self.is_crowded:
            raise NotApplicable(
                f"graph {self.source.name} has edges between so many of its nodes that {what} cannot be told apart"
            )

    def refuse_hidden_texts(self) -> None:
        """Refuses to leave out the texts of the asked nodes, which the task hides in any case.

        Raises:
            NotApplicable: if that is to be corrupted.
        """
        if self.knobs.corrupt == "asked_text":
            raise NotApplicable(f"task.corrupt=asked_text: {self.name} hides the texts of the asked nodes anyway")

    def reads_like_neighbor(self, node: int, target: int) -> bool:
        """Whether a neighbour of ``target`` has the very text of ``node``; of a hub's, the first ones are looked at."""
        texts = self.source.texts
        return any(texts[near] == texts[node] for near in self.view.full.around(target)[:MOST_READ].tolist())

    def is_told(self, hidden: Iterable[str], written: GraphText, without: Collection[int] = ()) -> bool:
        """Whether a prompt quotes one of the hidden texts, in what it shows of edges and of nodes but for some.

        Never of a corrupted task, whose drafts are those of the original.
        """
        if self.original is not None:
            return False
        shown = [text for node, text in written.shown.items() if node not in without]
        if self.source.edge_texts is not None:
            shown += [self.source.edge_texts[edge] for edge in written.edges]
        return any(is_quoted(text, shown) for text in hidden)

    def is_joined(self, node: int, other: int) -> bool:
        """Whether an edge of the graph joins the two nodes."""
        return len(self.view.full.between(node, other)) > 0

    def are_apart(self, nodes: Sequence[int]) -> bool:
        """Whether no edge of the graph joins any two of the nodes."""
        return not any(self.is_joined(a, b) for a, b in combinations(nodes, 2))

    @cached_property
    def relations(self) -> IntArray:
        """The relation of each edge, [E].

        Raises:
            NotApplicable: if the graph has none, or some that could not be told apart.
        """
        if self.source.relations is None:
            raise NotApplicable(f"graph {self.source.name} has no relations, which {self.label} asks about")
        if wrong := same_names(self.source.relation_names):
            raise NotApplicable(f"relations of graph {self.source.name} cannot be options: {wrong}; rename one of them")
        return self.source.relations

    @cached_property
    def _num_linked(self) -> int:
        def compute() -> Computed:
            return {"number": np.array((self.view.full.degrees > 0).sum())}

        return int(self.source.kept("linked", compute)["number"])

    def _step(self, node: int, rng: np.random.Generator) -> int | None:
        degree = self.view.visible.degree(node)
        if not degree:
            return None
        return int(self.view.visible.neighbors[self.view.visible.indptr[node] + rng.integers(degree)])


def node_item(node: int) -> str:
    """A node as one of an example's ``source_items``."""
    return f"node:{node}"


def pair_item(node: int, other: int) -> str:
    """An unordered pair of nodes as one of an example's ``source_items``."""
    return f"pair:{min(node, other)}-{max(node, other)}"
