"""vLLM in this process: starting it, on a GPU or on the CPU, and the engine that answers with it.

What an engine needs of vLLM (0.31) beyond its documented interface is gathered here, each with its reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any, TypeAlias

from ssl4rl.errors import UserError
from ssl4rl.inference import prepare_environment
from ssl4rl.inference.engines.base import Messages, Reply, Sampling, request_seeds
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.processor import pictures
from ssl4rl.inference.tokens import ChoiceIds, check_lengths, choice_ids, encode, unexpanded

_Prompt: TypeAlias = dict[str, Any]
"""A prompt as vLLM takes it: token ids, and pictures beside them."""
_Request: TypeAlias = tuple[int, _Prompt, Any]
"""A number, a prompt and vLLM's sampling parameters."""

# More than vLLM runs at once, and few enough that it need not hold all of a benchmark.
IN_FLIGHT = 1024


@contextmanager
def _llvmlite_out_of_sight() -> Iterator[None]:
    """As it starts, vLLM (0.31) looks through all imported modules, and fails on an object in this one.

    The object's ``__dict__`` is a function of the wrapped library. numba imports the module, and torch_geometric numba.
    """
    name = "llvmlite.binding.ffi"
    module = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if module is not None:
            sys.modules[name] = module


def uncompiled() -> AbstractContextManager[Any]:
    """Around every use of vLLM: on the CPU its small compiled functions run as they are written.

    Compiling them needs a C++ compiler, and fails (torch 2.13) where the path of the installation has a space.
    """
    import torch

    return nullcontext() if torch.cuda.is_available() else torch.compiler.set_stance("force_eager")


def start(model: str, **settings: Any) -> Any:
    """``vllm.LLM(model, **settings)``, wherever this process runs."""
    prepare_environment()
    import torch
    from vllm import LLM

    with _llvmlite_out_of_sight(), uncompiled():
        return LLM(model=model, enforce_eager=not torch.cuda.is_available(), use_tqdm_on_load=False, **settings)


