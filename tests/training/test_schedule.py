"""A curriculum: which rungs are drawn and why, that it resumes and is the same on every process, and bad input."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.torch import load_file
from test_refill import metrics_of
from toys import Letters, Toy, ToySource, make_trainer, score_letters, toy_recipe, train_toys

from ssl4rl.answers import FUNCTIONS, Score, Scoring
from ssl4rl.errors import UserError
from ssl4rl.mixture import Mixture
from ssl4rl.records import Completion
from ssl4rl.registry import TASKS
from ssl4rl.training.checks import plan_batches
from ssl4rl.training.refill import FreshExamples
from ssl4rl.training.schedule import FLOOR, Laddered, Schedule, on_ladders
from ssl4rl.training.tasks import Tasks
from tests.audit.every_case import Case


class Other(Letters):
    """A second task."""

    name = "other"
    levels: ClassVar[dict[str, dict[str, Any]]] = {"easy": {"words": 3}, "medium": {}, "paper": {"words": 9}}


def schedule(task: Any = None, *, steps: int = 12, entries: int = 1, **settings: Any) -> Schedule:
    """Of 4 prompts a step."""
    tasks = [{"weight": weight} for weight in range(1, entries + 1)]
    recipe = toy_recipe(Path(), tasks=tasks, grpo__max_steps=steps, **settings)
    laddered = on_ladders(Tasks.of(task or Toy(ToySource())), recipe).train
    assert isinstance(laddered, Laddered)
    return Schedule(laddered, recipe, plan_batches(recipe))


def completions(plan: Schedule, indices: Sequence[int], rate: dict[str, float]) -> list[Completion]:
    """Four replies to each example, of which about as many are right as the rate of the rung's label says."""
    records = []
    for index in indices:
        example = plan.task.example(index)
        for number in range(4):
            right = rate[example.id.label] > (index // 7 * 0.31 + number / 4) % 1
            fields = Completion.fields_of(example, "", plan.task.score("", example))
            fields |= {"score": float(right), "tokens": 2}
            records.append(Completion(**fields, step=1, reward=0.0))
    return records


def run_steps(plan: Schedule, rate: dict[str, float], steps: int) -> list[str]:
    """The labels of all prompts of so many steps."""
    drawn = []
    for step in range(steps):
        indices = [plan.index(4 * step + place) for place in range(4)]
        drawn += [plan.task.example(index).id.label for index in indices]
        records = completions(plan, indices, rate)
        plan.observe(records, records)
    return drawn


def test_staged_takes_each_rung_for_an_equal_part_of_the_run() -> None:
    drawn = run_steps(schedule(difficulty="staged"), {"toy@easy": 1, "toy@medium": 1, "toy@hard": 1}, 12)
    assert drawn == ["toy@easy"] * 16 + ["toy@medium"] * 16 + ["toy@hard"] * 16


def test_adaptive_goes_to_the_rung_that_is_neither_solved_nor_guessed_at_and_revisits_the_others() -> None:
    plan = schedule(difficulty="adaptive", steps=120)
    drawn = run_steps(plan, {"toy@easy": 1.0, "toy@medium": 0.75, "toy@hard": 0.5}, 60)
    counts = Counter(drawn[-160:])
    assert counts["toy@medium"] > 1.5 * max(counts["toy@easy"], counts["toy@hard"])
    assert min(counts.values()) >= 160 * FLOOR / 3 / 2 and len(counts) == 3
    # The model gets better: it moves on.
    drawn = run_steps(plan, {"toy@easy": 1.0, "toy@medium": 1.0, "toy@hard": 0.75}, 60)
    assert Counter(drawn[-160:]).most_common(1)[0][0] == "toy@hard"


def test_a_rung_is_learnable_by_what_is_passed_above_chance_and_what_is_failed() -> None:
    plan = schedule(difficulty="adaptive")
    assert plan.chances.tolist() == [0.5] * 3
    assert plan.learnability() == pytest.approx([1 / 48] * 3, abs=1e-5)  # of a uniform pass rate
    plan.passed, plan.failed = np.array([7.5e5, 9e5, 1e6]), np.array([2.5e5, 1e5, 1e-3])
    assert plan.learnability() == pytest.approx([0.25 * 0.25, 0.4 * 0.1, 0], abs=1e-3)
    assert plan.shares(0).sum() == pytest.approx(1) and plan.shares(0)[2] == pytest.approx(FLOOR / 3, abs=5e-3)
    plan.passed, plan.failed = np.array([5e5, 2e5, 7.5e5]), np.array([5e5, 8e5, 2.5e5])  # guesses, and worse than that
    assert plan.shares(0)[:2] == pytest.approx([FLOOR / 3] * 2, abs=5e-3)


def test_no_example_is_asked_about_twice_and_each_rung_keeps_its_order() -> None:
    plan = schedule(difficulty="adaptive", steps=30)
    indices = [plan.index(position) for position in range(4 * 30)]
    assert len(set(indices)) == len(indices)
    for rung in range(3):
        own = [index // 3 for index in indices if index % 3 == rung]
        assert own == list(range(len(own)))
    fresh = FreshExamples(plan.task, 3 * 120)
    for index in indices[:9]:
        other = fresh.like(index)
        assert other not in indices and other % 3 == index % 3


def test_weights_and_learnability_share_out_the_tasks() -> None:
    task = Mixture([Toy(ToySource()), Other(ToySource())])
    given = schedule(task, entries=2, difficulty="adaptive")
    assert [given.shares(0)[:3].sum(), given.shares(0)[3:].sum()] == pytest.approx([1 / 3, 2 / 3])
    assert [rung.label for rung in given.rungs[3:]] == ["other@easy", "other@medium"]  # not the paper's
    learnable = schedule(task, entries=2, mixing="learnability")
    assert len(learnable.rungs) == 2
    learnable.passed, learnable.failed = np.array([3e5, 1e5]), np.array([1e5, 1e-3])
    assert learnable.shares(0) == pytest.approx([1 - FLOOR / 2, FLOOR / 2], abs=5e-3)


def test_a_bandit_follows_held_out_progress_per_token() -> None:
    task = Mixture([Toy(ToySource()), Other(ToySource())])
    plan = schedule(task, entries=2, mixing="bandit")
    assert plan.shares(0) == pytest.approx([0.5, 0.5])
    plan.evaluated([0.5, 0.5])
    plan.tokens = [100, 100]
    plan.evaluated([0.6, 0.5])
    assert plan.shares(0) == pytest.approx([1 - FLOOR / 2, FLOOR / 2])
    plan.tokens = [1000, 10]
    plan.evaluated([0.7, 0.6])  # as much of the second for a hundredth of the tokens
    assert plan.shares(0)[1] > 0.8
    plan.tokens = [10, 10]
    plan.evaluated([0.0, 0.0])
    assert plan.shares(0) == pytest.approx([0.5, 0.5])


def test_only_a_bandit_minds_of_how_many_tasks_the_held_out_scores_are() -> None:
    plan = schedule(difficulty="adaptive")
    plan.evaluated([0.5, 0.5])
    plan.evaluated([0.6, 0.5])
    assert plan.state["heldout"] == []


def test_metrics_say_what_was_drawn_and_how_it_was_passed() -> None:
    plan = schedule(difficulty="staged")
    records = completions(plan, [plan.index(place) for place in range(4)], {"toy@easy": 1.0})
    metrics = plan.observe(records, records)
    assert metrics["share/toy@easy"] == 1 and metrics["share/toy@hard"] == 0
    assert metrics["pass_rate/toy@easy"] == pytest.approx(5 / 6) and metrics["pass_rate/toy@hard"] == 0.5
    assert plan.tokens == [4 * 4 * 2]


@pytest.mark.parametrize("mixing", ["weights", "bandit"])
def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(model_folder: Path, tmp_path: Path, mixing: str) -> None:
    settings: dict[str, Any] = {"difficulty": "adaptive", "mixing": mixing, "refill": 2, "log_completions_every": 1}
    settings |= {"tasks": [{}, {}], "heldout": {"examples": 16, "every": 2}}

    def tasks() -> Tasks:
        return Tasks.of(Mixture([Letters(ToySource()), Other(ToySource())]))

    recipe = toy_recipe(model_folder, **settings)
    whole = train_toys(recipe, tmp_path / "whole", tasks())
    state = json.loads((whole.path / "checkpoint-2" / "trainer_state.json").read_text())
    assert sum(state["stateful_callbacks"]["ssl4rl.schedule"]["used"]) == 2 * 4
    killed = tmp_path / "killed"
    shutil.copytree(whole.path, killed)
    for name in ("checkpoint-4", "model"):
        shutil.rmtree(killed / name)
    (killed / "summary.json").unlink()
    train_toys(recipe, killed, tasks(), resume=True)
    assert metrics_of(killed) == metrics_of(whole.path)
    assert (killed / "completions.jsonl").read_bytes() == (whole.path / "completions.jsonl").read_bytes()
    mine, theirs = (load_file(path / "model" / "model.safetensors") for path in (killed, whole.path))
    assert all((value == theirs[name]).all() for name, value in mine.items())
    # Held out are the tasks at their own level; prompts are of other levels as well.
    assert {answer.id.label for answer in whole.heldout()} == {"toy@medium", "other@medium"}
    assert len({completion.id.label for completion in whole.completions()}) > 2


def score_little(reply: str) -> Score:
    """A tenth of what ``score_letters`` gives."""
    return Score.of(score_letters(reply).value / 10, reply)


class Little(Letters):
    """Its rewards are a tenth of the other's."""

    name = "little"

    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_little", {})


def test_rewards_of_different_scales_push_equally(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Advantages are those of a reply among its group: the scale of a task's rewards is not in them."""
    monkeypatch.setitem(FUNCTIONS, "score_little", score_little)
    tasks = Tasks.of(Mixture([Letters(ToySource()), Little(ToySource())]))
    recipe = toy_recipe(model_folder, tasks=[{}, {}], grpo__per_device_train_batch_size=64)
    trainer = make_trainer(recipe, tmp_path / "run", tasks)
    trainer.model.train()
    rows = [{"index": place} for place in range(16) for _ in range(4)]
    advantages = trainer._generate_and_score_completions(rows)["advantages"].reshape(16, 4)
    records = trainer._refilled.batch.records
    sizes: dict[str, list[float]] = {}
    for group, own in enumerate(advantages):
        if own.abs().max() > 0:
            sizes.setdefault(records[4 * group].id.task, []).append(float(own.std()))
    means = {record.id.task: max(r.reward for r in records if r.id.task == record.id.task) for record in records}
    assert means["little"] <= 0.1 < means["toy"] and set(sizes) == {"toy", "little"}
    assert [size for own in sizes.values() for size in own] == pytest.approx(
        [1.0] * sum(map(len, sizes.values())), abs=0.05
    )


def test_prompts_of_a_batch_are_those_of_the_schedule(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder, difficulty="adaptive")
    trainer = make_trainer(recipe, tmp_path / "run")
    trainer.model.train()
    trainer._generate_and_score_completions([{"index": place} for place in range(4) for _ in range(4)])
    assert trainer._refilled.batch.indices[::4] == [trainer.schedule.index(place) for place in range(4)]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"mixing": "learnability"}, "mixing=learnability: there is only one task"),
        ({"difficulty": "adaptive", "tasks": [{"ladder": [{"level": "easy"}, {"hardness": 3}]}]}, "ladder.1: unknown"),
        ({"difficulty": "adaptive", "tasks": [{"ladder": [{"level": "easy"}, {}]}]}, "ladder.1 names neither"),
        ({"difficulty": "staged", "tasks": [{"ladder": [{"words": 4}, {"words": 4}]}]}, "the rung .*words=4 twice"),
        ({"difficulty": "staged", "tasks": [{"ladder": [{"words": 4}]}]}, "fewer than two rungs"),
        ({"difficulty": "adaptive", "tasks": [{"ladder": [{"level": "easy"}, {"words": "x"}]}]}, "ladder.1: .*words"),
    ],
)
def test_a_curriculum_that_cannot_be_is_refused_in_one_line(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as raised:
        on_ladders(Tasks.of(Toy(ToySource())), toy_recipe(Path(), **settings))
    assert "\n" not in str(raised.value)


def test_a_bandit_needs_held_out_scores() -> None:
    task = Mixture([Toy(ToySource()), Other(ToySource())])
    recipe = toy_recipe(Path(), mixing="bandit", tasks=[{}, {}], heldout={"examples": 8, "every": 0})
    with pytest.raises(UserError, match=r"heldout\.every"):
        on_ladders(Tasks.of(task), recipe)
    recipe = toy_recipe(Path(), mixing="bandit", tasks=[{}, {}], heldout={"examples": 8, "every": 2})
    with pytest.raises(UserError, match="hold out the same tasks"):
        on_ladders(Tasks.of(task).evaluated_on(Toy(ToySource(), split="val")), recipe)
    turned = Mixture([Other(ToySource(), split="val"), Toy(ToySource(), split="val")])
    with pytest.raises(UserError, match="hold out the same tasks, in their order"):
        on_ladders(Tasks.of(task).evaluated_on(turned), recipe)


class OneLevel(Toy):
    levels: ClassVar[dict[str, dict[str, Any]]] = {"medium": {}}


def test_a_task_without_rungs_has_no_curriculum() -> None:
    with pytest.raises(UserError, match=r"fewer than two rungs on toys; name them in tasks\.0\.ladder"):
        on_ladders(Tasks.of(OneLevel(ToySource())), toy_recipe(Path(), difficulty="adaptive"))


@pytest.mark.parametrize("name", TASKS.names())
def test_the_ladders_of_all_tasks_can_be_climbed(name: str) -> None:
    kind = TASKS.get(name)
    rungs = Case(kind, kind.default_level, "train").build().rungs()
    assert len(rungs) >= 3 and len({rung.label for rung in rungs}) == len(rungs)
    for rung in rungs:
        rung.example(0)
