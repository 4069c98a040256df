"""Paired comparison of hand-written runs."""

import json
import sys

import pytest

from ssl4rl.cli.main import main
from ssl4rl.errors import UserError
from ssl4rl.evaluation.compare import compare
from ssl4rl.intervals import newcombe
from ssl4rl.runs import Run, UsedSource
from ssl4rl.statistics import mcnemar

NAMES = {"yes": "yes", "no": "no"}


@pytest.fixture
def runs(prediction, write_run):
    """Of items 0-9 the first run gets 0-4 right, the second 3-8; each has one item of its own."""

    def records(right, own):
        return [
            prediction(str(i), ["yes"], f"<answer>{'yes' if i in right else 'no'}</answer>", NAMES)
            for i in [*range(10), own]
        ]

    settings = {"benchmark": "link", "model": {"path": "tiny"}, "shots": 0, "level": "one-hop"}
    first = write_run("first", records(range(5), 10), settings)
    # Written in another order: pairing is by item.
    second = write_run("second", records(range(3, 9), 11)[::-1], {**settings, "shots": 4, "model": {"path": "big"}})
    return first, second


def test_runs_are_paired_by_item(runs) -> None:
    found = compare(*runs)
    assert (found.shared, found.only_first, found.only_second) == (10, 1, 1)
    assert (found.first.score, found.second.score) == (0.5, 0.6)
    paired = found.paired
    assert (paired.won, paired.lost) == (4, 3) and paired.difference == pytest.approx(0.1)
    assert (paired.low, paired.high) == newcombe(both=2, first=3, second=4, neither=1) and paired.p == mcnemar(3, 4)
    assert [a.item for a, _ in found.changed] == ["0", "1", "2", "5", "6", "7", "8"]
    assert all(a.item == b.item for a, b in found.changed)
    assert found.settings == {"model.path": ("tiny", "big"), "shots": (0, 4)}


def test_a_run_against_itself_differs_in_nothing(runs) -> None:
    found = compare(runs[0], runs[0])
    assert (found.paired.difference, found.paired.p, found.changed, found.settings) == (0, 1, [], {})


