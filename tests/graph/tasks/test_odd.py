"""Odd one out: one list holds a stranger that is far from the rest, and looks like what it replaced."""

import pytest

from ssl4rl.audit.needs import TEXT, need_rules
from ssl4rl.audit.offers import read_offers
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.tasks.odd import OddOneOut
from tests.audit.every_case import relation_graph


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_the_right_list_alone_holds_a_node_that_is_no_neighbour(level):
    task = OddOneOut(default_graph(), level=level)
    for index in range(40):
        example = task.example(index)
        odd, lists, of = (example.meta[key] for key in ("odd", "lists", "of"))
        wrong = [
            [node for node in near if not task.is_joined(center, node)] for center, near in zip(of, lists, strict=True)
        ]
        place = "ABCDEF".index(example.gold)
        assert wrong[place] == [odd] and not any(wrong[:place] + wrong[place + 1 :])
        assert not {node for near in lists for node in near} & set(example.meta["nodes"].values())
        around = set(task.view.full.around(odd).tolist())
        for node in set(lists[place]) - {odd}:
            assert not task.is_joined(odd, node) and around.isdisjoint(task.view.full.around(node).tolist())


def test_in_each_list_is_one_that_the_stranger_looks_like():
    task = OddOneOut(default_graph())
    for index in range(30):
        meta = task.example(index).meta
        for center in meta["of"]:
            assert task._surface(meta["odd"]) in {task._surface(int(node)) for node in task.text_neighbors(center)}


def test_the_audit_reads_how_texts_go_together():
    task = OddOneOut(default_graph(), level="easy")
    offers = read_offers([task.example(index) for index in range(200)])
    weights = need_rules(task.source, offers)[TEXT](offers)
    right = [
        offer.labels[max(range(2), key=own.__getitem__)] in offer.right
        for offer, own in zip(offers, weights, strict=True)
    ]
    assert sum(right) > 110


def test_what_it_needs_is_said(house):
    with pytest.raises(NotApplicable, match="nodes with 3 visible neighbours"):
        OddOneOut(house)
    with pytest.raises(NotApplicable, match="edges between so many of its nodes"):
        OddOneOut(relation_graph())
