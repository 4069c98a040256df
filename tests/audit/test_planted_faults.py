"""Faults that are planted in a task are found, each by its own line."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image
from planted import (
    AMBIGUOUS,
    LEAKS,
    UNCHANGED,
    UnsparedDirection,
    UnsparedLink,
    View,
    even_graph,
    picks,
    small_graph,
)

from ssl4rl.answers import Scoring
from ssl4rl.audit import contamination
from ssl4rl.audit.ambiguous import find_ambiguous
from ssl4rl.audit.blind import excess
from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.shortcuts import noise
from ssl4rl.audit.table import JPEG_QUALITY, audit
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.drafts import Draft, ShownImage
from ssl4rl.errors import UserError
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.direction import FEWEST
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.tasks import Knobs, Task
from ssl4rl.vision.image_set import ImageSet


@dataclass(frozen=True)
class Lines:
    """A source of a hundred lines of text."""

    name: str = "lines"
    fingerprint: str = "0" * 64


class Parity(Task[Lines, Knobs]):
    """Is a number even? A task without a fault."""

    name = "parity"
    knobs_type = Knobs
    levels = {"medium": {}}  # noqa: RUF012

    def draft(self, index, rng):
        number = int(rng.integers(1000))
        gold = "no" if number % 2 else "yes"
        return Draft(
            parts=(f"Is {number} even?",),
            scoring=Scoring("score_any_of", {"accepted": [gold]}),
            gold=gold,
            chance=0.5,
            source_items=(f"line:{number}",),
        )


def faulty(**changes):
    """The task with other fields of its draft: values, or functions of the draft and the generator."""

    class Faulty(Parity):
        def draft(self, index, rng):
            draft = super().draft(index, rng)
            return replace(
                draft, **{key: value(draft, rng) if callable(value) else value for key, value in changes.items()}
            )

    return Faulty(Lines())


def grey(draft, rng):
    return Image.new("RGB", (2, 2), (int(rng.integers(256)),) * 3)


FAULTS = {
    "its gold answer does not score 1": faulty(gold=lambda draft, rng: "no" if draft.gold == "yes" else "yes"),
    "its gold answer is not a string": faulty(gold=True),
    "its scoring function 'score_by_eye' does not exist": faulty(scoring=Scoring("score_by_eye", {})),
    "the arguments of its scoring change": faulty(
        scoring=lambda draft, rng: Scoring("score_any_of", {"accepted": (draft.gold,)})
    ),
    "scoring its gold answer fails: TypeError": faulty(scoring=Scoring("score_any_of", {"rejected": []})),
    "its chance is not in [0, 1)": faulty(chance=1.5),
    "it does not name the source items": faulty(source_items=()),
    "its meta is not JSON": faulty(meta={"numbers": {1, 2}}),
    "an example cannot be built: AttributeError": faulty(
        parts=lambda draft, rng: (*draft.parts, grey(draft, rng)),
    ),
    "two examples that show different things have the same hash": faulty(
        parts=lambda draft, rng: ("Is it dark?", ShownImage(grey(draft, rng), "grey"))
    ),
}


def test_a_task_without_a_fault_passes():
    findings = check_contract(Parity(Lines()), 500)
    assert findings.passed, findings
    assert (findings.task, findings.examples) == ("parity@medium", 500)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_the_example(fault):
    findings = check_contract(FAULTS[fault], 200)
    assert not findings.passed
    named = [problem for problem in findings.problems if problem.startswith(fault)]
    assert len(named) == 1, findings.problems
    assert "lines/train/parity@medium/0/" in named[0] or "example 0" in named[0]


def test_a_constant_that_beats_the_stated_chance_is_found():
    assert "<answer>yes</answer>" in check_contract(faulty(chance=0.3), 300).blind_above_chance
    mostly_yes = faulty(
        gold=lambda draft, rng: "yes", scoring=Scoring("score_any_of", {"accepted": ["yes"]}), chance=0.9
    )
    suspects = check_contract(mostly_yes, 300).blind_above_chance
    assert suspects and all("yes" in reply for reply in suspects)
    rare = "an answer that nobody expects"
    always = faulty(gold=rare, scoring=Scoring("score_any_of", {"accepted": [rare]}), chance=0.5)
    assert f"<answer>{rare}</answer>" in check_contract(always, 300).blind_above_chance


def test_a_prompt_that_is_answered_in_two_ways_is_found():
    findings = check_contract(faulty(parts=("Is the number even?",)), 100)
    assert findings.ambiguous[0].startswith("another answer is right where the same is shown (lines/train/parity")


def test_a_list_of_everything_that_beats_the_stated_chance_is_found():
    def scoring(draft, rng):
        return Scoring("score_subset", {"hidden": ["P", "Q"], "candidates": ["P", "Q", "R"]})

    findings = check_contract(faulty(scoring=scoring, gold="P, Q", chance=0.6), 100)
    assert "<answer>P, Q, R</answer>" in findings.blind_above_chance


@pytest.mark.parametrize(("items", "found"), [(3, False), (100, True)])
def test_one_answer_guessed_of_few_nodes_is_no_excess(items, found):
    task = Link(default_graph())
    yes = [each for each in map(task.example, range(200)) if each.gold == "yes"]
    asked = [replace(each, source_items=(f"pair:{place % items}",)) for place, each in enumerate(yes)]
    assert ("<answer>yes</answer>" in excess(["<answer>yes</answer>"], asked)) == found


def test_an_excess_that_does_not_show_again_is_no_finding():
    class Lucky(Parity):
        """The answer is "yes" in the first examples, and "no" in later ones."""

        def draft(self, index, rng):
            gold = "yes" if index < 200 else "no"
            draft = super().draft(index, rng)
            return replace(draft, gold=gold, scoring=Scoring("score_any_of", {"accepted": [gold]}))

    assert check_contract(Lucky(Lines()), 200).passed
    assert "<answer>yes</answer>" in check_contract(Lucky(Lines()), 100).blind_above_chance


class Counting(Parity):
    """Shows how many examples were drawn before."""

    drawn = itertools.count()

    def draft(self, index, rng):
        return replace(super().draft(index, rng), parts=(f"Is it even? This is example {next(self.drawn)}.",))


class OwnGenerator(Parity):
    """Draws from a generator of the instance's own, in the order in which it is asked."""

    def prepare(self):
        self.own = np.random.default_rng(0)

    def draft(self, index, rng):
        return super().draft(index, self.own)


