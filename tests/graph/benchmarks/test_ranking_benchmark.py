"""Link prediction as ranking: which candidates a query has, and what is asked about each."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ssl4rl.data.graphs.citations import citation_graph
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.evaluation.baselines.ranking import rank
from ssl4rl.graph.benchmarks.ranking import Ranking
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.view import edge_view


def triples(directed: bool = True) -> TextAttributedGraph:
    """40 things and 240 edges, of four relations where they have a direction."""
    rng = np.random.default_rng(0)
    ends = rng.integers(40, size=(2, 240))
    relations = {"relations": rng.integers(4, size=240), "relation_names": [f"relation {r}" for r in range(4)]}
    return TextAttributedGraph.from_edges(
        "things",
        [f"thing {node} of some kind" for node in range(40)],
        ends,
        directed=directed,
        node_ids=[f"n{node}" for node in range(40)],
        **(relations if directed else {}),
    )


def rows(benchmark: Ranking) -> list[list]:
    """The examples of each query."""
    found: dict[str, list] = {}
    for index in range(benchmark.size):
        example = benchmark.example(index)
        found.setdefault(example.meta["question"], []).append(example)
    return list(found.values())


def test_every_test_edge_is_asked_from_both_ends_with_one_right_candidate_each():
    graph = citation_graph(600)
    benchmark = Ranking(graph, split="test", knobs={"num_candidates": 5})
    test = {frozenset(pair) for pair in graph.edge_index[:, edge_view(graph).asked["test"]].T.tolist()}
    linked = {frozenset(pair) for pair in graph.edge_index.T.tolist()}
    assert benchmark.num_questions == 2 * len(test) and benchmark.size == 5 * benchmark.num_questions
    assert benchmark.items_of(3) == 15
    asked = []
    for query in rows(benchmark):
        assert len({example.meta["item"] for example in query}) == 5
        (right,) = [example for example in query if example.gold == "yes"]
        asked.append(frozenset(right.meta["asked"]))
        for example in query:
            pair = frozenset(example.meta["asked"])
            assert len(pair) == 2 and pair & asked[-1] and (pair in linked) == (example.gold == "yes")
            assert example.chance == 0.8 and "category" not in example.meta
    assert set(asked) == test and all(asked.count(pair) == 2 for pair in test)
    # Where the right one stands among the candidates says nothing.
    places = [[example.gold for example in query].index("yes") for query in rows(benchmark)]
    assert min(np.bincount(places, minlength=5)) > len(places) / 10


def test_filtered_ranking_leaves_out_what_holds_in_any_split():
    graph = triples()
    benchmark = Ranking(graph, split="test", knobs={"num_candidates": None})
    known = {
        (head, relation, tail)
        for (head, tail), relation in zip(graph.edge_index.T.tolist(), graph.relations.tolist(), strict=True)
    }
    for query in rows(benchmark):
        relation, side = query[0].meta["relation"], query[0].meta["category"]
        (right,) = [tuple(example.meta["asked"]) for example in query if example.gold == "yes"]
        anchor = right[0] if side == "tail" else right[1]
        candidates = {example.meta["asked"][side == "tail"] for example in query}
        others = {
            node
            for node in range(40)
            if node != anchor
            and ((anchor, relation, node) if side == "tail" else (node, relation, anchor)) not in known
        }
        assert candidates == others | {right[side == "tail"]} and len(candidates) == len(query)
        assert f"Does the relation 'relation {relation}' hold from node [" in query[0].text
    # Another relation between the two does not make a candidate right, and no edge between them is shown.
    for example in (example for query in rows(benchmark) for example in query):
        assert frozenset(example.meta["asked"]) not in {frozenset(pair) for pair in example.meta["edges"]}


def test_candidates_stay_the_same_whatever_is_shown_and_fewer_are_a_part_of_more():
    graph = triples()
    few, more, bare = (
        Ranking(graph, split="test", level=level, knobs={"num_candidates": count})
        for level, count in (("one-hop", 5), ("one-hop", 9), ("no-graph", 5))
    )
    for number in range(few.num_questions):
        assert few.candidates(number).tolist() == bare.candidates(number).tolist()
        assert set(few.candidates(number)) <= set(more.candidates(number))
    again = Ranking(graph, split="test", knobs={"num_candidates": 5})
    assert again.example(37).id == few.example(37).id
    with pytest.raises(IndexError):
        few.example(few.size)


def test_candidates_are_of_the_kind_or_on_the_side_of_the_right_one():
    kinds = np.arange(40) % 2
    graph = replace(triples(), kinds=kinds, kind_names=["one", "other"])
    benchmark = Ranking(graph, split="test", knobs={"num_candidates": None})
    for query in rows(benchmark):
        side = query[0].meta["category"] == "tail"
        assert len({kinds[example.meta["asked"][side]] for example in query}) == 1


def test_one_side_only_and_notes_that_say_what_ranks_mean():
    both, tails = (Ranking(triples(), split="test", knobs={"side": side}) for side in ("both", "tail"))
    assert both.num_questions == 2 * tails.num_questions
    assert {example.meta["category"] for query in rows(tails) for example in query} == {"tail"}
    assert "drawn at random" in tails.notes[0] and "task.num_candidates=null" in tails.notes[0]
    every = Ranking(triples(), split="test", knobs={"num_candidates": None})
    assert "filtered ranking" in every.notes[0]
    with pytest.raises(NotApplicable, match=r"task.side=head: the edges of graph things have no direction"):
        Ranking(triples(directed=False), split="test", knobs={"side": "head"})


def test_a_graph_in_which_all_nodes_are_linked_has_nothing_to_rank():
    ends = np.array([(a, b) for a in range(8) for b in range(a)]).T
    with pytest.raises(NotApplicable, match="no node that could be a wrong candidate"):
        Ranking(TextAttributedGraph.from_edges("full", [f"t {n}" for n in range(8)], ends), split="test")


def given(graph: TextAttributedGraph, **changes: object) -> list[dict[str, object]]:
    """A line for each test edge, with three candidates for either end."""
    lines = []
    for edge in edge_view(graph).asked["test"].tolist():
        head, tail = (f"n{node}" for node in graph.edge_index[:, edge])
        relation = {} if graph.relations is None else {"relation": graph.relation_names[graph.relations[edge]]}
        own = {"head": head, "tail": tail, **relation, "tails": ["n1", "n2", "n3"], "heads": ["n4", "n5", "n6"]}
        lines.append({**own, **changes})
    return lines


def write(path, lines) -> str:
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return str(path)


@pytest.mark.parametrize("directed", [True, False])
def test_given_candidates_are_taken_but_for_those_that_are_known_to_be_right(tmp_path, directed):
    graph = triples(directed)
    lines = given(graph)
    if not directed:  # either end may be called the head
        lines = [{**line, "head": line["tail"], "tail": line["head"], "tails": line["heads"], "heads": line["tails"]}
                 for line in lines]  # fmt: skip
    benchmark = Ranking(graph, split="test", knobs={"negatives": write(tmp_path / "given.jsonl", lines)})
    for query in rows(benchmark):
        (right,) = [example.meta["asked"] for example in query if example.gold == "yes"]
        wrong = {
            node for example in query if example.gold == "no" for node in example.meta["asked"] if node not in right
        }
        is_tail = query[0].meta["question"].endswith("tail")
        assert wrong <= ({1, 2, 3} if is_tail else {4, 5, 6})
    assert "candidates are those of" in benchmark.notes[-1] and "known to be right" in benchmark.notes[-1]
    train = Ranking(graph, split="train", knobs={"negatives": str(tmp_path / "given.jsonl")})
    assert train.items_of(1) == 20  # the file is of the test edges


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: lines[1:], "has no candidates for 1 of "),
        (lambda lines: [*lines, lines[0]], "have a line before"),
        (lambda lines: [{**lines[0], "tails": ["n99"]}, *lines[1:]], "line 1: tails: 'n99' is no node of the graph"),
        (lambda lines: [{**lines[0], "head": None}, *lines[1:]], "line 1: head: None is no node of the graph"),
        (lambda lines: [{k: v for k, v in lines[0].items() if k != "heads"}], "no list 'heads'; add one, or rank one"),
        (lambda lines: [["n1", "n2"]], "line 1: an edge has the keys head, tail"),
        (lambda lines: [{**lines[0], "negatives": []}], "line 1: an edge has the keys head, tail"),
    ],
)
def test_a_file_of_candidates_that_cannot_be_used_gets_one_line(tmp_path, spoil, message):
    graph = triples()
    with pytest.raises(UserError) as error:
        Ranking(graph, split="test", knobs={"negatives": write(tmp_path / "given.jsonl", spoil(given(graph)))})
    assert message in str(error.value) and "given.jsonl" in str(error.value)


def test_a_file_that_does_not_exist_or_is_not_json(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        Ranking(triples(), split="test", knobs={"negatives": str(tmp_path / "none")})
    (tmp_path / "some").write_text("n1\tn2\n")
    with pytest.raises(UserError, match="some line 1: not JSON"):
        Ranking(triples(), split="test", knobs={"negatives": str(tmp_path / "some")})


def test_a_relation_without_direction_holds_from_both_ends():
    graph = triples()
    undirected = TextAttributedGraph.from_edges(
        "things",
        graph.texts,
        graph.edge_index,
        directed=False,
        relations=graph.relations,
        relation_names=graph.relation_names,
    )
    holds = {
        (frozenset(pair), relation)
        for pair, relation in zip(undirected.edge_index.T.tolist(), undirected.relations.tolist(), strict=True)
    }
    benchmark = Ranking(undirected, split="test")
    for number in range(benchmark.num_questions):
        edge, side = benchmark._query(number)
        anchor = benchmark._ends(edge)[side == "head"]
        right = set(benchmark._right(edge, side).tolist()) - {anchor}
        relation = int(undirected.relations[edge])
        assert right == {
            node for node in range(40) if node != anchor and (frozenset((anchor, node)), relation) in holds
        }


def test_nodes_of_unknown_kind_are_a_group():
    graph = replace(triples(), kinds=np.where(np.arange(40) < 10, -1, 0), kind_names=["thing"])
    assert Ranking(graph, split="test").size > 0


def test_baselines_of_relations_without_direction_count_both_ends():
    graph = triples()
    parts = {"relations": graph.relations, "relation_names": graph.relation_names}
    undirected = TextAttributedGraph.from_edges("things", graph.texts, graph.edge_index, directed=False, **parts)
    benchmark = Ranking(undirected, split="test")
    scores = rank(benchmark, [benchmark.example(index) for index in range(40)]).scores["frequency"]
    assert max(scores) > 0