class VLLMEngine:
    """vLLM with a model of its own.

    Args:
        dtype: a torch dtype's name; vLLM's ``auto`` makes bfloat16 or float16 of float32.
        context_length: most tokens of prompt and reply; where None, what the model takes and memory allows.

    Raises:
        UserError: if vLLM cannot start with this model.
    """

    def __init__(self, files: ModelFiles, *, dtype: str, context_length: int | None = None) -> None:
        import torch

        self.files = files
        settings: dict[str, Any] = {"dtype": dtype, "enable_prefix_caching": True}
        if not torch.cuda.is_available():
            # Whole blocks of a shared prefix are cached, by default of 128 tokens on the CPU.
            settings["block_size"] = 32
        settings["max_model_len"] = -1 if context_length is None else files.context_length(context_length)
        try:
            self.llm = start(files.path, **settings)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"vLLM cannot start with model {files.name!r}: {error}") from error
        self.context_length: int = self.llm.llm_engine.model_config.max_model_len

    @property
    def identity(self) -> dict[str, Any]:
        """The model's content, and that vLLM runs it in this dtype."""
        dtype = str(self.llm.llm_engine.model_config.dtype).removeprefix("torch.")
        return {"engine": "vllm", "model": self.files.fingerprint, "dtype": dtype}

    def stream(self, conversations: Sequence[Messages], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, as soon as it is finished; a draw depends on the prompt and the seed."""
        from vllm import SamplingParams

        prompts = encode(self.files.processor, conversations).ids
        check_lengths([len(prompt) for prompt in prompts], sampling.max_new_tokens, self.context_length)
        seeds = request_seeds([repr(prompt) for prompt in prompts], sampling.seed)

        def requests() -> Iterator[_Request]:
            # Prompts that begin alike are neighbours, so that what they share is still cached.
            for index in sorted(range(len(prompts)), key=prompts.__getitem__):
                params = SamplingParams(
                    max_tokens=sampling.max_new_tokens,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    top_k=sampling.top_k,
                    seed=seeds[index],
                    stop_token_ids=self.files.eos_token_ids,
                    logit_bias=dict.fromkeys(self.files.suppressed_tokens, -100.0) or None,
                    detokenize=False,
                )
                images = pictures(conversations[index])
                ids = unexpanded(self.files.processor, conversations[index]) if images else prompts[index]
                yield index, _prompt(ids, images), params

        for index, output in self._run(requests()):
            [completion] = output.outputs
            text = self.files.tokenizer.decode(completion.token_ids, skip_special_tokens=True)
            yield index, Reply(text, len(completion.token_ids), completion.finish_reason == "length")

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and its choices' log-probabilities; the prompt is run once for all of them."""
        asked = [
            choice_ids(self.files.processor, conversation, several)
            for conversation, several in zip(conversations, choices, strict=True)
        ]
        # vLLM always writes a token.
        check_lengths([max(map(len, one.continued)) for one in asked], 1, self.context_length)
        order = sorted(range(len(asked)), key=lambda index: asked[index].continued)
        pairs = [(index, choice) for index in order for choice in range(len(asked[index].continued))]
        found: list[dict[int, float]] = [{} for _ in asked]
        # What a request finds in the cache is not scored. Mostly that is a part of what all choices share; where it is
        # more, the request is made again without the cache.
        for use_cache in (True, False):
            again = []
            for number, output in self._run(self._scored(asked, conversations, pairs, use_cache)):
                index, choice = pairs[number]
                total = _tail_log_probability(output, asked[index].common)
                if total is None:
                    again.append((index, choice))
                    continue
                found[index][choice] = total
                if len(found[index]) == len(asked[index].continued):
                    yield index, [found[index][at] for at in range(len(found[index]))]
            pairs = again
        if pairs:
            raise RuntimeError("vLLM did not score the end of a prompt")

    def _scored(
        self,
        asked: Sequence[ChoiceIds],
        conversations: Sequence[Messages],
        pairs: Sequence[tuple[int, int]],
        use_cache: bool,
    ) -> Iterator[_Request]:
        from vllm import SamplingParams

        for number, (index, choice) in enumerate(pairs):
            params = SamplingParams(
                max_tokens=1,
                temperature=0.0,
                prompt_logprobs=0,
                flat_logprobs=True,
                # vLLM reads no cache for a prompt that is scored, unless told to.
                skip_reading_prefix_cache=not use_cache,
                detokenize=False,
            )
            ids = asked[index].unexpanded + asked[index].tails[choice]
            yield number, _prompt(ids, pictures(conversations[index])), params

    def _run(self, requests: Iterator[_Request]) -> Iterator[tuple[int, Any]]:
        """Each request's number and output; vLLM's own ``generate`` returns when the last is finished."""
        from vllm.sampling_params import RequestOutputKind

        engine = self.llm.llm_engine
        waiting: set[str] = set()
        try:
            while True:
                for number, prompt, params in islice(requests, IN_FLIGHT - len(waiting)):
                    params.output_kind = RequestOutputKind.FINAL_ONLY
                    engine.add_request(str(number), prompt, params)
                    waiting.add(str(number))
                if not waiting:
                    return
                with uncompiled():
                    outputs = engine.step()
                for output in outputs:
                    if output.finished:
                        waiting.discard(output.request_id)
                        yield int(output.request_id), output
        finally:
            # Whoever asked has stopped listening.
            engine.abort_request(list(waiting))


def _prompt(ids: list[int], images: list[Any]) -> _Prompt:
    """Token ids with one placeholder per picture, and the pictures."""
    return {"prompt_token_ids": ids, **({"multi_modal_data": {"image": images}} if images else {})}


def _tail_log_probability(output: Any, common: int) -> float | None:
    """The log-probability of a prompt's tokens from position ``common`` on; None if one was not scored."""
    ids, rows = output.prompt_token_ids, output.prompt_logprobs
    length = len(ids) - common
    # The token after the last cached one is the first whose row is written; the rows before it are missing (vLLM's
    # second model runner) or hold anything (its first).
    if output.num_cached_tokens >= common or len(rows) <= length:
        return None
    return sum(float(row[token].logprob) for row, token in zip(rows[-length:], ids[-length:], strict=True))
