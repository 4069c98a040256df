"""The settings of one evaluation, as its run's config.yaml holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ssl4rl.errors import UserError, quoted, unknown
from ssl4rl.inference.engines import Sampling, is_address
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.registry import BENCHMARKS
from ssl4rl.runs import Run
from ssl4rl.settings import Numeric, first_invalid
from ssl4rl.source import SourceKind

PAPER_LEVEL = "paper"
MOST_SAMPLES = 512
"""Most replies to an item: subsets of a thousand or more can no longer be counted in floating point."""

MODEL_SETTINGS = ("min_pixels", "max_pixels", "chat_template_kwargs")
"""What decides how a model is asked, in training and here alike; a recipe of training has them under ``model``."""


class EvalRecipe(Numeric):
    """Everything that decides an evaluation's numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    benchmark: str
    """``node``, ``link``, ``relation``, ``ranking``; ``choice``, ``mmbench``, ``seedbench``, ``imagenet``; or one of
    your own."""
    dataset: str | None = None
    """A registered name, a folder or a file; null is the benchmark's embedded one."""
    level: str | None = None
    """How it is asked; ``paper`` also samples replies as the paper does."""
    knobs: dict[str, Any] = Field(default_factory=dict)
    """Knobs that differ from the level's."""
    max_broken: float = Field(0.01, ge=0, le=1)
    """Most of the images of a dataset that may be broken, as a share: they are listed and passed over."""
    model: str | None = TINY
    """``tiny``, ``tiny-vision``, a folder, a hub name, or a server's name for it (null: its only one)."""
    dtype: str = "auto"
    """Type of the weights; auto is the checkpoint's on a GPU and float32 without one."""
    engine: str = "auto"
    """``vllm``, ``transformers``, one of your own, the URL of an OpenAI-compatible server, or ``auto``: vLLM if it is
    installed and there is a GPU, else transformers."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template, such as ``enable_thinking: false``."""
    min_pixels: int | None = Field(None, ge=1)
    """Images with fewer pixels are scaled up before the model gets them, as ``model.min_pixels`` does in training."""
    max_pixels: int | None = Field(None, ge=1)
    """Images with more pixels are scaled down before the model gets them, as ``model.max_pixels`` does in training."""
    scoring: Literal["generate", "likelihood"] = "generate"
    """Read the answer from a reply, or take the likeliest label, which ``ranking`` needs and does by default."""
    shots: int = Field(0, ge=0, le=64)
    """Answered examples of the training split in front of every question, the same ones for all."""
    limit: int | None = Field(None, ge=1)
    """Only this many questions, the first of a seeded order; null is all of the split."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Most tokens of a reply; null is 512, and 2,048 at level ``paper``."""
    samples: int = Field(1, ge=1, le=MOST_SAMPLES)
    """Replies to each item, each with a draw of its own; ablations and other forms get one."""
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Replies are drawn at this temperature from all tokens; null is greedy, or what the level says."""
    ablate: list[str] | None = None
    """What to take away when questions are asked again: names of the benchmark's ablations, or
    ``[all]``; null is its usual ones."""
    consistent: bool = False
    """Whether to ask questions again in the benchmark's other forms of the same."""
    again: int = Field(200, ge=1)
    """How many questions, the first ones, are asked again."""
    baselines: bool = True
    """Whether to report non-model baselines."""
    encoder: str | None = None
    """The folder of an encoder of texts, on whose embeddings baselines are fitted as well."""
    seed: int = Field(0, ge=0)
    """Decides which items ``limit`` takes, the options' order and the sampled neighbours."""

    @property
    def sampling(self) -> Sampling:
        """Greedy; at level ``paper`` as in the paper's appendix (temperature 0.01, top-p 0.001, top-k 1).

        A temperature of the recipe's own takes the place of both.
        """
        if self.temperature is not None:
            length = self.max_new_tokens or (2048 if self.level == PAPER_LEVEL else 512)
            return Sampling(length, temperature=self.temperature, seed=self.seed)
        if self.level == PAPER_LEVEL:
            return Sampling(self.max_new_tokens or 2048, temperature=0.01, top_p=0.001, top_k=1, seed=self.seed)
        return Sampling(self.max_new_tokens or 512, seed=self.seed)

    @classmethod
    def build(cls, values: Mapping[str, Any], kind: SourceKind[Any] | None = None) -> EvalRecipe:
        """Validates; without a model, takes the server's if there is one, else the embedded one that suits the source.

        ``kind`` is the benchmark's kind of source, looked up by the benchmark's name where None.

        Raises:
            UserError: for an unknown setting, or a value that is not allowed.
        """
        for name in values:
            if name not in cls.model_fields:
                raise unknown("setting of an evaluation", name, cls.model_fields)
        if values.get("benchmark") in BENCHMARKS.names() and BENCHMARKS.get(values["benchmark"]).ranks:
            values = {"scoring": "likelihood", **values}
        if is_address(str(values.get("engine"))):
            values = {"model": None, **values}
        elif kind is not None or "benchmark" in values:
            kind = kind or BENCHMARKS.get(values["benchmark"]).source_kind
            values = {"model": TINY_VISION if kind.shows_images else TINY, **values}
        return cls._validated(values)

    @classmethod
    def of(cls, run: Run) -> EvalRecipe:
        """The recipe that a run was started with.

        Raises:
            UserError: if it is not the run of an evaluation.
        """
        if not run.is_evaluation:
            raise UserError(f"{run.path} is a training run, not an evaluation; its model is {run.path / 'model'}")
        return cls._validated(run.config)

    @classmethod
    def _validated(cls, values: Mapping[str, Any]) -> EvalRecipe:
        try:
            recipe = cls(**values)
        except ValidationError as error:
            where, value, why = first_invalid(error)
            option = "--" + where.partition(".")[0].replace("_", "-")
            if where in MODEL_SETTINGS:
                option = f"--set model.{where}"
            raise UserError(f"{option} {quoted(value)}: {why}") from error
        if is_address(recipe.engine) and recipe.dtype != "auto":
            raise UserError(f"--dtype {recipe.dtype}: the server decides the type of the weights; leave it out")
        if recipe.min_pixels is not None and recipe.max_pixels is not None and recipe.min_pixels > recipe.max_pixels:
            raise UserError(f"model.min_pixels={recipe.min_pixels} is more than model.max_pixels={recipe.max_pixels}")
        if recipe.scoring == "likelihood" and recipe.max_new_tokens is not None:
            raise UserError("--max-new-tokens: nothing is generated with --scoring likelihood; leave it out")
        if recipe.scoring == "likelihood" and (recipe.samples > 1 or recipe.temperature is not None):
            option = "--samples" if recipe.samples > 1 else "--temperature"
            raise UserError(f"{option}: nothing is drawn with --scoring likelihood; leave it out")
        if recipe.samples > 1 and recipe.sampling.greedy:
            raise UserError(
                f"--samples {recipe.samples}: greedy decoding gives the same reply every time; add --temperature 0.7"
            )
        return recipe
