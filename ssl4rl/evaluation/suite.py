"""The paper's result tables again, with our result for every column: Table 5 on graphs, and the vision benchmarks.

Each column is an evaluation with a run folder of its own. The paper says neither which graph items it scored nor what
it asked on Products, so both numbers of items are reported, and Products is asked as nodes and as links. Its averages
on MMBench are over all rows, rotated ones included, which is our ``row_mean``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError, listed, unknown
from ssl4rl.evaluation.beside import Say
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.paper.tables import PaperColumn, graph_columns, vision_columns
from ssl4rl.evaluation.plan import build_benchmark
from ssl4rl.evaluation.recipe import PAPER_LEVEL, EvalRecipe
from ssl4rl.evaluation.run import check_unchanged, evaluate
from ssl4rl.lock import locked
from ssl4rl.registry import BENCHMARKS
from ssl4rl.runs import CONFIG, Run, default_folder

SUITE = "suite.json"


@dataclass(frozen=True)
class PlannedColumn:
    """A column of the paper's tables, and how to evaluate it here."""

    column: PaperColumn
    recipe: EvalRecipe | None
    """None if its dataset is missing, or has no answers to score by."""
    left_out: str = ""
    """Why it is left out; empty otherwise."""


def plan_suite(name: str, settings: Mapping[str, Any], side: str) -> list[PlannedColumn]:
    """The columns of a suite, in the paper's order.

    For the vision benchmarks, ``settings["dataset"]`` is the folder that holds the data: for each a folder of its name
    (``mmbench``, ``seedbench``, ``imagenet``) or a TSV whose name begins with it.

    Raises:
        UserError: for an unknown suite or setting, or if no column can be evaluated.
    """
    if name != "paper":
        raise unknown("suite", name, ["paper"])
    columns = vision_columns() if side == "vision" else graph_columns()
    datasets = _dataset_finder(columns, settings.get("dataset"), side)
    _check_knobs(columns, settings.get("knobs") or {})
    planned = []
    for column in columns:
        try:
            dataset = datasets(column.dataset)
            BENCHMARKS.get(column.benchmark).source_kind.load(dataset)
        except UserError as error:
            planned.append(PlannedColumn(column, None, str(error)))
            continue
        recipe = _recipe(column, settings, dataset)
        benchmark = build_benchmark(recipe)  # refuses a wrong level or knob before anything is asked
        if benchmark.has_answers:
            planned.append(PlannedColumn(column, recipe))
        else:
            reason = f"{dataset} has no answers; eval --benchmark {column.benchmark} writes replies for its site"
            planned.append(PlannedColumn(column, None, reason))
    if not any(each.recipe for each in planned):
        raise UserError(f"none of the suite's datasets is available: {planned[0].left_out}")
    return planned


def _dataset_finder(columns: Sequence[PaperColumn], folder: str | None, side: str) -> Callable[[str], str]:
    """A function from a column's dataset to the name or path that it is loaded by."""
    if side != "vision":
        return lambda name: name
    home = Path(folder).expanduser() if folder is not None else None
    if home is None or not home.is_dir():
        names = ", ".join(dict.fromkeys(column.dataset for column in columns))
        problem = "none is given" if folder is None else f"{folder} is not a folder"
        raise UserError(f"--suite paper needs --dataset FOLDER, the folder that holds {names} ({problem})")
    return lambda name: _inside(home, name)


def _inside(home: Path, name: str) -> str:
    """The folder of that name in ``home``, or the one TSV there whose name begins with it."""
    if (home / name).is_dir():
        return str(home / name)
    tables = [path for path in sorted(home.glob("*.tsv")) if path.name.lower().startswith(name)]
    if len(tables) != 1:
        raise UserError(f"{home} has no folder {name}, and {len(tables)} files {name}*.tsv instead of one")
    return str(tables[0])


def _check_knobs(columns: Sequence[PaperColumn], knobs: Mapping[str, Any]) -> None:
    """Refuses a knob that no benchmark of the suite has, or that the columns decide."""
    having: dict[str, list[PaperColumn]] = {}
    for column in columns:
        for field in BENCHMARKS.get(column.benchmark).knobs_type.model_fields:
            having.setdefault(field, []).append(column)
    for knob in knobs:
        if knob not in having:
            raise unknown("knob", knob, having)
        if all(knob in column.knobs for column in having[knob]):
            names = listed(column.name for column in having[knob])
            raise UserError(f"--set task.{knob}: the columns that have it, {names}, are of one value each, the paper's")


def _recipe(column: PaperColumn, settings: Mapping[str, Any], dataset: str) -> EvalRecipe:
    fields = BENCHMARKS.get(column.benchmark).knobs_type.model_fields
    own = {knob: value for knob, value in (settings.get("knobs") or {}).items() if knob in fields}
    knobs = {**own, **column.knobs}  # the column's come last: they make it what the paper's cell is
    return EvalRecipe.build(
        {"level": PAPER_LEVEL, **settings, "dataset": dataset, "benchmark": column.benchmark, "knobs": knobs}
    )


def run_suite(
    planned: Sequence[PlannedColumn], output: Path | None, *, resume: bool, say: Say
) -> tuple[Path, list[dict[str, Any]]]:
    """Evaluates every column whose dataset is available; returns the folder and a row per column.

    A row has ``name``, ``dataset``, ``benchmark``, ``paper`` (its cells, as shares), ``paper_n`` (the smallest number
    of items that fits its decimals) and, unless ``left_out`` says why not, our ``accuracy``, ``low``, ``high``, ``n``
    and, of questions with categories, ``parts``: the row mean of each category and group, by name.

    Raises:
        UserError: if there is no suite to resume, it was started with other settings, or an evaluation fails.
    """
    if resume and (output is None or not output.is_dir()):
        raise UserError(f"--resume needs the suite to continue: --output FOLDER ({output} does not exist)")
    folder = output or default_folder("suite", "paper")
    with locked(folder):
        rows = _rows(planned, folder, resume, say)
        Run(folder).write_json(SUITE, rows)
    return folder, rows


def _rows(planned: Sequence[PlannedColumn], folder: Path, resume: bool, say: Say) -> list[dict[str, Any]]:
    model: Model | None = None
    rows = []
    for each in planned:
        column = each.column
        row: dict[str, Any] = {"name": column.name, "dataset": column.dataset, "benchmark": column.benchmark}
        if each.recipe is None:
            say(f"{column.name} is left out: {each.left_out}")
            row["left_out"] = each.left_out
        else:
            model = model or Model.open(each.recipe)
            ours = _evaluated(each.recipe, folder / column.name, model, resume, say)
            reading = ours.get("readings", {}).get("row_mean", ours)
            row |= {key: reading[key] for key in ("accuracy", "low", "high", "n")}
            parts = [*ours.get("categories", ()), *ours.get("groups", ())]
            row["parts"] = {part["name"]: {"accuracy": part["row_mean"]} for part in parts}
        rows.append({**row, "paper": dict(column.cells), "paper_n": column.n_inferred})
    return rows


def _evaluated(recipe: EvalRecipe, path: Path, model: Model, resume: bool, say: Say) -> Mapping[str, Any]:
    """The scores of one column, evaluated now or before."""
    started = resume and (path / CONFIG).is_file()
    if started:
        run = Run.open(path)
        if EvalRecipe.of(run).model_copy(update={"engine": recipe.engine}) != recipe:
            raise UserError(f"{path} was evaluated with other settings; give the same ones, or another --output")
        check_unchanged(run, build_benchmark(recipe), model)
    if not started or not run.finished:
        run = evaluate(recipe, model, path, resume=started, say=say)
    return run.scores or {}
