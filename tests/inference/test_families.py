"""Prompts that begin alike: every one is in a family, and the replies are those that it gets alone."""

from typing import Any

import numpy as np
import pytest

from ssl4rl.inference.engines import Sampling, generate
from ssl4rl.inference.families import WORTHWHILE, families


@pytest.mark.parametrize("seed", range(20))
def test_every_prompt_is_in_one_family_that_shares_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stems = [rng.integers(0, 3, size=rng.integers(1, 12)).tolist() for _ in range(4)]
    prompts = [stems[rng.integers(4)] + rng.integers(0, 3, size=rng.integers(1, 6)).tolist() for _ in range(40)]
    found = families(prompts, most=5)
    assert sorted(place for family in found for place in family.members) == list(range(40))
    assert any(family.shared for family in found) and all(len(family.members) <= 5 for family in found)
    for family in found:
        members = [prompts[place] for place in family.members]
        assert (family.shared == 0) == (len(members) == 1)
        assert len({tuple(prompt[: family.shared]) for prompt in members}) == 1
        for prompt in members:
            assert family.shared < len(prompt)
            assert not family.shared or family.shared >= WORTHWHILE * len(prompt)


def test_no_prompts_and_equal_prompts() -> None:
    assert families([], 8) == []
    assert [family.members for family in families([[1, 2, 3]] * 5, 2)] == [[0, 1], [2, 3], [4]]


@pytest.fixture
def alike(conversations: list[Any]) -> list[Any]:
    """Two prompts whose last lines are written in four ways, and others."""
    stems = [conversations[0][0]["content"], conversations[1][0]["content"]]
    endings = ("", " Take your time.", "\nGive a reason.", "\nWhat do you say? Is it so?")
    written = [f"{stem}{ending}" for stem in stems for ending in endings]
    return [*conversations[2:6], *([{"role": "user", "content": text}] for text in written)]


def test_what_prompts_share_is_run_once_and_changes_no_reply(reference: Any, alike: list[Any]) -> None:
    run: list[int] = []
    counted = reference.model.register_forward_pre_hook(
        lambda _, __, inputs: run.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    one_token = Sampling(max_new_tokens=1)
    generate(reference, alike[-8:], one_token)
    together = sum(run)
    run.clear()
    for conversation in alike[-8:]:
        generate(reference, [conversation], one_token)
    counted.remove()
    # Two families of four, each of prompts that share nearly everything.
    assert together < 0.5 * sum(run)
    whole = generate(reference, alike, Sampling(max_new_tokens=24))
    assert whole == [generate(reference, [one], Sampling(max_new_tokens=24))[0] for one in alike]


def test_likelihoods_of_prompts_that_begin_alike(reference: Any, alike: list[Any]) -> None:
    choices = [["<answer>yes</answer>", "<answer>no</answer>", "<answer>perhaps not</answer>"]] * len(alike)
    together = dict(reference.likelihoods(alike, choices))
    for index, conversation in enumerate(alike):
        [(_, alone)] = reference.likelihoods([conversation], [choices[index]])
        assert together[index] == pytest.approx(alone, abs=1e-4)


def test_a_model_with_a_sliding_window_runs_every_prompt_whole(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.model.config, "layer_types", ["sliding_attention"] * 4)
    reference.__dict__.pop("_can_share", None)
    try:
        assert not reference._can_share
    finally:
        reference.__dict__.pop("_can_share", None)
