"""The printed tables, and the columns of them that can be evaluated here.

``paper_tables.json`` holds, for each table, the printed cells in percent (``rows``), the line of largest gains if there
is one (``gain``), and the printed column heads if they differ from the names used here (``header``). Two abbreviations
that the paper uses twice are told apart: SpR and SoR (spatial and social relation), ISc and ISt (scene and style).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

Row = Mapping[str, float]
Table = Mapping[str, Any]
Tables = Mapping[str, Table]

ANY_FITS = 10_000
"""With this many questions, every percentage with two decimals is possible."""

AVERAGE = "Average"
GROUPS = {
    "Logical": ("SIU", "FP"),
    "Relation": ("SoR", "NR", "PR"),
    "Attribute": ("PPR", "FR", "IR"),
    "Coarse": ("ISt", "IT", "ISc", "IE", "IQ"),
    "Cross-Inst.": ("SpR", "AC", "Ace"),
    "Single-Inst.": ("OL", "AtR", "CR", "OCR"),
}
"""MMBench's groups of abilities and their leaves."""
GROUPED = {"table1_mmbench_3b": "table6_mmbench_leaf_3b", "table3_mmbench_7b": "table7_mmbench_leaf_7b"}
"""Tables of groups, and the tables that hold their leaves."""
SIZED = (
    (
        "table6_mmbench_leaf_3b",
        "table7_mmbench_leaf_7b",
        "table9_mmbench_leaf_difficulty_3b",
        "table11_mmbench_leaf_difficulty_7b",
    ),
    ("table2_seedbench_3b", "table8_seedbench_7b", "table10_seedbench_difficulty_3b"),
)
"""Tables with the same columns, from which the sizes of the columns follow. They add up to the 4,329 rows of MMBench's
DEV-EN and the 14,232 of SEED-Bench; with Table 13, whose columns they show to be mixed up, SEED-Bench's would not."""
SAME_COLUMNS = (
    *SIZED[:1],
    (*SIZED[1], "table13_seedbench_difficulty_7b"),
    ("table4_imagenet_3b", "table12_imagenet_difficulty_3b"),
)
"""Tables of one benchmark; a run that appears in several must have the same cells in all of them."""
DEFAULT_DIFFICULTY = {
    "rotation-90": "rotation",
    "jigsaw-2x2": "jigsaw",
    "contrastive-weak": "contrastive",
    "position-2x2": "position",
}
"""What the tables of difficulties call the runs of the main tables."""
GRAPH = {"3b": "table5_graph_3b", "7b": "table5_graph_7b"}
"""Table 5, by the size of the model."""
GRAPH_BENCHMARKS = {
    "Cora": ("node",),
    "PubMed": ("node",),
    "WikiCS": ("node",),
    "Products": ("node", "link"),
    "fb15k237": ("relation",),
    "wn18rr": ("relation",),
}
"""The benchmarks here that a column of Table 5 may be."""
VISION: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("mmbench", AVERAGE): {"3b": "table6_mmbench_leaf_3b", "7b": "table7_mmbench_leaf_7b"},
    ("seedbench", AVERAGE): {"3b": "table2_seedbench_3b", "7b": "table8_seedbench_7b"},
    ("imagenet", "Completion"): {"3b": "table4_imagenet_3b"},
    ("imagenet", "Choice-20"): {"3b": "table4_imagenet_3b"},
    ("imagenet", "Choice-200"): {"3b": "table4_imagenet_3b"},
}
"""The vision benchmarks, and the column of the tables that is their result."""
IMAGENET_OPTIONS = {"Completion": None, "Choice-20": 20, "Choice-200": 200}
"""How many classes each of the ImageNet columns offers."""


