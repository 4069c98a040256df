"""Tasks, benchmarks and sources by name, and the example that an id names. The command line goes through it, too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.benchmarks import AnyBenchmark, versioned_name
from ssl4rl.errors import UserError, unknown
from ssl4rl.example import Example, ExampleId
from ssl4rl.mixture import Mixture
from ssl4rl.registry import BENCHMARKS, SOURCE_KINDS, TASKS
from ssl4rl.source import Source, SourceKind, unknown_dataset
from ssl4rl.tasks import TRIED, AnyTask, is_paper_level

if TYPE_CHECKING:
    from ssl4rl.runs import Run


def find_kind(name: str, kind: str | None = None) -> SourceKind[Any]:
    """The kind of source that a name or path belongs to: that of ``kind``, or the first that knows or recognises it.

    Raises:
        UserError: if none does.
    """
    if not isinstance(name, str | Path):
        raise _no_source(name)
    name = str(name)
    if kind is not None:
        return SOURCE_KINDS.get(kind)
    kinds = [SOURCE_KINDS.get(each) for each in SOURCE_KINDS.names()]
    for known in kinds:
        if name in known.registry.names():
            return known
    for known in kinds:
        if known.recognises(name):
            return known
    if Path(name).expanduser().exists():
        choices = ", ".join(known.name for known in kinds)
        held = _content(Path(name).expanduser())
        raise UserError(
            f"{name} is not recognised as a dataset{held}; pass --kind with one of {choices} to see what is missing"
        )
    registered = [each for known in kinds for each in known.registry.names()]
    raise unknown_dataset("dataset", name, registered)


def _no_source(given: object) -> UserError:
    return UserError(
        f"{type(given).__name__} is neither the name of a dataset nor a path; a graph in memory is made with "
        "TextAttributedGraph.from_edges, or from_networkx or from_pyg of ssl4rl.data.graphs.convert"
    )


def _content(path: Path) -> str:
    """What a folder holds, in brackets."""
    names = sorted(each.name for each in path.iterdir()) if path.is_dir() else []
    return f" (it holds {', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""


def load(name: str, kind: str | None = None) -> Any:
    """A graph, a set of images, or another source: by its registered name, or from a folder or file.

    >>> load("citations")
    TextAttributedGraph('citations', 3,000 nodes, 8,924 edges, 8 classes)

    Raises:
        UserError: if there is no such source, or its files are bad.
    """
    return find_kind(name, kind).load(str(name))


def task(
    name: str,
    source: Source | str | Path | None = None,
    level: str | None = None,
    split: str = "train",
    seed: int = 0,
    **knobs: Any,
) -> AnyTask:
    """A registered task on a source (a name, a path or an object; by default the embedded one).

    >>> task("link", level="easy").example(0).gold in ("yes", "no")
    True

    Raises:
        UserError: for an unknown task, level or knob, or a source that lacks what the task needs.
    """
    task_type = TASKS.get(name)
    return task_type(_source(task_type, source), split=split, level=level, knobs=knobs, seed=seed)


DRAWN = 12
"""Examples that are drawn of each task to see how many different items they are about."""


@dataclass(frozen=True)
class Use:
    """Whether a task or a benchmark can use a source, at its usual level."""

    reason: str = ""
    """What keeps it from it; empty where nothing does."""
    distinct: Mapping[str, int] = field(default_factory=dict)
    """By split, how many different nodes, pairs or images the first ``DRAWN`` examples of a task are about; how many
    questions a benchmark has."""


def uses_of_tasks(dataset: str, kind: SourceKind[Any]) -> dict[str, Use]:
    """What each task of the kind can do with a dataset: whether it has examples to train on, and others to validate."""
    source = kind.load(dataset)
    tasks = {name: task for name, task in TASKS.all()[0].items() if task.source_kind.name == kind.name}
    return {name: _use_of_task(task, source) for name, task in tasks.items()}


def _use_of_task(task_type: type[AnyTask], source: Source) -> Use:
    distinct = {}
    for split in ("train", "val"):
        try:
            asked = task_type(source, split=split, level=None, knobs={}, seed=0)
            distinct[split] = len({frozenset(asked.example(index).source_items) for index in range(DRAWN)})
        except UserError as error:
            easiest = next(level for level in task_type.levels if not is_paper_level(level))
            can = easiest != task_type.default_level and _has_examples(task_type, source, easiest)
            return Use(f"{split}: {error}" + (f" (at level {easiest} it can)" if can else ""))
    return Use(distinct=distinct)


def _has_examples(task_type: type[AnyTask], source: Source, level: str) -> bool:
    """Whether a task at that level has examples to train on and to validate."""
    try:
        for split in ("train", "val"):
            task_type(source, split=split, level=level, knobs={}, seed=0).tried()
    except UserError:
        return False
    return True


def uses_of_benchmarks(dataset: str, kind: SourceKind[Any]) -> dict[str, Use]:
    """What each benchmark of the kind's side can ask about a dataset, which may be of several kinds."""
    uses = {}
    for name, benchmark_type in BENCHMARKS.all()[0].items():
        if benchmark_type.source_kind.side == kind.side:
            uses[name] = _use_of_benchmark(benchmark_type, dataset)
    return uses