@pytest.mark.parametrize("kind", [Counting, OwnGenerator])
def test_a_task_that_depends_on_more_than_the_index_is_found(kind):
    findings = check_contract(kind(Lines()), 20)
    assert [problem.split(" (")[0] for problem in findings.problems] == ["it is another one when it is built again"]


def test_a_crash_is_a_finding_and_not_the_end_of_the_audit():
    class Brittle(Parity):
        def draft(self, index, rng):
            if index == 3:
                raise ZeroDivisionError("division by zero")
            if index == 5:
                raise UserError("line 5 is broken")
            return super().draft(index, rng)

    findings = check_contract(Brittle(Lines()), 100)
    assert findings.problems == (
        "an example cannot be built: ZeroDivisionError: division by zero (example 3)",
        "an example cannot be built: line 5 is broken (example 5)",
    )


def failed(task, count, **settings):
    """What the audit's table says has failed: check, split and finding."""
    lines = audit([task], count, **settings)
    return [(line.check, line.split, line.found) for line in lines if line.verdict == "failed"]


def was_found(lines, check, found, split=None):
    return any(line[0] == check and found in line[2] and split in (None, line[1]) for line in lines)


FEW, SOME, MANY = 40, 100, 300


@pytest.mark.parametrize(
    ("check", "found"), [*(("leak", found) for found in LEAKS), *(("ambiguous", found) for found in AMBIGUOUS)]
)
def test_leaks_and_ambiguous_questions_are_found(check, found):
    task = (LEAKS | AMBIGUOUS)[found]()
    assert was_found(failed(task, FEW), check, found)


@pytest.mark.parametrize("build", UNCHANGED)
def test_the_same_tasks_without_a_leak_are_clean(build):
    assert failed(build(), FEW) == []


RULES = {
    "memorised": "memorised option",
    "popularity": "option",
    "degree": "highest degree",
    "length": "longest option",
    "kind": "kind",
    "side": "kind",
    "surface": "gradient boosting on surface features",
}
"""The fault of a task, and a part of the name of a rule that finds it."""


@pytest.mark.parametrize("fault", RULES)
def test_shortcuts_by_rules_are_found(fault):
    assert was_found(failed(picks(fault), MANY), "rule", RULES[fault], "val")


def test_a_classifier_finds_what_no_rule_does():
    rules = {line[2].partition(":")[0] for line in failed(picks("surface"), MANY) if line[0] == "rule"}
    assert rules and all("surface features" in rule for rule in rules), rules


