"""TRL's GRPO trainer on a task: examples are built as they are used, and each prompt is run once per group.

It differs from ``trl.GRPOTrainer`` (1.16) in where prompts come from, in its one reward function, in groups that stay
whole when a generation batch is shuffled, in the shared prompt in the training forward and in transformers' generation,
and in vLLM in process on the CPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from ssl4rl.example import Example
from ssl4rl.inference import engines
from ssl4rl.inference.engines.transformers import TransformersEngine
from ssl4rl.inference.lengths import check_example
from ssl4rl.inference.messages import Messages, images_of, typed
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.tokens import Encoded, encode
from ssl4rl.records import Completion
from ssl4rl.tasks import AnyTask
from ssl4rl.training import shared_prompt, vllm_sync
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.recipe import ModelSettings, Recipe
from ssl4rl.training.rewards import RewardFunction
from ssl4rl.training.rollout import Sampling, sample_groups
from ssl4rl.training.shared_images import Images, bare

VISION_TOWER = re.compile(r"(.*\.)?(visual|vision_tower|vision_model)\..*")
"""The names of the parameters of a vision-language model that read images, in transformers."""


class _StepCallback(TrainerCallback):  # type: ignore[misc]
    def __init__(self, on_step: Callable[[int, dict[str, Any]], None]) -> None:
        self.on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        # The trainer also logs its run time at the end, which is not a step.
        if state.is_world_process_zero and logs and "reward" in logs:
            self.on_step(state.global_step, logs)


def _reordered(value: Any, order: torch.Tensor) -> Any:
    """The rows of a tensor or list in another order; a value without rows is unchanged."""
    if isinstance(value, torch.Tensor) and value.ndim:
        return value[order.to(value.device)]
    return [value[row] for row in order.tolist()] if isinstance(value, list) else value


def _adapters(model: ModelSettings) -> Any:
    """The recipe's adapters as PEFT configures them; None if all weights are trained."""
    if model.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=model.lora.r,
        lora_alpha=model.lora.alpha,
        lora_dropout=model.lora.dropout,
        target_modules=model.lora.target_modules,
        exclude_modules=VISION_TOWER.pattern if model.freeze_vision else None,
        task_type="CAUSAL_LM",
    )


