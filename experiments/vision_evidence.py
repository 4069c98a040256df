"""What self-supervised rewards on images teach the embedded vision-language model, beside their controls.

    python -m experiments.vision_evidence [--arms task-0 random-0 …] [--runs RUNS] [--steps 80]
    python -m experiments.evidence_table experiments/results/vision_evidence        (the tables; no model is needed)

An arm is configs/quickstart-vision.yaml, which asks `rotation` of drawn scenes, or a control (another reward, or grey
images), another task alone, a mixture, a curriculum, or the same task on photographs. Every model, before training and
after its last step, is asked the same questions: three tasks on scenes and on photographs, and, by likelihood, the
embedded benchmark's labelled questions and VisOnlyQA's on figures. Of the other tasks the model gives no answer that
can be read (0 % valid), so they have nothing to reward. Arms that are stored are not run again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ssl4rl
from experiments.arms import BASE, Asked, ask, is_stored, steps_of, store
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.engines import open_engine
from ssl4rl.models import TINY_VISION
from ssl4rl.training.controls import TASK, arm_recipe, arm_run
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.saving import MODEL

RECIPE = Path(__file__).parents[1] / "configs" / "quickstart-vision.yaml"
RESULTS = Path(__file__).parent / "results" / "vision_evidence"
ITEMS, REPLY_TOKENS = 300, 64
CONTROLS = ("random", "format", "incorrect", "image")
READABLE = ("rotation", "position", "contrastive")
ALONE, MIXTURE = READABLE[1:], "mixture"
ADAPTIVE, PHOTOS = "adaptive", "photos"
ARMS = (
    *(f"{kind}-{seed}" for seed in range(3) for kind in (TASK, *CONTROLS)),
    *(f"{kind}-0" for kind in (*ALONE, MIXTURE, ADAPTIVE, PHOTOS)),
)
"""In the order in which they are run."""


def recipe_of(arm: str, data: Path, steps: int) -> Recipe:
    """The recipe of an arm."""
    kind, seed = arm.split("-")
    values = load_recipe(RECIPE, side="vision").model_dump()
    values["grpo"]["max_steps"] = steps
    values["heldout"] |= {"examples": ITEMS, "every": 0}  # the last model is asked, so that none is chosen
    [entry] = values["tasks"]
    if kind in ALONE:
        entry["name"] = kind
    elif kind == MIXTURE:
        values["tasks"] = [{**entry, "name": name} for name in READABLE]
    elif kind == ADAPTIVE:
        values["difficulty"] = kind
    elif kind == PHOTOS:
        entry["dataset"] = str(data / PHOTOS)
    return arm_recipe(Recipe.model_validate(values), kind if kind in CONTROLS else TASK, int(seed))


def answers(model: str, data: Path) -> Iterator[dict[str, Any]]:
    """What a model answers to every question."""
    places = (("scenes", None), (PHOTOS, str(data / PHOTOS)))
    asked = [
        Asked.first(f"{name}, {place}", ssl4rl.task(name, source, split="val"), ITEMS)
        for place, source in places
        for name in READABLE
    ]
    yield from ask(open_engine("transformers", model), asked, REPLY_TOKENS)
    for name, source in (("labelled questions, scenes", None), ("VisOnlyQA", str(data / "visonlyqa.tsv"))):
        recipe = EvalRecipe(
            benchmark="choice", dataset=source, model=model, engine="transformers", scoring="likelihood",
            limit=ITEMS, ablate=[], baselines=False,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            for line in evaluate(recipe, None, Path(folder) / "run").predictions():
                own = {"asked": name, "id": str(line.id), "items": list(line.items)}
                yield {**own, "reply": line.reply, "outcome": line.outcome, "score": line.score}


def measure(arm: str, runs: Path, data: Path, steps: int) -> None:
    """Trains an arm and stores its answers; of the base, its answers alone."""
    if arm == BASE:
        return store(RESULTS, arm, answers(TINY_VISION, data))
    run = arm_run(recipe_of(arm, data, steps), runs / arm)
    store(RESULTS, arm, answers(str(run.path / MODEL), data), run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--runs", type=Path, default=Path("runs/vision_evidence"))
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    options = parser.parse_args()
    for arm in (BASE, *options.arms):
        if is_stored(RESULTS, arm):
            if arm != BASE and (steps := steps_of(RESULTS, arm)) != options.steps:
                raise SystemExit(f"{arm} is stored with {steps} steps: give --steps {steps}, or remove it")
        else:
            measure(arm, options.runs, options.data, options.steps)


if __name__ == "__main__":
    main()
