"""TRL's GRPO trainer on a task: examples are built as they are used, and each prompt is run once per group.

It differs from ``trl.GRPOTrainer`` (1.16) in where prompts come from, in its one reward function, in flat groups that
are replaced, in updates that are scaled by the share of the others, in groups that stay whole when a generation batch
is shuffled, in the shared prompt in the training forward and in transformers' generation, and in vLLM in process on the
CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from ssl4rl.example import Example
from ssl4rl.inference import engines
from ssl4rl.inference.engines.transformers import TransformersEngine
from ssl4rl.inference.lengths import check_example
from ssl4rl.inference.messages import Messages, images_of, typed
from ssl4rl.inference.model import ModelFiles
from ssl4rl.records import Completion
from ssl4rl.tasks import AnyTask
from ssl4rl.training import shared_prompt, trainable, vllm_sync
from ssl4rl.training.callbacks import ScaledUpdates, StepCallback
from ssl4rl.training.checks import BatchPlan
from ssl4rl.training.margin import Margin
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.refill import FreshExamples, Refilled, Sampled, batch_metrics, refill
from ssl4rl.training.rewards import RewardFunction
from ssl4rl.training.rollout import Sampling, reordered, sample_groups
from ssl4rl.training.schedule import Laddered, Schedule
from ssl4rl.training.sharding import sharded_on_cpus, whole_weights
from ssl4rl.training.shared_images import Images, image_fields
from ssl4rl.training.whole import WholeCheckpoints

FRESH, SCHEDULE = "ssl4rl.fresh_examples", "ssl4rl.schedule"
"""Keys of a checkpoint's trainer_state.json: the position among the examples of refills, and the schedule's state."""

COUNTS = ("sampled", "selected", "refill/rounds")
"""Metrics of a generation batch that are logged with its first step alone, so that nothing is counted twice."""


class TaskTrainer(WholeCheckpoints, GRPOTrainer):  # type: ignore[misc]
    """GRPO on a task, with the recipe's model, reward and shared prompt; ``args`` holds TRL's own settings.

    ``on_step(step, logs)`` is called with the metrics of each logged step, on the main process;
    ``on_generation(step, records)`` with the completions of each generation batch, on every process with its share;
    ``sharing`` says after construction why prompts are not shared, or is None if they are.
    """

    use_vllm: bool
    _buffered_inputs: list[dict[str, Any]] | None
    _rows: list[dict[str, Any]]
    _refilled: Refilled
    """The current generation batch."""

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
        self._reward = RewardFunction(task, recipe.reward, files.decode)
        self._margin = Margin(task, recipe.reward.margin, files.decode) if recipe.reward.margin else None
        self.schedule = Schedule(task, recipe, plan) if isinstance(task, Laddered) else None
        self._fresh = FreshExamples(task, plan.num_prompts * (len(self.schedule.rungs) if self.schedule else 1))
        self._repeated: dict[str, float] = {}
        self._files = files
        self._on_generation = on_generation
        self._context_length = files.context_length(args.vllm_max_model_length)
        # Example i is row i, so shuffling rows would gain nothing. A row holds a number only: its prompt is built when
        # its completions are sampled (TRL reads each row many times).
        rows = Dataset.from_dict({"index": list(range(plan.num_prompts))})
        with sharded_on_cpus():
            super().__init__(
                model=files.weights,
                reward_funcs=self._reward,
                args=args,
                train_dataset=rows,
                processing_class=files.processor,
                callbacks=[StepCallback(on_step)] if on_step else None,
                peft_config=trainable.adapters(recipe.model),
            )
        # A group that is spread over processes is not refilled (the recipe's checks say so).
        whole = args.per_device_train_batch_size * args.steps_per_generation % self.num_generations == 0
        self._rounds = recipe.refill if whole else 0
        self._scaled: ScaledUpdates | None = None
        if recipe.scale_updates:
            self._scaled = ScaledUpdates(self.accelerator, guarded=self.beta != 0 or self._entropy_bonus_enabled)
            self.add_callback(self._scaled)
        base = self.accelerator.unwrap_model(self.model)
        # TRL knows the ends that the model and the tokenizer declare, and not what the chat template ends a turn with.
        self.eos_token_ids = base.generation_config.eos_token_id = list(files.eos_token_ids)
        if not args.use_vllm:
            self.generation_config.eos_token_id = list(files.eos_token_ids)
        for model in (base, self.ref_model) if files.reads_images else ():
            if model is not None:
                trainable.take_rows_without_images(model)
        if recipe.model.freeze_vision:
            trainable.freeze_vision(base)
        if recipe.model.lora is not None:
            trainable.spare_copies(base)
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

    def answer(self, examples: Sequence[Example], batch_size: int, *, sampled: bool = False) -> list[str]:
        """The reply to each example, greedy or ``sampled`` as in training, from its vLLM or the model itself."""
        conversations = [self._files.messages(example) for example in examples]
        if not self.use_vllm:
            model = self.accelerator.unwrap_model(self.model)
            engine = TransformersEngine(model, self._files, batch_size=batch_size)
            sampling = engines.Sampling(self.max_completion_length)
            if sampled:
                sampling = replace(sampling, temperature=self.temperature, top_p=self.top_p, top_k=self.top_k)
            with whole_weights(model), self.accelerator.autocast():  # as in training, also before it begins
                return [reply.text for reply in engines.generate(engine, conversations, sampling)]
        if self.state.global_step != self._last_loaded_step:
            self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        prompts = [self._vllm_prompt(conversation) for conversation in conversations]
        images = [images_of(conversation) or None for conversation in conversations]
        replies = vllm_sync.generate(self.vllm_generation, prompts, images, greedily=not sampled)
        return [self._files.decode(reply) for reply in replies]

    def _vllm_prompt(self, messages: Messages) -> list[int]:
        return vllm_sync.vllm_prompt(self._files.encoder, messages, self.args.vllm_mode)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # `_generate` fills in the prompts, and changes the rows whose group it replaces: rewards come after it.
        place = self.schedule.index if self.schedule is not None else int
        self._rows = [{"prompt": [], "index": place(row["index"])} for row in inputs]
        metrics = self._metrics["train"]
        recorded = {name: len(values) for name, values in metrics.items()}
        output: dict[str, Any] = super()._generate_and_score_completions(self._rows)
        # TRL's reward is that of the selected completions.
        metrics["reward/selected"].append(metrics["reward"].pop())
        counts = batch_metrics(self._refilled, self._reward.names.of)
        if self.schedule is not None:
            everything = self._refilled.everything
            counts |= self.schedule.observe(everything[: len(self._refilled.batch.records)], everything)
        for name, value in counts.items():
            metrics[name].append(value)
        self._repeated = {
            name: values[-1]
            for name, values in metrics.items()
            if len(values) > recorded.get(name, 0) and name not in COUNTS
        }
        if self._margin is not None:
            without = self._sample(self._refilled.batch.indices, self._margin.reward)
            margins = self._margin.of(self._refilled.batch, without)
            metrics["margin"].append(self.accelerator.gather(margins.to(self.model.device)).mean().item())
            output["advantages"] *= self._margin.weights(margins).to(output["advantages"].device)
        output["moving"] = torch.tensor(
            [float(not flat) for flat in self._refilled.flat], device=output["completion_ids"].device
        )
        if self._on_generation is not None:
            self._on_generation(self.state.global_step + 1, self._refilled.everything)
        return output

    def _generate(self, prompts: list[Messages]) -> Any:
        """As TRL does, of completions that are sampled and refilled before."""
        first = self._sample([row["index"] for row in self._rows])
        self._refilled = refill(first, self.sample_groups, self._fresh, self.num_generations, self._rounds)
        batch = self._refilled.batch
        prompts[:] = batch.prompts
        for row, prompt, index in zip(self._rows, batch.prompts, batch.indices, strict=True):
            row.update(prompt=prompt, index=index)
        self._reward.select(batch.records)
        return super()._generate(prompts)

    def sample_groups(self, indices: Sequence[int]) -> Sampled:
        """A group of completions of each of these examples, scored; nothing is learned from them."""
        return self._sample([index for index in indices for _ in range(self.num_generations)])

    def _sample(self, indices: list[int], reward: RewardFunction | None = None) -> Sampled:
        """A completion of each of these examples, scored. Prompts are encoded once per example, and have to fit."""
        reward = reward or self._reward
        reward.load(indices)
        prompts, encoded, short = {}, {}, {}
        for index in dict.fromkeys(indices):
            example = reward.examples[index]
            messages = self._files.messages(example)
            # TRL applies the template of a processor, too.
            prompts[index] = typed(messages) if self._files.reads_images else messages
            encoded[index] = self._files.encoder.encode([prompts[index]])
            length = len(encoded[index].ids[0])
            check_example(self._files, example, length, self.max_completion_length, self._context_length)
            if self.use_vllm and images_of(messages):
                short[index] = self._vllm_prompt(prompts[index])
        rows = [encoded[index] for index in indices]
        prompt_ids = [row.ids[0] for row in rows]
        images = [images_of(prompts[index]) for index in indices]
        self._vllm_prompts = [short.get(index, encoded[index].ids[0]) for index in indices]
        completion_ids, logprobs = self._generate_single_turn(
            prompt_ids, images if any(images) else None, image_fields(rows), self.num_generations
        )
        records = reward.score(completion_ids, indices, self.state.global_step + 1)
        conversations = [prompts[index] for index in indices]
        return Sampled(indices, conversations, prompt_ids, images, list(completion_ids), logprobs, records)

    def _tokenize_prompts(self, prompts: list[Messages]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        images = self._refilled.batch.images
        return self._refilled.batch.prompt_ids, images if any(images) else None, {}

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if self._scaled is not None and self.model.training:
            factor = self._scaled.add(inputs["moving"], self.optimizer)
            if factor is not None:
                self._metrics["train"]["update_scale"].append(factor)
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL does; a step that uses a generation batch again repeats its reward, which TRL leaves out."""
        metrics = self._metrics["train"]
        metrics.update({name: [sum(metrics[name])] for name in COUNTS if metrics.get(name)})  # TRL takes means
        super().log({**self._repeated, **logs} if "loss" in logs else logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.state.stateful_callbacks[FRESH] = {"position": self._fresh.position}
        if self.schedule is not None:
            self.state.stateful_callbacks[SCHEDULE] = self.schedule.state
        super()._save_checkpoint(model, trial)

    def _load_callback_state(self) -> None:
        super()._load_callback_state()
        self.state.save_steps = self.args.save_steps  # which may change; transformers goes on with the checkpoint's
        self._fresh.position = self.state.stateful_callbacks.get(FRESH, {}).get("position", self._fresh.position)
        if self.schedule is not None and SCHEDULE in self.state.stateful_callbacks:
            self.schedule.restore(self.state.stateful_callbacks[SCHEDULE])

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
            batch = {key: reordered(value, order) for key, value in split_pixel_values_by_grid(batch).items()}
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
        if hasattr(self, "_refilled") and prompt_ids is self._refilled.batch.prompt_ids:
            return self._refilled.batch.completion_ids, self._refilled.batch.logprobs
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
