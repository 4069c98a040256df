"""A recipe: the validated description of a training run.

The defaults are the quickstart (configs/quickstart.yaml spells them out). What stands under ``grpo`` goes to
``trl.GRPOConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ssl4rl.errors import unknown
from ssl4rl.inference.engines import check_engine_name
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.registry import REWARDS
from ssl4rl.settings import Numeric

# For `tiny` on the embedded graph, on two cores: many prompts per step matter more there than the learning rate, and
# a single micro-batch keeps every group together. The names are trl.GRPOConfig's.
QUICKSTART_GRPO: dict[str, Any] = {
    "max_steps": 140,
    "learning_rate": 3e-4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 5,
    "per_device_train_batch_size": 256,
    "gradient_accumulation_steps": 1,
    "num_generations": 8,
    "max_completion_length": 64,
    "temperature": 1.0,
    "beta": 0.0,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_steps": 40,
    "save_total_limit": 2,
}

# The same for `tiny-vision` on drawn scenes: its policy is more certain, and at the rate above its samples stop varying
# too early.
QUICKSTART_VISION_GRPO: dict[str, Any] = {
    **QUICKSTART_GRPO,
    "max_steps": 160,
    "learning_rate": 2e-4,
    "lr_scheduler_type": "constant_with_warmup",
    "adam_beta2": 0.98,
}

QUICKSTART = {TINY: QUICKSTART_GRPO, TINY_VISION: QUICKSTART_VISION_GRPO}

# For any other model if a recipe has no block of its own: the same 32 prompts x 8 completions per step, in small
# micro-batches, with the usual learning rate for full fine-tuning of instruct models (the paper's, section 4.1). The
# guard adds to the loss only while the mean entropy of a token is below the target: at 0.1 nat most groups are flat.
MODEL_GRPO: dict[str, Any] = {
    "max_steps": 200,
    "learning_rate": 1e-6,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 16,
    "num_generations": 8,
    "max_completion_length": 512,
    "temperature": 1.0,
    "beta": 0.0,
    "use_adaptive_entropy": True,
    "entropy_target": 0.1,
    "entropy_coef_max": 0.1,
    "save_steps": 50,
    "save_total_limit": 2,
}
LORA_LEARNING_RATE = 2e-5

CONTROLS = REWARDS.reserved
"""Rewards that do not know what is right: what a run gains on them is not due to the task."""


class Section(Numeric):
    """Base of every part of a recipe: an unknown key is refused, and docstrings describe the fields."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_assignment=True)


class TaskEntry(Section):
    """One task of the run."""

    name: str = "link"
    """A registered task, such as link or jigsaw, or a third party's."""
    dataset: str | None = None
    """A registered dataset, or a folder or file of your own; null is the embedded graph, or the drawn scenes."""
    level: str | None = None
    """A named bundle of the task's knobs; null is the task's default level."""
    weight: float = Field(default=1.0, gt=0)
    """Share of the examples in a mixture of several tasks, relative to the others' weights."""
    knobs: dict[str, Any] = Field(default_factory=dict)
    """Knobs that differ from the level's."""
    ladder: list[dict[str, Any]] | None = None
    """The rungs of a curriculum, from easy to hard, each ``{level, KNOB: value, …}``; null is the task's own ladder."""


class Lora(Section):
    """Low-rank adapters (Hu et al. 2022), trained instead of the weights; the final model is saved merged."""

    r: int = Field(default=16, ge=1)
    """Rank of the update."""
    alpha: int = Field(default=32, ge=1)
    """The update is scaled by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapters; it makes the trainer's log-probabilities random."""
    target_modules: str | list[str] = "all-linear"
    """Which layers get one; as in peft.LoraConfig."""


class ModelSettings(Section):
    """The model to train."""

    path: str = TINY
    """``tiny`` or ``tiny-vision`` (they come with the package), a folder, or a name on the Hugging Face hub."""
    lora: Lora | None = None
    """Adapters; null trains all weights."""
    dtype: str = "float32"
    """Type of the weights: float32, bfloat16, float16 or auto (the checkpoint's). float32 with grpo.bf16 is mixed."""
    attn_implementation: str | None = None
    """As in transformers; null is its default. The shared prompt needs sdpa (the usual default) or eager."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template, such as ``enable_thinking: false``."""
    freeze_vision: bool = False
    """Train only the language part of a vision-language model."""
    min_pixels: int | None = Field(default=None, ge=1)
    """Images with fewer pixels are scaled up before the processor gets them; null leaves it to the processor."""
    max_pixels: int | None = Field(default=None, ge=1)
    """Images with more pixels are scaled down before the processor gets them; null leaves it to the processor."""

    @model_validator(mode="after")
    def _ordered(self) -> ModelSettings:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels={self.min_pixels} is more than max_pixels={self.max_pixels}")
        return self


