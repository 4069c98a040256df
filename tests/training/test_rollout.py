"""Sampling with a shared prompt draws what transformers' ``generate`` would."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from ssl4rl.errors import UserError
from ssl4rl.training.rollout import Sampling, draw, sample_groups

PROMPTS = [[9, 20, 31, 42, 53], [9, 64], [9, 75, 86, 97, 108, 119, 130]]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_most_likely_tokens_are_those_of_generate(model_folder: Path, attention: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder, attn_implementation=attention).eval()
    suppressed = [0, 2, 3]
    # The end token is one that the random model really says, after unequal numbers of tokens.
    config = GenerationConfig(do_sample=False, max_new_tokens=12, pad_token_id=0, suppress_tokens=suppressed)
    expected = []
    with torch.no_grad():
        for prompt in PROMPTS:
            found = model.generate(torch.tensor([prompt]), generation_config=config)
            expected.append(found[0, len(prompt) :].tolist())
        end = expected[0][4]
        wanted = [tokens[: tokens.index(end) + 1] if end in tokens else tokens for tokens in expected]
        sampling = Sampling(max_new_tokens=12, eos_token_ids=[end], top_k=1, suppress_tokens=suppressed)
        assert sample_groups(model, PROMPTS, 3, sampling) == [[tokens] * 3 for tokens in wanted]


def test_completions_of_a_group_do_not_see_each_other(model_folder: Path) -> None:
    # The probability of each sampled token, computed alone, must make the sample's frequencies plausible: with a
    # strongly peaked model the second token depends on the first, so crossed completions would show.
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        [group] = sample_groups(model, PROMPTS[:1], 64, Sampling(max_new_tokens=4, eos_token_ids=[1], temperature=0.5))
        expected = 0.0
        found = 0.0
        for completion in group:
            logits = model(torch.tensor([PROMPTS[0] + completion])).logits[0] / 0.5
            logps = logits.log_softmax(-1)[len(PROMPTS[0]) - 1 : -1]
            found += logps[torch.arange(len(completion)), completion].mean().item()
            expected += (logps.exp() * logps).sum(-1).mean().item()
    assert abs(found - expected) / 64 < 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_an_error(value: float) -> None:
    scores = torch.zeros(2, 5)
    scores[1, 3] = value
    with pytest.raises(UserError, match=r"not numbers: an update has spoilt its weights, .*lower grpo\.learning_rate"):
        draw(scores)


def test_draw_follows_the_probabilities_and_never_takes_an_impossible_token() -> None:
    torch.manual_seed(0)
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.2, 0.3, 0.0])
    counts = torch.bincount(draw(probabilities.log().expand(20_000, -1)), minlength=6) / 20_000
    assert counts[[0, 2, 5]].sum() == 0
    torch.testing.assert_close(counts, probabilities, atol=0.015, rtol=0)
