"""A small share of what ``make fuzz`` feeds to the readers of texts and files, and what it found."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ssl4rl
from experiments import fuzz_files, fuzz_texts
from ssl4rl.errors import UserError
from ssl4rl.training.recipe_file import load_recipe

INPUTS = {
    fuzz_texts.answers: 300,
    fuzz_texts.lenient: 100,
    fuzz_texts.example_id: 300,
    fuzz_texts.recipe: 40,
    fuzz_files.graph_folder: 30,
    fuzz_files.triples: 60,
    fuzz_files.pt: 60,
    fuzz_files.tables: 30,
}


@pytest.mark.parametrize(("target", "inputs"), INPUTS.items(), ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.filterwarnings("ignore")
def test_made_up_inputs_are_read_or_refused(target, inputs):
    @settings(max_examples=inputs, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=300))
    def hold(data):
        target(data)

    hold()


@cache
def some_pools():
    tasks = [ssl4rl.task(name) for name in ("link", "neighbor", "attribute", "cloze")]
    return [(task, fuzz_texts.drawn(task, range(60))) for task in tasks]


def test_replies_that_were_made_without_the_example_earn_no_more_than_chance(monkeypatch):
    monkeypatch.setattr(fuzz_texts, "pools", some_pools)

    @settings(max_examples=100)
    @given(st.binary(max_size=120))
    def hold(data):
        fuzz_texts.blind(data)

    hold()


def test_a_reward_for_nothing_is_found(monkeypatch):
    """The check itself: where every answer is right, and chance says otherwise, it fails."""
    task, examples = some_pools()[0]
    anything = examples[0].scoring._replace(arguments={"accepted": ["yes", "no"]})
    easy = [replace(each, scoring=anything) for each in examples]
    monkeypatch.setattr(fuzz_texts, "pools", lambda: [(task, easy)])
    monkeypatch.setattr(fuzz_texts, "fresh_examples", lambda label: easy)
    yes = fuzz_texts.REPLY_WORDS.index("yes")
    # The only task; words of any reply; one piece, which is the word "yes"; in its tags.
    with pytest.raises(AssertionError, match="pays a blind reply"):
        fuzz_texts.blind(bytes([0, 1, 1, 2, yes, 1]))


DEEP = "[" * 100_000
"""JSON that is nested deeper than Python reads: not a ValueError but a RecursionError, until it was made one."""


def test_json_that_is_nested_too_deeply_is_refused(tmp_path):
    from ssl4rl.data.graphs.folder import check_folder
    from ssl4rl.data.images.cells import images_in
    from ssl4rl.example import ExampleId
    from ssl4rl.records import read_lines

    with pytest.raises(UserError, match="is not the id of an example") as caught:
        ExampleId.parse(f"shop/val/link@hard+fanout={DEEP}/0/7#0123abcd")
    assert len(str(caught.value)) < 400
    (tmp_path / "lines.jsonl").write_text(f"{DEEP}\n{{}}\n")
    with pytest.raises(UserError, match="line 1: not JSON"):
        list(read_lines(tmp_path / "lines.jsonl"))
    (tmp_path / "nodes.jsonl").write_text(f"{DEEP}\n")
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")
    assert "nested too deeply" in check_folder(tmp_path).problems[0]
    assert images_in(DEEP) == [DEEP]


@pytest.mark.parametrize("override", ["=" + "9" * 9000, "x" * 9000 + "=1", "seed=[" + "1, " * 9000 + "1]"])
def test_what_a_message_quotes_is_cut(override):
    with pytest.raises(UserError) as caught:
        load_recipe(overrides=[override])
    assert len(str(caught.value)) < 2000
