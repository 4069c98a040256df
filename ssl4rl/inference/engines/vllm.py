"""vLLM in this process: starting it, on a GPU or on the CPU, and the engine that replies with it.

Everything that relies on more than vLLM's documented interface (0.31) is in this module, each with its reason.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any, TypeAlias

from ssl4rl.errors import UserError
from ssl4rl.inference.checks import MARK, not_a_number
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.inference.engines.draws import draw_seeds
from ssl4rl.inference.environment import prepare_environment
from ssl4rl.inference.lengths import check_conversations
from ssl4rl.inference.messages import Messages, images_of
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.tokens import ChoiceIds

_Prompt: TypeAlias = dict[str, Any]
"""A prompt as vLLM takes it: token ids, and the images if there are any."""
_Request: TypeAlias = tuple[int, _Prompt, Any]
"""A number, a prompt and vLLM's sampling parameters."""

IN_FLIGHT = 1024
"""Requests that vLLM is given at once: more than it runs in parallel, and fewer than a whole benchmark."""


@contextmanager
def _llvmlite_hidden() -> Iterator[None]:
    """Hides a module that vLLM (0.31) fails on, as it inspects all imported modules when it starts.

    An object in that module has a ``__dict__`` that is a function of the wrapped library. numba imports the module, and
    torch_geometric imports numba.
    """
    name = "llvmlite.binding.ffi"
    module = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if module is not None:
            sys.modules[name] = module


def uncompiled() -> AbstractContextManager[Any]:
    """A context for every use of vLLM, in which its small compiled functions run uncompiled on the CPU.

    Compiling them needs a C++ compiler, and fails (torch 2.13) if the path of the installation has a space.
    """
    import torch

    return nullcontext() if torch.cuda.is_available() else torch.compiler.set_stance("force_eager")


def start(model: str, **settings: Any) -> Any:
    """``vllm.LLM(model, **settings)``, on a GPU or on the CPU."""
    prepare_environment()
    import torch
    from vllm import LLM

    with _llvmlite_hidden(), uncompiled():
        return LLM(model=model, enforce_eager=not torch.cuda.is_available(), use_tqdm_on_load=False, **settings)


def open_vllm(files: ModelFiles, *, dtype: str, context_length: int | None, batch_size: int) -> VLLMEngine:
    """The engine with the model loaded; an :class:`ssl4rl.inference.engines.EngineFactory`. vLLM batches by itself."""
    return VLLMEngine(files, dtype=dtype, context_length=context_length)


