"""vLLM as the sampler of TRL's GRPO trainer: in process without a GPU, with images, and decoding greedily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from trl.generation.vllm_generation import VLLMGeneration

from ssl4rl.inference.engines.vllm import start, uncompiled
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.tokens import Encoder


def vllm_prompt(encoder: Encoder, messages: Messages, mode: str) -> list[int]:
    """A prompt as TRL's vLLM takes it: only its server needs images expanded to their tokens."""
    return encoder.encode([messages]).ids[0] if mode == "server" else encoder.unexpanded(messages)


def generate(
    generation: Any, prompts: Sequence[list[int]], images: Sequence[list[Any] | None], *, greedily: bool
) -> list[list[int]]:
    """A reply to each prompt, as token ids, from the vLLM that training samples from: likeliest or sampled."""
    if not prompts:
        return []
    temperature = generation.temperature
    if greedily:
        generation.temperature = 0.0
    try:
        _, replies, _, _ = generation.generate(
            prompts=list(prompts), images=list(images) if any(images) else None, num_generations=1
        )
    finally:
        generation.temperature = temperature
    return list(replies)


def forget_images_after_sync(generation: Any) -> None:
    """Makes a weight sync of TRL's clear vLLM's cache of encoded images, which the old weights computed."""
    sync = generation.sync_weights

    def sync_and_forget() -> None:
        sync()
        generation.llm.llm_engine.reset_encoder_cache()

    generation.sync_weights = sync_and_forget


def start_in_process(trainer: Any, max_model_length: int) -> InProcessVLLM:
    """The vLLM of a trainer on a machine without a GPU, with the settings that TRL would give its own."""
    args = trainer.args
    return InProcessVLLM(
        model=trainer.model,
        accelerator=trainer.accelerator,
        processing_class=trainer.processing_class,
        seed=args.seed,
        max_model_length=max_model_length,
        max_num_seqs=args.per_device_train_batch_size * args.steps_per_generation,
        repetition_penalty=args.repetition_penalty,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        structured_outputs_regex=args.vllm_structured_outputs_regex,
        max_completion_length=args.max_completion_length,
        generation_kwargs=args.generation_kwargs,
    )


class InProcessVLLM(VLLMGeneration):  # type: ignore[misc]
    """TRL's vLLM client with an engine of the trainer's dtype, and a weight sync that works on the CPU.

    TRL 1.16's colocated engine fails there at the first weight sync: its ``load_weights`` writes into parameters that
    vLLM's CPU backend (0.31) has repacked. ``reload_weights`` undoes and redoes the packing. This class can go once
    TRL's own sync works on the CPU.
    """

    def __init__(self, *arguments: Any, seed: int = 0, **settings: Any) -> None:
        self.seed = seed
        super().__init__(*arguments, **settings)

    def _init_vllm(self) -> None:
        self.llm = start(
            self.model.name_or_path,
            # vLLM's "auto" turns float32 into bfloat16, and its log-probabilities would differ from the trainer's.
            dtype=str(self.model.dtype).removeprefix("torch."),
            max_model_len=self.max_model_length,
            max_num_seqs=self.max_num_seqs,
            seed=self.seed,
            logprobs_mode="processed_logprobs",
            # The completions of a group share the prompt's blocks, which have 128 tokens by default on the CPU.
            enable_prefix_caching=True,
            block_size=32,
        )

    def generate(self, *arguments: Any, **settings: Any) -> Any:
        """As TRL does."""
        with uncompiled():
            return super().generate(*arguments, **settings)

    def sync_weights(self) -> None:
        """Loads the trainer's current weights (adapters merged) into the engine."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": self._weights()})
        self.llm.reset_prefix_cache()
        # The images that the old weights encoded; the engine would reuse them.
        self.llm.llm_engine.reset_encoder_cache()

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        names = set()
        embedding = self.model.get_input_embeddings().weight
        tied = self.model.get_output_embeddings().weight is embedding
        for name, weight in self._iter_named_params():
            names.add(name)
            # Copies, because the weights of an adapter are unmerged again when this iterator ends.
            yield name, weight.detach().clone()
        if tied and "lm_head.weight" not in names:
            # The engine has a head of its own, which would silently keep its old values.
            yield "lm_head.weight", embedding.detach().clone()
