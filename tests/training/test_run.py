"""A run from recipe to folder with a model of 60,000 parameters: it learns, repeats, resumes and refuses."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toys import Letters, build_model, toy_recipe, toy_tasks, train_toys

from ssl4rl.answers import FUNCTIONS, Scoring
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
        "metrics.jsonl",
        "model",
        "summary.json",
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert list(summary) == ["task", "dataset", "model", "steps", "seconds", "reward", "heldout"]
    assert (summary["task"], summary["dataset"], summary["steps"]) == ("toy@medium", "toys", 4)
    assert list(summary["reward"]) == ["first", "last"] and list(summary["heldout"]) == ["before", "after"]
    assert list(summary["heldout"]["after"])[:5] == ["score", "low", "high", "n", "parsed"]
    assert summary["heldout"]["after"]["n"] == 8
    assert [line["step"] for line in metrics(finished)] == [1, 2, 3, 4]
    # log_completions_every=2: the first step and each second one, 16 completions each.
    completions = list(read_lines(finished / "completions.jsonl"))
    assert [line["step"] for line in completions] == [1] * 16 + [2] * 16 + [4] * 16
    assert set(completions[0]) == {
        *("id", "prompt", "reply", "answer", "score", "outcome", "gold", "chance", "scoring"),
        *("step", "reward"),
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
    assert summary["heldout"] == {"before": None, "after": None}


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


def test_a_run_without_a_checkpoint_starts_anew_on_resume(finished: Path, model_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("checkpoint-*", "model", "summary.json"))
    train_toys(toy_recipe(model_folder), run, resume=True)
    assert metrics(run) == metrics(finished)


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

    refused("exists already; add --resume", finished)
    refused("is finished", finished, resume=True)
    refused("does not exist", tmp_path / "nothing", resume=True)
    refused("num_generations", tmp_path / "run", recipe={"grpo__num_generations": 3})
    refused("grpo: ", tmp_path / "run", recipe={"grpo__scale_rewards": "x", "grpo__eval_strategy": "sometimes"})
    (tmp_path / "file").write_text("")
    refused("cannot write to", tmp_path / "file" / "run")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refused("cannot write to .*Permission denied", tmp_path / "forbidden")
