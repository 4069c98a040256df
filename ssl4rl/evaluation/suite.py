"""The paper's result tables again, with ours beside every cell: its Table 5 of graphs, and its vision benchmarks.

Each column is an evaluation with a run folder of its own. The paper says neither which graph items it scored nor what
it asked on Products, so the numbers of items stand beside both, and Products is asked as nodes and as links. Its
averages on MMBench are over all rows, rotated ones too: ours beside them is ``row_mean``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl4rl.data import load_source_of
from ssl4rl.errors import UserError, unknown
from ssl4rl.evaluation.paper import PaperColumn, graph_cells, vision_cells
from ssl4rl.evaluation.recipe import PAPER_LEVEL, EvalRecipe
from ssl4rl.evaluation.run import Model, build_benchmark, evaluate
from ssl4rl.evaluation.scores import SCORES
from ssl4rl.registry import BENCHMARKS
from ssl4rl.runs import CONFIG, RunFolder, default_folder

SUITE = "suite.json"


def run_suite(
    name: str,
    settings: Mapping[str, Any],
    output: Path | None,
    *,
    resume: bool,
    say: Callable[[str], None],
    side: str = "graph",
) -> tuple[Path, list[dict[str, Any]]]:
    """Evaluates every column whose dataset is there; returns the folder and a row per column.

    Of the vision benchmarks, ``settings["dataset"]`` is the folder that holds the data: for each a folder of its name
    (``mmbench``, ``seedbench``, ``imagenet``) or a TSV whose name begins with it.

    A row has ``name``, ``dataset``, ``benchmark``, ``paper`` (its cells, as shares), ``paper_n`` (the smallest number
    of items that fits its decimals) and, unless ``left_out`` says why not, our ``accuracy``, ``low``, ``high``, ``n``.

    Raises:
        UserError: for an unknown suite, or if no column can be evaluated.
    """
    if name != "paper":
        raise unknown("suite", name, ["paper"])
    if resume and (output is None or not output.is_dir()):
        raise UserError(f"--resume needs the suite to go on with: --output FOLDER ({output} is none)")
    columns = vision_cells() if side == "vision" else graph_cells()
    home = settings.get("dataset")
    if side == "vision" and (home is None or not Path(home).expanduser().is_dir()):
        names = ", ".join(dict.fromkeys(column.dataset for column in columns))
        raise UserError(f"--suite paper needs --dataset FOLDER, the folder that holds {names} ({home} is none)")
    folder = output or default_folder("suite", name)
    given = dict(settings.get("knobs") or {})
    kinds = {column.benchmark: BENCHMARKS.get(column.benchmark) for column in columns}
    for knob in given:
        if not any(knob in kind.knobs_type.model_fields for kind in kinds.values()):
            raise unknown("knob", knob, {field for kind in kinds.values() for field in kind.knobs_type.model_fields})
    model: Model | None = None
    rows = []
    for column in columns:
        kind = kinds[column.benchmark]
        row: dict[str, Any] = {"name": column.name, "dataset": column.dataset, "benchmark": column.benchmark}
        try:
            dataset = column.dataset if home is None else _inside(Path(home).expanduser(), column.dataset)
            load_source_of(kind, dataset)
        except UserError as error:
            say(f"{column.name} is left out: {error}")
            rows.append({**row, "left_out": str(error), **_printed(column)})
            continue
        of_kind = {knob: value for knob, value in given.items() if knob in kind.knobs_type.model_fields}
        recipe = EvalRecipe.build(
            {
                "level": PAPER_LEVEL,
                **settings,
                "dataset": dataset,
                "benchmark": column.benchmark,
                "knobs": {**of_kind, **column.knobs},  # a column stays what the paper's cell is
            }
        )
        build_benchmark(recipe)
        model = replace(model, recipe=recipe) if model else Model.open(recipe)
        run = folder / column.name
        going_on = resume and (run / CONFIG).is_file()
        if going_on and EvalRecipe.load(run / CONFIG).model_copy(update={"engine": recipe.engine}) != recipe:
            raise UserError(f"{run} was evaluated with other settings; give the same ones, or another --output")
        if not (going_on and (run / SCORES).is_file()):
            evaluate(recipe, run, resume=going_on, say=say, model=model)
        found = json.loads((run / SCORES).read_text(encoding="utf-8"))
        ours = found.get("readings", {}).get("row_mean", found)
        rows.append({**row, **{key: ours[key] for key in ("accuracy", "low", "high", "n")}, **_printed(column)})
    if model is None:
        raise UserError(f"none of the suite's datasets is here: {rows[0]['left_out']}")
    RunFolder(folder).write_json(SUITE, rows)
    return folder, rows


def _inside(home: Path, name: str) -> str:
    """The folder of that name in ``home``, or the one TSV there that is called by it."""
    if (home / name).is_dir():
        return str(home / name)
    tables = [path for path in sorted(home.glob("*.tsv")) if path.name.lower().startswith(name)]
    if len(tables) != 1:
        raise UserError(f"{home} holds no folder {name} and {len(tables)} files {name}*.tsv; put it there")
    return str(tables[0])


def _printed(column: PaperColumn) -> dict[str, Any]:
    return {"paper": dict(column.cells), "paper_n": column.n_inferred}
