import subprocess
import sys
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

import ssl4rl
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.drafts import Draft, ShownImage, content_hash
from ssl4rl.errors import UserError
from ssl4rl.graph.pairs import Negatives
from ssl4rl.graph.task import ContextKnobs
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.registry import TASKS
from tests.audit.every_case import Case


def test_an_example_is_the_same_in_another_process_and_order():
    task = Link(default_graph())
    code = (
        "from ssl4rl.data.graphs.citations import default_graph; from ssl4rl.graph.tasks.link import Link; "
        "t = Link(default_graph()); t.example(9); print(t.example(7).id); print(t.example(7).text)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == f"{task.example(7).id}\n{task.example(7).text}"


def test_id_names_source_split_task_level_seed_and_index():
    example = Link(default_graph(), split="val", level="easy", seed=3).example(12)
    assert str(example.id).rpartition("#")[0] == "citations/val/link@easy/3/12"
    changed = Link(default_graph(), knobs={"fanout": 1}).example(0)
    assert str(changed.id).startswith("citations/train/link@medium+fanout=1/0/0#")


def test_a_knob_that_repeats_the_level_changes_nothing():
    plain = Link(default_graph()).example(5)
    repeated = Link(default_graph(), knobs={"num_hops": 1, "negatives": "degree"}).example(5)
    assert (repeated.id, repeated.text) == (plain.id, plain.text)
    # The same knobs under another level's name are the same examples, under another id.
    easy = Link(default_graph(), level="easy").example(5)
    spelled = Link(default_graph(), knobs={"fanout": 1}).example(5)
    assert easy.text == spelled.text and easy.id.hash == spelled.id.hash and easy.id != spelled.id


class _Base(ContextKnobs):
    negatives: Negatives = "degree"
    fanout: int = Field(2, ge=1, le=50)


class _Reordered(_Base):
    """The knobs of link, in another order and some of them in a base class."""

    num_options: int = Field(4, ge=2, le=26)
    max_nodes: int = Field(20, ge=2, le=500)
    answer: Literal["edge", "relation"] = "edge"
    text_budget: int = Field(400, ge=16, le=20000)


class _ReorderedLink(Link):
    knobs_type = _Reordered


@pytest.mark.parametrize("level", ["medium", "hard"])
def test_the_order_of_a_knob_class_decides_nothing(level):
    assert list(_Reordered.model_fields) != list(Link.knobs_type.model_fields)
    before, after = (kind(default_graph(), level=level) for kind in (Link, _ReorderedLink))
    assert [before.example(i).id for i in range(500)] == [after.example(i).id for i in range(500)]


def test_a_raised_version_draws_other_examples():
    class Second(Link):
        version = Link.version + 1

    assert Second(default_graph()).example(0).text != Link(default_graph()).example(0).text


def test_the_hash_covers_what_is_shown_and_how_it_is_scored():
    def draft(part="a", content="x", gold="yes"):
        image = ShownImage(None, {"image": content, "angle": 0.1 + 0.2})
        return Draft.any_of((part, image), [gold], ["yes", "no"], ("node:1",), {"note": part})

    assert content_hash(draft()) == content_hash(draft())
    assert len({content_hash(each) for each in (draft(), draft("b"), draft(content="y"), draft(gold="no"))}) == 4
    # The last bits of a float differ between machines.
    moved = Draft.any_of(("a", ShownImage(None, {"image": "x", "angle": 0.3})), ["yes"], ["yes", "no"], ("node:1",), {})
    assert content_hash(moved) == content_hash(draft())


SLOTTED = [
    ("link", {}, 2),
    ("neighbor", {}, 5),
    ("neighbor", {"num_hidden": 2, "num_candidates": 4}, 4),
    ("attribute", {}, 4),
    ("rotation", {"step": 45, "zoom": 1.6}, 8),
    ("contrastive", {}, 2),
    ("position", {"n": 3}, 9),
    ("jigsaw", {}, 1),
]


@pytest.mark.parametrize(("name", "knobs", "slots"), SLOTTED)
def test_right_answers_are_balanced_in_every_block(name, knobs, slots):
    task = ssl4rl.task(name, **knobs)
    assert task.num_slots == slots
    golds = [task.example(index).gold for index in range(4 * slots)]
    for start in range(0, len(golds) if knobs.get("num_hidden") != 2 and slots > 1 else 0, slots):
        assert len(set(golds[start : start + slots])) == slots
    # The order differs from block to block.
    orders = {tuple(task.slot(index, slots) for index in range(start, start + slots)) for start in range(0, 90, slots)}
    assert len(orders) > 1 or slots == 1


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.integers(0, 3))
def test_each_slot_comes_once_in_a_block_and_depends_on_nothing_else(k, block, seed):
    task = LINKS[seed]
    slots = [task.slot(index, k) for index in range(block * k, (block + 1) * k)]
    assert sorted(slots) == list(range(k))
    other = Link(default_graph(), seed=seed)
    assert [other.slot(index, k) for index in reversed(range(block * k, (block + 1) * k))] == slots[::-1]


