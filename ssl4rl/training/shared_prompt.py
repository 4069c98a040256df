"""Log-probabilities of a GRPO micro-batch with every prompt run once instead of once per completion.

The completions of a prompt are laid out after it as one sequence::

    p0 p1 ... p(n-2) | p(n-1) a0 a1 a2 | p(n-1) b0 | p(n-1) c0 c1 ...

Each segment attends to the prompt and to itself only, and its positions continue the prompt's. A segment starts with
a copy of the prompt's last token and ends before the completion's last one, so the hidden states of the segments are
exactly those whose next-token distributions are needed. The result equals TRL's
``GRPOTrainer._get_per_token_logps_and_entropies`` on the same micro-batch up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ssl4rl.training.shared_images import Images, bare

TEXT_MODELS = ("llama", "qwen2", "qwen3")
VISION_MODELS = ("qwen2_5_vl", "llava")
ATTENTION = "shared_prompt"
"""The name under which :func:`attention` is registered with transformers."""

CPU_ROWS = 8
"""Most rows of one forward pass on the CPU, where small batches stay in the cache; on a GPU there is no such limit."""


def unsupported(model: Any) -> str | None:
    """Why prompts cannot be shared with this model, in a few words; None if they can."""
    config = model.config
    text = config.get_text_config()
    if config.model_type not in (*TEXT_MODELS, *VISION_MODELS):
        return f"model type {config.model_type!r} is not one of {', '.join((*TEXT_MODELS, *VISION_MODELS))}"
    if config.model_type == "llava":
        if text.model_type not in TEXT_MODELS:
            return f"its text model {text.model_type!r} is not one of {', '.join(TEXT_MODELS)}"
        if config.vision_config.model_type == "pixtral":
            return "its vision tower, Pixtral, takes images of several sizes"
    if text._attn_implementation not in ("sdpa", "eager", ATTENTION):
        return f"attn_implementation {text._attn_implementation!r} takes no block mask; use sdpa or eager"
    if any(kind != "full_attention" for kind in getattr(text, "layer_types", None) or []):
        return "the model has sliding-window layers"
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") in ("dynamic", "longrope"):
        return f"rope type {rope['rope_type']!r} depends on the sequence's length"
    return None


def prepare(model: Any) -> None:
    """Makes a supported model's text layers take the masks of this module; everything else is unchanged."""
    text = model.config.get_text_config()
    if text._attn_implementation == "sdpa":
        text._attn_implementation = ATTENTION


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **settings: Any,
) -> tuple[Tensor, None]:
    """As transformers' sdpa, but the mask may cover only the last queries; those before it, the prompt's, are causal.

    So no mask is as large as the prompt squared, and the prompt's part can use the kernels that take no mask.
    """
    above = query.shape[2] - (query.shape[2] if attention_mask is None else attention_mask.shape[2])
    if above <= 0:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **settings
        )
        return output
    key, value = (repeat_kv(states, query.shape[1] // states.shape[1]) for states in (key, value))
    prompt = scaled_dot_product_attention(
        query[:, :, :above],
        key[:, :, :above],
        value[:, :, :above],
        dropout_p=dropout,
        is_causal=True,
        scale=scaling,
    )
    rest = scaled_dot_product_attention(
        query[:, :, above:], key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling
    )
    return torch.cat([prompt.transpose(1, 2), rest.transpose(1, 2)], 1), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


@dataclass(frozen=True)
class Packed:
    """Groups laid out for one forward pass: R rows of ``P`` prompt and ``W`` completion columns, L = P + W."""

    input_ids: Tensor
    """(R, L)"""
    position_ids: Tensor
    """(R, L), or (3, R, L) for a model that counts along three axes."""
    segments: Tensor
    """(R, L): 0 in the prompt, 1, 2, … in the completions, -1 where there is padding (on the right of either)."""
    labels: Tensor
    """(R, W): the token whose log-probability is computed there, -100 in padding."""
    rows: Tensor
    """(N,): the row of each scored token."""
    columns: Tensor
    """(N,): its column among the W."""
    completions: Tensor
    """(N,): the completion (a row of the micro-batch) that it belongs to."""
    offsets: Tensor
    """(N,): its place in that completion."""

    def attention_mask(self, queries: int | None = None) -> Tensor:
        """(R, 1, Q, L), True where a query (third axis) sees a key (fourth axis).

        The queries are the last ``queries`` of the L, by default the W of the completions.
        """
        length = self.segments.shape[1]
        queries = self.labels.shape[1] if queries is None else queries
        query, key = self.segments[:, length - queries :, None], self.segments[:, None, :]
        at = torch.arange(length, device=key.device)
        return ((at <= at[length - queries :, None]) & ((key == 0) | (key == query)))[:, None]


def find_groups(prompts: Tensor, prompt_mask: Tensor, images: Images) -> Tensor:
    """(B,): 0, 1, … for each of the B rows; rows with the same prompt (tokens and images) have the same number."""
    _, group = torch.unique(torch.where(prompt_mask.bool(), prompts, -1), dim=0, return_inverse=True)
    keys: dict[Any, int] = {}
    numbers = [keys.setdefault(key, len(keys)) for key in zip(group.tolist(), images.rows, strict=True)]
    return torch.tensor(numbers, device=group.device)


def pack(
    model: Any,
    prompts: Tensor,
    prompt_mask: Tensor,
    completions: Tensor,
    completion_mask: Tensor,
    group: Tensor,
    images: Images,
) -> tuple[Packed, list[int]]:
    """Lays completions of the same group out after one copy of the prompt.

    ``prompts`` and ``prompt_mask`` are (B, P), padded on the left; ``completions`` and ``completion_mask`` are (B, C),
    padded on the right; ``group`` is (B,), in any order; ``images`` are those of the B rows.

    Returns:
        The layout, and for each of its rows a row of the micro-batch that has its prompt.
    """
    _, group = torch.unique(group, return_inverse=True)
    count = int(group.max()) + 1
    first = torch.full((count,), len(group), device=group.device)
    first = first.scatter_reduce(0, group, torch.arange(len(group), device=group.device), "amin")
    # Prompts are padded on the right now, which plain causal attention does not see.
    sizes = prompt_mask[first].sum(1)
    present = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]
    unique = prompts.new_zeros(present.shape)
    unique[present] = prompts[first][prompt_mask[first].bool()]
    every = torch.arange(count, device=group.device)
    chosen = first.tolist()
    where = images.positions(model, chosen, unique, present)

    # A stable sort brings each group's completions together; each starts where the one before it ends.
    lengths = completion_mask.sum(1)
    order = torch.argsort(group, stable=True)
    totals = torch.zeros(count, dtype=lengths.dtype, device=lengths.device).index_add_(0, group, lengths)
    ends = lengths[order].cumsum(0)
    starts = torch.empty_like(lengths)
    starts[order] = ends - lengths[order] - (totals.cumsum(0) - totals)[group[order]]
    segment = torch.empty_like(group)
    segment[order] = torch.arange(1, len(group) + 1, device=group.device)

    owner, offset = completion_mask.nonzero(as_tuple=True)
    row, column = group[owner], starts[owner] + offset
    shape = (count, max(int(totals.max()), 1))
    previous = completions[owner, (offset - 1).clamp(min=0)]
    inputs = prompts.new_zeros(shape)
    inputs[row, column] = torch.where(offset == 0, unique[every, sizes - 1][row], previous)
    labels = completions.new_full(shape, -100)
    labels[row, column] = completions[owner, offset]
    positions = where.new_zeros((*where.shape[:-1], shape[1]))
    positions[..., row, column] = where[..., every, sizes - 1][..., row] + offset
    segments = group.new_full(shape, -1)
    segments[row, column] = segment[owner]

    prompt = present[:, 1:].long() - 1  # without the last token, which is in the segments
    packed = Packed(
        input_ids=torch.cat([unique[:, :-1].masked_fill(prompt < 0, 0), inputs], 1),
        position_ids=torch.cat([where[..., :-1], positions], -1),
        segments=torch.cat([prompt, segments], 1),
        labels=labels,
        rows=row,
        columns=column,
        completions=owner,
        offsets=offset,
    )
    return packed, chosen


def _chunks(group: Tensor, lengths: Tensor, batch_size: int, max_rows: int | None) -> Iterator[Tensor]:
    """Indices of completions, whole groups at a time: at most ``batch_size`` of them and ``max_rows`` groups.

    Groups of similar total length go together, to save padding. A group of more than ``batch_size`` completions is a
    chunk of its own.
    """
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
    images: Images | None = None,
    batch_size: int | None = None,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the completion tokens and entropies of their distributions, both (B, C), 0 in padding.

    ``input_ids`` and ``attention_mask`` are (B, P + C) with C = ``logits_to_keep``: prompts padded on the left,
    completions on the right. ``model`` is one that :func:`prepare` has changed; ``images`` are those of the B rows.
    Entropies have a gradient only with ``entropy_gradient``.
    """
    prompts, completions = input_ids[:, :-logits_to_keep], input_ids[:, -logits_to_keep:]
    prompt_mask, completion_mask = attention_mask[:, :-logits_to_keep], attention_mask[:, -logits_to_keep:]
    if nothing := not bool(completion_mask.any()):
        # Of truncated completions no token may count: a forward pass all the same, whose zeros have a gradient and
        # which keeps pace with other processes.
        completion_mask = completion_mask.clone()
        completion_mask[:1, :1] = 1
    on_cpu = input_ids.device.type == "cpu"
    logps = torch.zeros(completions.shape, dtype=torch.float32, device=input_ids.device)
    entropies = torch.zeros_like(logps)
    images = images or Images.none(len(prompts))
    group = find_groups(prompts, prompt_mask, images)
    for chosen in _chunks(group, completion_mask.sum(1), batch_size or len(prompts), CPU_ROWS if on_cpu else None):
        theirs = images.of_prompts(chosen.tolist())
        packed, shown = pack(
            model,
            prompts[chosen],
            prompt_mask[chosen],
            completions[chosen],
            completion_mask[chosen],
            group[chosen],
            theirs,
        )
        if not len(packed.rows):
            continue
        where = (chosen[packed.completions], packed.offsets)
        with theirs.inputs(model, shown) as inputs:
            scored, entropy = _forward(
                model, packed, inputs, temperature, fused=not on_cpu, entropy_gradient=entropy_gradient
            )
        logps = logps.index_put(where, scored)
        entropies = entropies.index_put(where, entropy)
    return (logps * 0, entropies * 0) if nothing else (logps, entropies)


def additive(model: Any, seen: Tensor) -> Tensor:
    """A mask to add to the attention scores, 0 where ``seen`` is True, in their dtype."""
    device = seen.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else bare(model).dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def _forward(
    model: Any,
    packed: Packed,
    images: dict[str, Tensor],
    temperature: float,
    *,
    fused: bool,
    entropy_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of the packed tokens, both (N,)."""
    whole = bare(model).config.get_text_config()._attn_implementation != ATTENTION
    # Converted once, not by every layer: each would keep its own copy for the backward pass.
    mask = additive(model, packed.attention_mask(packed.input_ids.shape[1] if whole else None))
    inputs = {"input_ids": packed.input_ids, "attention_mask": mask, "position_ids": packed.position_ids, **images}
    width = packed.labels.shape[1]
    if fused:
        # TRL's head holds the logits of one tile of tokens at a time, and on GPUs scores only labelled tokens.
        padding = packed.labels.new_full((len(packed.labels), packed.input_ids.shape[1] - width), -100)
        output = model(**inputs, shift_labels=torch.cat([padding, packed.labels], 1), fused_lm_head=True)
        at = (packed.rows, packed.columns + padding.shape[1])
        logps = output.log_probs[at].float()
        # The head that TRL gives the reference model computes no entropy.
        return logps, torch.zeros_like(logps) if output.entropy is None else output.entropy[at].float()
    # On the CPU that head also scores the prompt's positions, a fifth of the work for a small model.
    logits = model(**inputs, logits_to_keep=width, use_cache=False).logits[packed.rows, packed.columns].float()
    if temperature != 1:
        logits = logits / temperature
    chosen = logits.gather(1, packed.labels[packed.rows, packed.columns, None])[:, 0]
    normaliser = logits.logsumexp(1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        probabilities = (logits - normaliser[:, None]).exp()
        entropy = normaliser - (probabilities * logits).sum(1)
    return chosen - normaliser, entropy
