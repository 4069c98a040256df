"""Going on with a run that was stopped: whether it may be, from where, and the command that does it."""

from __future__ import annotations

import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl4rl.checkpoints import STAGING, CannotWrite, checkpoints, is_about_disk, last_whole
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


def resume_command(prepared: Prepared, run: Path, max_time: float | None = None, command: str = "train") -> str:
    """What to type to go on with a run that ``command`` has started."""
    side = parts_of(prepared.tasks.train)[0].source_kind.side
    limit = f" --max-time {max_time:g}" if max_time is not None else ""
    typed = f"ssl4rl {side} {command} --resume --output {shlex.quote(str(run))}{limit}"
    processes = num_processes()
    return typed if processes == 1 else f"{typed} (with the same launcher and {processes} processes)"


@contextmanager
def resumable(command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Around what can be gone on with by a command, which is said where it ends before its time.

    Raises:
        UserError: for a disk that is full or cannot be written.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say(f"continue with: {command}")
        raise
    except (CannotWrite, OSError) as error:
        if not is_about_disk(error):
            raise
        raise UserError(f"{error}; then continue with: {command}") from error


def end_with(number: int | None) -> None:
    """Ends as a program does that got that signal; with None or 0, nothing ends."""
    if number:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def begin_again_command(prepared: Prepared, run: Path) -> str:
    """What to do where a run of training cannot be gone on with."""
    return f"begin again at step 0: {resume_command(prepared, run)} --from-start"


def check_unchanged(run: Run, prepared: Prepared) -> None:
    """Refuses to go on with a run of training, as :func:`refuse_changes` does."""
    before = validate(dict(run.config), str(run.path / CONFIG)).model_dump(mode="json")
    now = prepared.recipe.model_dump(mode="json")
    refuse_changes(run, before, now, prepared, begin_again_command(prepared, run.path))


def refuse_changes(run: Run, before: Mapping[str, Any], now: Mapping[str, Any], prepared: Prepared, again: str) -> None:
    """Refuses to go on with a run that is finished, or whose settings, data, model, tasks or processes changed.

    Raises:
        UserError: naming what has changed, and what to do: to put it back, or ``again``.
    """
    if run.finished:
        raise UserError(f"{run.path} is finished; nothing is left to resume")
    changes = changed_settings(before, now, FREE) + provenance(prepared).changes(run)
    if changes:
        raise UserError(
            f"{', '.join(changes)} changed after {run.path} was started: it cannot be gone on with; put back what it "
            f"was, or {again}"
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


def rewind(run: Run, usual: int, again: str) -> tuple[int, Path | None, list[str]]:
    """Cuts a run's files back to its last whole checkpoint; ``usual`` is ``save_steps`` where its recipe has none.

    ``again`` is what to do where none can be used.

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
            raise UserError(f"{run.path} has no checkpoint to go on from ({reason}): {again}")
        lines = ["it was stopped before its first checkpoint, so it starts at step 0"]
    step, folder = found or (0, None)
    for name in (METRICS, COMPLETIONS, HELDOUT):
        run.cut(name, step)
    return step, folder, lines
