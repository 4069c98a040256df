"""The shared prompt gives TRL's numbers: log-probabilities, entropies and gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import make_trainer, toy_recipe
from trl import GRPOTrainer

from ssl4rl.training import shared_prompt
from ssl4rl.training.shared_images import Images
from ssl4rl.training.shared_prompt import find_groups, pack, unsupported


def batch(completions_per_prompt=(3, 1, 4), prompt_lengths=(5, 9, 7), longest=6, seed=0):
    """A shuffled micro-batch: prompts padded on the left, completions of unequal lengths on the right."""
    generator = torch.Generator().manual_seed(seed)
    width = max(prompt_lengths)
    rows = []
    for count, length in zip(completions_per_prompt, prompt_lengths, strict=True):
        prompt = torch.randint(5, 250, (length,), generator=generator)
        for _ in range(count):
            size = int(torch.randint(1, longest + 1, (1,), generator=generator))
            completion = torch.randint(5, 250, (size,), generator=generator)
            left, right = width - length, longest - size
            ids = torch.cat([torch.zeros(left).long(), prompt, completion, torch.zeros(right).long()])
            mask = torch.cat(
                [torch.zeros(left), torch.ones(length + size), torch.zeros(right)],
            ).long()
            rows.append((ids, mask))
    order = torch.randperm(len(rows), generator=generator)
    return torch.stack([rows[i][0] for i in order]), torch.stack([rows[i][1] for i in order]), longest


def run(trainer, method, inputs, **more):
    ids, mask, keep = inputs
    trainer.model.zero_grad()
    logps, entropies, _ = method(trainer, trainer.model, ids, mask, keep, compute_entropy=True, **more)
    present = mask[:, -keep:]
    weights = torch.linspace(-1, 1, present.numel()).view(present.shape)
    (logps * present * weights).sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    return logps.detach() * present, entropies.detach() * present, gradient


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_equals_trl_on_the_same_micro_batch(model_folder: Path, tmp_path: Path, attention: str) -> None:
    recipe = toy_recipe(model_folder, grpo__temperature=0.7)
    recipe.model.attn_implementation = attention
    trainer = make_trainer(recipe, tmp_path / "run")
    assert trainer.sharing is None
    for inputs in (batch(), batch((4, 4), (6, 6), seed=1), batch((1, 1, 1), (3, 8, 5), seed=2)):
        theirs = run(trainer, GRPOTrainer._get_per_token_logps_and_entropies, inputs)
        for size in (None, 3):
            ours = run(trainer, type(trainer)._get_per_token_logps_and_entropies, inputs, batch_size=size)
            for mine, their in zip(ours, theirs, strict=True):
                torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)


def test_equals_trl_with_its_fused_head(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on a GPU; the reference model's head tells no entropies."""
    forward = shared_prompt._forward
    monkeypatch.setattr(shared_prompt, "_forward", lambda *inputs, **more: forward(*inputs, **{**more, "fused": True}))
    trainer = make_trainer(toy_recipe(model_folder, grpo__temperature=0.7, grpo__beta=0.1), tmp_path / "run")
    inputs = batch()
    theirs = run(trainer, GRPOTrainer._get_per_token_logps_and_entropies, inputs)
    ours = run(trainer, type(trainer)._get_per_token_logps_and_entropies, inputs)
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        mine, their = (
            method(trainer, trainer.ref_model, *inputs)[0] * inputs[1][:, -inputs[2] :]
            for method in (
                type(trainer)._get_per_token_logps_and_entropies,
                GRPOTrainer._get_per_token_logps_and_entropies,
            )
        )
    torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["Qwen2", "Llama"])
def test_equals_trl_for_other_families(model_folder: Path, tmp_path: Path, family: str) -> None:
    import transformers

    source = transformers.AutoConfig.from_pretrained(model_folder).to_dict()
    unlike = ("model_type", "architectures", "layer_types", "head_dim", "transformers_version")
    shape = {name: value for name, value in source.items() if name not in unlike}
    shape["vocab_size"] += 8  # the tokenizer of some families adds a token of its own
    torch.manual_seed(1)
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**shape))
    model.save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(model_folder).save_pretrained(tmp_path / "model")
    trainer = make_trainer(toy_recipe(tmp_path / "model"), tmp_path / "run")
    assert trainer.sharing is None
    inputs = batch()
    theirs = run(trainer, GRPOTrainer._get_per_token_logps_and_entropies, inputs)
    ours = run(trainer, type(trainer)._get_per_token_logps_and_entropies, inputs)
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)


