"""What one evaluation is, as it stands in its run's config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssl4rl.errors import UserError
from ssl4rl.inference import is_address
from ssl4rl.inference.engines.base import Sampling
from ssl4rl.inference.model import TINY, TINY_VISION
from ssl4rl.registry import BENCHMARKS

PAPER_LEVEL = "paper"


class EvalRecipe(BaseModel):
    """Everything that decides an evaluation's numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    benchmark: str
    """``node``, ``link``, ``relation``; ``choice``, ``mmbench``, ``seedbench``, ``imagenet``; or one of your own."""
    dataset: str | None = None
    """A registered name, a folder or a file; null is the embedded graph, or the embedded scenes."""
    level: str | None = None
    """How it is asked; ``paper`` also samples replies as the paper does."""
    knobs: dict[str, Any] = {}
    """Knobs that differ from the level's."""
    model: str | None = TINY
    """``tiny``, ``tiny-vision``, a folder, a hub name, or a server's name for it (null: the only one that it has)."""
    dtype: str = "auto"
    """Type of the weights; auto is the checkpoint's on a GPU and float32 without one."""
    engine: str = "auto"
    """``vllm``, ``transformers``, an OpenAI-compatible server's URL, or ``auto``: vLLM where a GPU and it are there."""
    scoring: Literal["generate", "likelihood"] = "generate"
    """Read the answer from a reply, or take the likeliest label."""
    shots: int = Field(0, ge=0, le=64)
    """Answered examples of the training split that stand before every question, the same ones for all."""
    limit: int | None = Field(None, ge=1)
    """Only this many questions, the first of a seeded order; null is all of the split."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Most tokens of a reply; null is 512, and 2,048 at level ``paper``."""
    ablate: int = Field(200, ge=0)
    """Questions asked again without graph or picture, for the baselines beside the score; 0 leaves them out."""
    baselines: bool = True
    """Whether baselines that are no model's replies stand beside the score."""
    seed: int = Field(0, ge=0)
    """Decides which items ``limit`` takes, the options' order and the sampled neighbours."""

    @property
    def sampling(self) -> Sampling:
        """Greedy; at level ``paper`` as the paper's appendix says (temperature 0.01, top-p 0.001, top-k 1)."""
        if self.level == PAPER_LEVEL:
            return Sampling(self.max_new_tokens or 2048, temperature=0.01, top_p=0.001, top_k=1, seed=self.seed)
        return Sampling(self.max_new_tokens or 512, seed=self.seed)

    @classmethod
    def build(cls, values: dict[str, Any]) -> EvalRecipe:
        """Validated; with no model named, it is the server's where there is one, else the embedded one of the side.

        Raises:
            UserError: for a value that is not allowed, naming it.
        """
        served = is_address(str(values.get("engine")))
        if served:
            values = {"model": None, **values}
        elif "benchmark" in values and BENCHMARKS.get(values["benchmark"]).side == "vision":
            values = {"model": TINY_VISION, **values}
        try:
            recipe = cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = "--" + str(first["loc"][0]).replace("_", "-")
            raise UserError(f"{where} {first['input']!r}: {first['msg']}") from error
        if served and recipe.dtype != "auto":
            raise UserError(f"--dtype {recipe.dtype}: the type of the weights is the server's affair; leave it out")
        if recipe.scoring == "likelihood" and recipe.max_new_tokens is not None:
            raise UserError("--max-new-tokens: with --scoring likelihood nothing is written; leave it out")
        return recipe

    @classmethod
    def load(cls, path: Path) -> EvalRecipe:
        """From a run's config.yaml.

        Raises:
            UserError: if it is not an evaluation's.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{path} cannot be read ({type(error).__name__}); start anew elsewhere") from error
        if not isinstance(values, dict) or "benchmark" not in values:
            raise UserError(f"{path.parent} is not an evaluation's run (its config.yaml names no benchmark)")
        return cls.build(values)
