"""A model in this process, run by transformers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from typing import Any

from ssl4rl.inference import adapters, checks
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.inference.engines.draws import DrawnTokens, draw_seeds
from ssl4rl.inference.families import Family, families
from ssl4rl.inference.lengths import check_conversations
from ssl4rl.inference.messages import Messages, images_of, typed
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.tokens import ChoiceIds, Encoded


def open_transformers(
    files: ModelFiles, *, dtype: str, context_length: int | None, batch_size: int
) -> TransformersEngine:
    """The engine with the model loaded; an :class:`ssl4rl.inference.engines.EngineFactory`."""
    return TransformersEngine(load(files, dtype), files, batch_size=batch_size, context_length=context_length)


def load(files: ModelFiles, dtype: str) -> Any:
    """The model's weights, on the GPU (also Apple's) if there is one.

    Raises:
        UserError: if its weights cannot be read, or what it puts out is not a number.
    """
    import torch

    if files.adapter is not None:
        model = adapters.merged(files, dtype)
    else:
        with checks.one_line(files.name):
            model = checks.auto_class(files).from_pretrained(files.path, dtype=dtype, trust_remote_code=False)
    # Quantised weights are where they have to be.
    if getattr(files.config, "quantization_config", None) is None:
        model = model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
    checks.check_output(files, model)
    return model.eval()


class TransformersEngine:
    """A causal language model in memory; conversations of similar length share a batch of ``batch_size``.

    What prompts of a batch begin with is run once, where that is at least half of each of them.
    """

    def __init__(
        self, model: Any, files: ModelFiles, *, batch_size: int = 16, context_length: int | None = None
    ) -> None:
        self.model = model
        self.files = files
        self.batch_size = batch_size
        self.context_length = files.context_length(context_length)

    @property
    def identity(self) -> dict[str, Any]:
        """The content of the model's files, and that transformers runs it in this dtype."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        model = {"model": self.files.fingerprint, **self.files.template_identity}
        return {"engine": "transformers", **model, "dtype": dtype}

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, a batch at a time; a text prompt is run once for all its draws."""
        config = self._generation_config(sampling)
        seeds = [] if sampling.greedy else draw_seeds(conversations, sampling.seed, draws)
        known = self._text_ids(conversations)
        for batch in self._batches(known, [_size(one) for one in conversations]):
            indices = [index for family in batch for index in family.members]
            if all(known[index] for index in indices):
                encoded = Encoded([known[index] for index in indices])
            else:
                encoded = self.files.encoder.encode([conversations[index] for index in indices])
            check_conversations(
                [len(ids) for ids in encoded.ids], sampling.max_new_tokens, self.context_length, indices
            )
            drawn = [DrawnTokens([seeds[index] for index in indices], sampling, self.model.device)] if seeds else []
            with self._evaluating():
                inputs = self._inputs(encoded, batch)
                # Not in step with other processes: each has conversations of its own.
                output = self.model.generate(
                    **inputs, generation_config=config, logits_processor=drawn, synced_gpus=False
                )
            replies = output[:, inputs["input_ids"].shape[1] :].tolist()
            for index, prompt, tokens in zip(indices, encoded.ids, replies, strict=True):
                yield index, self._reply(tokens, len(prompt))

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and its choices' log-probabilities; the tokens that choices share are run once."""
        text_only: list[int] = []
        for index, conversation in enumerate(conversations):
            if images_of(conversation):
                # One at a time: its choices make up a batch, and images of several sizes need not fit together.
                prompt = self.files.encoder.choice_ids(conversation, choices[index])
                check_conversations([max(map(len, prompt.continued))], 0, self.context_length, [index])
                yield index, self._log_probabilities([prompt], [Family([0], 0)])[0]
            else:
                text_only.append(index)
        prompts = [self.files.encoder.choice_ids(conversations[index], choices[index]) for index in text_only]
        check_conversations([max(map(len, one.continued)) for one in prompts], 0, self.context_length, text_only)
        for batch in self._batches([one.prefix.ids[0] for one in prompts], [one.common for one in prompts]):
            places = [place for family in batch for place in family.members]
            sums = self._log_probabilities([prompts[place] for place in places], batch)
            yield from zip([text_only[place] for place in places], sums, strict=True)

    def _generation_config(self, sampling: Sampling) -> Any:
        """Every setting is explicit, since ``generate`` would take those that are None from the model's own."""
        from transformers import GenerationConfig

        return GenerationConfig(
            # Draws are made by a logits processor, row by row.
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=self.files.eos_token_ids,
            pad_token_id=self.files.tokenizer.pad_token_id,
            suppress_tokens=self.files.suppressed_tokens or None,
            disable_compile=True,
        )

    def _reply(self, tokens: list[int], prompt_tokens: int) -> Reply:
        ends = [position for position, token in enumerate(tokens) if token in self.files.eos_token_ids]
        tokens = tokens[: ends[0] + 1] if ends else tokens
        return Reply(self.files.decode(tokens), len(tokens), not ends, prompt_tokens)

    def _text_ids(self, conversations: Sequence[Messages]) -> list[list[int]]:
        """The tokens of each conversation that is text only; none of the others, whose images come batch by batch."""
        ids: list[list[int]] = [[] for _ in conversations]
        text_only = [index for index, one in enumerate(conversations) if not images_of(one)]
        encoded = self.files.encoder.encode([conversations[index] for index in text_only])
        if not encoded.marks:
            for index, tokens in zip(text_only, encoded.ids, strict=True):
                ids[index] = tokens
        return ids

    def _batches(self, prompts: Sequence[list[int]], sizes: Sequence[Any]) -> list[list[Family]]:
        """Batches of prompts that begin alike, and of others of similar size; in each either all share or none does."""
        together = [one for one in families(prompts, self.batch_size) if one.shared] if self._can_share else []
        batches: list[list[Family]] = []
        for family in together:
            rows = sum(len(one.members) for one in batches[-1]) if batches else self.batch_size
            if rows + len(family.members) > self.batch_size:
                batches.append([])
            batches[-1].append(family)
        sharing = {index for family in together for index in family.members}
        alone = sorted((index for index in range(len(prompts)) if index not in sharing), key=sizes.__getitem__)
        for start in range(0, len(alone), self.batch_size):
            batches.append([Family([index], 0) for index in alone[start : start + self.batch_size]])
        return batches

    @cached_property
    def _can_share(self) -> bool:
        """Whether the model's cache of a prefix serves every row that begins with it, padding in between or not."""
        config = self.model.config.get_text_config()
        windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
        kinds = getattr(config, "layer_types", None) or ["sliding" if windowed else "full_attention"]
        return set(kinds) == {"full_attention"} and not getattr(self.model, "_is_stateful", False)

    def _inputs(self, encoded: Encoded, batch: Sequence[Family]) -> dict[str, Any]:
        """The model's inputs for prompts in the order of their families, with the cache of what has been run of them.

        That is what a family shares; between it and the rest of a prompt, padding makes the rows equally long.
        """
        import torch
        from transformers import DynamicCache

        if not batch[0].shared:
            return self._pad_left(encoded)
        starts = list(accumulate((len(family.members) for family in batch), initial=0))
        shared = [encoded.ids[start][: family.shared] for start, family in zip(starts, batch, strict=False)]
        for module in self.model.modules():
            if getattr(module, "rope_deltas", None) is not None:
                module.rope_deltas = None  # Qwen-VL would add what an earlier batch's images left there
        cache = DynamicCache(config=self.model.config.get_text_config())
        first = self._pad_left(Encoded(shared))
        self.model(**first, position_ids=_positions(first), past_key_values=cache, use_cache=True, logits_to_keep=1)
        of = [number for number, family in enumerate(batch) for _ in family.members]
        rows = torch.tensor(of, device=self.model.device)
        cache.batch_select_indices(rows)
        rest = self._pad_left(
            Encoded([ids[batch[number].shared :] for ids, number in zip(encoded.ids, of, strict=True)])
        )
        joined = {name: torch.cat([first[name][rows], rest[name]], 1) for name in first}
        return {**joined, "past_key_values": cache}

    def _pad_left(self, encoded: Encoded) -> dict[str, Any]:
        """The model's inputs, on its device: ids, mask and marks, (B, L), and the images."""
        import numpy as np
        import torch

        lengths = [len(ids) for ids in encoded.ids]

        def padded(rows: Sequence[list[int]], padding: int) -> Any:
            return torch.tensor([[padding] * (max(lengths) - len(row)) + row for row in rows])

        inputs = {
            "input_ids": padded(encoded.ids, self.files.tokenizer.pad_token_id),
            "attention_mask": padded([[1] * length for length in lengths], 0),
            **{name: padded(rows, 0) for name, rows in encoded.marks.items()},
            **{name: torch.as_tensor(np.asarray(value)) for name, value in encoded.pixels.items()},
        }
        return {
            name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        import torch

        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(training)

    def _log_probabilities(self, prompts: Sequence[ChoiceIds], batch: Sequence[Family]) -> list[list[float]]:
        """Runs what the choices of each prompt begin with, then the rest of every choice on a copy of its cache.

        A prompt with images comes alone, so there are no marks and pixels to merge.
        """
        import torch
        from transformers import DynamicCache

        prefix = prompts[0].prefix
        encoded = Encoded([one.prefix.ids[0] for one in prompts], prefix.marks, prefix.pixels)
        rows = [(row, tail) for row, one in enumerate(prompts) for tail in one.tails]
        totals: list[list[float]] = [[] for _ in prompts]
        with self._evaluating():
            inputs = self._inputs(encoded, batch)
            mask = inputs["attention_mask"]
            if not prefix.pixels:
                # Models whose positions depend on the images (Qwen-VL) compute them themselves.
                inputs["position_ids"] = _positions(inputs)
            cache = inputs.setdefault("past_key_values", DynamicCache(config=self.model.config.get_text_config()))
            left = mask.shape[1] - cache.get_seq_length()
            for name in {"input_ids", "position_ids"} & inputs.keys():
                inputs[name] = inputs[name][:, -left:]
            output = self.model(**inputs, use_cache=True, logits_to_keep=1)
            shift = getattr(self.model.base_model, "rope_deltas", None) if prefix.pixels else None
            first = output.logits[:, -1].float().log_softmax(-1)
            for start in range(0, len(rows), self.batch_size):
                part = rows[start : start + self.batch_size]
                tails = [tail for _, tail in part]
                of = torch.tensor([row for row, _ in part], device=first.device)
                sums = first[of, torch.tensor([tail[0] for tail in tails], device=first.device)]
                if max(map(len, tails)) > 1:
                    copied = copy.deepcopy(cache)
                    copied.batch_select_indices(of)
                    sums = sums + self._after_first(tails, copied, mask[of], shift)
                for (row, _), total in zip(part, sums.tolist(), strict=True):
                    totals[row].append(total)
        return totals

    def _after_first(self, tails: Sequence[list[int]], cache: Any, mask: Any, shift: Any) -> Any:
        """For each tail, the sum of the log-probabilities of its tokens from the second on, given what is cached."""
        import torch

        width = max(map(len, tails)) - 1
        # Padded on the right, which no token of a choice attends to.
        padded = [tail + [tail[-1]] * (width + 1 - len(tail)) for tail in tails]
        ids = torch.tensor(padded, device=mask.device)
        lengths = torch.tensor([len(tail) for tail in tails], device=mask.device)
        is_token = torch.arange(1, width + 1, device=mask.device) < lengths[:, None]
        seen = torch.cat([mask, torch.ones_like(ids[:, :-1])], 1)
        output = self.model(
            input_ids=ids[:, :-1],
            attention_mask=seen,
            position_ids=(seen.cumsum(1) - 1)[:, -width:] + (0 if shift is None else shift.to(seen)),
            past_key_values=cache,
            use_cache=True,
        )
        logps = output.logits.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        return logps.masked_fill(~is_token, 0.0).sum(1)


def _positions(inputs: dict[str, Any]) -> Any:
    """The position of each token in its row, (B, L), padding not counted."""
    return (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)


def _size(conversation: Messages) -> tuple[int, int]:
    """Orders conversations by their images, then by their text, so that those of a batch are about equally long."""
    text = sum(len(part.get("text", "")) for turn in typed(conversation) for part in turn["content"])
    return len(images_of(conversation)), text
