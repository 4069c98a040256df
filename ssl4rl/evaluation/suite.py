"""The paper's graph table (its Table 5) again, with ours beside every cell.

Each column is an evaluation with a run folder of its own. The paper says neither which items it scored nor what it
asked on Products, so the numbers of items stand beside both, and Products is asked as nodes and as links.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl4rl.data import load_graph
from ssl4rl.errors import UserError, unknown
from ssl4rl.evaluation.paper import PaperColumn, graph_cells
from ssl4rl.evaluation.recipe import PAPER_LEVEL, EvalRecipe
from ssl4rl.evaluation.run import Model, build_benchmark, evaluate
from ssl4rl.evaluation.scores import SCORES
from ssl4rl.records import CONFIG, RunFolder, default_folder
from ssl4rl.registry import BENCHMARKS

SUITE = "suite.json"


def run_suite(
    name: str, settings: Mapping[str, Any], output: Path | None, *, resume: bool, say: Callable[[str], None]
) -> tuple[Path, list[dict[str, Any]]]:
    """Evaluates every column whose dataset is there; returns the folder and a row per column.

    A row has ``dataset``, ``benchmark``, ``paper`` (its cells, as shares), ``paper_n`` (the smallest number of items
    that fits its decimals) and, unless ``left_out`` says why not, our ``accuracy``, ``low``, ``high`` and ``n``.

    Raises:
        UserError: for an unknown suite, or if no column can be evaluated.
    """
    if name != "paper":
        raise unknown("suite", name, ["paper"])
    if resume and (output is None or not output.is_dir()):
        raise UserError(f"--resume needs the suite to go on with: --output FOLDER ({output} is none)")
    folder = output or default_folder("suite", name)
    given = dict(settings.get("knobs") or {})
    kinds = {column.benchmark: BENCHMARKS.get(column.benchmark) for column in graph_cells()}
    for knob in given:
        if not any(knob in kind.knobs_type.model_fields for kind in kinds.values()):
            raise unknown("knob", knob, {field for kind in kinds.values() for field in kind.knobs_type.model_fields})
    model: Model | None = None
    rows = []
    for column in graph_cells():
        fields = kinds[column.benchmark].knobs_type.model_fields
        recipe = EvalRecipe.build(
            {
                "level": PAPER_LEVEL,
                **settings,
                "dataset": column.dataset,
                "benchmark": column.benchmark,
                "knobs": {knob: value for knob, value in given.items() if knob in fields},
            }
        )
        row: dict[str, Any] = {"dataset": column.dataset, "benchmark": column.benchmark}
        try:
            load_graph(column.dataset)
        except UserError as error:
            say(f"{column.dataset} {column.benchmark} is left out: {error}")
            rows.append({**row, "left_out": str(error), **_printed(column)})
            continue
        build_benchmark(recipe)
        model = replace(model, recipe=recipe) if model else Model.open(recipe)
        run = folder / f"{column.dataset}-{column.benchmark}"
        going_on = resume and (run / CONFIG).is_file()
        if going_on and EvalRecipe.load(run / CONFIG).model_copy(update={"engine": recipe.engine}) != recipe:
            raise UserError(f"{run} was evaluated with other settings; give the same ones, or another --output")
        if not (going_on and (run / SCORES).is_file()):
            evaluate(recipe, run, resume=going_on, say=say, model=model)
        found = json.loads((run / SCORES).read_text(encoding="utf-8"))
        rows.append({**row, **{key: found[key] for key in ("accuracy", "low", "high", "n")}, **_printed(column)})
    if model is None:
        raise UserError(f"none of the suite's datasets is here: {rows[0]['left_out']}")
    RunFolder(folder).write_json(SUITE, rows)
    return folder, rows


def _printed(column: PaperColumn) -> dict[str, Any]:
    return {"paper": dict(column.cells), "paper_n": column.n_inferred}