def test_a_prior_that_is_reversed_in_val_is_found_there():
    lines = failed(picks("reversed prior"), MANY)
    assert was_found(lines, "rule", "memorised option", "train")
    assert was_found(lines, "rule", "reverse of: memorised option", "val")


def test_a_position_that_is_often_right_is_found():
    lines = failed(picks("position"), MANY)
    assert was_found(lines, "blind", "<answer>A</answer>") and was_found(lines, "rule", "best blind reply", "val")


def test_the_same_task_without_a_shortcut_is_clean():
    assert failed(picks("none"), MANY) == []


def view(fault):
    return type("Planted", (View,), {"fault": fault})(noise(120, quality=JPEG_QUALITY))


@pytest.mark.parametrize(
    ("fault", "sees"),
    [("size", "text of"), ("file traits", "text of"), ("sharpness", "sharpness"), ("grid", "JPEG grid")],
)
def test_traits_of_images_that_tell_the_answer_are_found(fault, sees):
    assert was_found(failed(view(fault), SOME), "traits", sees)


def test_the_same_images_without_such_traits_are_clean():
    assert failed(view("none"), SOME) == []


def test_edges_that_one_kind_of_pair_lacks_are_found(monkeypatch):
    monkeypatch.setitem(FEWEST, "train", 1000)
    for task, found in (
        (UnsparedLink(even_graph(directed=False), level="hard"), "larger degree, as shown"),
        (UnsparedDirection(even_graph(directed=True), level="easy"), "on surface features"),
    ):
        assert was_found(failed(task, MANY), "rule", found, "train")
        kind = type(task).__base__
        assert not was_found(failed(kind(task.source, level=task.level), MANY), "rule", "", "train")


def other_graph(change):
    """A graph of other texts, a tenth of which are copied from the audited one and changed."""
    copied = small_graph()
    texts = [change(text) if node % 10 == 0 else text[::-1] for node, text in enumerate(copied.texts)]
    return replace(copied, name="other", texts=texts)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (str.upper, "occur in other, which was trained on, and 0 nearly do"),
        (lambda text: f"{text.rpartition(' ')[0]} indeed", "0 of"),
    ],
)
def test_texts_that_were_trained_on_are_found(change, found):
    lines = failed(Neighbor(small_graph(), level="easy"), FEW, trained_on=other_graph(change))
    assert was_found(lines, "overlap", found) and was_found(lines, "overlap", "is a copy of other node")


def test_texts_that_were_not_trained_on_are_clean():
    lines = audit([Neighbor(small_graph(), level="easy")], FEW, trained_on=other_graph(lambda text: text[::-1]))
    assert [line.verdict for line in lines if line.check == "overlap"] == ["passed"]


class Copies:
    """The images of a set from one on, in another size."""

    def __init__(self, images, first):
        self.images, self.first = images, first

    def open(self, index, side):
        return self.images.open(index + self.first, side).resize((200, 150))

    def describe(self, index):
        return f"copy {index}"


@pytest.mark.parametrize(
    ("same_hash", "first", "found"), [(True, 0, "items occur in copies"), (False, 0, "0 of"), (False, 100, None)]
)
def test_images_that_were_trained_on_are_found(same_hash, first, found):
    own = noise(60)
    hashes = [own.hashes[index] if same_hash and index < 60 else f"{index + 10**6:064x}" for index in range(62)]
    # Its splits are its own: without any, images of equal bytes are in the same split of every set.
    copies = ImageSet("copies", Copies(noise(200), first), hashes, given_splits=np.array([0] * 60 + [1, 2]))
    lines = failed(View(own), 8, trained_on=copies)
    assert was_found(lines, "overlap", found) if found else not was_found(lines, "overlap", "")


def test_of_many_images_those_that_are_compared_are_from_all_parts(monkeypatch):
    monkeypatch.setattr(contamination, "MOST_IMAGES", 40)
    copies = ImageSet("copies", Copies(noise(200), 0), [f"{index + 10**6:064x}" for index in range(62)])
    [line] = [line for line in audit([View(noise(60))], 8, trained_on=copies) if line.check == "overlap"]
    assert line.verdict != "passed" and "were compared)" in line.found


def test_a_description_that_is_to_be_written_is_no_option_beside_an_equal_one():
    graph = default_graph()
    few = [graph.texts[node % 8] for node in range(graph.num_nodes)]
    twins = [text.upper() if node % 3 else text for node, text in enumerate(few)]
    task = Attribute(replace(graph, texts=twins), level="generate")
    assert not find_ambiguous(task, [task.example(index) for index in range(300)])
