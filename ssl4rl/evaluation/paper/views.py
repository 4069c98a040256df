"""The paper's tables one by one: what each column is here, what is known to be wrong in it, and how to run it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl.evaluation.paper.checks import Finding, findings
from ssl4rl.evaluation.paper.claims import GAIN
from ssl4rl.evaluation.paper.tables import AVERAGE, GRAPH, GRAPH_BENCHMARKS, Table, load_tables, rows

TITLES = {
    "table1": "MMBench by group of abilities, Qwen2.5-VL-3B",
    "table2": "SEED-Bench by dimension, Qwen2.5-VL-3B",
    "table3": "MMBench by group of abilities, Qwen2.5-VL-7B",
    "table4": "ImageNet-1K, Qwen2.5-VL-3B",
    "table5": "Graphs, Qwen2.5-VL-3B and Qwen2.5-7B-Instruct",
    "table6": "MMBench by ability, Qwen2.5-VL-3B",
    "table7": "MMBench by ability, Qwen2.5-VL-7B",
    "table8": "SEED-Bench by dimension, Qwen2.5-VL-7B",
    "table9": "MMBench by ability and difficulty, Qwen2.5-VL-3B",
    "table10": "SEED-Bench by dimension and difficulty, Qwen2.5-VL-3B",
    "table11": "MMBench by ability and difficulty, Qwen2.5-VL-7B",
    "table12": "ImageNet-1K by difficulty, Qwen2.5-VL-3B",
    "table13": "SEED-Bench by dimension and difficulty, Qwen2.5-VL-7B",
}
"""The paper's tables, in its order."""

PARTS = {
    "mmbench": {
        "Logical": "logic_reasoning",
        "Relation": "relation_reasoning",
        "Attribute": "attribute_reasoning",
        "Coarse": "coarse_perception",
        "Cross-Inst.": "finegrained_perception (cross-instance)",
        "Single-Inst.": "finegrained_perception (instance-level)",
        "IR": "identity_reasoning",
        "PPR": "physical_property_reasoning",
        "FR": "function_reasoning",
        "OL": "object_localization",
        "SIU": "structuralized_imagetext_understanding",
        "AtR": "attribute_recognition",
        "FP": "future_prediction",
        "SpR": "spatial_relationship",
        "ISc": "image_scene",
        "IQ": "image_quality",
        "Ace": "action_recognition",
        "AC": "attribute_comparison",
        "IT": "image_topic",
        "NR": "nature_relation",
        "PR": "physical_relation",
        "SoR": "social_relation",
        "CR": "celebrity_recognition",
        "ISt": "image_style",
        "OCR": "ocr",
        "IE": "image_emotion",
    },
    "seedbench": {
        "TU": "Text Understanding",
        "VR": "Visual Reasoning",
        "SU": "Scene Understanding",
        "IId": "Instance Identity",
        "IIn": "Instance Interaction",
        "IA": "Instance Attributes",
        "IL": "Instance Location",
        "SR": "Spatial Relation",
        "IC": "Instances Counting",
    },
}
"""The categories and groups of our scores that the columns of two benchmarks' tables are."""

UNSTATED = {
    "mmbench": "Average is over all rows, rotated ones included, and a group is the mean of its abilities, so ours are "
    "means of rows; CircularEval is in the run's scores.json.",
    "seedbench": "Average is over all questions.",
    "imagenet": "The paper does not say which images and classes it asked about; Completion is without options.",
    "graph": "The paper does not say which items it scored, whether Products was asked as nodes or as links (both are "
    "compared with the same cells), or among how many relations fb15k237 and wn18rr were asked (here 10, unless "
    "task.num_options is set).",
}
"""What a reader has to know to compare a benchmark's numbers."""


@dataclass(frozen=True)
class Column:
    """A column of a table, and what it is here."""

    name: str
    """As it is called here; ``Average`` for the average."""
    cells: Mapping[str, float]
    """Percent by row of the table; in Table 5 by size of the model and row."""
    gain: str
    """The printed largest gain, of both models in Table 5; empty if there is none."""
    runs: tuple[str, ...]
    """The evaluations of the suite that measure it; none for a mean over columns."""
    part: str = ""
    """The category or group of their scores; empty for the score itself."""