def test_a_masked_completion_is_left_out(model_folder: Path, tmp_path: Path) -> None:
    # What mask_truncated_completions does to a completion that did not end.
    trainer = make_trainer(toy_recipe(model_folder), tmp_path / "run")
    ids, mask, keep = batch()
    mask[2, -keep:] = 0
    logps, entropies = shared_prompt.logps_and_entropies(trainer.model, ids, mask, keep, temperature=1.0)
    theirs, _, _ = GRPOTrainer._get_per_token_logps_and_entropies(trainer, trainer.model, ids, mask, keep)
    assert logps[2].abs().sum() == entropies[2].abs().sum() == 0
    torch.testing.assert_close(logps * mask[:, -keep:], theirs * mask[:, -keep:], atol=1e-4, rtol=1e-4)


def test_a_micro_batch_of_masked_completions_has_zeros_with_a_gradient(model_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_recipe(model_folder), tmp_path / "run")
    ids, mask, keep = batch()
    mask[:, -keep:] = 0
    logps, entropies = shared_prompt.logps_and_entropies(trainer.model, ids, mask, keep, temperature=1.0)
    assert not logps.any() and not entropies.any()
    logps.sum().backward()
    gradients = [weight.grad for weight in trainer.model.parameters() if weight.grad is not None]
    assert gradients and not any(gradient.any() for gradient in gradients)


def test_layout_of_one_group() -> None:
    prompts = torch.tensor([[0, 7, 8], [5, 6, 4], [0, 7, 8]])
    prompt_mask = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 1, 1]])
    completions = torch.tensor([[11, 12], [31, 0], [21, 0]])
    completion_mask = torch.tensor([[1, 1], [1, 0], [1, 0]])
    images = Images.none(3)
    group = find_groups(prompts, prompt_mask, images)
    assert group[0] == group[2] != group[1]
    packed, first = pack(None, prompts, prompt_mask, completions, completion_mask, group, images)
    assert first == [0, 1]
    assert packed.input_ids.tolist() == [[7, 0, 8, 11, 8], [5, 6, 4, 0, 0]]
    assert packed.position_ids[packed.segments >= 0].tolist() == [0, 1, 2, 1, 0, 1, 2]
    assert packed.segments.tolist() == [[0, -1, 1, 1, 2], [0, 0, 3, -1, -1]]
    assert packed.labels.tolist() == [[11, 12, 21], [31, -100, -100]]
    assert packed.attention_mask()[0, 0].int().tolist() == [[1, 0, 1, 0, 0], [1, 0, 1, 1, 0], [1, 0, 0, 0, 1]]
    assert packed.attention_mask()[1, 0, 0].int().tolist() == [1, 1, 1, 0, 0]
    assert packed.attention_mask(5)[0, 0, 2:].equal(packed.attention_mask()[0, 0])


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gradient checkpointing": {"grpo__gradient_checkpointing": True},
    "reference model": {"grpo__beta": 0.1},
    "LoRA": {"model__lora": {"r": 4}},
    "LoRA, its base as the reference": {"model__lora": {"r": 4}, "grpo__beta": 0.1},
    "LoRA and gradient checkpointing": {"model__lora": {"r": 4}, "grpo__gradient_checkpointing": True},
    "entropy bonus": {"grpo__entropy_coef": 0.5},
    "tokens of high entropy": {"grpo__top_entropy_quantile": 0.3},
    "old log-probabilities": {"grpo__num_iterations": 2, "grpo__save_steps": 4},
    "cut completions masked": {"grpo__mask_truncated_completions": True, "grpo__temperature": 0.8},
    "sequence-level ratios": {"grpo__importance_sampling_level": "sequence"},
}


def stock_method(trainer: Any) -> None:
    """Makes a trainer score as TRL does, on the attention that transformers chose."""
    trainer._share = False
    for model in (trainer.model, trainer.ref_model):
        if model is not None:
            model.config._attn_implementation = "sdpa"