class Reward(Section):
    """What GRPO is given for a reply."""

    kind: str = "task"
    """``task`` (its own score), a registered reward, or a control: ``random`` (0 or 1), ``format`` (1 if valid),
    ``incorrect`` (1 if valid and not right) or ``majority`` (1 for the commonest valid answer of the group)."""
    task: float = Field(default=1.0, ge=0)
    """Weight of what ``kind`` names."""
    format: float = Field(default=0.0, ge=0)
    """Weight of a valid form: 1 for a reply whose answer could be read and is one of those to choose from, else 0."""
    margin: float = Field(default=0.0, ge=0)
    """How much more an example counts the more often it is answered right than with its edges rewired (or a grey
    image); 0 counts all alike. Every question is sampled twice for it."""

    @field_validator("kind")
    @classmethod
    def _registered(cls, kind: str) -> str:
        names = [*REWARDS.names(), *CONTROLS]
        if kind not in names:
            raise unknown("reward", kind, names)
        return kind

    @model_validator(mode="after")
    def _weighted(self) -> Reward:
        if self.task + self.format <= 0:
            raise ValueError("both weights are 0, so that every reply gets the same reward")
        if self.margin and self.kind != "task":
            raise ValueError(f"margin={self.margin} is about right answers, which kind={self.kind} does not reward")
        return self


class Heldout(Section):
    """The evaluation before, during and after training: the same task on split ``val``, greedy decoding."""

    examples: int = Field(default=500, ge=0)
    """How many examples; 0 leaves the evaluation out."""
    every: int = Field(default=40, ge=0)
    """Also after every so many steps, and the best model is kept; 0 is before and after only."""
    batch_size: int = Field(default=64, ge=1)
    """Prompts per batch of transformers' generation; vLLM batches by itself."""


class Recipe(Section):
    """Everything that decides a training run."""

    seed: int = Field(default=0, ge=0)
    """Decides the examples, the sampling and the initial adapters."""
    tasks: list[TaskEntry] = Field(default_factory=lambda: [TaskEntry()], min_length=1)
    """One task, or several as a mixture."""
    difficulty: Literal["fixed", "staged", "adaptive"] = "fixed"
    """``fixed``: the level of each task; or along its ladder, ``staged`` in equal parts of the run from easy to hard,
    or ``adaptive``, the more of a rung the more its replies differ in the task's score, whatever ``reward`` is. Held
    out is always the level."""
    mixing: Literal["weights", "learnability", "bandit"] = "weights"
    """Shares of the tasks of a mixture: their ``weights``; by ``learnability``, the more of a task the more its replies
    differ in the task's score, whatever ``reward`` is; or a ``bandit`` on held-out progress per generated token."""
    corrupt: Literal["text", "edges", "image"] | None = None
    """A control: training prompts lose what the answer should rest on, under the right answers: ``text`` blanks the
    texts of shown nodes, ``edges`` shows another graph's neighbours, ``image`` shows grey images."""
    max_broken: float = Field(default=0.01, ge=0, le=1)
    """Most of the images of a dataset that may be broken, as a share: they are listed and passed over."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    """The model to train."""
    reward: Reward = Field(default_factory=Reward)
    """What GRPO is given for a reply."""
    engine: str = "auto"
    """What samples the completions: vllm, transformers, or auto: vLLM if there is a GPU and vLLM is installed."""
    heldout: Heldout = Field(default_factory=Heldout)
    """The evaluation before, during and after training."""
    share_prompt: bool = True
    """Run each prompt once per group of completions instead of once per completion, if the model allows it."""
    refill: int = Field(default=4, ge=0)
    """Most rounds in which groups whose rewards are all equal are replaced by fresh examples' groups; 0 keeps them."""
    scale_updates: bool = True
    """Multiply the learning rate of each step by the share of its groups that are not flat."""
    log_completions_every: int = Field(default=10, ge=1)
    """The completions of every n-th step are written to completions.jsonl."""
    grpo: dict[str, Any] = Field(
        default_factory=lambda fields: default_grpo(fields["model"].path, lora=fields["model"].lora is not None)
    )
    """Passed to trl.GRPOConfig, with some defaults of our own (docs/training.md); without one, the model's."""

    @model_validator(mode="after")
    def _compared(self) -> Recipe:
        changes = self.difficulty != "fixed" or self.mixing != "weights"
        if self.reward.margin and (changes or self.corrupt is not None):
            raise ValueError("reward.margin needs difficulty: fixed, mixing: weights and no corrupt")
        return self

    @field_validator("grpo")
    @classmethod
    def _unquoted(cls, grpo: dict[str, Any]) -> dict[str, Any]:
        """YAML reads a bare ``no``, as in ``save_strategy: no``, as false."""
        return {key: "no" if key.endswith("_strategy") and value is False else value for key, value in grpo.items()}

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        check_engine_name(engine)
        return engine


def control_of(config: Mapping[str, Any]) -> str | None:
    """The setting that makes a recipe, as it is written in a file, a control."""
    kind, corrupt = config.get("reward", {}).get("kind"), config.get("corrupt")
    if corrupt is not None:
        return f"corrupt: {corrupt}"
    return f"reward.kind: {kind}" if kind in CONTROLS else None


def default_grpo(model: str, *, lora: bool) -> dict[str, Any]:
    """The ``grpo`` block of a recipe that has none, for that model."""
    if model in QUICKSTART:
        return dict(QUICKSTART[model])
    return {**MODEL_GRPO, **({"learning_rate": LORA_LEARNING_RATE} if lora else {})}
