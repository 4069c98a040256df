"""Held-out scores: paired by example, clustered by what examples share, by task, and never asked for twice."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from toys import Toy, ToySource

from ssl4rl.drafts import Draft
from ssl4rl.example import Example
from ssl4rl.mixture import Mixture
from ssl4rl.records import read_lines
from ssl4rl.runs import Run
from ssl4rl.statistics import Clusters, PairedDifference, mcnemar
from ssl4rl.training.display import Display
from ssl4rl.training.heldout import Heldout, evaluate
from ssl4rl.training.summary import describe_difference, describe_estimate


class FourToys(Toy):
    """Every fourth example is about the same toy."""

    def draft(self, index, rng):
        draft = super().draft(index, rng)
        return Draft(draft.parts, draft.scoring, draft.gold, draft.chance, (f"toy:{index % 4}",))


def right(examples: list[Example]) -> list[str]:
    return [f"<answer>{example.gold}</answer>" for example in examples]


def wrong(examples: list[Example]) -> list[str]:
    return ["<answer>maybe</answer>" if example.id.index % 2 else "no idea" for example in examples]


def half_right(examples: list[Example]) -> list[str]:
    replies = zip(right(examples), wrong(examples), strict=True)
    return [good if place % 8 < 4 else bad for place, (good, bad) in enumerate(replies)]


def failing(examples: list[Example]) -> list[str]:
    raise AssertionError("asked again")


def heldout(run: Run, task=None, examples: int = 16) -> Heldout:
    return Heldout(run, task or FourToys(ToySource(), split="val"), examples, Display(8), lambda: 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", {})


def test_scores_are_kept_paired_and_clustered(run: Run) -> None:
    scores = heldout(run)
    before = scores.at(0, wrong)
    assert before is not None and (before["score"], before["n"], before["distinct"]) == (0, 16, 4)
    assert (before["parsed"], before["valid"]) == (0.5, 0.5)
    scores.at(3, right)
    summary = scores.summary(3)
    assert summary["before"] == before and summary["after"]["score"] == 1 and summary["best"]["step"] == 3
    paired = summary["paired"]
    assert paired["difference"] == 1 and paired["test"] == "sign flips of clusters" and paired["won"] == 16
    # Sixteen wins of independent examples; of four toys they are four.
    assert mcnemar(0, 16) < 0.0001 < 0.1 < paired["p"]
    assert [line.items for line in run.heldout()][:5] == [("toy:0",), ("toy:1",), ("toy:2",), ("toy:3",), ("toy:0",)]
    assert [line["heldout"]["score"] for line in run.metrics()] == [0, 1]


def test_what_is_recorded_is_not_asked_again(run: Run) -> None:
    heldout(run).at(0, wrong)
    heldout(run).at(2, half_right)
    again = heldout(run)
    assert again.at(0, failing)["score"] == 0 and again.at(2, failing)["score"] == 0.5
    # A step whose answers were not all written is asked again.
    lines = (run.path / "heldout.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "heldout.jsonl").write_bytes(b"".join(lines[:-2]) + lines[-2][:20])
    cut = heldout(run)
    with pytest.raises(AssertionError, match="asked again"):
        cut.at(2, failing)
    assert cut.at(2, half_right)["score"] == 0.5
    assert (run.path / "heldout.jsonl").read_bytes() == b"".join(lines)
    assert len(list(read_lines(run.path / "heldout.jsonl"))) == 32


def test_the_latest_of_equal_steps_is_the_best_and_the_start_is_none(run: Run) -> None:
    scores = heldout(run)
    assert scores.best() is None
    scores.at(0, right)
    assert scores.best() is None
    for step, answer in ((2, wrong), (4, half_right), (6, half_right), (8, wrong)):
        scores.at(step, answer)
    assert scores.best() == 6
    assert scores.summary(8)["paired"]["difference"] == -1 and scores.summary(8)["best"]["paired"]["difference"] == -0.5


def test_each_of_several_processes_asks_as_many_and_what_is_asked_twice_counts_once(monkeypatch) -> None:
    asked: list[int] = []
    states = [SimpleNamespace(process_index=rank, num_processes=3) for rank in range(3)]
    answers = []
    for state in states:
        monkeypatch.setattr("accelerate.PartialState", lambda state=state: state)

        def answer(examples: list[Example]) -> list[str]:
            asked.append(len(examples))
            return right(examples)

        answers += evaluate(FourToys(ToySource(), split="val"), answer, 8, 0)
    assert asked == [3, 3, 3] and sorted(each.index for each in answers) == list(range(8))
    assert all(each.score == 1 for each in answers)


def test_a_mixture_pairs_each_task(run: Run) -> None:
    task = Mixture([Toy(ToySource(), split="val"), Toy(ToySource(), split="val", level="hard")])
    scores = heldout(run, task, 40)
    scores.at(0, wrong)
    scores.at(5, lambda examples: [right([e])[0] if e.id.level == "hard" else "?" for e in examples])
    summary = scores.summary(5)
    by_task = {name: paired["difference"] for name, paired in summary["paired"]["tasks"].items()}
    assert by_task == {"toy@medium": 0, "toy@hard": 1}
    counts = [own["n"] for own in summary["after"]["tasks"].values()]
    assert sum(counts) == 40 and min(counts) > 10
    assert summary["paired"]["difference"] == summary["after"]["tasks"]["toy@hard"]["n"] / 40


def test_equal_numbers_in_two_sources_are_not_one_item(run: Run) -> None:
    task = Mixture([FourToys(ToySource(name, name), split="val") for name in ("here", "there")])
    score = heldout(run, task, 40).at(0, wrong)
    assert score is not None and score["distinct"] == 8


def test_no_examples_no_scores(run: Run) -> None:
    scores = heldout(run, examples=0)
    assert scores.at(0, failing) is None and scores.at(4, failing) is None
    assert scores.summary(4) == {"before": None, "after": None, "best": None, "paired": None}
    assert not (run.path / "heldout.jsonl").exists()


def test_scores_and_gains_in_words(run: Run) -> None:
    scores = heldout(run)
    line = describe_estimate(scores.at(0, half_right) or {})
    assert line.startswith("0.500 (") and "n=16, 4 distinct" in line
    paired = PairedDifference.of([0] * 50, [1] * 40 + [0] * 10).as_dict()
    gain = describe_difference(paired)
    assert gain.startswith("+80.0 points [+") and gain.endswith("p < 0.001")


def test_examples_of_two_images_each_are_not_one_cluster() -> None:
    chain = Clusters([(f"image:{place}", f"image:{place + 1}") for place in range(50)])
    assert chain.distinct == 50 and chain.overlap and not chain.independent
    assert 10 < chain.effective([place % 2 for place in range(50)]) <= 50
