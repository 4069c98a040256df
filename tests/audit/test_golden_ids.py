"""Examples survive a refactoring: golden ids with their hashes, and knobs whose fields move."""

import json

import pytest
from golden_ids import OURS, PINNED, ids_of
from pydantic import create_model

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.graph.tasks.link import Link
from ssl4rl.tasks import Knobs

CHANGED = """{case} draws or shows other examples than before. If that was not meant, undo it. If it was meant:
1. raise the `version` of the task where the same knobs, seed and index now give another example;
2. run `python tests/audit/golden_ids.py`;
3. say so in CHANGELOG.md: everyone's ids and training data change."""


@pytest.fixture(scope="module")
def pinned():
    return json.loads(PINNED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", OURS, ids=str)
def test_golden_ids_are_as_they_were(case, pinned):
    assert str(case) in pinned, f"{case} has no golden ids yet: run `python tests/audit/golden_ids.py`"
    assert ids_of(case) == pinned[str(case)], CHANGED.format(case=case)


def test_no_pinned_case_is_gone(pinned):
    assert set(pinned) == {str(case) for case in OURS}


def reordered(knobs_type: type[Knobs]) -> type[Knobs]:
    """The same knobs in the reverse order, the first of them defined by a base class."""
    fields = {name: (field.annotation, field) for name, field in reversed(knobs_type.model_fields.items())}
    name, moved = fields.popitem()
    base = create_model("Base", __base__=Knobs, **{name: moved})
    return create_model("Reordered", __base__=base, **fields)


def test_a_thousand_ids_do_not_depend_on_where_knobs_are_defined():
    class Moved(Link):
        knobs_type = reordered(Link.knobs_type)

    before, after = list(Link.knobs_type.model_fields), list(Moved.knobs_type.model_fields)
    assert before != after and set(before) == set(after)
    for level, count in (("hard", 500), ("paper", 500)):
        tasks = [kind(default_graph(), level=level, knobs={"fanout": 4}) for kind in (Link, Moved)]
        first, second = ([str(task.example(index).id) for index in range(count)] for task in tasks)
        assert first == second
