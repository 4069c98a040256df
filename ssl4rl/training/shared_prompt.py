"""Log-probabilities of a GRPO micro-batch with every prompt run once instead of once per completion.

The completions of a prompt are laid out behind it as one sequence, ::

    p0 p1 ... p(n-2) | p(n-1) a0 a1 a2 | p(n-1) b0 | p(n-1) c0 c1 ...

each segment attending to the prompt and to itself only, its positions continuing the prompt's. A segment starts with
a copy of the prompt's last token and ends before the completion's last one, so the hidden states of the segments are
exactly those whose next-token distributions are wanted. The result equals TRL's
``GRPOTrainer._get_per_token_logps_and_entropies`` on the same micro-batch up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SUPPORTED_MODELS = ("llama", "qwen2", "qwen3")
SUPPORTED_ATTENTION = ("sdpa", "eager")

# Rows of one forward pass on the CPU, where small batches stay in the cache; on a GPU the caller's batch size rules.
CPU_ROWS = 8


def unsupported(model: Any) -> str | None:
    """Why prompts cannot be shared with this model, in a few words; None when they can."""
    config = model.config
    if config.model_type not in SUPPORTED_MODELS:
        return f"model type {config.model_type!r} is not one of {', '.join(SUPPORTED_MODELS)}"
    if config._attn_implementation not in SUPPORTED_ATTENTION:
        return f"attn_implementation {config._attn_implementation!r} takes no block mask; sdpa and eager do"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or []):
        return "the model has sliding-window layers"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") in ("dynamic", "longrope"):
        return f"rope type {rope['rope_type']!r} depends on the sequence's length"
    return None


@dataclass(frozen=True)
class Packed:
    """Groups laid out for one forward pass: R rows of ``P`` prompt and ``W`` completion columns, L = P + W."""

    input_ids: Tensor
    """(R, L)"""
    position_ids: Tensor
    """(R, L)"""
    segments: Tensor
    """(R, L): 0 in the prompt, 1, 2, … in the completions, -1 where there is padding."""
    labels: Tensor
    """(R, W): the token whose log-probability is wanted there, -100 in padding."""
    rows: Tensor
    """(N,): the row of each scored token."""
    columns: Tensor
    """(N,): its column among the W."""
    completions: Tensor
    """(N,): the completion (a row of the micro-batch) that it belongs to."""
    offsets: Tensor
    """(N,): its place in that completion."""

    def attention_mask(self) -> Tensor:
        """(R, 1, L, L), True where a query (third axis) sees a key (fourth axis)."""
        query, key = self.segments[:, :, None], self.segments[:, None, :]
        causal = torch.ones(query.shape[1], query.shape[1], dtype=torch.bool, device=key.device).tril()
        return (causal & ((key == 0) | (key == query)))[:, None]


def pack(prompts: Tensor, prompt_mask: Tensor, completions: Tensor, completion_mask: Tensor) -> Packed:
    """Lays completions with equal prompts out behind one copy of the prompt.

    ``prompts`` and ``prompt_mask`` are (B, P), padded on the left; ``completions`` and ``completion_mask`` are (B, C),
    padded on the right. Equal prompts need not be neighbours.
    """
    # Columns that only this selection of rows leaves empty are dropped.
    width = int(prompt_mask.sum(1).max())
    prompts, prompt_mask = prompts[:, -width:], prompt_mask[:, -width:]
    known = torch.where(prompt_mask.bool(), prompts, -1)
    unique, group = torch.unique(known, dim=0, return_inverse=True)
    present = unique >= 0
    lengths = completion_mask.sum(1)

    # A stable sort brings each group's completions together; each starts where the one before it ends.
    order = torch.argsort(group, stable=True)
    totals = torch.zeros(len(unique), dtype=lengths.dtype, device=lengths.device).index_add_(0, group, lengths)
    ends = lengths[order].cumsum(0)
    starts = torch.empty_like(lengths)
    starts[order] = ends - lengths[order] - (totals.cumsum(0) - totals)[group[order]]
    segment = torch.empty_like(group)
    segment[order] = torch.arange(1, len(group) + 1, device=group.device)

    owner, offset = completion_mask.nonzero(as_tuple=True)
    row, column = group[owner], starts[owner] + offset
    shape = (len(unique), max(int(totals.max()), 1))
    previous = completions[owner, (offset - 1).clamp(min=0)]
    inputs = prompts.new_zeros(shape)
    inputs[row, column] = torch.where(offset == 0, unique[row, -1], previous)
    labels = completions.new_full(shape, -100)
    labels[row, column] = completions[owner, offset]
    positions = prompts.new_zeros(shape)
    positions[row, column] = present.sum(1)[row] - 1 + offset
    segments = group.new_full(shape, -1)
    segments[row, column] = segment[owner]

    return Packed(
        input_ids=torch.cat([unique.clamp(min=0)[:, :-1], inputs], 1),
        position_ids=torch.cat([(present.long().cumsum(1) - 1).clamp(min=0)[:, :-1], positions], 1),
        segments=torch.cat([present.long()[:, :-1] - 1, segments], 1),
        labels=labels,
        rows=row,
        columns=column,
        completions=owner,
        offsets=offset,
    )


def _chunks(prompts: Tensor, lengths: Tensor, batch_size: int, max_rows: int | None) -> Iterator[Tensor]:
    """Indices of completions, whole groups at a time: at most ``batch_size`` of them and ``max_rows`` groups.

    Groups of similar total length go together, so that little of a chunk is padding. A group of more than
    ``batch_size`` completions is a chunk of its own.
    """
    _, group = torch.unique(prompts, dim=0, return_inverse=True)
    members = [(group == g).nonzero()[:, 0] for g in range(int(group.max()) + 1)]
    members.sort(key=lambda indices: int(lengths[indices].sum()))
    chunk: list[Tensor] = []
    count = 0
    for indices in members:
        if chunk and (count + len(indices) > batch_size or len(chunk) == max_rows):
            yield torch.cat(chunk)
            chunk, count = [], 0
        chunk.append(indices)
        count += len(indices)
    yield torch.cat(chunk)


def logps_and_entropies(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    logits_to_keep: int,
    *,
    temperature: float,
    batch_size: int | None = None,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the completion tokens and entropies of their distributions, both (B, C), 0 in padding.

    ``input_ids`` and ``attention_mask`` are (B, P + C) with C = ``logits_to_keep``: prompts padded on the left,
    completions on the right. Entropies carry a gradient only with ``entropy_gradient``.
    """
    prompts, completions = input_ids[:, :-logits_to_keep], input_ids[:, -logits_to_keep:]
    prompt_mask, completion_mask = attention_mask[:, :-logits_to_keep], attention_mask[:, -logits_to_keep:]
    on_cpu = input_ids.device.type == "cpu"
    logps = torch.zeros(completions.shape, dtype=torch.float32, device=input_ids.device)
    entropies = torch.zeros_like(logps)
    lengths = completion_mask.sum(1)
    chunks = _chunks(prompts, lengths, batch_size or len(prompts), CPU_ROWS if on_cpu else None)
    for chosen in chunks:
        packed = pack(prompts[chosen], prompt_mask[chosen], completions[chosen], completion_mask[chosen])
        if not len(packed.rows):
            continue
        where = (chosen[packed.completions], packed.offsets)
        scored, entropy = _forward(model, packed, temperature, fused=not on_cpu, entropy_gradient=entropy_gradient)
        logps = logps.index_put(where, scored)
        entropies = entropies.index_put(where, entropy)
    return logps, entropies