@pytest.mark.parametrize("name", SETTINGS)
def test_loss_and_gradients_of_a_generated_batch(model_folder: Path, tmp_path: Path, name: str) -> None:
    recipe = toy_recipe(model_folder, **SETTINGS[name])
    trainer = make_trainer(recipe, tmp_path / "run")
    trainer.model.train()
    torch.manual_seed(3)
    for key, parameter in trainer.model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.3)
    # Many tokens end a completion, so that they are of unequal lengths and some are cut off.
    trainer.eos_token_ids = list(range(2, 60))
    rows = [{"index": index} for index in (0, 1, 2, 3) for _ in range(4)]
    batches, gradients, losses = [], [], []
    for stock in (False, True):
        if stock:
            stock_method(trainer)
        torch.manual_seed(4)
        trainer._share_sampling = False
        batch = trainer._generate_and_score_completions(rows)
        # The policy is no longer the one that sampled.
        torch.manual_seed(5)
        batch = {**batch, "advantages": torch.randn(16)}
        if "old_per_token_logps" in batch:
            noise = 0.05 * torch.randn(batch["old_per_token_logps"].shape)
            batch["old_per_token_logps"] = batch["old_per_token_logps"] + noise
        trainer.model.zero_grad()
        trainer.current_gradient_accumulation_steps = 1
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
        batches.append(batch)
    ours, theirs = batches
    assert ours["completion_ids"].equal(theirs["completion_ids"])
    assert ("old_per_token_logps" in ours) == (name == "old log-probabilities")
    assert ("ref_per_token_logps" in ours) == ("grpo__beta" in SETTINGS[name])
    for key in ("old_per_token_logps", "ref_per_token_logps"):
        if key in ours:
            present = ours["completion_mask"]
            torch.testing.assert_close(ours[key] * present, theirs[key] * present, atol=1e-4, rtol=1e-4)
    assert len(set(ours["completion_mask"].sum(1).tolist())) > 2
    assert gradients[1].abs().max() > 1e-3
    torch.testing.assert_close(losses[0], losses[1], atol=1e-5, rtol=1e-4)
    assert (gradients[0] - gradients[1]).norm() / gradients[1].norm() < 1e-4


def test_bfloat16_is_as_far_from_float32_as_trl_is(model_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_recipe(model_folder), tmp_path / "run")
    ours, theirs = type(trainer)._get_per_token_logps_and_entropies, GRPOTrainer._get_per_token_logps_and_entropies
    inputs = batch()
    exact = run(trainer, theirs, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found = zip(exact, run(trainer, ours, inputs), run(trainer, theirs, inputs), strict=True)
    for wanted, mine, their in found:
        error = (their - wanted).norm()
        assert 0 < (mine - wanted).norm() < 2 * error
        assert error < 0.1 * wanted.norm()


def test_a_whole_run_ends_at_the_same_weights(model_folder: Path, tmp_path: Path) -> None:
    # One generation batch of four micro-batches, used twice: nothing depends on how random numbers fall afterwards.
    settings: dict[str, Any] = {
        "grpo__per_device_train_batch_size": 4,
        "grpo__gradient_accumulation_steps": 4,
        "grpo__num_iterations": 2,
        "grpo__max_steps": 2,
        "grpo__save_strategy": "no",
        "grpo__beta": 0.05,
    }
    ends = []
    for shared in (True, False):
        trainer = make_trainer(toy_recipe(model_folder, share_prompt=shared, **settings), tmp_path / str(shared))
        assert (trainer.sharing is None) == shared
        trainer._share_sampling = False
        torch.manual_seed(0)
        trainer.train()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    start = make_trainer(toy_recipe(model_folder), tmp_path / "start").model
    begin = torch.cat([parameter.detach().flatten() for parameter in start.parameters()])
    moved = (ends[1] - begin).norm()
    assert moved > 0.01
    assert (ends[0] - ends[1]).norm() < 1e-3 * moved


def test_says_why_a_model_is_not_supported(model_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    assert unsupported(model) is None
    model.config.layer_types = ["full_attention", "sliding_attention"]
    assert "sliding" in (unsupported(model) or "")
    model.config.layer_types = None
    model.config._attn_implementation = "flash_attention_2"
    assert "flash_attention_2" in (unsupported(model) or "")
    model.config.model_type = "mamba"
    assert "mamba" in (unsupported(model) or "")


def test_micro_batches_keep_groups_whole(model_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(model_folder, grpo__per_device_train_batch_size=4, grpo__gradient_accumulation_steps=4)
    trainer = make_trainer(recipe, tmp_path / "run")
    trainer.model.train()
    rows = [{"index": index} for index in (0, 1, 2, 3) for _ in range(4)]
    seen = []
    for step in range(4):
        trainer._step = step
        part = trainer._prepare_inputs(rows)
        assert len(torch.unique(part["prompt_ids"], dim=0)) == 1
        seen += part["prompt_ids"].tolist()
    assert len({tuple(row) for row in seen}) == 4
