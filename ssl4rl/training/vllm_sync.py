"""vLLM inside the training process on a machine without a GPU, for TRL's GRPO trainer.

TRL 1.16's colocated engine fails there at the first weight sync: its ``load_weights`` writes into parameters that
vLLM's CPU backend (0.31) has repacked. ``reload_weights`` undoes and redoes the packing, so it is used instead. This
module can go once TRL's own sync works on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from trl.generation.vllm_generation import VLLMGeneration

from ssl4rl.inference.engines.vllm import start, uncompiled


class InProcessVLLM(VLLMGeneration):  # type: ignore[misc]
    """TRL's vLLM client with an engine of the trainer's dtype and a weight sync that the CPU backend takes."""

    def __init__(self, *arguments: Any, seed: int = 0, **settings: Any) -> None:
        self.seed = seed
        super().__init__(*arguments, **settings)

    def _init_vllm(self) -> None:
        self.llm = start(
            self.model.name_or_path,
            # vLLM's "auto" turns float32 into bfloat16, and then its log-probabilities are not the trainer's.
            dtype=str(self.model.dtype).removeprefix("torch."),
            max_model_len=self.max_model_length,
            max_num_seqs=self.max_num_seqs,
            seed=self.seed,
            logprobs_mode="processed_logprobs",
            # The completions of a group share the prompt's blocks, which by default are of 128 tokens on the CPU.
            enable_prefix_caching=True,
            block_size=32,
        )

    def generate(self, *arguments: Any, **settings: Any) -> Any:
        """As TRL's."""
        with uncompiled():
            return super().generate(*arguments, **settings)

    def sync_weights(self) -> None:
        """Loads the trainer's current weights (adapters merged) into the engine."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": self._weights()})
        self.llm.reset_prefix_cache()
        # What the old weights made of a picture; the engine would else take it again for the same picture.
        self.llm.llm_engine.reset_encoder_cache()

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        names = set()
        embedding = self.model.get_input_embeddings().weight
        tied = self.model.get_output_embeddings().weight is embedding
        for name, weight in self._iter_named_params():
            names.add(name)
            # Copies, because the merged weights of an adapter are taken back when this iterator ends.
            yield name, weight.detach().clone()
        if tied and "lm_head.weight" not in names:
            # The engine keeps a head of its own; without this line it would silently keep its old values.
            yield "lm_head.weight", embedding.detach().clone()