LINKS = [Link(default_graph(), seed=seed) for seed in range(4)]
NEIGHBOR = Neighbor(default_graph())


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_next_like_an_example_has_its_slot_and_is_near(index, start):
    found = NEIGHBOR.next_like(index, start)
    assert start <= found < start + 2 * NEIGHBOR.num_slots
    wanted = NEIGHBOR.slot(index, 5)
    assert NEIGHBOR.slot(found, 5) == wanted
    assert all(NEIGHBOR.slot(other, 5) != wanted for other in range(start, found))


def test_a_constant_gains_nothing_within_a_batch():
    task = Neighbor(default_graph())
    batch = [task.example(index) for index in range(20, 40)]
    for letter in "ABCDE":
        assert sum(task.score(f"<answer>{letter}</answer>", example).value for example in batch) == 4


@pytest.mark.parametrize("name", TASKS.names())
def test_without_reasoning_the_bare_answer_is_asked_for_and_scores(name):
    kind = TASKS.get(name)
    source = Case(kind, kind.default_level, "train").build().source
    task, direct = kind(source), kind(source, knobs={"reasoning": False})
    assert direct.label == f"{name}@{task.level}+reasoning=false"
    example, plain = direct.example(0), task.example(0)
    assert example.text.splitlines()[-1].startswith("Answer with ")
    assert example.text.splitlines()[-1].endswith(" and nothing else.")
    assert example.scoring.arguments["bare"] is True and "bare" not in plain.scoring.arguments
    assert (example.gold_reply, plain.gold_reply) == (example.gold, f"<answer>{plain.gold}</answer>")
    for reply in (example.gold, f" {example.gold}\n", f"<answer>{example.gold}</answer>", f"a</think>{example.gold}"):
        assert direct.score(reply, example).value == 1
    assert task.score(plain.gold, plain).outcome == "unparsed"


def test_a_task_on_another_split_keeps_its_level_knobs_and_seed():
    task = Link(default_graph(), level="easy", knobs={"fanout": 3}, seed=4)
    other = task.on_split("val")
    assert (other.label, other.seed, other.split) == ("link@easy+fanout=3", 4, "val")


def test_seed_split_and_knobs_change_the_example():
    texts = {
        task.example(0).text
        for task in (
            Link(default_graph()),
            Link(default_graph(), seed=1),
            Link(default_graph(), split="val"),
            Link(default_graph(), knobs={"fanout": 1}),
        )
    }
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "meduim"}, "did you mean medium"),
        ({"split": "valid"}, "did you mean val"),
        ({"knobs": {"num_hop": 1}}, "did you mean num_hops"),
        ({"knobs": {"num_hops": 99}}, "task.num_hops=99"),
        ({"knobs": {"negatives": "hard"}}, "'random', 'degree' or 'distance_two'"),
        ({"knobs": {"answer": "relation"}}, "has no relations"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(arguments, message):
    with pytest.raises(UserError, match=message):
        Link(default_graph(), **arguments)


def test_neighbor_refuses_more_hidden_than_candidates():
    with pytest.raises(UserError, match="smaller than num_candidates"):
        Neighbor(default_graph(), knobs={"num_hidden": 5, "num_candidates": 4})
    with pytest.raises(UserError, match="must be a multiple of num_hidden=2"):
        Neighbor(default_graph(), knobs={"num_hidden": 2, "num_candidates": 5})


def test_a_knob_that_was_named_stays_on_every_rung():
    for candidates in (5, 6):
        task = TASKS.get("neighbor")(default_graph(), level="medium", knobs={"num_candidates": candidates})
        assert task.changed({"level": "easy"}).knobs.num_candidates == candidates
    assert "num_candidates" not in TASKS.get("neighbor")(default_graph(), knobs={"num_candidates": 5}).label
