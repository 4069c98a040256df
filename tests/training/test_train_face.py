"""``ssl4rl.train``: from a task, a recipe or its file, with settings; and what a run of a mixture reports."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from toys import Letters, ToySource, toy_tasks

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.mixture import Mixture
from ssl4rl.registry import ENGINES, REWARDS
from ssl4rl.training.recipe import (
    LORA_LEARNING_RATE,
    MODEL_GRPO,
    QUICKSTART_GRPO,
    QUICKSTART_VISION_GRPO,
    Lora,
    ModelSettings,
    Recipe,
)
from ssl4rl.training.run import _resolve
from ssl4rl.training.tasks import PartNames, build_tasks, describe

SMALL: dict[str, Any] = {
    "engine": "transformers",
    "heldout_examples": 8,
    "grpo": {
        "max_steps": 3,
        "save_steps": 3,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 48,
    },
}


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(ssl4rl.__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert names["run"].summary["steps"] == 3


def test_three_steps_on_a_task(tmp_path: Path) -> None:
    task = ssl4rl.task("link", level="easy", seed=5, num_hops=1)
    run = ssl4rl.train(task, tmp_path / "run", **SMALL)
    assert [line["step"] for line in run.metrics()] == [0, 1, 2, 3, 3]
    assert run.summary is not None and run.summary["heldout"]["after"]["n"] == 8
    # The recipe describes the task and has the defaults of its model, so that it repeats the run.
    assert run.config["tasks"] == [
        {
            "name": "link",
            "dataset": "citations",
            "level": "easy",
            "weight": 1.0,
            "knobs": task.given,
            "ladder": None,
        }
    ]
    assert run.config["seed"] == 5 and run.config["model"]["path"] == "tiny"
    assert run.config["grpo"] == {**QUICKSTART_GRPO, **SMALL["grpo"]}
    assert run.environment["task_versions"] == {"task link": task.version}
    assert {completion.id.seed for completion in run.completions()} == {5}
    again = ssl4rl.train(run.path / "config.yaml", tmp_path / "again", heldout_examples=0, grpo={"max_steps": 1})
    assert again.completions()[0].id == run.completions()[0].id
    with pytest.raises(UserError, match="is finished"):
        ssl4rl.train(task, run.path, resume=True, **SMALL)


def test_a_mixture_of_a_graph_and_a_vision_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixture = ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("rotation")], weights=[1, 2])
    settings = {**SMALL, "grpo": {**SMALL["grpo"], "max_steps": 2, "save_steps": 2}, "heldout_examples": 16}
    run = ssl4rl.train(mixture, tmp_path / "run", log_completions_every=1, refill=0, **settings)
    assert run.config["model"]["path"] == "tiny-vision" and run.config["grpo"]["adam_beta2"] == 0.98
    assert [entry["weight"] for entry in run.config["tasks"]] == [1.0, 2.0]
    assert [(source.kind, source.name) for source in run.used_sources] == [("graph", "citations"), ("images", "scenes")]

    names = {"link@medium", "rotation@medium"}
    completions = run.completions()
    shown = dict.fromkeys(names, 0)
    for line in (line for line in run.metrics() if "loss" in line):
        own = [completion for completion in completions if completion.step == line["step"]]
        for name in names & {completion.id.label for completion in own}:
            rewards = [completion.reward for completion in own if completion.id.label == name]
            parsed = [completion.parsed for completion in own if completion.id.label == name]
            assert line[f"reward/{name}"] == pytest.approx(sum(rewards) / len(rewards))
            assert line[f"parsed/{name}"] == pytest.approx(sum(parsed) / len(parsed))
            shown[name] += 1
    assert all(shown.values())

    assert run.summary is not None
    assert set(run.summary["reward"]["tasks"]) == names
    heldout = run.summary["heldout"]
    assert set(heldout["paired"]["tasks"]) == set(heldout["best"]["paired"]["tasks"]) == names
    for estimate in (heldout["before"], heldout["after"], heldout["best"]):
        assert set(estimate["tasks"]) == names
        assert sum(own["n"] for own in estimate["tasks"].values()) == estimate["n"] == 16
        total = sum(own["n"] * own["score"] for own in estimate["tasks"].values())
        assert total / 16 == pytest.approx(estimate["score"])
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step 2/2")]
    assert "rotation@medium 0." in line


@pytest.mark.parametrize("share", [True, False])
def test_batches_with_and_without_images(share: bool, tmp_path: Path) -> None:
    """Micro-batches of one group each: some have images, some have none."""
    mixture = ssl4rl.mix([ssl4rl.task("link"), ssl4rl.task("rotation")])
    grpo = {**SMALL["grpo"], "max_steps": 2, "save_steps": 2, "beta": 0.1}
    grpo |= {"per_device_train_batch_size": 4, "steps_per_generation": 4, "gradient_accumulation_steps": 2}
    run = ssl4rl.train(
        mixture,
        tmp_path / "run",
        engine="transformers",
        heldout_examples=0,
        share_prompt=share,
        grpo=grpo,
        log_completions_every=1,
    )
    assert {completion.id.label for completion in run.completions()} == {"link@medium", "rotation@medium"}
    assert all(line["loss"] is not None for line in run.metrics())


def test_a_single_task_has_no_parts(tmp_path: Path) -> None:
    task = toy_tasks().train
    assert list(PartNames(task)) == [] and PartNames(task).of(task.example(0).id) is None
    other = Letters(ToySource("others"))
    mixture = Mixture([task, other, Letters(ToySource(), level="hard")])
    assert list(PartNames(mixture)) == ["toys/toy@medium", "others/toy@medium", "toy@hard"]
    assert PartNames(mixture).of(other.example(3).id) == "others/toy@medium"


def test_settings_change_a_recipe() -> None:
    recipe = Recipe(seed=3)
    changed = _resolve(recipe, {"model": {"path": "some/model", "lora": {"r": 4}}, "grpo": {"max_steps": 7}})
    assert changed.seed == 3 and changed.model.lora is not None and changed.model.lora.r == 4
    # Of a grpo block that nobody chose, the new model gets its own; one that was chosen stays.
    assert changed.grpo == {**MODEL_GRPO, "learning_rate": LORA_LEARNING_RATE, "max_steps": 7}
    chosen = Recipe(grpo={**QUICKSTART_GRPO, "beta": 0.2})
    assert _resolve(chosen, {"model": {"path": "some/model"}}).grpo == chosen.grpo
    # A task has no grpo block, so it gets the one that suits its model.
    task = ssl4rl.task("rotation")
    assert _resolve(task, {}).grpo == QUICKSTART_VISION_GRPO
    large = _resolve(task, {"grpo": {"max_steps": 7}, "model": {"path": "some/model", "lora": {}}})
    assert large.grpo["learning_rate"] == 2e-5 and large.grpo["max_steps"] == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sed": 1}, "'sed'; did you mean seed"),
        ({"grpo": {"max_step": 1}}, "did you mean grpo.max_steps"),
        ({"seed": 1}, "the task has seed 0"),
        ({"tasks": []}, "the task is given already"),
        ({"reward": {"kind": "tsk"}}, "unknown reward 'tsk'; did you mean task"),
        ({"model": {"pth": "x"}}, "did you mean model.path"),
        ({"share_prompt": {"a": 1}}, "share_prompt={'a': 1}: Input should be a valid boolean"),
    ],
)
def test_wrong_settings_say_what_is_right(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ssl4rl.train(toy_tasks().train, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_mixture_of_several_seeds_cannot_be_described() -> None:
    with pytest.raises(UserError, match=r"several seeds \(0, 1\)"):
        ssl4rl.train(Mixture([Letters(ToySource()), Letters(ToySource(), level="hard", seed=1)]))


def test_a_registered_reward(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = {"model": str(model_folder), "engine": "transformers", "heldout_examples": 4}
    grpo = {**SMALL["grpo"], "max_completion_length": 8}
    monkeypatch.setitem(REWARDS._loaded, "half", lambda reply, example: 0.5)
    run = ssl4rl.train(toy_tasks().train, tmp_path / "half", reward={"kind": "half"}, grpo=grpo, **toy)
    assert {completion.reward for completion in run.completions()} == {0.5}
    assert len({completion.score for completion in run.completions()}) > 1
    assert run.summary is not None and run.summary["reward"] == {"first": 0.5, "last": 0.5}
    for reward, message in ((lambda reply, example: 1 / 0, "failed"), (lambda reply, example: float("nan"), "is nan")):
        monkeypatch.setitem(REWARDS._loaded, "half", reward)
        with pytest.raises(RuntimeError, match=rf"reward 'half' {message} on example toys/train/toy@medium"):
            ssl4rl.train(toy_tasks().train, tmp_path / message, reward={"kind": "half"}, grpo=grpo, **toy)


def test_an_engine_that_takes_no_weights_is_refused(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES._loaded, "mine", lambda files, **settings: None)
    for engine in ("mine", "http://localhost:8000/v1"):
        settings = {"engine": engine, "grpo": {**SMALL["grpo"]}}
        with pytest.raises(UserError, match=f"engine {engine} cannot be used for training"):
            ssl4rl.train(toy_tasks().train, tmp_path / "run", model=str(model_folder), **settings)
    assert not (tmp_path / "run").exists()


def test_another_task_is_held_out(model_folder: Path, tmp_path: Path) -> None:
    grpo = {**SMALL["grpo"], "max_completion_length": 8, "max_steps": 1, "save_steps": 1}
    heldout = Letters(ToySource("others"), split="test")
    run = ssl4rl.train(
        toy_tasks().train,
        tmp_path / "run",
        heldout=heldout,
        heldout_examples=4,
        model=str(model_folder),
        engine="transformers",
        grpo=grpo,
    )
    assert [source.name for source in run.used_sources] == ["toys", "others"]
    assert yaml.safe_load((run.path / "config.yaml").read_text())["heldout"]["examples"] == 4


def test_splits_that_are_not_for_training_or_not_for_evaluation_are_refused(model_folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": str(model_folder), "engine": "transformers", **SMALL}
    val = toy_tasks().heldout
    with pytest.raises(UserError, match=r"toy@medium is of split val, .*split='train'"):
        ssl4rl.train(val, tmp_path / "run", **settings)
    with pytest.raises(UserError, match=r"is of split val, .*split='train'"):
        ssl4rl.train(ssl4rl.mix([val, Letters(ToySource("others"), split="val")]), tmp_path / "run", **settings)
    with pytest.raises(UserError, match=r"heldout: toy@medium is of split train; .*split='val'"):
        ssl4rl.train(toy_tasks().train, tmp_path / "run", heldout=Letters(ToySource("others")), **settings)
    assert not (tmp_path / "run").exists()


def test_what_is_held_out_cannot_change_on_a_resume(model_folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"heldout_examples": 4, "model": str(model_folder), "engine": "transformers"}
    settings["grpo"] = {**SMALL["grpo"], "max_completion_length": 8}
    train, run = toy_tasks().train, tmp_path / "run"
    ssl4rl.train(train, run, heldout=Letters(ToySource(), split="test"), max_time=0.001, **settings)
    with pytest.raises(UserError, match=r"what is held out \(.*toys/test, .*toys/val, .*\) changed"):
        ssl4rl.train(train, run, resume=True, **settings)
    with pytest.raises(UserError, match="what is held out"):
        ssl4rl.train(train, run, heldout=Letters(ToySource(), split="test", seed=1), resume=True, **settings)
    ssl4rl.train(train, run, heldout=Letters(ToySource(), split="test"), resume=True, **settings)


def test_a_knob_that_is_named_stays_as_it_is_named() -> None:
    medium = ssl4rl.task("link", level="medium")
    named = ssl4rl.task("link", level="medium", fanout=medium.knobs.fanout)
    hard = ssl4rl.task("link", level="hard").knobs.fanout
    assert hard != medium.knobs.fanout
    for same in (named.on_split("val"), build_tasks(Recipe.model_validate(describe(named))).train):
        assert same.changed({"level": "hard"}).knobs.fanout == medium.knobs.fanout


def test_a_recipe_made_in_python_has_the_grpo_of_its_model() -> None:
    assert Recipe().grpo == QUICKSTART_GRPO
    assert Recipe(model=ModelSettings(path="Qwen/Qwen2.5-0.5B-Instruct")).grpo == MODEL_GRPO
    lora = ModelSettings(path="some/model", lora=Lora())
    assert Recipe(model=lora).grpo["learning_rate"] == LORA_LEARNING_RATE
    assert _resolve(Recipe(model=lora), {}).grpo == Recipe(model=lora).grpo
