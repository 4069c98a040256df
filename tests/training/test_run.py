"""A run from recipe to folder with a model of 60,000 parameters: it learns, repeats, resumes and refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toys import Letters, build_model, score_letters, toy_recipe, toy_tasks, train_toys

from ssl4rl.answers import FUNCTIONS, Score, Scoring
from ssl4rl.errors import UserError
from ssl4rl.records import read_lines

TIMINGS = {"seconds", "step_time"}


def metrics(run: Path) -> list[dict[str, object]]:
    lines = [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_lines(run / "metrics.jsonl")]
    return [line for line in lines if line["step"] != 0]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    train_toys(toy_recipe(model_folder), run)
    return run


def test_the_folder_of_a_run(finished: Path, model_folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    names = {path.name for path in finished.iterdir()}
    assert names == {
        "checkpoint-2",
        "checkpoint-4",
        "completions.jsonl",
        "config.yaml",
        "environment.json",
        "heldout.jsonl",
        "log.txt",
        "metrics.jsonl",
        "model",
        "summary.json",
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert list(summary) == ["task", "dataset", "model", "steps", "seconds", "reward", "heldout"]
    assert (summary["task"], summary["dataset"], summary["steps"]) == ("toy@medium", "toys", 4)
    assert list(summary["reward"]) == ["first", "last"]
    assert list(summary["heldout"]) == ["before", "after", "best", "paired", "chance"]
    assert list(summary["heldout"]["after"])[:7] == ["score", "low", "high", "n", "distinct", "parsed", "valid"]
    assert summary["heldout"]["after"]["n"] == summary["heldout"]["after"]["distinct"] == 8
    assert summary["heldout"]["best"]["step"] == 4
    assert {"difference", "low", "high", "p"} <= summary["heldout"]["paired"].keys()
    lines = metrics(finished)
    assert [line["step"] for line in lines if "heldout" not in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "heldout" in line] == [4]
    # log_completions_every=2: the first step and each second one, 16 completions each.
    completions = list(read_lines(finished / "completions.jsonl"))
    assert [line["step"] for line in completions] == [1] * 16 + [2] * 16 + [4] * 16
    assert set(completions[0]) == {
        *("id", "prompt", "reply", "answer", "score", "outcome", "gold", "chance", "scoring"),
        *("step", "reward", "selected", "tokens"),
    }
    assert all(line["reward"] == line["score"] for line in completions)
    assert json.loads((finished / "environment.json").read_text())["packages"]["trl"]
    model = AutoModelForCausalLM.from_pretrained(finished / "model")
    assert AutoTokenizer.from_pretrained(finished / "model").chat_template
    before = AutoModelForCausalLM.from_pretrained(model_folder).state_dict()
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert "training_args.bin" not in {path.name for path in (finished / "model").iterdir()}


def test_the_reward_rises(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(
        model_folder,
        heldout={"examples": 0},
        grpo__max_steps=40,
        grpo__learning_rate=3e-3,
        grpo__per_device_train_batch_size=64,
        grpo__num_generations=8,
        grpo__save_steps=40,
    )
    run = train_toys(recipe, tmp_path / "run").path
    summary = json.loads((run / "summary.json").read_text())
    assert summary["reward"]["last"] > summary["reward"]["first"] + 0.2
    assert summary["heldout"] == {"before": None, "after": None, "best": None, "paired": None}


def test_the_same_seed_gives_the_same_run_and_another_another(
    finished: Path, model_folder: Path, tmp_path: Path
) -> None:
    train_toys(toy_recipe(model_folder), tmp_path / "again")
    assert metrics(tmp_path / "again") == metrics(finished)
    assert all(torch.equal(value, weights(finished)[name]) for name, value in weights(tmp_path / "again").items())
    train_toys(toy_recipe(model_folder, seed=1), tmp_path / "other")
    assert metrics(tmp_path / "other") != metrics(finished)


def test_a_resumed_run_equals_an_uninterrupted_one(finished: Path, model_folder: Path, tmp_path: Path) -> None:
    # As a run looks that was killed in step 4: a checkpoint of step 2, lines past it, the last one torn.
    run = tmp_path / "killed"
    shutil.copytree(finished, run)
    for name in ("checkpoint-4", "model"):
        shutil.rmtree(run / name)
    (run / "summary.json").unlink()
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "rewa')
    train_toys(toy_recipe(model_folder), run, resume=True)
    assert metrics(run) == metrics(finished)
    assert (run / "completions.jsonl").read_bytes() == (finished / "completions.jsonl").read_bytes()
    assert all(torch.equal(value, weights(finished)[name]) for name, value in weights(run).items())
    summaries = [json.loads((path / "summary.json").read_text()) for path in (run, finished)]
    assert summaries[0]["heldout"] == summaries[1]["heldout"] and summaries[0]["reward"] == summaries[1]["reward"]


def test_resuming_exactly_with_several_steps_per_generation(model_folder: Path, tmp_path: Path) -> None:
    settings = {"grpo__per_device_train_batch_size": 8, "grpo__steps_per_generation": 2, "heldout": {"examples": 0}}
    whole = train_toys(toy_recipe(model_folder, **settings), tmp_path / "whole").path
    run = tmp_path / "killed"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoint-4")
    shutil.rmtree(run / "model")
    (run / "summary.json").unlink()
    train_toys(toy_recipe(model_folder, **settings), run, resume=True)
    assert metrics(run) == metrics(whole)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(run).items())


def test_lora_trains_adapters_and_saves_a_merged_model(model_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    recipe = toy_recipe(
        model_folder, model={"path": str(model_folder), "lora": {"r": 4}}, grpo__max_steps=2, grpo__beta=0.1
    )
    run = train_toys(recipe, tmp_path / "run").path
    assert not (run / "model" / "adapter_config.json").exists()
    before = AutoModelForCausalLM.from_pretrained(model_folder).state_dict()
    after = AutoModelForCausalLM.from_pretrained(run / "model").state_dict()
    assert before.keys() == after.keys()
    moved = {name for name, value in after.items() if not torch.allclose(before[name], value, atol=1e-7)}
    assert moved and all("_proj" in name for name in moved)


def test_lora_in_mixed_precision_trains_on_any_machine(model_folder: Path, tmp_path: Path) -> None:
    model = {"path": str(model_folder), "dtype": "bfloat16", "lora": {"r": 4}}
    run = train_toys(toy_recipe(model_folder, model=model, grpo__bf16=True), tmp_path / "run")
    assert run.finished and (run.path / "model" / "config.json").is_file()


def score_others(reply: str) -> Score:
    """The contrary of ``score_letters``."""
    return Score.of(1 - score_letters(reply).value, reply)


class Fading(Letters):
    """What is learned on split train makes held-out replies worse."""

    def scoring(self, gold):
        return Scoring("score_others" if self.split == "val" else "score_letters", {})


@pytest.fixture
def fading(model_folder: Path, monkeypatch) -> Callable[..., Path]:
    """Trains on it for eight steps, held-out scores after every second one."""
    monkeypatch.setitem(FUNCTIONS, "score_others", score_others)

    def run(output: Path, *, resume: bool = False, lora: bool = False, **settings: Any) -> Path:
        changed: dict[str, Any] = {
            "grpo__max_steps": 8,
            "grpo__learning_rate": 1e-2,
            "heldout": {"examples": 8, "every": 2},
        }
        if lora:
            changed["model"] = {"path": str(model_folder), "lora": {"r": 16, "alpha": 128}}
            changed |= {"grpo__learning_rate": 3e-2, "grpo__per_device_train_batch_size": 32}
        recipe = toy_recipe(model_folder, **{**changed, **settings})
        return train_toys(recipe, output, toy_tasks(Fading), resume=resume).path

    return run


def killed(finished: Path, run: Path, step: int) -> Path:
    """A copy of a run as it looks if it was killed right after ``step``."""
    kept = {f"checkpoint-{step}"} | {f"checkpoint-{best}" for best in range(step)}
    shutil.copytree(finished, run)
    for folder in run.iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder)
    (run / "summary.json").unlink()
    return run


def test_the_best_model_is_kept_beside_the_last(fading, tmp_path: Path, capsys) -> None:
    from ssl4rl.training.summary import describe_result

    run = fading(tmp_path / "run", grpo__save_total_limit=1)
    summary = json.loads((run / "summary.json").read_text())
    heldout = summary["heldout"]
    step = heldout["best"]["step"]
    assert 0 < step < 8 and heldout["best"]["score"] > heldout["after"]["score"]
    scores = {line["step"]: line["heldout"]["score"] for line in read_lines(run / "metrics.jsonl") if "heldout" in line}
    assert list(scores) == [0, 2, 4, 6, 8] and scores[step] == max(scores[each] for each in (2, 4, 6, 8))
    answers = list(read_lines(run / "heldout.jsonl"))
    assert [line["index"] for line in answers] == [*range(8)] * 5
    assert heldout["paired"]["difference"] == pytest.approx(scores[8] - scores[0])
    assert heldout["best"]["paired"]["difference"] == pytest.approx(scores[step] - scores[0])
    # transformers may keep one checkpoint only, and keeps this one.
    best = load_file(run / f"checkpoint-{step}" / "model.safetensors")
    assert all(torch.equal(value, best[name]) for name, value in weights(run).items())
    last = load_file(run / "last" / "model.safetensors")
    assert any(not torch.equal(value, best[name]) for name, value in last.items())
    lines = describe_result(summary, run)
    assert f"model: {run / 'model'} (the best by held-out score, of step {step})" in lines
    assert f"last model: {run / 'last'}" in lines
    assert "held out after step 2: " in capsys.readouterr().out


@pytest.mark.parametrize("lora", [False, True])
def test_a_resumed_run_remembers_the_best_model(fading, lora: bool, tmp_path: Path) -> None:
    settings = {"lora": lora, "grpo__save_total_limit": 3}
    whole = fading(tmp_path / "whole", **settings)
    run = killed(whole, tmp_path / "killed", 6)
    fading(run, resume=True, **settings)
    assert metrics(run) == metrics(whole)
    assert (run / "heldout.jsonl").read_bytes() == (whole / "heldout.jsonl").read_bytes()
    summaries = [json.loads((path / "summary.json").read_text()) for path in (run, whole)]
    assert summaries[0]["heldout"] == summaries[1]["heldout"] and summaries[0]["heldout"]["best"]["step"] < 8
    for name in ("model", "last"):
        one, other = (load_file(path / name / "model.safetensors") for path in (run, whole))
        assert all(torch.equal(value, one[key]) for key, value in other.items())


def test_a_run_that_was_stopped_at_its_end_asks_nothing_again(fading, tmp_path: Path, monkeypatch) -> None:
    from ssl4rl.training.trainer import TaskTrainer

    whole = fading(tmp_path / "whole")
    run = killed(whole, tmp_path / "killed", 8)
    monkeypatch.setattr(TaskTrainer, "answer", lambda *_, **__: 1 / 0)
    fading(run, resume=True)
    assert (run / "heldout.jsonl").read_bytes() == (whole / "heldout.jsonl").read_bytes()
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(run).items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_merging_rounds_away_is_said(dtype: str, model_folder: Path, tmp_path: Path, capsys) -> None:
    model = {"path": str(model_folder), "lora": {"r": 4}, "dtype": dtype}
    run = train_toys(toy_recipe(model_folder, model=model, grpo__max_steps=2), tmp_path / "run").path
    out = capsys.readouterr().out
    assert ("of what was learned is rounded away" in out) is (dtype == "bfloat16")
    assert (f"give {run / 'adapter'} as the model" in out) is (dtype == "bfloat16")


def test_the_adapters_of_both_models_are_saved_beside_them(fading, tmp_path: Path) -> None:
    from ssl4rl.inference.engines.transformers import load
    from ssl4rl.inference.model import ModelFiles

    run = fading(tmp_path / "run", lora=True)
    for adapter, model in (("adapter", "model"), ("last-adapter", "last")):
        merged = load_file(run / model / "model.safetensors")
        again = load(ModelFiles(str(run / adapter)), "float32").state_dict()
        assert all(torch.allclose(again[name].cpu(), value, atol=1e-6) for name, value in merged.items())
    assert not torch.equal(
        load_file(run / "adapter" / "adapter_model.safetensors").popitem()[1],
        load_file(run / "last-adapter" / "adapter_model.safetensors").popitem()[1],
    )


def test_trls_own_path_without_sharing_and_with_gradient_checkpointing(model_folder: Path, tmp_path: Path) -> None:
    settings = {"grpo__max_steps": 2, "heldout": {"examples": 0}}
    recipe = toy_recipe(model_folder, share_prompt=False, **settings)
    train_toys(recipe, tmp_path / "stock")
    recipe = toy_recipe(model_folder, grpo__gradient_checkpointing=True, grpo__beta=0.1, **settings)
    train_toys(recipe, tmp_path / "checkpointed")
    assert len(metrics(tmp_path / "stock")) == len(metrics(tmp_path / "checkpointed")) == 2


def test_an_unsupported_model_falls_back_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = build_model(
        tmp_path / "model",
        layer_types=["full_attention", "sliding_attention"],
        sliding_window=16,
        use_sliding_window=True,
    )
    train_toys(toy_recipe(model, grpo__max_steps=1), tmp_path / "run")
    assert capsys.readouterr().out.count("prompts are not shared: the model has sliding-window layers") == 1


def score_broken(reply: str) -> None:
    raise ZeroDivisionError


class Broken(Letters):
    def scoring(self, gold):
        return Scoring("score_broken", {})


def test_a_crash_in_a_scorer_is_an_error_that_names_the_example(
    model_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(FUNCTIONS, "score_broken", score_broken)
    recipe = toy_recipe(model_folder, heldout={"examples": 0})
    with pytest.raises(RuntimeError, match=r"scorer of toy@medium failed on example toys/train/toy@medium/0/\d+#"):
        train_toys(recipe, tmp_path / "run", toy_tasks(Broken))


def test_refusals_before_training(finished: Path, model_folder: Path, tmp_path: Path, monkeypatch) -> None:
    def refused(message: str, output: Path, **more: object) -> None:
        with pytest.raises(UserError, match=message):
            train_toys(toy_recipe(model_folder, **more.pop("recipe", {})), output, **more)  # type: ignore[call-overload]

    refused("exists already, and is finished", finished)
    refused("exists already, and is not a run; choose another --output", model_folder)
    refused("is finished; nothing is left", finished, resume=True)
    refused("is finished; nothing is left", finished, resume=True, recipe={"grpo__max_steps": 9})
    refused("does not exist", tmp_path / "nothing", resume=True)
    refused("num_generations", tmp_path / "run", recipe={"grpo__num_generations": 3})
    refused("grpo: ", tmp_path / "run", recipe={"grpo__lr_scheduler_type": "sometimes"})
    (tmp_path / "file").write_text("")
    refused("cannot write to", tmp_path / "file" / "run")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refused("cannot write to .*Permission denied", tmp_path / "forbidden")


def test_a_trial_of_a_few_steps_learns_something(model_folder: Path, tmp_path: Path, capsys) -> None:
    """The rate is 0 in the first step of a warm-up, which is shortened to a tenth of the steps."""
    recipe = toy_recipe(model_folder, heldout={"examples": 0}, grpo__max_steps=2, grpo__warmup_steps=5)
    run = train_toys(recipe, tmp_path / "run")
    assert "grpo.warmup_steps=5 is shortened to 0, a tenth of the steps" in capsys.readouterr().out
    assert all(line["learning_rate"] > 0 for line in run.metrics() if "reward" in line)
    assert run.config["grpo"]["warmup_steps"] == 5
