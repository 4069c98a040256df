"""Is a gain due to the task? A recipe beside its controls: the same steps and seeds, but a reward or prompts that
hold nothing to learn the task from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from ssl4rl.errors import UserError, unknown
from ssl4rl.files import whole
from ssl4rl.records import HeldoutAnswer
from ssl4rl.runs import CONFIG, Run, open_run
from ssl4rl.statistics import Estimate, PairedDifference
from ssl4rl.training.recipe import CONTROLS, Recipe, control_of
from ssl4rl.training.recipe_file import validate
from ssl4rl.training.run import run_recipe
from ssl4rl.training.tasks import build_tasks

TASK = "task"
"""The arm that is the recipe itself."""
USUAL = ("random", "format", "incorrect")
CORRUPTIONS: tuple[str, ...] = get_args(get_args(Recipe.model_fields["corrupt"].annotation)[0])
RESULT = "controls.json"


@dataclass(frozen=True)
class Arm:
    """The recipe, or one of its controls, over all seeds."""

    name: str
    before: Estimate
    """Held out, of all seeds together."""
    after: Estimate
    gain: PairedDifference
    behind: PairedDifference | None
    """How much better the recipe is after training, on the same examples; None for the recipe itself."""
    seeds: list[float]
    """The score after training of each seed."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        estimates = {"before": self.before.as_dict(), "after": self.after.as_dict()}
        return {**asdict(self), **estimates}


def check_controls(recipe: Recipe, controls: Sequence[str]) -> None:
    """Refuses what cannot be compared.

    Raises:
        UserError: for an unknown control, a recipe that is a control itself, or one that holds nothing out.
    """
    for control in controls:
        if control not in (*CONTROLS, *CORRUPTIONS):
            raise unknown("control", control, [*CONTROLS, *CORRUPTIONS])
    if setting := control_of(recipe.model_dump()):
        raise UserError(f"the recipe is a control already ({setting}); give the one that it is to be compared with")
    if not recipe.heldout.examples:
        raise UserError("heldout.examples=0: controls are compared on held-out examples")


def arm_recipe(recipe: Recipe, arm: str, seed: int) -> Recipe:
    """The recipe of one arm and seed; nothing else differs.

    Raises:
        UserError: for a recipe with settings that the control cannot have.
    """
    values = {**recipe.model_dump(), "seed": seed}
    if arm in CORRUPTIONS:
        values["corrupt"] = arm
    elif arm != TASK:
        values["reward"]["kind"] = arm
    return validate(values, f"control {arm}")


def run_controls(
    recipe: Recipe, controls: Sequence[str], seeds: int, folder: Path, say: Callable[[str], None]
) -> list[Arm]:
    """Trains the recipe and its controls with ``seeds`` seeds each, from the recipe's own on.

    Runs that ``folder`` holds are used as they are, and unfinished ones are resumed; the result is written there.

    Raises:
        UserError: as training does, and for a folder whose runs are of another recipe.
    """
    check_controls(recipe, controls)
    arms = list(dict.fromkeys([TASK, *controls]))
    for arm in arms:
        # Before the first run: what an arm cannot have would otherwise end the command after the others are trained.
        if arm_recipe(recipe, arm, recipe.seed).corrupt is not None:
            build_tasks(recipe).corrupted(arm)
    say(f"{len(arms) * seeds} runs, {seeds} of each of {', '.join(arms)}; each says how long it will take")
    runs: dict[str, list[Run]] = {arm: [] for arm in arms}
    # Seed by seed, so that what is there when it is interrupted can be compared.
    for seed in range(recipe.seed, recipe.seed + seeds):
        for arm in arms:
            say(f"{arm}, seed {seed}")
            runs[arm].append(arm_run(arm_recipe(recipe, arm, seed), folder / f"{arm}-{seed}"))
    found = [_arm(arm, runs[arm], runs[TASK]) for arm in arms]
    content = {"recipe": recipe.model_dump(mode="json"), "seeds": seeds, "arms": [arm.as_dict() for arm in found]}
    with whole(folder / RESULT) as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return found


def arm_run(recipe: Recipe, path: Path) -> Run:
    """The run of an arm in its folder: used as it is, gone on with, or started.

    Raises:
        UserError: as training does, and for the run of another recipe.
    """
    if not (path / CONFIG).is_file():
        return run_recipe(recipe, path)
    run = open_run(path)
    if validate(dict(run.config), str(path / CONFIG)) != recipe:
        raise UserError(f"{path} is a run of another recipe; give another --output")
    return run if run.finished else run_recipe(recipe, path, resume=True)


def _answers(runs: Sequence[Run], step: int | None) -> list[HeldoutAnswer]:
    """The held-out answers of all runs after a step, by default the last; in the same order for each arm."""
    answers = []
    for run in runs:
        wanted = (run.summary or {})["steps"] if step is None else step
        answers += sorted((each for each in run.heldout() if each.step == wanted), key=lambda each: each.index)
    return answers


def _arm(name: str, runs: Sequence[Run], reference: Sequence[Run]) -> Arm:
    before, after, best = _answers(runs, 0), _answers(runs, None), _answers(reference, None)
    items = [each.own_items for each in after]

    def scores(answers: Sequence[HeldoutAnswer]) -> list[float]:
        return [each.score for each in answers]

    return Arm(
        name=name,
        before=Estimate.of([each.verdict for each in before], items),
        after=Estimate.of([each.verdict for each in after], items),
        gain=PairedDifference.of(scores(before), scores(after), items),
        behind=None if name == TASK else PairedDifference.of(scores(after), scores(best), items),
        seeds=[float((run.summary or {})["heldout"]["after"]["score"]) for run in runs],
    )
