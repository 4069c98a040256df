"""Whether a run that was stopped can be gone on with: what its recipe, data, model and processes were, and are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl.runs import CONFIG, ENVIRONMENT, Run, UsedSource


@dataclass(frozen=True)
class Provenance:
    """What decides a run besides its recipe."""

    sources: Sequence[UsedSource]
    model: str | None
    """The model by content, None where that is not known."""
    task_versions: Mapping[str, int]
    processes: int = 1
    heldout: str | None = None
    """What is held out, where the recipe need not say it."""

    def record(self, run: Run) -> None:
        """Writes it into the run's environment.json."""
        about = {"processes": self.processes, "heldout": self.heldout}
        run.write_environment(self.sources, self.model, self.task_versions, **about)

    def changes(self, run: Run) -> list[str]:
        """What is no longer as the run has recorded it, in words; of a run that recorded nothing yet, nothing is."""
        before = run.environment
        if not before:
            if run.has_records:
                return [f"{ENVIRONMENT} (it is missing)"]
            self.record(run)  # it was stopped before anything else was written
            return []
        changes = [*self._changed_sources(run)]
        if before["model"] != self.model:
            changes.append("the model")
        for task in sorted(before["task_versions"].keys() | self.task_versions.keys()):
            then, now = before["task_versions"].get(task), self.task_versions.get(task)
            if then != now:
                changes.append(f"{task} (version {then}, now {now})")
        if before.get("processes", 1) != self.processes:
            changes.append(f"the number of processes ({before.get('processes', 1)}, now {self.processes})")
        # Runs of before did not record it, and other data or versions are other examples.
        if not changes and before.get("heldout", self.heldout) != self.heldout:
            changes.append(f"what is held out ({before['heldout']}; now {self.heldout})")
        if before.get("recipe", run.config_hash) != run.config_hash:
            changes.append(f"the recipe ({CONFIG} was edited)")
        return changes

    def _changed_sources(self, run: Run) -> Iterator[str]:
        then, now = (_contents(sources) for sources in (run.used_sources, self.sources))
        for kind, name in sorted(then.keys() | now.keys()):
            old, new = then.get((kind, name)), now.get((kind, name))
            if old is None or new is None:
                yield f"the dataset {name} ({'it was not used' if old is None else 'it is no longer used'})"
            elif old != new:
                yield f"the dataset {name} (content {' '.join(old)}, now {' '.join(new)})"


def _contents(sources: Iterable[UsedSource]) -> dict[tuple[str, str], list[str]]:
    """The beginnings of the fingerprints, by kind and name, which several sources may share."""
    contents: dict[tuple[str, str], list[str]] = {}
    for used in sources:
        contents.setdefault((used.kind, used.name), []).append(used.fingerprint[:12])
    return {key: sorted(found) for key, found in contents.items()}


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any], free: Iterable[str] = ()) -> list[str]:
    """The settings of two recipes that differ, as ``key (value, now value)``; those in ``free`` may."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{key} ({old.get(key, 'not set')}, now {new.get(key, 'not set')})"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) and key not in free
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}")
    else:
        yield path, value