def ssl4rl(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_verb_shows_the_difference_the_settings_and_the_replies(runs, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    paths = [run.path for run in runs]
    assert ssl4rl(monkeypatch, "compare", *paths, "--changed", "2") == 0
    out = capsys.readouterr().out
    assert "difference +10.0 points [" in out and "4 won and 3 lost of 10 shared questions" in out
    assert f"1 questions are in {paths[1]} only" in out and "model.path" in out
    assert out.count("── ") == 2 and "5 more items changed" in out
    assert f"ssl4rl graph show 'toy/test/link@one-hop/0/0#00000000' --run {paths[0]}" in out
    assert "── 0 · Are they linked?" in out and "right: yes" in out and "<answer>yes</answer>" in out
    assert f"{paths[0]}: correct, yes" in out and f"{paths[1]}: wrong, no" in out

    assert ssl4rl(monkeypatch, "compare", *paths, paths[0], "--json") == 0
    first, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["paired"]["won"] == 4 and first["settings"]["shots"] == [0, 4] and len(first["changed"]) == 7
    assert again["runs"] == [str(paths[0])] * 2 and again["paired"]["difference"] == 0

    assert ssl4rl(monkeypatch, "compare", paths[0]) == 2
    assert "at least two runs" in capsys.readouterr().err


def test_runs_that_cannot_be_paired_are_refused(runs, prediction, write_run) -> None:
    def other(name, *items, gold="yes", **changes):
        reply = "<answer>yes</answer>"
        return write_run(name, [prediction(item, [gold], reply, NAMES, **changes) for item in items])

    first = runs[0]
    for run, message in [
        (other("a", "0", id="toy/test/node@one-hop/0/0#00000000"), "on benchmark link and .* on node"),
        (other("b", "0", id="cora/test/link@one-hop/0/0#00000000"), "on dataset toy and .* on cora"),
        (other("c", "77"), "share no item"),
        (other("d", "1", "1"), "item 1 occurs twice"),
        (other("e", "1", gold="no"), "item 1 is 'yes' in .* and 'no' in"),
    ]:
        with pytest.raises(UserError, match=message):
            compare(first, run)
    broken = other("f", "1")
    (broken.path / "config.yaml").write_text("model: {")
    with pytest.raises(UserError, match=r"config\.yaml line 1: not valid YAML"):
        compare(first, broken)


def test_answers_are_shown_in_words(prediction, write_run, monkeypatch, capsys) -> None:
    classes = {"A": "Neural Networks", "B": "Theory"}
    prompt = f"[1] a title{' and more' * 50}\nWhich class{' of all' * 40} does node [1] belong to?\nA: Neural Networks"

    def run(name, reply):
        example = "shop/2024/test/node@one-hop+fanout=3/0/0#00000000"
        return write_run(name, [prediction("node:0", ["B"], reply, classes, id=example, prompt=prompt)]).path

    first = run("first", "<answer>b</answer>")
    assert ssl4rl(monkeypatch, "compare", first, run("second", "<answer>A</answer>"), run("third", "so")) == 0
    out = capsys.readouterr().out.replace("\n", " ")
    assert "right: B (Theory)" in out and "correct, B (Theory)" in out and "wrong, A (Neural Networks)" in out
    assert "unparsed, no answer" in out and "Which class of all" in out and "…" in out and "a title" not in out


def test_runs_that_ask_something_else_are_not_compared(prediction, write_run):
    def answered(items, choices):
        return [prediction(str(i), [next(iter(choices))], "<answer>yes</answer>", choices) for i in items]

    first = write_run("first", answered(range(20), NAMES))
    # What two seeds of `link` share is the linked pairs alone.
    other_seed = write_run("other_seed", answered([*range(10), *range(20, 30)], NAMES))
    with pytest.raises(UserError, match="share only 10 of 20 items"):
        compare(first, other_seed)
    more_options = write_run("more_options", answered(range(20), {**NAMES, "maybe": "maybe"}))
    with pytest.raises(UserError, match="has other options"):
        compare(first, more_options)
    assert compare(first, write_run("limited", answered(range(5), NAMES))).shared == 5


def test_both_queries_of_an_edge_are_one_cluster(prediction, write_run) -> None:
    def run(name: str, good: set[int]) -> Run:
        rows = []
        for edge in range(30):
            for side in ("head", "tail"):
                for candidate, right in (("a", True), ("b", False)):
                    odds = 1.0 if right == (edge in good) else -1.0
                    label = "yes" if right else "no"
                    rows.append(
                        prediction(
                            f"{edge}-{side}-{candidate}",
                            [label],
                            "<answer>yes</answer>",
                            NAMES,
                            question=f"{edge}-{side}",
                            edge=str(edge),
                            category=side,
                            logprobs={"yes": odds, "no": 0.0},
                        )
                    )
        return write_run(name, rows)

    found = compare(run("before", set(range(12))), run("after", set(range(4, 20))))
    assert found.shared == 60 and found.first.distinct == 30 and found.first.score == pytest.approx(0.4)
    assert "cluster" in found.paired.test


def test_data_of_one_name_and_different_content_are_not_compared(prediction, write_run) -> None:
    runs = [write_run(name, [prediction("0", ["A"], "<answer>A</answer>", {"A": "a", "B": "b"})]) for name in "xyz"]
    for run, content in zip(runs, ("0123", "4567", "0123"), strict=True):
        run.write_environment([UsedSource("graph", "toy", None, content)], None, {})
    assert compare(runs[0], runs[2]).shared == 1
    with pytest.raises(UserError, match="on data of one name and different content"):
        compare(runs[0], runs[1])