def _without_empty_inputs(module: Any, arguments: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Drops image inputs of no images, which TRL makes of those rows of a mixed batch that have none."""
    kept = {}
    for name, value in inputs.items():
        if not (isinstance(value, torch.Tensor) and value.ndim and len(value) == 0):
            kept[name] = value
    return arguments, kept


class TaskTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO on a task, with the recipe's model, reward and shared prompt; ``args`` holds TRL's own settings.

    ``on_step(step, logs)`` is called with the metrics of each logged step, on the main process;
    ``on_generation(step, records)`` with the completions of each generation batch, on every process with its share;
    ``sharing`` says after construction why prompts are not shared, or is None if they are.
    """

    _buffered_inputs: list[dict[str, Any]] | None

    def __init__(
        self,
        *,
        task: AnyTask,
        recipe: Recipe,
        files: ModelFiles,
        plan: BatchPlan,
        args: GRPOConfig,
        vllm_in_process: bool = False,
        on_step: Callable[[int, dict[str, Any]], None] | None = None,
        on_generation: Callable[[int, list[Completion]], None] | None = None,
    ) -> None:
        self._reward = RewardFunction(task, recipe.reward.kind, files.tokenizer)
        self._files = files
        self._on_generation = on_generation
        self._context_length = files.context_length(args.vllm_max_model_length)
        # Example i is row i, so shuffling rows would gain nothing. A row holds a number only: its prompt is built when
        # its completions are sampled (TRL reads each row many times).
        rows = Dataset.from_dict({"index": list(range(plan.num_prompts))})
        super().__init__(
            model=files.path,
            reward_funcs=self._reward,
            args=args,
            train_dataset=rows,
            processing_class=files.processor,
            callbacks=[_StepCallback(on_step)] if on_step else None,
            peft_config=_adapters(recipe.model),
        )
        base = self.accelerator.unwrap_model(self.model)
        for model in (base, self.ref_model) if files.reads_images else ():
            if model is not None:
                bare(model).register_forward_pre_hook(_without_empty_inputs, with_kwargs=True)
        if recipe.model.freeze_vision:
            for name, parameter in base.named_parameters():
                if VISION_TOWER.fullmatch(name):
                    parameter.requires_grad_(False)
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        self.sharing = shared_prompt.unsupported(base) if recipe.share_prompt else "share_prompt is off"
        self._share = self.sharing is None
        for shared in (base, self.ref_model) if self._share else ():
            if shared is not None:
                shared_prompt.prepare(self.accelerator.unwrap_model(shared))
        # Sampling with any other setting is left to transformers' own `generate`.
        plain = set(args.generation_kwargs or {}) <= {"suppress_tokens"} and args.repetition_penalty == 1
        other_sampler = args.use_vllm or vllm_in_process or args.use_transformers_continuous_batching
        self._share_sampling = self._share and plain and not (other_sampler or sharded or args.cache_implementation)
        if vllm_in_process:
            self.vllm_generation = vllm_sync.start_in_process(self, self._context_length)
            self.use_vllm = True
            self._last_loaded_step = -1
        elif args.use_vllm and args.vllm_mode == "colocate" and files.reads_images:
            vllm_sync.forget_images_after_sync(self.vllm_generation)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes none: the run says how the model was made."""

    def answer(self, examples: Sequence[Example], batch_size: int) -> list[str]:
        """The greedy reply to each example, from the vLLM that training samples from or from the model itself."""
        conversations = [self._files.messages(example) for example in examples]
        if not self.use_vllm:
            model = self.accelerator.unwrap_model(self.model)
            engine = TransformersEngine(model, self._files, batch_size=batch_size)
            sampling = engines.Sampling(max_new_tokens=self.max_completion_length)
            return [reply.text for reply in engines.generate(engine, conversations, sampling)]
        if self.state.global_step != self._last_loaded_step:
            self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        prompts = [self._vllm_prompt(conversation) for conversation in conversations]
        images = [images_of(conversation) or None for conversation in conversations]
        replies = vllm_sync.generate_greedily(self.vllm_generation, prompts, images)
        return list(self._files.tokenizer.batch_decode(replies, skip_special_tokens=True))

    def _vllm_prompt(self, messages: Messages) -> list[int]:
        return vllm_sync.vllm_prompt(self._files.processor, messages, self.args.vllm_mode)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._indices = [row["index"] for row in inputs]
        self._reward.load(self._indices)
        # The completions of an example share its prompt, images included. TRL applies the template of a processor, too.
        prompts = {index: self._files.messages(example) for index, example in self._reward.examples.items()}
        if self._files.reads_images:
            prompts = {index: typed(messages) for index, messages in prompts.items()}
        rows = [{"prompt": prompts[index], "index": index} for index in self._indices]
        output: dict[str, Any] = super()._generate_and_score_completions(rows)
        if self._on_generation is not None:
            self._on_generation(self.state.global_step + 1, self._reward.records)
        return output

    def _tokenize_prompts(self, prompts: list[Messages]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        """As TRL does, but once per example instead of once per completion; and it checks that prompts fit."""
        by_index = dict(zip(self._indices, prompts, strict=True))
        encoded = {index: encode(self._files.processor, [messages]) for index, messages in by_index.items()}
        for index, prompt in encoded.items():
            example, [ids] = self._reward.examples[index], prompt.ids
            check_example(self._files, example, len(ids), self.max_completion_length, self._context_length)
        images = [images_of(messages) for messages in prompts]
        if any(images) and self.use_vllm:
            short = {index: self._vllm_prompt(messages) for index, messages in by_index.items()}
            self._vllm_prompts = [short[index] for index in self._indices]
        rows = [encoded[index] for index in self._indices]
        return [row.ids[0] for row in rows], images if any(images) else None, _image_fields(rows)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        whole = len(generation_batch) % self.num_generations == 0 if isinstance(generation_batch, list) else False
        if not (self._share and self.model.training and whole):
            return super()._prepare_inputs(generation_batch)
        # TRL shuffles completions before it splits them into micro-batches, which scatters the groups. Shuffling whole
        # groups leaves fewer prompts per micro-batch. (The paper's trainer keeps groups whole too.)
        steps = self.args.steps_per_generation
        if self._step % (steps * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            groups = torch.randperm(len(generation_batch) // self.num_generations)
            order = (groups[:, None] * self.num_generations + torch.arange(self.num_generations)).flatten()
            batch = {key: _reordered(value, order) for key, value in split_pixel_values_by_grid(batch).items()}
            self._buffered_inputs = [unsplit_pixel_values_by_grid(part) for part in split_tensor_dict(batch, steps)]
        return self._buffered_inputs[self._step % steps]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **settings: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if not self._share or settings.get("compute_aux_loss"):
            result: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
            result = super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, **settings
            )
            return result
        images = None
        if settings.get("pixel_values") is not None:
            images = Images.of(settings["pixel_values"], settings["num_images"], settings.get("image_grid_thw"))
        with self.accelerator.autocast():
            logps, entropies = shared_prompt.logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                temperature=self.temperature,
                images=images,
                batch_size=batch_size,
                entropy_gradient=self._entropy_bonus_enabled,
            )
        return logps, entropies if settings.get("compute_entropy") else None, None

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], Any]:
        # A process may hold only a part of a group.
        group = math.gcd(len(prompt_ids), num_generations)
        distinct = Images.none(len(prompt_ids))
        if self._share_sampling and images is not None:
            counts = [len(shown) for shown in images]
            distinct = Images.of(multimodal_fields["pixel_values"], counts, multimodal_fields.get("image_grid_thw"))
        prompts = list(zip(prompt_ids, distinct.rows, strict=True))
        whole = prompts == [prompt for prompt in prompts[::group] for _ in range(group)]
        if not self._share_sampling or not whole or min(map(len, prompt_ids)) < 2:
            if self.use_vllm and images is not None:
                prompt_ids = self._vllm_prompts
                images = [shown or None for shown in images]
            result: tuple[list[list[int]], Any] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
            return result
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            torch.no_grad(),
        ):
            sampling = Sampling(
                max_new_tokens=self.max_completion_length,
                eos_token_ids=self.eos_token_ids,
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
                min_p=self.min_p,
                suppress_tokens=(self.args.generation_kwargs or {}).get("suppress_tokens"),
            )
            distinct = distinct.of_prompts(range(0, len(prompt_ids), group)).to(model.device)
            groups = sample_groups(model, prompt_ids[::group], group, sampling, distinct)
        return [completion for completions in groups for completion in completions], None


def _image_fields(rows: Sequence[Encoded]) -> dict[str, Any]:
    """The further inputs of a vision-language model for a batch of prompts, some of which may have no image."""
    fields: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row.marks):
        fields[name] = [row.marks[name][0] if name in row.marks else [0] * len(row.ids[0]) for row in rows]
    for name in dict.fromkeys(name for row in rows for name in row.pixels):
        fields[name] = torch.cat([torch.as_tensor(np.asarray(row.pixels[name])) for row in rows if name in row.pixels])
    return fields
