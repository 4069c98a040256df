import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.subgraph import Subgraph
from ssl4rl.graph.text import count_pieces, cut, fair_shares, fit_texts, write_subgraph


def test_pieces_are_about_tokens_and_bounded_in_any_script():
    assert count_pieces("graph neural networks") == 3
    assert count_pieces("antidisestablishmentarianism") == 4
    assert count_pieces("don't!") == 4
    assert count_pieces("グラフ") == 3


@given(st.text(max_size=60), st.integers(0, 40))
def test_cut_keeps_the_budget_and_the_beginning(text, budget):
    shown = cut(text, budget)
    plain = " ".join(text.split())
    assert shown == plain or shown.endswith("…")
    assert count_pieces(shown.removesuffix("…")) <= max(budget, count_pieces(plain) if shown == plain else 0)
    assert plain.startswith(shown.removesuffix("…").rstrip())


def test_cut_ends_at_a_word():
    assert cut("a representation of graphs", 2) == "a …"
    assert cut("one  two\nthree", 3) == "one two three"
    assert cut("one two", 0) == "…"


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_fair_shares_use_the_budget_and_favour_nobody(lengths, budget):
    shares = fair_shares(lengths, budget)
    assert sum(shares) <= max(budget, 0)
    assert all(share <= length for share, length in zip(shares, lengths, strict=True))
    cut_ones = [share for share, length in zip(shares, lengths, strict=True) if share < length]
    if cut_ones:
        assert min(cut_ones) >= max(shares) - 1 and sum(shares) == budget


def test_kept_texts_are_cut_last_but_leave_the_others_a_quarter():
    texts = {0: "word " * 50, 1: "word " * 50, 2: "word " * 50}
    fitted = fit_texts(texts, 100, keep=[0])
    assert fitted.dropped == {1: 25, 2: 25}
    assert fit_texts(texts, 60, keep=[0]).dropped == {0: 5, 1: 43, 2: 42}


def whole(graph: TextAttributedGraph, **options):
    every = Subgraph(tuple(range(graph.num_nodes)), (0,) * graph.num_nodes, tuple(range(graph.num_edges)))
    return write_subgraph(graph, every, np.random.default_rng(0), **{"text_budget": 200} | options)


def test_plain_edges_are_written_in_local_numbers(house):
    written = whole(house, masked=[4])
    number = written.number
    lines = written.text.splitlines()
    assert lines[0] == "Nodes:" and len(lines) == 7
    assert f"[{number[0]}] ground left" in lines
    assert f"[{number[4]}] (description hidden)" in lines
    shown = {frozenset(map(int, edge.split("-"))) for edge in lines[-1].removeprefix("Edges: ").rstrip(".").split(", ")}
    assert shown == {frozenset((number[a], number[b])) for a, b in house.edge_index.T.tolist()}


def test_direction_relation_and_edge_text_are_shown():
    graph = TextAttributedGraph.from_edges(
        "g",
        ["Ada", "Bea", ""],
        np.array([[0, 1], [1, 2]]),
        directed=True,
        relations=np.array([0, 1]),
        relation_names=["parent of", "knows"],
        edge_texts=["since 1815", ""],
    )
    written = whole(graph)
    ada, bea, nobody = (written.number[node] for node in range(3))
    assert f"[{ada}] --parent of--> [{bea}]: since 1815" in written.text
    assert f"[{bea}] --knows--> [{nobody}]" in written.text.splitlines()
    assert f"[{nobody}] (no description)" in written.text


def test_too_many_edges_are_cut_to_the_budget_the_asked_nodes_first():
    ends = np.array([(a, b) for a in range(12) for b in range(a)]).T
    graph = TextAttributedGraph.from_edges("g", [f"t{i}" for i in range(12)], ends)
    written = whole(graph, text_budget=120, keep=[0])
    kept = graph.edge_index[:, list(written.edges)]
    assert len(written.edges) < graph.num_edges
    assert (kept == 0).any(axis=0).sum() == 11
    assert len(Adjacency.build(12, graph.edge_index, np.array(written.edges)).around(0)) == 11
