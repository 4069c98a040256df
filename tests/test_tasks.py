import subprocess
import sys
from typing import Literal

import pytest
from pydantic import Field

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import UserError
from ssl4rl.graph.pairs import Negatives
from ssl4rl.graph.task import ContextKnobs
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.tasks import Draft, ShownImage, content_hash


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
    spelled = Link(default_graph(), knobs={"negatives": "random"}).example(5)
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
        version = 2

    assert Second(default_graph()).example(0).text != Link(default_graph()).example(0).text


def test_the_hash_covers_what_is_shown_and_how_it_is_scored():
    def draft(part="a", content="x", gold="yes"):
        image = ShownImage(None, {"image": content, "angle": 0.1 + 0.2})
        return Draft.any_of((part, image), [gold], 2, ("node:1",), {"note": part})

    assert content_hash(draft()) == content_hash(draft())
    assert len({content_hash(each) for each in (draft(), draft("b"), draft(content="y"), draft(gold="no"))}) == 4
    # The last bits of a float differ between machines.
    moved = Draft.any_of(("a", ShownImage(None, {"image": "x", "angle": 0.3})), ["yes"], 2, ("node:1",), {})
    assert content_hash(moved) == content_hash(draft())


def test_a_task_on_another_split_keeps_its_level_knobs_and_seed():
    task = Link(default_graph(), level="easy", knobs={"fanout": 1}, seed=4)
    other = task.on_split("val")
    assert (other.label, other.seed, other.split) == ("link@easy+fanout=1", 4, "val")


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
