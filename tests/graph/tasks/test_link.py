"""What a prompt about a pair shows of either node says nothing of whether an edge joins them."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from ssl4rl.audit.offers import read_offers
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.tasks.link import Link

NODES, EXAMPLES = 300, 2000


def graph(*, layered: bool) -> TextAttributedGraph:
    """A directed graph in which every node has two edges out and two in; layered, all lead from one half to the other.

    Some edges have one back.
    """
    rng = np.random.default_rng(5)
    half = NODES // 2
    if layered:
        ends = np.concatenate([np.stack([np.arange(half), half + rng.permutation(half)]) for _ in range(4)], axis=1)
    else:
        ends = np.concatenate([np.stack([np.arange(NODES), rng.permutation(NODES)]) for _ in range(2)], axis=1)
    ends = np.unique(np.concatenate([ends, ends[::-1, : NODES // 10]], axis=1), axis=1)
    texts = [f"node {number} of words {' '.join(map(str, rng.integers(9, size=6)))}" for number in range(NODES)]
    return TextAttributedGraph.from_edges("arrows", texts, ends[:, ends[0] != ends[1]], directed=True)


class EitherWay(Link):
    """Hides edges of an unlinked pair that lead either way, and of a linked one the asked edge, which leads one way."""

    def _ways_to(self, node: int, *others: int) -> list[int]:
        return [-1] * len(super()._ways_to(node, *others))  # no edge leads so: any is taken


def p_of_arrows(task: Link) -> float:
    """Of a test whether the edges shown into and out of the two depend on the answer."""
    shown: dict[str, Counter[object]] = {"yes": Counter(), "no": Counter()}
    for offer in read_offers([task.example(index) for index in range(EXAMPLES)]):
        leaning = sorted((into > out) - (into < out) for into, out in map(offer.edges_shown, offer.asked))
        shown[offer.example.gold][tuple(leaning)] += 1
    keys = [key for key in shown["yes"] | shown["no"] if shown["yes"][key] + shown["no"][key] >= 10]
    return float(chi2_contingency([[counts[key] for key in keys] for counts in shown.values()]).pvalue)


@pytest.mark.parametrize(("level", "layered"), [("medium", False), ("hard", False), ("medium", True)])
def test_arrows_shown_of_the_two_do_not_tell(level: str, layered: bool) -> None:
    assert p_of_arrows(Link(graph(layered=layered), level=level)) > 0.001


def test_unlinked_pairs_of_two_sources_are_not_asked_about() -> None:
    with pytest.raises(NotApplicable, match="too few unlinked pairs"):
        Link(graph(layered=True), level="hard").example(0)


def test_arrows_would_tell_if_edges_were_spared_either_way() -> None:
    assert p_of_arrows(EitherWay(graph(layered=False), level="hard")) < 1e-4


def test_ways_are_those_of_the_visible_edges() -> None:
    task = Link(graph(layered=False))
    source, visible = task.source, task.view.visible
    edges = {tuple(map(int, source.edge_index[:, column])) for column in np.unique(visible.edges)}
    for node in range(40):
        around, ways = task._ways(node)
        assert around.tolist() == visible.around(node).tolist()
        assert ways.tolist() == [((node, other) in edges) + 2 * ((other, node) in edges) for other in around.tolist()]