class VLLMEngine:
    """vLLM with a model of its own.

    Args:
        dtype: the name of a torch dtype; not ``auto``, which vLLM takes as bfloat16 or float16 for float32 weights.
        context_length: most tokens of prompt and reply; None is what the model takes and memory allows.

    Raises:
        UserError: if vLLM cannot start with this model.
    """

    def __init__(self, files: ModelFiles, *, dtype: str, context_length: int | None = None) -> None:
        import torch

        self.files = files
        settings: dict[str, Any] = {"dtype": dtype, "enable_prefix_caching": True}
        if not torch.cuda.is_available():
            # Only whole blocks of a shared prefix are cached, and on the CPU they have 128 tokens by default.
            settings["block_size"] = 32
        settings["max_model_len"] = -1 if context_length is None else files.context_length(context_length)
        try:
            self.llm = start(files.weights, **settings)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"vLLM cannot start with model {files.name!r}: {error}") from error
        self.context_length: int = self.llm.llm_engine.model_config.max_model_len
        self._check_output(dtype)

    def _check_output(self, dtype: str) -> None:
        """Refuses a model whose output is not a number, which vLLM would turn into some token or other."""
        from vllm import SamplingParams

        prompt = _prompt(self.files.prompt_ids([{"role": "user", "content": MARK}]), [])
        params = SamplingParams(max_tokens=1, temperature=0.0, logprobs=1, detokenize=False)
        [(_, output)] = self._run(iter([(0, prompt, params)]))
        [likeliest] = output.outputs[0].logprobs
        if any(math.isnan(one.logprob) for one in likeliest.values()):
            raise not_a_number(self.files, dtype)

    @property
    def identity(self) -> dict[str, Any]:
        """The model by content, run by vLLM in this dtype."""
        dtype = str(self.llm.llm_engine.model_config.dtype).removeprefix("torch.")
        return {"engine": "vllm", "model": self.files.fingerprint, "dtype": dtype, **self.files.template_identity}

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, as soon as it is finished; a prompt's draws share its cached prefix."""
        from vllm import SamplingParams

        prompts = self.files.encoder.encode(conversations).ids
        check_conversations([len(prompt) for prompt in prompts], sampling.max_new_tokens, self.context_length)
        seeds = draw_seeds(conversations, sampling.seed, draws)

        def requests() -> Iterator[_Request]:
            # Sorted, so that prompts with a common beginning follow each other while it is cached.
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
                images = images_of(conversations[index])
                ids = self.files.encoder.unexpanded(conversations[index]) if images else prompts[index]
                yield index, _prompt(ids, images), params

        for index, output in self._run(requests()):
            [completion] = output.outputs
            ids, truncated = completion.token_ids, completion.finish_reason == "length"
            yield index, Reply(self.files.decode(ids), len(ids), truncated, len(prompts[index]))

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and its choices' log-probabilities; the prompt is run once for all of them."""
        prompts = [
            self.files.encoder.choice_ids(conversation, several)
            for conversation, several in zip(conversations, choices, strict=True)
        ]
        # vLLM always generates a token.
        check_conversations([max(map(len, one.continued)) for one in prompts], 1, self.context_length)
        order = sorted(range(len(prompts)), key=lambda index: prompts[index].continued)
        pairs = [(index, choice) for index in order for choice in range(len(prompts[index].tails))]
        totals: list[dict[int, float]] = [{} for _ in prompts]
        # vLLM does not score the tokens that a request finds in the cache. Those are mostly tokens that all choices
        # share; if there are more of them, the request is repeated without the cache.
        for use_cache in (True, False):
            repeated = []
            for number, output in self._run(self._requests(prompts, conversations, pairs, use_cache)):
                index, choice = pairs[number]
                total = _tail_log_probability(output, prompts[index].common)
                if total is None:
                    repeated.append((index, choice))
                    continue
                totals[index][choice] = total
                if len(totals[index]) == len(prompts[index].tails):
                    yield index, [totals[index][place] for place in range(len(totals[index]))]
            pairs = repeated
        if pairs:
            raise RuntimeError("vLLM did not score the end of a prompt")

    def _requests(
        self,
        prompts: Sequence[ChoiceIds],
        conversations: Sequence[Messages],
        pairs: Sequence[tuple[int, int]],
        use_cache: bool,
    ) -> Iterator[_Request]:
        """Requests for the log-probabilities of prompts, each with one of its choices."""
        from vllm import SamplingParams

        for number, (index, choice) in enumerate(pairs):
            params = SamplingParams(
                max_tokens=1,
                temperature=0.0,
                prompt_logprobs=0,
                flat_logprobs=True,
                # By default vLLM reads no cache for a prompt that it scores.
                skip_reading_prefix_cache=not use_cache,
                detokenize=False,
            )
            ids = prompts[index].unexpanded + prompts[index].tails[choice]
            yield number, _prompt(ids, images_of(conversations[index])), params

    def _run(self, requests: Iterator[_Request]) -> Iterator[tuple[int, Any]]:
        """Each request's number and output, when it is finished; vLLM's own ``generate`` waits for the last one."""
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
            # The caller may have stopped before all were finished.
            engine.abort_request(list(waiting))


def _prompt(ids: list[int], images: list[Any]) -> _Prompt:
    """Token ids with one placeholder per image, and the images."""
    return {"prompt_token_ids": ids, **({"multi_modal_data": {"image": images}} if images else {})}


def _tail_log_probability(output: Any, common: int) -> float | None:
    """The log-probability of a prompt's tokens from position ``common`` on; None if one was not scored."""
    ids, rows = output.prompt_token_ids, output.prompt_logprobs
    length = len(ids) - common
    # Rows are written from the token after the last cached one on; those before are missing (vLLM's second model
    # runner) or hold arbitrary values (its first).
    if output.num_cached_tokens >= common or len(rows) <= length:
        return None
    return sum(float(row[token].logprob) for row, token in zip(rows[-length:], ids[-length:], strict=True))
