"""vLLM in process on the CPU samples from the trainer's current weights: its log-probabilities are the trainer's."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from toys import build_model, toy_recipe, toy_tasks, train_toys
from typer.testing import CliRunner

from ssl4rl.cli.main import app
from ssl4rl.errors import UserError
from ssl4rl.inference import engines
from ssl4rl.records import read_lines
from ssl4rl.training.grpo import grpo_config
from ssl4rl.training.preparation import choose_sampler, prepare

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")


@needs_vllm
@pytest.mark.parametrize("kind", ["tied", "untied", "lora"])
def test_log_probabilities_agree_while_the_weights_move(tmp_path: Path, kind: str) -> None:
    # Imported before vLLM starts wherever torch_geometric was used, and then vLLM alone would not start.
    pytest.importorskip("numba")
    model = build_model(tmp_path / "model", tied=kind != "untied")
    recipe = toy_recipe(
        model,
        engine="vllm",
        model={"path": str(model), "lora": {"r": 4} if kind == "lora" else None},
        grpo__max_steps=3,
        grpo__learning_rate=1e-2,
        grpo__lr_scheduler_type="constant",
        # A random model often says the tokens that are suppressed by default; a suppressed token shifts vLLM's
        # log-probabilities and not the trainer's.
        grpo__generation_kwargs={"logit_bias": None},
    )
    run = train_toys(recipe, tmp_path / "run").path
    steps = [line for line in read_lines(run / "metrics.jsonl") if "loss" in line]
    differences = [step["sampling/sampling_logp_difference/mean"] for step in steps]
    assert len(differences) == 3 and max(differences) < 1e-3
    # The weights that the engine was started with would no longer do.
    assert _moved(model, run / "model") > 0.3


def _moved(before: Path, after: Path) -> float:
    """Largest change of a token's log-probability between two models on one text."""
    import torch
    from transformers import AutoModelForCausalLM

    text = torch.arange(5, 60)[None]
    with torch.no_grad():
        first, second = (
            AutoModelForCausalLM.from_pretrained(path)(text).logits.log_softmax(-1) for path in (before, after)
        )
    return float((first - second).abs().max())


def test_vllm_that_is_not_installed_is_said_before_anything_is_loaded(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vllm is not installed; pip install 'ssl4rl\[vllm\]'"):
        train_toys(toy_recipe(model_folder, engine="vllm"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


SERVER = {"engine": "vllm", "grpo__vllm_mode": "server", "grpo__vllm_server_base_url": "http://gpu-1:8000"}


@needs_vllm
def test_a_server_is_given_what_generation_needs(model_folder: Path, tmp_path: Path) -> None:
    """Up to the first request: the server itself needs a GPU."""
    prepared = prepare(toy_recipe(model_folder, **SERVER), toy_tasks())
    assert choose_sampler(prepared.recipe) == "vllm"
    args = grpo_config(prepared, "vllm", tmp_path)
    assert args.use_vllm and args.vllm_mode == "server" and args.vllm_server_base_url == "http://gpu-1:8000"
    assert args.generation_kwargs["stop_token_ids"] == prepared.files.eos_token_ids
    assert set(args.generation_kwargs["logit_bias"]) == set(prepared.files.suppressed_tokens)


def test_a_dry_run_says_which_server_has_to_be_there() -> None:
    settings = ["engine=vllm", "grpo.vllm_mode=server", "grpo.vllm_server_port=8123"]
    options = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["graph", "train", "--task", "link", "--dry-run", "--processes", "8", *options])
    assert result.exit_code == 0, result.output
    line = "completions come from the vLLM server at http://0.0.0.0:8123, which this starts: trl vllm-serve --model /"
    assert line in result.output and "8 processes: 2,048 completions" in result.output


def test_a_server_that_would_not_be_asked_is_refused(model_folder: Path) -> None:
    with pytest.raises(UserError, match=r"vllm_mode=server: with engine=transformers, .*; set engine=vllm"):
        choose_sampler(toy_recipe(model_folder, grpo__vllm_mode="server"))
    with pytest.raises(UserError, match=r"unknown grpo\.vllm_mode 'sever'; did you mean server"):
        prepare(toy_recipe(model_folder, grpo__vllm_mode="sever"), toy_tasks())
