"""Going on with a run that was stopped: whether it may be, from where, and the command that does it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from ssl4rl.checkpoints import STAGING, checkpoints, last_whole
from ssl4rl.errors import UserError
from ssl4rl.mixture import parts_of
from ssl4rl.provenance import Provenance, changed_settings
from ssl4rl.runs import COMPLETIONS, CONFIG, HELDOUT, METRICS, SUMMARY, Run
from ssl4rl.training.preparation import Prepared, num_processes
from ssl4rl.training.recipe_file import validate
from ssl4rl.training.saving import LAST, MODEL, adapter_folder

FREE = (
    "log_completions_every",
    "max_broken",
    "grpo.save_steps",
    "grpo.save_total_limit",
    "grpo.report_to",
    "grpo.run_name",
    "grpo.project",
)
"""Settings that may change when a run is resumed: nothing that is trained depends on them."""


def provenance(prepared: Prepared) -> Provenance:
    """What decides the run besides its recipe."""
    tasks = prepared.tasks
    return Provenance(tasks.sources, prepared.files.fingerprint, tasks.versions, num_processes(), tasks.asked)


def resume_command(prepared: Prepared, run: Path, max_time: float | None = None) -> str:
    """What to type to go on with a run."""
    side = parts_of(prepared.tasks.train)[0].source_kind.side
    limit = f" --max-time {max_time:g}" if max_time is not None else ""
    command = f"ssl4rl {side} train --resume --output {shlex.quote(str(run))}{limit}"
    processes = num_processes()
    return command if processes == 1 else f"{command} (with the same launcher and {processes} processes)"


def check_unchanged(run: Run, prepared: Prepared) -> None:
    """Refuses to go on with a run that is finished, or whose recipe, data, model, tasks or number of processes changed.

    Raises:
        UserError: naming what has changed, and what to do.
    """
    if run.finished:
        raise UserError(f"{run.path} is finished; nothing is left to resume")
    before = validate(dict(run.config), str(run.path / CONFIG)).model_dump(mode="json")
    changes = changed_settings(before, prepared.recipe.model_dump(mode="json"), FREE)
    changes += provenance(prepared).changes(run)
    if changes:
        raise UserError(
            f"{', '.join(changes)} changed after {run.path} was started: it cannot be gone on with; put back what it "
            f"was, or begin again at step 0: {resume_command(prepared, run.path)} --from-start"
        )


def begin_again(run: Run, prepared: Prepared) -> None:
    """Empties a run, so that it starts at step 0 with the recipe, data and model of now."""
    for _, folder in checkpoints(run.path):
        shutil.rmtree(folder)
    models = [run.path / name for name in (MODEL, LAST)]
    for name in (*(each.name for each in models), *(adapter_folder(each).name for each in models), STAGING):
        shutil.rmtree(run.path / name, ignore_errors=True)
    for name in (SUMMARY, METRICS, COMPLETIONS, HELDOUT):
        (run.path / name).unlink(missing_ok=True)
    run.write_config(prepared.recipe.model_dump(mode="json"))
    provenance(prepared).record(run)


def rewind(run: Run, usual: int, command: str) -> tuple[int, Path | None, list[str]]:
    """Cuts a run's files back to its last whole checkpoint; ``usual`` is ``save_steps`` where its recipe has none.

    Returns:
        Its step and folder (0 and None if the run was stopped before the first one was due), and lines to print.

    Raises:
        UserError: if the run has been past a checkpoint and none can be used.
    """
    shutil.rmtree(run.path / STAGING, ignore_errors=True)
    found, lines = last_whole(run.path)
    if found is None:
        reached = max((line["step"] for line in run.metrics()), default=0)
        if lines or reached > run.config["grpo"].get("save_steps", usual):  # the run's own: it may be another by now
            reason = "; ".join(lines) or f"it has none, and reached step {reached}"
            raise UserError(
                f"{run.path} has no checkpoint to go on from ({reason}); to begin again at step 0: "
                f"{command} --from-start"
            )
        lines = ["it was stopped before its first checkpoint, so it starts at step 0"]
    step, folder = found or (0, None)
    for name in (METRICS, COMPLETIONS, HELDOUT):
        run.cut(name, step)
    return step, folder, lines