@dataclass(frozen=True)
class View:
    """A table of the paper as it is shown."""

    number: int
    title: str
    benchmark: str
    """``mmbench``, ``seedbench``, ``imagenet`` or ``graph``."""
    columns: Sequence[Column]
    errors: Sequence[str]
    """What is known to be wrong in it: a sentence each."""

    @property
    def side(self) -> str:
        """Which command evaluates it."""
        return "graph" if self.benchmark == "graph" else "vision"

    @property
    def row_names(self) -> list[str]:
        """Its rows, the base model's first."""
        return list(self.columns[0].cells)

    @property
    def runs(self) -> list[str]:
        """The evaluations of the suite that it needs."""
        return list(dict.fromkeys(run for column in self.columns for run in column.runs))


def views(side: str | None = None) -> list[View]:
    """The paper's tables in its order, those of one side of the toolkit or all."""
    tables = load_tables()
    found = findings(tables)
    shown = [_view(key, tables, [each for each in found if _key(each.table) == key]) for key in TITLES]
    return [view for view in shown if side in (None, view.side)]


def ours(column: Column, evaluated: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Our result of each of a column's runs, from the rows of the suite by name; None where there is none."""
    results: list[Mapping[str, Any] | None] = []
    for run in column.runs:
        row = evaluated.get(run, {})
        result = row.get("parts", {}).get(column.part) if column.part else row
        results.append(result if result and "accuracy" in result else None)
    return results


def sentence(finding: Finding) -> str:
    """A finding in words."""
    row = "largest gain" if finding.row == GAIN else finding.row and f"row {finding.row}"
    model = finding.table.rpartition("_")[2] if finding.table in GRAPH.values() else ""  # a table with two models
    place = ", ".join(part for part in (model, row, finding.column and f"column {finding.column}") if part)
    printed, other = finding.printed, finding.recomputed
    text = f"{place}: {finding.message}"
    if finding.kind == "claim":
        text = f"{place}: {other:.2f} in the table, but {finding.message}"
    elif finding.kind == "label" and finding.column == printed and "," in str(other):
        text = f"{finding.message} (here {' and '.join(str(other).split(', '))})"
    elif finding.kind == "label" and finding.column != printed:
        text = f"{place}: headed {printed}, but it {finding.message}"
    elif isinstance(printed, float | int) and isinstance(other, float | int):
        text = f"{place}: {printed:.2f} is {finding.message}; recomputed {other:.2f}"
    text = re.sub(r"table(\d+)_\w+", r"Table \1", text)
    return text[0].upper() + text[1:]


def _key(table: str) -> str:
    return table.partition("_")[0]


def _view(key: str, tables: Mapping[str, Table], found: Sequence[Finding]) -> View:
    parts = {name: table for name, table in tables.items() if _key(name) == key}
    benchmark = next(iter(parts)).split("_")[1]
    errors = [sentence(finding) for finding in found if finding.kind != "size"]
    if sizes := [f"{finding.column} {finding.recomputed}" for finding in found if finding.kind == "size"]:
        errors.append(f"The sizes of the test sets are not stated; the smallest that fit all cells: {', '.join(sizes)}")
    return View(int(key.removeprefix("table")), TITLES[key], benchmark, list(_columns(benchmark, parts)), errors)


def _columns(benchmark: str, parts: Mapping[str, Table]) -> Iterator[Column]:
    several = len(parts) > 1
    first = next(iter(parts.values()))
    for name in next(iter(first["rows"].values())):
        cells: dict[str, float] = {}
        gains: list[str] = []
        for key, table in parts.items():
            size = f"{key.rpartition('_')[2]} " if several else ""
            cells |= {f"{size}{row}": values[name] for row, values in rows(table)}
            gains += [f"{table[GAIN][name]:.2f}"] if GAIN in table else []
        yield Column(name, cells, " / ".join(gains), *_here(benchmark, name))


def _here(benchmark: str, name: str) -> tuple[tuple[str, ...], str]:
    """The runs of the suite that a column is measured by, and the part of their scores."""
    if benchmark == "graph":
        return tuple(f"{name.lower()}-{kind}" for kind in GRAPH_BENCHMARKS.get(name, ())), ""
    if benchmark == "imagenet":
        return (f"imagenet-{name.lower()}",), ""
    return (benchmark,), "" if name == AVERAGE else PARTS[benchmark][name]