@dataclass(frozen=True)
class PaperColumn:
    """A column of results, as a benchmark of this package."""

    dataset: str
    """Registered name; for a vision benchmark, the name of its folder or file."""
    benchmark: str
    """The benchmark's name here."""
    cells: Mapping[str, float]
    """Accuracy in [0, 1] by row: ``3b base``, ``3b attribute``, …, ``7b link``."""
    n_inferred: int
    """Size of the smallest test set on which all of them are possible."""
    name: str
    """Distinguishes it from the other columns."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """The knobs it is evaluated with."""


def load_tables() -> dict[str, dict[str, Any]]:
    """All tables of paper_tables.json."""
    text = files("ssl4rl.evaluation.paper").joinpath("paper_tables.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = json.loads(text)
    return tables


def graph_columns(tables: Tables | None = None) -> list[PaperColumn]:
    """Table 5's columns. Products is both node and link: the paper does not say what its link task asks."""
    tables = load_tables() if tables is None else tables
    columns = []
    for column, benchmarks in GRAPH_BENCHMARKS.items():
        cells = {f"{size} {row}": cells[column] for size, table in GRAPH.items() for row, cells in rows(tables[table])}
        n = smallest_size(cells.values())
        for benchmark in benchmarks:
            name = f"{column.lower()}-{benchmark}"
            columns.append(PaperColumn(column.lower(), benchmark, _shares(cells), n, name))
    return columns


def vision_columns(tables: Tables | None = None) -> list[PaperColumn]:
    """MMBench's and SEED-Bench's averages (over all rows) and the three ImageNet columns.

    A 7B row of MMBench that repeats another cell by cell is left out, since it cannot be a result of its own.
    """
    tables = load_tables() if tables is None else tables
    totals = dict(zip(("mmbench", "seedbench"), (sum(sizes.values()) for sizes in column_sizes(tables)), strict=True))
    columns = []
    for (benchmark, column), by_size in VISION.items():
        cells: dict[str, float] = {}
        for size, name in by_size.items():
            repeated = repeated_rows(tables[name])
            cells |= {f"{size} {row}": cells[column] for row, cells in rows(tables[name]) if row not in repeated}
        if benchmark in totals:
            columns.append(PaperColumn(benchmark, benchmark, _shares(cells), totals[benchmark], benchmark))
        else:
            n, name = smallest_size(cells.values()), f"{benchmark}-{column.lower()}"
            knobs = {"options": IMAGENET_OPTIONS[column]}
            columns.append(PaperColumn(benchmark, benchmark, _shares(cells), n, name, knobs))
    return columns


def _shares(percents: Row) -> dict[str, float]:
    return {row: round(cell / 100, 4) for row, cell in percents.items()}


def fits(percent: float, n: int, truncated: bool = False) -> bool:
    """Whether some number of right answers out of ``n`` is printed as ``percent`` with two decimals."""
    hundredths = round(percent * 100)
    near = hundredths * n // 10_000
    for right in (near - 1, near, near + 1):
        rounded = 10_000 * right // n if truncated else (20_000 * right + n) // (2 * n)
        if rounded == hundredths:
            return True
    return False


def smallest_size(cells: Iterable[float]) -> int:
    """The size of the smallest test set that all ``cells`` (percent) fit, all rounded or all truncated."""
    distinct = set(cells)
    for n in range(1, ANY_FITS):
        for truncated in (False, True):
            if all(fits(cell, n, truncated) for cell in distinct):
                return n
    return ANY_FITS


def rows(table: Table) -> Iterator[tuple[str, Row]]:
    """Names and cells of a table's rows."""
    yield from table["rows"].items()


def column_names(table: Table) -> list[str]:
    """The columns of a table, without the average."""
    return [column for column in next(iter(table["rows"].values())) if column != AVERAGE]


def repeated_rows(table: Table) -> dict[str, str]:
    """The rows that repeat an earlier one cell by cell, each with the name of that one."""
    first: dict[tuple[float, ...], str] = {}
    repeated = {}
    for name, row in rows(table):
        original = first.setdefault(tuple(row.values()), name)
        if original != name:
            repeated[name] = original
    return repeated


def column_sizes(tables: Tables) -> list[dict[str, int]]:
    """For each benchmark in ``SIZED``, the number of questions behind each column."""
    sizes = []
    for names in SIZED:
        every_row = [row for name in names for _, row in rows(tables[name])]
        sizes.append({c: smallest_size(row[c] for row in every_row) for c in column_names(tables[names[0]])})
    return sizes