def _forward(
    model: Any, packed: Packed, temperature: float, *, fused: bool, entropy_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of the packed tokens, both (N,)."""
    mask = packed.attention_mask()
    config = getattr(model, "module", model).config
    if config._attn_implementation == "eager":
        # Eager attention adds its mask to the scores instead of selecting by it.
        lowest = torch.finfo(torch.float32).min
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, lowest)
    inputs = {"input_ids": packed.input_ids, "attention_mask": mask, "position_ids": packed.position_ids}
    width = packed.labels.shape[1]
    if fused:
        # TRL's head never holds the logits of more than one tile of tokens, and on GPUs scores labelled ones only.
        padding = packed.labels.new_full((len(packed.labels), packed.input_ids.shape[1] - width), -100)
        output = model(**inputs, shift_labels=torch.cat([padding, packed.labels], 1), fused_lm_head=True)
        at = (packed.rows, packed.columns + padding.shape[1])
        return output.log_probs[at].float(), output.entropy[at].float()
    # Off-GPU that head scores prompt positions too, which for a small model is a fifth of the work.
    logits = model(**inputs, logits_to_keep=width, use_cache=False).logits[packed.rows, packed.columns].float()
    if temperature != 1:
        logits = logits / temperature
    chosen = logits.gather(1, packed.labels[packed.rows, packed.columns, None])[:, 0]
    normaliser = logits.logsumexp(1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        probabilities = (logits - normaliser[:, None]).exp()
        entropy = normaliser - (probabilities * logits).sum(1)
    return chosen - normaliser, entropy
