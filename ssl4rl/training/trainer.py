"""TRL's GRPO trainer, fed by a task: examples are built as they are used, and prompts run once per group.

What is changed against ``trl.GRPOTrainer`` (1.16), and nothing else: where prompts come from, one reward function,
groups that stay whole when a generation batch is shuffled, the shared prompt in the training forward and in
transformers' generation, and vLLM in process on the CPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from ssl4rl.example import Example, Outcome, Score
from ssl4rl.inference.engines import base as inference
from ssl4rl.inference.engines.transformers import TransformersEngine
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.processor import pictures
from ssl4rl.inference.tokens import encode, unexpanded
from ssl4rl.training import shared_prompt
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.rollout import Sampling, sample_groups
from ssl4rl.training.shared_images import Images

Record = dict[str, Any]

VISION_TOWER = re.compile(r"(.*\.)?(visual|vision_tower|vision_model)\..*")
"""What transformers calls the part of a vision-language model that reads pictures, in a parameter's name."""


class TaskLike(Protocol):
    """A task or a mixture of them."""

    @property
    def label(self) -> str: ...

    def example(self, index: int) -> Example: ...

    def score(self, reply: str, example: Example) -> Score: ...


class TaskReward:
    """The reward function: the task's score of each reply, ``index`` saying which example it answers.

    ``examples`` holds the examples of the generation batch in use; ``records`` the verdicts on its completions.
    """

    __name__ = "score"

    def __init__(self, task: TaskLike, tokenizer: Any) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.examples: dict[int, Example] = {}
        self.records: list[Record] = []

    def load(self, indices: Sequence[int]) -> None:
        """Builds the examples of a generation batch; the previous ones are let go."""
        self.examples = {index: self.task.example(index) for index in dict.fromkeys(indices)}

    def __call__(
        self,
        completion_ids: Sequence[list[int]],
        index: Sequence[int],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        # Decoded here and not taken from `completions`, where some tokenizers' templates have cut the reasoning out.
        replies = self.tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        self.records = []
        for reply, row in zip(replies, index, strict=True):
            example = self.examples[row]
            try:
                score = self.task.score(reply, example)
            except Exception as error:
                # A crash is a bug in the task, never a 0.
                raise RuntimeError(f"the scorer of {self.task.label} failed on example {example.id}") from error
            self.records.append(
                {
                    "example": example.id,
                    "prompt": example.text,
                    "reply": reply,
                    "score": score.value,
                    "outcome": str(score.outcome),
                    "target": example.target,
                }
            )
        parsed = sum(record["outcome"] != Outcome.UNPARSED for record in self.records)
        log_metric("parsed", parsed / len(self.records))
        return [record["score"] for record in self.records]


class _StepCallback(TrainerCallback):  # type: ignore[misc]
    def __init__(self, on_step: Callable[[int, dict[str, Any]], None]) -> None:
        self.on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        # The trainer's closing line (its run time) is no step.
        if state.is_world_process_zero and logs and "reward" in logs:
            self.on_step(state.global_step, logs)


def _reordered(value: Any, order: torch.Tensor) -> Any:
    """The rows of a tensor or list in another order; what has no rows as it is."""
    if isinstance(value, torch.Tensor) and value.ndim:
        return value[order.to(value.device)]
    return [value[row] for row in order.tolist()] if isinstance(value, list) else value


class TaskTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO on a task.

    ``on_step(step, logs)`` is told the metrics of each logged step, on the main process;
    ``on_generation(step, records)`` is told the verdicts on each generation batch (this process's share);
    ``sharing`` says after construction why prompts are not shared, or is None when they are.
    """

    _buffered_inputs: list[dict[str, Any]] | None

    def __init__(
        self,
        *,
        task: TaskLike,
        files: ModelFiles,
        plan: BatchPlan,
        args: GRPOConfig,
        freeze_vision: bool = False,
        share_prompt: bool = True,
        vllm_in_process: bool = False,
        peft_config: Any = None,
        on_step: Callable[[int, dict[str, Any]], None] | None = None,
        on_generation: Callable[[int, list[Record]], None] | None = None,
    ) -> None:
        self._reward = TaskReward(task, files.tokenizer)
        self._files = files
        self._on_generation = on_generation
        self._context_length = files.context_length(args.vllm_max_model_length)
        # Example i is row i, so nothing is gained by shuffling rows. Rows are numbers: the prompt is put in when its
        # completions are sampled (TRL asks for each row many times).
        rows = Dataset.from_dict({"index": list(range(plan.num_prompts))})
        super().__init__(
            model=files.path,
            reward_funcs=self._reward,
            args=args,
            train_dataset=rows,
            processing_class=files.processor,
            callbacks=[_StepCallback(on_step)] if on_step else None,
            peft_config=peft_config,
        )
        base = self.accelerator.unwrap_model(self.model)
        if freeze_vision:
            for name, parameter in base.named_parameters():
                if VISION_TOWER.fullmatch(name):
                    parameter.requires_grad_(False)
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        self.sharing = shared_prompt.unsupported(base) if share_prompt else "share_prompt is off"
        self._share = self.sharing is None
        for shared in (base, self.ref_model) if self._share else ():
            if shared is not None:
                shared_prompt.prepare(self.accelerator.unwrap_model(shared))
        # Sampling with anything else than these settings is left to transformers' own `generate`.
        plain = set(args.generation_kwargs or {}) <= {"suppress_tokens"} and args.repetition_penalty == 1
        elsewhere = args.use_vllm or vllm_in_process or args.use_transformers_continuous_batching
        self._share_sampling = self._share and plain and not (elsewhere or sharded or args.cache_implementation)
        if vllm_in_process:
            self._start_vllm_in_process()
        elif args.use_vllm and args.vllm_mode == "colocate" and files.reads_images:
            self._forget_pictures_after_sync()

    def _forget_pictures_after_sync(self) -> None:
        """TRL's sync leaves what the old weights made of a picture in vLLM's cache, for the next time it is shown."""
        generation: Any = self.vllm_generation
        sync = generation.sync_weights

        def sync_and_forget() -> None:
            sync()
            generation.llm.llm_engine.reset_encoder_cache()

        generation.sync_weights = sync_and_forget

    def _start_vllm_in_process(self) -> None:
        from ssl4rl.training.vllm_sync import InProcessVLLM

        args = self.args
        self.vllm_generation = InProcessVLLM(
            model=self.model,
            accelerator=self.accelerator,
            processing_class=self.processing_class,
            seed=args.seed,
            max_model_length=self._context_length,
            max_num_seqs=args.per_device_train_batch_size * args.steps_per_generation,
            repetition_penalty=args.repetition_penalty,
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k,
            min_p=args.min_p,
            max_completion_length=args.max_completion_length,
            generation_kwargs=args.generation_kwargs,
        )
        self.use_vllm = True
        self._last_loaded_step = -1

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Nothing: the run folder says how the model was made."""

    def answer(self, examples: Sequence[Example], batch_size: int) -> list[str]:
        """The greedy reply to each example, of the vLLM that training samples from or of the model itself."""
        conversations = [self._files.messages(example) for example in examples]
        if not self.use_vllm:
            model = self.accelerator.unwrap_model(self.model)
            engine = TransformersEngine(model, self._files, batch_size=batch_size)
            sampling = inference.Sampling(max_new_tokens=self.max_completion_length)
            return [reply.text for reply in inference.generate(engine, conversations, sampling)]
        generation = self.vllm_generation
        if self.state.global_step != self._last_loaded_step:
            generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        if not conversations:
            return []
        prompts = [self._for_vllm(conversation) for conversation in conversations]
        images = [pictures(conversation) or None for conversation in conversations]
        temperature, generation.temperature = generation.temperature, 0.0
        try:
            _, replies, _, _ = generation.generate(
                prompts=prompts, images=images if any(images) else None, num_generations=1
            )
        finally:
            generation.temperature = temperature
        return list(self._files.tokenizer.batch_decode(replies, skip_special_tokens=True))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        indices = [row["index"] for row in inputs]
        self._reward.load(indices)
        self._asked = indices
        # The completions of an example share its prompt, pictures included.
        prompts = {index: self._files.messages(example) for index, example in self._reward.examples.items()}
        rows = [{"prompt": prompts[index], "index": index} for index in indices]
        output: dict[str, Any] = super()._generate_and_score_completions(rows)
        if self._on_generation is not None:
            self._on_generation(self.state.global_step + 1, self._reward.records)
        return output

    def _tokenize_prompts(self, prompts: list[inference.Messages]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        """TRL's, for each example instead of each completion; and here prompts are measured."""
        asked = dict(zip(self._asked, prompts, strict=True))
        encoded = {index: encode(self._files.processor, [messages]) for index, messages in asked.items()}
        for index, one in encoded.items():
            example, [ids] = self._reward.examples[index], one.ids
            self._files.check_length(example, len(ids), self.max_completion_length, self._context_length)
        images = [pictures(messages) or None for messages in prompts]
        if any(images) and self.use_vllm:
            short = {index: self._for_vllm(messages) for index, messages in asked.items()}
            self._vllm_prompts = [short[index] for index in self._asked]
        rows = [encoded[index] for index in self._asked]
        first = rows[0]
        fields: dict[str, Any] = {name: [row.marks[name][0] for row in rows] for name in first.marks}
        for name in first.pixels:
            fields[name] = torch.cat([torch.as_tensor(np.asarray(row.pixels[name])) for row in rows])
        return [row.ids[0] for row in rows], images if any(images) else None, fields

    def _for_vllm(self, messages: inference.Messages) -> list[int]:
        """A prompt as TRL's vLLM takes it: its server alone wants pictures expanded to their tokens."""
        if self.args.vllm_mode == "server":
            return encode(self._files.processor, [messages]).ids[0]
        return unexpanded(self._files.processor, messages)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        whole = len(generation_batch) % self.num_generations == 0 if isinstance(generation_batch, list) else False
        if not (self._share and self.model.training and whole):
            return super()._prepare_inputs(generation_batch)
        # TRL shuffles completions before it splits them into micro-batches, which scatters the groups; here groups are
        # shuffled, so that a micro-batch has few prompts. (The paper's trainer keeps groups whole too.)
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
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        pixel_values: torch.Tensor | None = None,
        **inputs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if not self._share or compute_aux_loss:
            result: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] = (
                super()._get_per_token_logps_and_entropies(
                    model,
                    input_ids,
                    attention_mask,
                    logits_to_keep,
                    batch_size,
                    compute_entropy=compute_entropy,
                    compute_aux_loss=compute_aux_loss,
                    pixel_values=pixel_values,
                    **inputs,
                )
            )
            return result
        images = None
        if pixel_values is not None:
            images = Images.of(pixel_values, inputs["num_images"], inputs.get("image_grid_thw"))
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
        return logps, entropies if compute_entropy else None, None

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], Any]:
        # A process may hold a part of a group only.
        group = math.gcd(len(prompt_ids), num_generations)
        shown = Images.none(len(prompt_ids))
        if self._share_sampling and images is not None:
            counts = [len(several or ()) for several in images]
            shown = Images.of(multimodal_fields["pixel_values"], counts, multimodal_fields.get("image_grid_thw"))
        prompts = list(zip(prompt_ids, shown.rows, strict=True))
        whole = prompts == [prompt for prompt in prompts[::group] for _ in range(group)]
        if not self._share_sampling or not whole or min(map(len, prompt_ids)) < 2:
            if self.use_vllm and images is not None:
                prompt_ids = self._vllm_prompts
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
            shown = shown.of_prompts(range(0, len(prompt_ids), group)).to(model.device)
            groups = sample_groups(model, prompt_ids[::group], group, sampling, shown)
        return [completion for completions in groups for completion in completions], None