def _use_of_benchmark(benchmark_type: type[AnyBenchmark], dataset: str) -> Use:
    try:
        asked = benchmark_type(_source(benchmark_type, dataset), split="test", level=None, knobs={}, seed=0)
        for index in {*range(min(TRIED, asked.size)), asked.size - 1}:
            asked.example(index)
    except UserError as error:
        return Use(f"test: {error}")
    return Use(distinct={"test": asked.num_questions})


def benchmark(
    name: str,
    source: Source | str | Path | None = None,
    level: str | None = None,
    split: str = "test",
    seed: int = 0,
    **knobs: Any,
) -> AnyBenchmark:
    """A registered benchmark on a source; its examples are the items of the split.

    >>> benchmark("node").size > 0
    True

    Raises:
        UserError: as :func:`task` does.
    """
    benchmark_type = BENCHMARKS.get(name)
    return benchmark_type(_source(benchmark_type, source), split=split, level=level, knobs=knobs, seed=seed)


def mix(tasks: Sequence[AnyTask], weights: Sequence[float] | None = None, seed: int = 0) -> Mixture:
    """Several tasks as one; see :class:`ssl4rl.mixture.Mixture`.

    >>> mix([task("link"), task("neighbor")]).label
    'link@medium+neighbor@medium'
    """
    return Mixture(tasks, weights, seed)


def _source(task_type: type[AnyTask], source: Source | str | Path | None) -> Any:
    if source is None or isinstance(source, str | Path):
        return task_type.source_kind.load(None if source is None else str(source))
    if not hasattr(source, "fingerprint"):
        raise _no_source(source)
    return source


def rebuild(
    identity: str | ExampleId, source: Source | str | Path | None = None, run: Run | None = None
) -> tuple[AnyTask, Example]:
    """The task or benchmark that an id names, and its example.

    The source is ``source``, else the one of that name that ``run`` used, else the registered one.

    Raises:
        UserError: if the source is unknown, or if its content or the task no longer give that example.
    """
    example_id = ExampleId.parse(identity) if isinstance(identity, str) else identity
    rebuilt, refusal = None, None
    for task_type in _types_of(example_id):
        try:
            loaded = _source(task_type, source if source is not None else _recorded(task_type, example_id, run))
            asked = task_type(
                loaded,
                split=example_id.split,
                level=example_id.level,
                knobs=example_id.knobs,
                seed=example_id.seed,
            )
            if example_id.index < getattr(asked, "size", math.inf):
                example = asked.example(example_id.index)
                if example.id == example_id:
                    return asked, example
                rebuilt = asked, example
        except UserError as error:  # a benchmark may refuse a source on which the task of its name works
            refusal = error
    if rebuilt is None and refusal is not None:
        raise refusal
    raise UserError(_reason(example_id, rebuilt, run))


def _types_of(example_id: ExampleId) -> list[type[AnyTask]]:
    """The task, the benchmark, or both of that name (the hash tells them apart) that have the level and the knobs."""
    named: list[type[AnyTask]] = []
    # Tasks are usually asked on train, and benchmarks on test.
    for registry in (TASKS, BENCHMARKS) if example_id.split == "train" else (BENCHMARKS, TASKS):
        if example_id.task in registry.names():
            named.append(registry.get(example_id.task))
    if not named:
        raise unknown("task", example_id.task, [*TASKS.names(), *BENCHMARKS.names()])
    fitting = []
    for task_type in named:
        knobs = task_type.knobs_type.model_fields.keys()
        if example_id.level in task_type.levels and example_id.knobs.keys() <= knobs:
            fitting.append(task_type)
    return fitting or named[-1:]


def _recorded(task_type: type[AnyTask], example_id: ExampleId, run: Run | None) -> str:
    """The name or path of the id's source: as a run recorded it, or the registered one."""
    kind = task_type.source_kind
    for used in run.used_sources if run is not None else ():
        if used.name == example_id.source and used.kind == kind.name:
            if used.dataset is None:
                raise UserError(f"the run used {used.name} from memory, so only Python can rebuild it: pass source=")
            return used.dataset
    if example_id.source not in kind.registry.names():
        reason = f"{run.path} did not use it" if run is not None else "it is not registered"
        raise UserError(f"the source {example_id.source!r} is unknown ({reason}); add --dataset NAME or PATH")
    return example_id.source


def _reason(example_id: ExampleId, rebuilt: tuple[AnyTask, Example] | None, run: Run | None) -> str:
    """Why an id no longer names an example, from what its run recorded."""
    if rebuilt is None:
        return (
            f"{example_id.source} has no item {example_id.index} in {example_id.label}: the dataset has changed since "
            "the id was made"
        )
    asked, example = rebuilt
    now = f"{example_id} is now {example.id}"
    if run is None:
        return f"{now}: the dataset has changed, or the task has; --run RUN says which, if a run recorded the id"
    changes = []
    for used in run.used_sources:
        if used.name == example_id.source and used.fingerprint != asked.source.fingerprint:
            changes.append(f"the content of {used.name} ({used.fingerprint[:8]} → {asked.source.fingerprint[:8]})")
    before = run.environment.get("task_versions", {}).get(versioned_name(asked))
    if before is not None and before != asked.version:
        changes.append(f"{versioned_name(asked)} (version {before} → {asked.version})")
    recorded = run.environment.get("packages", {}).get("ssl4rl")
    import ssl4rl

    if not changes and recorded != ssl4rl.__version__:
        changes.append(f"ssl4rl ({recorded} → {ssl4rl.__version__})")
    return f"{now}: changed since {run.path}: {', '.join(changes) or 'nothing that was recorded'}"
