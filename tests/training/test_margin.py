"""An example counts more where what its answer should rest on helps."""

from pathlib import Path

import pytest
import torch
from toys import Toy, ToySource

import ssl4rl
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.mixture import Mixture
from ssl4rl.models import TINY
from ssl4rl.registry import TASKS
from ssl4rl.runs import Run
from ssl4rl.training.margin import Margin
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.refill import Sampled
from ssl4rl.training.run import run_recipe
from ssl4rl.training.tasks import without_support


def answered(margin: Margin, decode: ModelFiles, replies: list[str], indices: list[int]) -> Sampled:
    """Replies to examples, scored, as a trainer holds them."""
    margin.reward.load(indices)
    ids = [decode.tokenizer.encode(reply) for reply in replies]
    records = margin.reward.score(ids, indices, step=1)
    return Sampled(indices, [], [], [], ids, None, records)


def test_the_margin_is_how_much_oftener_a_question_is_answered_right_than_without_its_edges() -> None:
    task, files = ssl4rl.task("link"), ModelFiles(TINY)
    margin = Margin(task, 2.0, files.decode)
    golds = [task.example(index).gold for index in (0, 1)]
    right, wrong = ([f"<answer>{gold}</answer>" for gold in each] for each in (golds, ["yes or no"] * 2))
    shown = answered(margin, files, [right[0], right[0], right[1], wrong[1]], [0, 0, 1, 1])
    without = answered(margin, files, [right[0], wrong[0], right[1], right[1]], [0, 0, 1, 1])
    margins = margin.of(shown, without)
    assert margins.tolist() == [0.5, 0.5, -0.5, -0.5]
    assert margin.weights(margins).tolist() == [2, 2, 0, 0]
    assert margin.weights(torch.tensor([-1.0])).tolist() == [0], "an example never counts against its own rewards"


@pytest.mark.parametrize(
    "name", [name for name in TASKS.names() if "corrupt" in TASKS.get(name).knobs_type.model_fields]
)
def test_without_support_the_question_and_its_answer_are_the_same(name: str) -> None:
    try:
        task = ssl4rl.task(name)
    except NotApplicable:
        pytest.skip("the embedded data does not carry it")
    without = without_support(task)
    pairs = [(task.example(index), without.example(index)) for index in range(12)]
    assert all(one.gold == other.gold and one.source_items == other.source_items for one, other in pairs)
    assert any(one.parts != other.parts for one, other in pairs)
    assert all(one.meta.get("candidates") == other.meta.get("candidates") for one, other in pairs)


@pytest.mark.parametrize("corrupt", ["edges", "text"])
@pytest.mark.parametrize("name", ["citations", "peps", "umls", "webkb-texas"])
def test_a_corrupted_task_asks_the_same_at_every_level(name: str, corrupt: str, request: pytest.FixtureRequest) -> None:
    """Also where texts quote each other, and where what is shown decides whether a draw can be used."""
    path = name if name == "citations" else str(request.getfixturevalue("real_data") / "graphs" / name)
    graph = ssl4rl.load(path)
    kinds = [kind for kind in map(TASKS.get, TASKS.names()) if "corrupt" in kind.knobs_type.model_fields]
    tasks = [task for kind in kinds if kind.source_kind.name == "graph" for task in kind.at_every_level(graph)]
    assert len(tasks) > 3
    for task in tasks:
        other = task.changed({"corrupt": corrupt})
        pairs = [(task.example(index), other.example(index)) for index in range(12)]
        # Several hidden nodes are named in the order of their numbers, which the rewired part may have otherwise.
        assert all({*one.source_items} == {*two.source_items} for one, two in pairs), task
        assert all(one.meta.get("candidates") == two.meta.get("candidates") for one, two in pairs), task


def test_each_task_of_a_mixture_loses_its_own_support() -> None:
    mixed = Mixture([ssl4rl.task("link"), ssl4rl.task("rotation")])
    knobs = [part.knobs.corrupt for part, _ in map(without_support(mixed).place, (0, 1, 2, 3))]
    assert set(knobs) == {"edges", "image"}


def steps(folder: Path, margin: float) -> Run:
    settings = {"max_steps": 2, "per_device_train_batch_size": 32, "save_strategy": "no"}
    recipe = load_recipe(tasks=["link"], overrides=[f"grpo.{key}={value}" for key, value in settings.items()])
    recipe = recipe.model_copy(
        update={
            "reward": recipe.reward.model_copy(update={"margin": margin}),
            "heldout": recipe.heldout.model_copy(update={"examples": 0}),
            "log_completions_every": 1,
            "engine": "transformers",
        }
    )
    return run_recipe(recipe, folder)


def test_a_run_with_a_margin_takes_the_same_replies_and_another_step(tmp_path: Path) -> None:
    usual, weighted = steps(tmp_path / "usual", 0.0), steps(tmp_path / "weighted", 3.0)
    first, second = ([line.reply for line in run.completions() if line.step == 1] for run in (usual, weighted))
    assert first == second, "what is sampled to compare with is neither trained on nor recorded"
    plain, margins = ([line for line in run.metrics() if "reward" in line] for run in (usual, weighted))
    assert all(-1 <= line["margin"] <= 1 for line in margins) and "margin" not in plain[0]
    assert margins[0]["grad_norm"] != plain[0]["grad_norm"] and margins[0]["sampled"] == plain[0]["sampled"]


def test_what_a_margin_cannot_be_had_for_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"margin=1\.0 is about right answers, which kind=random does not reward"):
        load_recipe(tasks=["link"], overrides=["reward.margin=1", "reward.kind=random"])
    with pytest.raises(UserError, match=r"reward\.margin needs difficulty: fixed"):
        load_recipe(tasks=["link"], overrides=["reward.margin=1", "difficulty=adaptive"])
    with pytest.raises(UserError, match="corrupt"):
        without_support(Toy(ToySource()))
