import numpy as np
import pytest

from ssl4rl.graph.adjacency import Adjacency
from ssl4rl.graph.subgraph import ego_subgraph, induced_edges


@pytest.fixture
def adjacency(house):
    return Adjacency.build(5, house.edge_index, np.arange(house.num_edges))


def cut(adjacency, centers, **changes):
    settings = {"num_hops": 1, "fanout": 10, "max_nodes": 10} | changes
    return ego_subgraph(adjacency, centers, np.random.default_rng(0), **settings)


def test_one_and_two_hops_of_the_house(house, adjacency):
    one = cut(adjacency, [4])
    assert set(one.nodes) == {4, 0, 1}
    assert house.edge_index[:, list(one.edges)].T.tolist() == [[0, 1], [0, 4], [1, 4]]
    two = cut(adjacency, [4], num_hops=2)
    assert dict(zip(two.nodes, two.hops, strict=True)) == {4: 0, 0: 1, 1: 1, 2: 2, 3: 2}
    assert len(two.edges) == 6


def test_a_hidden_pair_is_neither_followed_nor_shown(adjacency):
    assert set(cut(adjacency, [4], hidden_pairs=[frozenset((0, 4))]).nodes) == {4, 1}
    both = cut(adjacency, [0, 4], num_hops=0, hidden_pairs=[frozenset((4, 0))])
    assert both.edges == ()


def test_hidden_nodes_fanout_and_cap(adjacency):
    assert set(cut(adjacency, [4], hidden_nodes=[0]).nodes) == {4, 1}
    assert len(cut(adjacency, [0], fanout=2).nodes) == 3
    assert len(cut(adjacency, [0], num_hops=4, max_nodes=3).nodes) == 3
    assert cut(adjacency, [2], num_hops=0).nodes == (2,)


@pytest.mark.parametrize("fanout", [3, 18, 50])
def test_no_centre_takes_the_room_of_another(fanout):
    stars = np.array([[hub for hub in range(4) for _ in range(30)], list(range(4, 124))])
    adjacency = Adjacency.build(124, stars, np.arange(120))
    for seed in range(20):
        found = ego_subgraph(adjacency, range(4), np.random.default_rng(seed), num_hops=1, fanout=fanout, max_nodes=11)
        shown = np.bincount(stars[0, list(found.edges)], minlength=4)
        assert shown.min() >= 1 and shown.max() <= 3 and shown.sum() == 7


def test_induced_edges_agree_with_brute_force():
    rng = np.random.default_rng(1)
    edges = np.unique(rng.integers(40, size=(2, 300)), axis=1)
    edges = edges[:, edges[0] != edges[1]]
    adjacency = Adjacency.build(40, edges, np.arange(edges.shape[1]))
    for _ in range(20):
        nodes = rng.choice(40, 12, replace=False)
        expected = np.flatnonzero(np.isin(edges, nodes).all(axis=0))
        assert list(induced_edges(adjacency, nodes.tolist())) == expected.tolist()


def test_induced_edges_of_hubs_agree_with_brute_force():
    # Nodes 0 and 1 are joined to everyone, and twice to each other: their rows are too long to be read whole.
    rng = np.random.default_rng(2)
    leaves = np.arange(2, 500)
    spokes = [np.stack([np.full(len(leaves), hub), leaves]) for hub in (0, 1)]
    others = np.unique(rng.integers(2, 500, size=(2, 400)), axis=1)
    edges = np.concatenate([*spokes, others[:, others[0] != others[1]], [[0, 1], [1, 0]]], axis=1)
    adjacency = Adjacency.build(500, edges, np.arange(edges.shape[1]))
    for hidden in ([], [frozenset((0, 1))], [frozenset((7, 1)), frozenset((0, 9))]):
        nodes = [1, 9, 0, 7, *rng.choice(np.arange(10, 500), 30, replace=False).tolist()]
        shown = [set(edge) <= set(nodes) and frozenset(edge) not in hidden for edge in edges.T.tolist()]
        found = induced_edges(adjacency, nodes, hidden)
        assert list(found) == np.flatnonzero(shown).tolist() and len(found) > 60
    assert induced_edges(adjacency, []) == ()


def test_every_neighbour_is_equally_likely():
    star = np.stack([np.zeros(20, dtype=int), np.arange(1, 21)])
    adjacency = Adjacency.build(21, star, np.arange(20))
    rng = np.random.default_rng(0)
    drawn = [
        node
        for _ in range(4000)
        for node in ego_subgraph(adjacency, [0], rng, num_hops=1, fanout=5, max_nodes=9).nodes[1:]
    ]
    counts = np.bincount(drawn, minlength=21)[1:]
    # Mean 1000, standard deviation 27.
    assert counts.sum() == 20_000 and counts.min() > 880 and counts.max() < 1120
