"""A model in this process, run by transformers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ssl4rl.inference import adapters, checks
from ssl4rl.inference.engines import Reply, Sampling
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
    """The model's weights, on the GPU if there is one.

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
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    checks.check_output(files, model)
    return model.eval()


class TransformersEngine:
    """A causal language model in memory; conversations of similar length share a batch of ``batch_size``."""

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

    def stream(self, conversations: Sequence[Messages], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, a batch at a time; sampled replies also depend on the batches."""
        import torch

        config = self._generation_config(sampling)
        for batch, indices in enumerate(self._batches([_size(one) for one in conversations])):
            encoded = self.files.encoder.encode([conversations[index] for index in indices])
            check_conversations(
                [len(ids) for ids in encoded.ids], sampling.max_new_tokens, self.context_length, indices
            )
            inputs = self._pad_left(encoded)
            with self._evaluating(), torch.random.fork_rng():
                torch.manual_seed(sampling.seed + batch)
                output = self.model.generate(**inputs, generation_config=config)
            for index, tokens in zip(indices, output[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                yield index, self._reply(tokens)

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
                yield index, self._log_probabilities([prompt])[0]
            else:
                text_only.append(index)
        prompts = [self.files.encoder.choice_ids(conversations[index], choices[index]) for index in text_only]
        check_conversations([max(map(len, one.continued)) for one in prompts], 0, self.context_length, text_only)
        for places in self._batches([one.common for one in prompts]):
            sums = self._log_probabilities([prompts[place] for place in places])
            yield from zip([text_only[place] for place in places], sums, strict=True)

    def _generation_config(self, sampling: Sampling) -> Any:
        """Every setting is explicit, since ``generate`` would take those that are None from the model's own."""
        from transformers import GenerationConfig

        draws = {}
        if sampling.temperature > 0:
            draws = {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "min_p": 0.0,
            }
        return GenerationConfig(
            do_sample=sampling.temperature > 0,
            **draws,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=self.files.eos_token_ids,
            pad_token_id=self.files.tokenizer.pad_token_id,
            suppress_tokens=self.files.suppressed_tokens or None,
            disable_compile=True,
        )

    def _reply(self, tokens: list[int]) -> Reply:
        ends = [position for position, token in enumerate(tokens) if token in self.files.eos_token_ids]
        tokens = tokens[: ends[0] + 1] if ends else tokens
        return Reply(self.files.decode(tokens), len(tokens), truncated=not ends)

    def _batches(self, lengths: Sequence[Any]) -> list[list[int]]:
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

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

    def _log_probabilities(self, prompts: Sequence[ChoiceIds]) -> list[list[float]]:
        """Runs what the choices of each prompt begin with, then the rest of every choice on a copy of its cache."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config.get_text_config())
        # A prefix with images comes alone, so there are no marks and pixels to merge.
        prefix = prompts[0].prefix
        inputs = self._pad_left(Encoded([one.prefix.ids[0] for one in prompts], prefix.marks, prefix.pixels))
        mask = inputs["attention_mask"]
        if not prefix.pixels:
            # Models whose positions depend on the images (Qwen-VL) compute them themselves.
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        rows = [(row, tail) for row, one in enumerate(prompts) for tail in one.tails]
        totals: list[list[float]] = [[] for _ in prompts]
        with self._evaluating():
            output = self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
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


def _size(conversation: Messages) -> tuple[int, int]:
    """Orders conversations by their images, then by their text, so that those of a batch are about equally long."""
    text = sum(len(part.get("text", "")) for turn in typed(conversation) for part in turn["content"])
    return len(images_of(conversation)), text
