"""A model in this process, run by transformers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.inference.engines.base import Messages, Reply, Sampling
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.processor import pictures, typed
from ssl4rl.inference.tokens import ChoiceIds, Encoded, check_lengths, choice_ids, encode


def load(files: ModelFiles, dtype: str) -> Any:
    """The model on the GPU, if there is one.

    Raises:
        UserError: if its weights cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if files.reads_images else AutoModelForCausalLM
    try:
        model = kind.from_pretrained(files.path, dtype=dtype)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load model {files.name!r}: {str(error).strip().splitlines()[0]}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


class TransformersEngine:
    """Whatever causal language model is in memory; texts of similar length share a batch of ``batch_size``."""

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
        return {"engine": "transformers", "model": self.files.fingerprint, "dtype": dtype}

    def stream(self, conversations: Sequence[Messages], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, a batch at a time; draws depend on the batches, too."""
        import torch

        config = self._generation_config(sampling)
        for batch, indices in enumerate(self._batches([_size(one) for one in conversations])):
            encoded = encode(self.files.processor, [conversations[index] for index in indices])
            check_lengths([len(ids) for ids in encoded.ids], sampling.max_new_tokens, self.context_length, indices)
            inputs = self._pad_left(encoded)
            with self._evaluating(), torch.random.fork_rng():
                torch.manual_seed(sampling.seed + batch)
                output = self.model.generate(**inputs, generation_config=config)
            for index, tokens in zip(indices, output[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                yield index, self._reply(tokens)

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and its choices' log-probabilities; what choices share is run once."""
        kept: list[int] = []
        for index, (conversation, several) in enumerate(zip(conversations, choices, strict=True)):
            if pictures(conversation):
                # One at a time: its choices make up a batch, and pictures of several sizes need not fit together.
                asked = choice_ids(self.files.processor, conversation, several)
                check_lengths([max(map(len, asked.continued))], 0, self.context_length, [index])
                yield index, self._log_probabilities([asked])[0]
            else:
                kept.append(index)
        plain = [choice_ids(self.files.processor, conversations[index], choices[index]) for index in kept]
        check_lengths([max(map(len, one.continued)) for one in plain], 0, self.context_length, kept)
        for places in self._batches([one.common for one in plain]):
            found = self._log_probabilities([plain[place] for place in places])
            yield from zip([kept[place] for place in places], found, strict=True)

    def _generation_config(self, sampling: Sampling) -> Any:
        """All that was asked for and nothing else: what is None here, ``generate`` would fill in from the model."""
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
        return Reply(self.files.tokenizer.decode(tokens, skip_special_tokens=True), len(tokens), truncated=not ends)

    def _batches(self, lengths: Sequence[Any]) -> list[list[int]]:
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def _pad_left(self, encoded: Encoded) -> dict[str, Any]:
        """The model's inputs, on its device: ids and mask, (B, L), what is said of each token, and the pictures."""
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

    def _log_probabilities(self, asked: Sequence[ChoiceIds]) -> list[list[float]]:
        """Runs what the choices of a conversation begin with, then what is left of each on a copy of its cache."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config.get_text_config())
        # Only a single prefix has pictures, so there is nothing to merge.
        inputs = self._pad_left(
            Encoded([one.prefix.ids[0] for one in asked], asked[0].prefix.marks, asked[0].prefix.pixels)
        )
        mask = inputs["attention_mask"]
        if not asked[0].prefix.pixels:
            # Models whose positions depend on the pictures (Qwen-VL) count them themselves, the others from the mask.
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        rows = [(row, tokens[one.common :]) for row, one in enumerate(asked) for tokens in one.continued]
        found: list[list[float]] = [[] for _ in asked]
        with self._evaluating():
            output = self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            shift = getattr(self.model.base_model, "rope_deltas", None) if asked[0].prefix.pixels else None
            first = output.logits[:, -1].float().log_softmax(-1)
            for start in range(0, len(rows), self.batch_size):
                part = rows[start : start + self.batch_size]
                of = torch.tensor([row for row, _ in part], device=first.device)
                totals = first[of, torch.tensor([rest[0] for _, rest in part], device=first.device)]
                width = max(len(rest) for _, rest in part) - 1
                if width:
                    # Padded on the right, where nothing that counts attends to.
                    rest_ids = torch.tensor(
                        [rest + [rest[-1]] * (width + 1 - len(rest)) for _, rest in part], device=first.device
                    )
                    kept = torch.tensor(
                        [[position < len(rest) for position in range(1, width + 1)] for _, rest in part],
                        device=first.device,
                    )
                    copied = copy.deepcopy(cache)
                    copied.batch_select_indices(of)
                    seen = torch.cat([mask[of], torch.ones_like(rest_ids[:, :-1])], 1)
                    output = self.model(
                        input_ids=rest_ids[:, :-1],
                        attention_mask=seen,
                        position_ids=(seen.cumsum(1) - 1)[:, -width:] + (0 if shift is None else shift.to(seen)),
                        past_key_values=copied,
                        use_cache=True,
                    )
                    logps = output.logits.float().log_softmax(-1).gather(-1, rest_ids[:, 1:, None])[..., 0]
                    totals = totals + logps.masked_fill(~kept, 0.0).sum(1)
                for (row, _), total in zip(part, totals.tolist(), strict=True):
                    found[row].append(total)
        return found


def _size(conversation: Messages) -> tuple[int, int]:
    """Orders conversations by their pictures, then by their text: those of a batch should be about as long."""
    text = sum(len(part.get("text", "")) for turn in typed(conversation) for part in turn["content"])
    return len(pictures(conversation)), text
