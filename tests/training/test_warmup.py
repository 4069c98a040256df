"""A supervised warm start: tiny models learn the form on gold answers, of texts and of images, and GRPO goes on."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toys import Toy, ToySource, toy_recipe

from ssl4rl.answers import Scoring, score
from ssl4rl.cli.main import main
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.mixture import Mixture
from ssl4rl.registry import TASKS
from ssl4rl.runs import Run, open_run
from ssl4rl.training import supervised
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.supervised import IGNORED, collate, gold_reply
from ssl4rl.training.tasks import Tasks
from ssl4rl.training.warmup import Settings, warm_up


class YesNo(Toy):
    """The toy, read strictly."""

    def scoring(self, gold):
        bare = {} if self.knobs.reasoning else {"bare": True}
        return Scoring("score_any_of", {"accepted": [gold], "choices": ["yes", "no"], **bare})


def yes_no(**knobs) -> Tasks:
    return Tasks.of(YesNo(ToySource(), knobs=knobs))


@pytest.mark.parametrize(("knobs", "lora"), [({}, None), ({"reasoning": False}, None), ({}, {"r": 16, "alpha": 64})])
def test_a_random_model_learns_the_form(knobs, lora, model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(
        model_folder,
        model={"path": str(model_folder), "lora": lora},
        heldout={"examples": 16},
        grpo__max_completion_length=24,
    )
    settings = Settings(steps=60, learning_rate=1e-2)
    run = warm_up(recipe, tmp_path / "run", settings, tasks=yes_no(**knobs))
    summary = run.summary
    # The embeddings, which adapters leave as they are, are random.
    assert summary is not None and summary["loss"]["last"] < (0.9 if lora else 0.5) * summary["loss"]["first"]
    before, after = summary["heldout"]["before"], summary["heldout"]["after"]
    if not lora:
        assert before["valid"] < 0.2 and after["valid"] > 0.9 and summary["heldout"]["paired"]["won"] > 0
    assert [line["step"] for line in run.metrics() if "loss" in line] == list(range(1, settings.steps + 1))
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        *("config.yaml", "environment.json", "heldout.jsonl", "log.txt", "metrics.jsonl", "model", "summary.json"),
        *("checkpoint-50", "checkpoint-60"),
        *({"adapter"} if lora else ()),
    }
    # What was saved replies as the model in memory did.
    from ssl4rl.inference.engines import Sampling, generate
    from ssl4rl.inference.engines.transformers import TransformersEngine, load

    files = ModelFiles(str(run.path / "model"))
    examples = [yes_no(**knobs).heldout.example(index) for index in range(16)]
    engine = TransformersEngine(load(files, "float32"), files)
    replies = generate(engine, [files.messages(example) for example in examples], Sampling(max_new_tokens=24))
    last = [answer.reply for answer in run.heldout() if answer.step == settings.steps]
    assert [reply.text for reply in replies] == last


def test_a_batch_is_the_prompt_as_asked_and_the_reply_it_is_scored_on(model_folder: Path) -> None:
    files, task = ModelFiles(str(model_folder)), yes_no().train
    inputs = collate(task, files, 64, [{"index": 3}, {"index": 4}])
    for row, index in enumerate((3, 4)):
        example = task.example(index)
        prompt = files.prompt_ids(files.messages(example))
        ids = inputs["input_ids"][row][inputs["attention_mask"][row] == 1].tolist()
        labels = inputs["labels"][row].tolist()
        assert ids[: len(prompt)] == prompt and set(labels[: len(prompt)]) == {IGNORED}
        learned = [label for label in labels if label != IGNORED]
        assert learned == ids[len(prompt) :] and learned[-1] in files.eos_token_ids
        assert score(files.decode(learned), example.scoring).value == 1


@pytest.mark.parametrize("reasoning", [True, False])
@pytest.mark.parametrize("name", ["attribute", "neighbor", "link", "rotation", "jigsaw", "contrastive", "position"])
def test_the_gold_reply_of_every_task_scores_1(name: str, reasoning: bool) -> None:
    side = TASKS.get(name).source_kind.side
    recipe = load_recipe(tasks=[name], side=side, overrides=[f"task.reasoning={str(reasoning).lower()}"])
    from ssl4rl.training.tasks import build_tasks

    task = build_tasks(recipe).train
    for index in range(8):
        example = task.example(index)
        assert score(gold_reply(example), example.scoring).value == 1
        assert ("<answer>" in gold_reply(example)) == reasoning


@pytest.mark.parametrize("lora", [[], ["model.lora.r=4"]])
def test_a_vision_language_model_learns_on_images_and_texts(lora: list[str], tmp_path: Path) -> None:
    overrides = ["heldout.examples=4", "grpo.max_completion_length=64", "task.reasoning=false", *lora]
    recipe = load_recipe(tasks=["rotation", "link"], side="vision", overrides=overrides)
    settings = Settings(steps=12, batch_size=8, learning_rate=1e-2 if lora else 1e-3)
    run = warm_up(recipe, tmp_path / "run", settings)
    assert run.summary is not None and run.summary["loss"]["last"] < 0.8 * run.summary["loss"]["first"]
    names = {f"{name}@medium+reasoning=false" for name in ("rotation", "link")}
    assert set(run.summary["heldout"]["paired"]["tasks"]) <= names
    ModelFiles(str(run.path / "model")).check_reads_images()


def test_frozen_images_stay_as_they_are(tmp_path: Path) -> None:
    from ssl4rl.models import embedded_path

    recipe = load_recipe(side="vision", overrides=["heldout.examples=0", "model.freeze_vision=true"])
    run = warm_up(recipe, tmp_path / "run", Settings(steps=2, batch_size=4))
    before = load_file(embedded_path("tiny-vision") / "model.safetensors")
    after = load_file(run.path / "model" / "model.safetensors")
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved and not any("vision_tower" in name or "projector" in name for name in moved)


def test_the_same_seed_gives_the_same_weights(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder, heldout={"examples": 0}, grpo__max_completion_length=64)
    runs = [warm_up(recipe, tmp_path / name, Settings(steps=3), tasks=yes_no()) for name in ("one", "two")]
    one, two = (load_file(run.path / "model" / "model.safetensors") for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_mistakes(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder)
    for settings, message in (
        (Settings(steps=0), "steps=0"),
        (Settings(batch_size=0), "batch_size=0"),
        (Settings(learning_rate=0.0), "learning_rate=0.0"),
    ):
        with pytest.raises(UserError, match=message):
            warm_up(recipe, tmp_path / "run", settings, tasks=yes_no())
    assert not (tmp_path / "run").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(UserError, match="exists already"):
        warm_up(recipe, tmp_path / "full", tasks=yes_no())


def test_the_command_and_what_follows_it(model_folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(TASKS._loaded, "toy", YesNo)

    def ssl4rl(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    run = tmp_path / "warm"
    few = ("--set", "heldout.examples=4", "--set", "grpo.max_completion_length=24")
    task = ("--task", "toy", "--dataset", "toys", *few)
    arguments = ("--steps", 60, "--learning-rate", 1e-2, "--model", model_folder, "--output", run)
    assert ssl4rl("graph", "warmup", *task, *arguments) == 0
    out = capsys.readouterr().out
    assert "step 60/60  loss 0." in out and "held-out score 0.000 [" in out and "paired p = " in out
    assert f"go on with: ssl4rl graph train --model {run / 'model'}" in out
    assert ssl4rl("log", run) == 2
    assert "is a warm start, which samples no replies" in capsys.readouterr().err
    small = ["grpo.max_steps=1", "grpo.num_generations=4", "grpo.per_device_train_batch_size=8", "grpo.bf16=false"]
    small += ["grpo.gradient_accumulation_steps=1", "grpo.save_steps=1"]
    sets = [word for setting in small for word in ("--set", setting)]
    assert ssl4rl("graph", "train", *task, *sets, "--model", run, "--output", tmp_path / "trained") == 0
    metrics = [json.loads(line) for line in (tmp_path / "trained" / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["heldout"]["valid"] > 0.9
    assert ssl4rl("graph", "warmup", "--task", "rotation") == 2
    assert "rotation is for ssl4rl vision" in capsys.readouterr().err


def test_a_mixture_without_images_in_a_batch(tmp_path: Path) -> None:
    files = ModelFiles("tiny-vision")
    recipe = load_recipe(tasks=["rotation", "link"], side="vision")
    from ssl4rl.training.tasks import build_tasks

    mixture = build_tasks(recipe).train
    assert isinstance(mixture, Mixture)
    text = [index for index in range(40) if not mixture.example(index).images][:2]
    assert "pixel_values" not in collate(mixture, files, 64, [{"index": index} for index in text])
    shown = next(index for index in range(40) if mixture.example(index).images)
    mixed = collate(mixture, files, 64, [{"index": text[0]}, {"index": shown}])
    assert len(mixed["pixel_values"]) == len(mixture.example(shown).images)


def test_a_loss_that_is_no_number_ends_it(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder, heldout={"examples": 0}, grpo__max_completion_length=64)
    message = r"the (loss|gradient) of step \d+ is not a number, .* lower the learning rate \(1e\+30\)"
    with pytest.raises(UserError, match=message):
        warm_up(recipe, tmp_path / "run", Settings(steps=9, learning_rate=1e30), tasks=yes_no())
    run = open_run(tmp_path / "run")
    last = list(run.metrics())[-1]
    assert None in (last["loss"], last["grad_norm"]) and not run.finished
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_prompts_and_gold_replies_have_to_fit(model_folder: Path) -> None:
    task, files = yes_no().train, ModelFiles(str(model_folder))
    with pytest.raises(UserError, match=r"the right reply to example toys/.* more than the 2 .*max_completion_length"):
        collate(task, files, 2, [{"index": 0}])
    with pytest.raises(UserError, match=r"the prompt of example toys/.* has \d+ tokens; with 100000 for the reply"):
        collate(task, files, 100_000, [{"index": 0}])


def same(run: Path, other: Path) -> bool:
    """Whether two runs have the same steps, held-out answers and weights."""
    steps = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in Run(path).metrics()]
        for path in (run, other)
    ]
    weights = [load_file(path / "model" / "model.safetensors") for path in (run, other)]
    answers = [(path / "heldout.jsonl").read_bytes() for path in (run, other)]
    return (
        steps[0] == steps[1]
        and answers[0] == answers[1]
        and all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    )


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_it_is_gone_on_with_where_it_was_stopped_or_killed(lora, model_folder, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(supervised, "SAVE_STEPS", 2)
    model = {"path": str(model_folder), "lora": lora}
    recipe = toy_recipe(model_folder, model=model, heldout={"examples": 8}, grpo__max_completion_length=24)
    settings = Settings(steps=5)
    whole = warm_up(recipe, tmp_path / "whole", settings, tasks=yes_no())
    append = Run.append

    def signalled(run: Run, name: str, *lines: dict[str, object]) -> None:
        append(run, name, *lines)
        if name == "metrics.jsonl" and lines[0]["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Run, "append", signalled)
        with pytest.raises(SystemExit) as end:
            warm_up(recipe, stopped, settings, tasks=yes_no())
    out = capsys.readouterr().out
    assert end.value.code == 128 + signal.SIGTERM and not open_run(stopped).finished
    assert f"with a checkpoint\ncontinue with: ssl4rl graph warmup --resume --output {stopped}\n" in out
    with pytest.raises(
        UserError, match=r"warmup\.steps \(5, now 6\) changed .*; put back what it was, or give another"
    ):
        warm_up(recipe, stopped, Settings(steps=6), tasks=yes_no(), resume=True)
    assert warm_up(recipe, stopped, settings, tasks=yes_no(), resume=True).finished
    assert "resuming after step" in capsys.readouterr().out and same(stopped, whole.path)

    killed = tmp_path / "killed"
    shutil.copytree(whole.path, killed)
    for name in ("model", "checkpoint-5"):
        shutil.rmtree(killed / name)
    (killed / "summary.json").unlink()
    assert warm_up(recipe, killed, settings, tasks=yes_no(), resume=True).summary["loss"] == whole.summary["loss"]
    assert "resuming after step 4 of 5" in capsys.readouterr().out and same(killed, whole.path)
    with pytest.raises(UserError, match="is finished; nothing is left to resume"):
        warm_up(recipe, killed, settings, tasks=yes_no(), resume=True)


def test_the_command_goes_on_with_it(tmp_path: Path, monkeypatch, capsys) -> None:
    def ssl4rl(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ssl4rl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    run = tmp_path / "warm"
    few = [word for setting in ("heldout.examples=2", "grpo.max_completion_length=48") for word in ("--set", setting)]
    assert ssl4rl("graph", "warmup", "--steps", 2, "--batch-size", 2, *few, "--output", run) == 0
    # Of the recipe, what counts is kept.
    assert open_run(run).config["grpo"] == {"max_completion_length": 48, "gradient_checkpointing": False}
    shutil.rmtree(run / "model")
    (run / "summary.json").unlink()
    for arguments, message in (
        (
            ("graph", "train", "--resume", "--output", run),
            "is a warm start; continue it with ssl4rl graph warmup",
        ),
        (("graph", "warmup", "--resume"), "--resume needs the run to continue: --output RUN"),
        (("graph", "warmup", "--resume", "--output", run, "--steps", 3), "recipe and settings; give --output only"),
        (("vision", "warmup", "--resume", "--output", run), "link is for ssl4rl graph"),
        (("graph", "warmup", "--steps", 2, "--output", run), "add --resume to continue it"),
    ):
        capsys.readouterr()
        assert ssl4rl(*arguments) == 2
        assert message in capsys.readouterr().err, arguments
    assert ssl4rl("graph", "warmup", "--resume", "--output", run) == 0
    assert "resuming after step 2 of 2" in capsys.readouterr().out and (run / "model").is_dir()
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("steps: 2", "steps: two"))
    assert ssl4rl("graph", "warmup", "--resume", "--output", run) == 2
    assert "are not the settings of a warm start" in capsys.readouterr().err
