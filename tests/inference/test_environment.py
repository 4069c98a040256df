"""What is said of the processor that models run on."""

from pathlib import Path

import pytest
import torch

import ssl4rl
from ssl4rl.inference.environment import slow_in_16_bits
from ssl4rl.training.preparation import prepare
from ssl4rl.training.recipe_file import load_recipe

SMALL = ["grpo.per_device_train_batch_size=16", "grpo.num_generations=8", "heldout.examples=4"]


def processor(patch: pytest.MonkeyPatch, machine: str, instructions: str, accelerator: bool = False) -> None:
    patch.setattr("platform.machine", lambda: machine)
    patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    patch.setattr(torch.accelerator, "is_available", lambda: accelerator)


@pytest.mark.parametrize(
    ("machine", "instructions", "accelerator", "slow"),
    [
        ("x86_64", "AVX2", False, True),
        ("AMD64", "DEFAULT", False, True),
        ("x86_64", "AVX512", False, False),
        ("x86_64", "AVX512_VNNI", False, False),
        ("x86_64", "AVX2", True, False),
        ("arm64", "DEFAULT", False, False),
    ],
)
def test_processors_without_16_bit_instructions_are_known(
    machine: str, instructions: str, accelerator: bool, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, machine, instructions, accelerator)
    assert slow_in_16_bits() == slow


def test_training_in_16_bits_says_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "x86_64", "AVX2")
    assert prepare(load_recipe(tasks=["link"], overrides=SMALL)).notes == []
    note, _ = prepare(load_recipe(tasks=["link"], overrides=[*SMALL, "model.dtype=bfloat16"])).notes
    assert note.startswith("model.dtype=bfloat16: ") and "--set model.dtype=float32 --set grpo.bf16=false" in note
    [note] = prepare(load_recipe(tasks=["link"], overrides=[*SMALL, "grpo.bf16=true"])).notes
    assert note.startswith("grpo.bf16=true: ")
    processor(monkeypatch, "x86_64", "AVX512")
    assert prepare(load_recipe(tasks=["link"], overrides=[*SMALL, "grpo.bf16=true"])).notes == []


def test_asking_in_16_bits_says_where_it_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "x86_64", "AVX2")
    said: list[str] = []
    for dtype in ("float32", "bfloat16"):
        ssl4rl.evaluate(
            "link", output=tmp_path / dtype, dtype=dtype, limit=1, max_new_tokens=2, ablate=[], baselines=False,
            say=said.append,
        )  # fmt: skip
        assert any("--dtype float32" in line for line in said) == (dtype == "bfloat16")
