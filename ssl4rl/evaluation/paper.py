"""The result tables of the SSL4RL paper, what recomputing them finds, and the cells that graph runs stand beside.

``paper_tables.json`` holds per table the printed cells in percent (``rows``), where printed the line of largest gains
(``gain``), and the printed column heads where they differ from the names used here (``header``). Two abbreviations
that the paper uses twice are told apart: SpR and SoR (spatial and social relation), ISc and ISt (scene and style).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import combinations_with_replacement
from statistics import mean
from typing import Any

Row = Mapping[str, float]
Tables = Mapping[str, Mapping[str, Any]]

TOLERANCE = 0.015
"""Points by which a cell may miss its recomputed value: the paper rounds some cells to 0.01 and truncates others."""
ANY_FITS = 10_000
"""Of so many questions, any two decimals are possible."""

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
"""Tables with the same columns from which the columns' sizes follow. They add up to the 4,329 rows of MMBench's
DEV-EN and the 14,232 of SEED-Bench; with Table 13, whose columns they show to be mixed up, SEED-Bench's would not."""
SAME_COLUMNS = (
    *SIZED[:1],
    (*SIZED[1], "table13_seedbench_difficulty_7b"),
    ("table4_imagenet_3b", "table12_imagenet_difficulty_3b"),
)
"""Tables of one benchmark; a run that stands in several must have the same cells in all of them."""
DEFAULT_DIFFICULTY = {
    "rotation-90": "rotation",
    "jigsaw-2x2": "jigsaw",
    "contrastive-weak": "contrastive",
    "position-2x2": "position",
}
"""What the tables of difficulties call the runs of the main tables."""
GRAPH = {"3b": "table5_graph_3b", "7b": "table5_graph_7b"}
"""Table 5, by the size of the model."""
VISION: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("mmbench", AVERAGE): {"3b": "table6_mmbench_leaf_3b", "7b": "table7_mmbench_leaf_7b"},
    ("seedbench", AVERAGE): {"3b": "table2_seedbench_3b", "7b": "table8_seedbench_7b"},
    ("imagenet", "Completion"): {"3b": "table4_imagenet_3b"},
    ("imagenet", "Choice-20"): {"3b": "table4_imagenet_3b"},
    ("imagenet", "Choice-200"): {"3b": "table4_imagenet_3b"},
}
"""The vision benchmarks and the column of the tables that is their result."""
IMAGENET_OPTIONS = {"Completion": None, "Choice-20": 20, "Choice-200": 200}
"""How many classes each of the ImageNet columns offers."""


@dataclass(frozen=True)
class Finding:
    """Something in a table that does not agree with the rest."""

    kind: str
    """``group``, ``average``, ``gain``, ``duplicate``, ``copy``, ``label`` or ``size``."""
    table: str
    row: str
    """Empty where a whole column is meant."""
    column: str
    """Empty where a whole row is meant."""
    printed: float | str | None
    recomputed: float | str | None
    what: str
    """One line that says what is wrong."""


@dataclass(frozen=True)
class PaperColumn:
    """A column of results, as a benchmark here."""

    dataset: str
    """Registered name; of a vision benchmark, what its folder or file is called."""
    benchmark: str
    """Of this package."""
    cells: Mapping[str, float]
    """Accuracy in [0, 1] by row: ``3b base``, ``3b attribute``, …, ``7b link``."""
    n_inferred: int
    """Smallest test set on which all of them are possible."""
    name: str
    """What tells it from the others."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """What the benchmark is asked with."""


def load_tables() -> dict[str, dict[str, Any]]:
    """All tables of paper_tables.json."""
    tables: dict[str, dict[str, Any]] = json.loads(
        files("ssl4rl.evaluation").joinpath("paper_tables.json").read_text("utf-8")
    )
    return tables


def findings(tables: Tables | None = None) -> list[Finding]:
    """Everything that recomputing the tables finds, in the order of the checks; by default in the paper's own."""
    tables = load_tables() if tables is None else tables
    checks = (_duplicates, _labels, _copies, _groups, _averages, _gains, _test_sizes)
    return [finding for check in checks for finding in check(tables)]


def graph_cells(tables: Tables | None = None) -> list[PaperColumn]:
    """Table 5's columns. Products stands for node and for link: the paper does not say what its link task asks."""
    tables = load_tables() if tables is None else tables
    asked = {
        "Cora": ("node",),
        "PubMed": ("node",),
        "WikiCS": ("node",),
        "Products": ("node", "link"),
        "fb15k237": ("relation",),
        "wn18rr": ("relation",),
    }
    columns = []
    for column, benchmarks in asked.items():
        cells = {f"{size} {row}": cells[column] for size, table in GRAPH.items() for row, cells in _rows(tables[table])}
        n = smallest_size(cells.values())
        accuracy = {row: round(cell / 100, 4) for row, cell in cells.items()}
        columns += [
            PaperColumn(column.lower(), benchmark, accuracy, n, f"{column.lower()}-{benchmark}")
            for benchmark in benchmarks
        ]
    return columns


def vision_cells(tables: Tables | None = None) -> list[PaperColumn]:
    """MMBench's and SEED-Bench's averages (over all rows) and the three ImageNet columns.

    A 7B row of MMBench that repeats another cell by cell is left out: it is not its own.
    """
    tables = load_tables() if tables is None else tables
    sizes = [sum(each.values()) for each in _column_sizes(tables)]
    columns = []
    for (benchmark, column), by_size in VISION.items():
        cells = {
            f"{size} {row}": cells[column]
            for size, table in by_size.items()
            for row, cells in _rows(tables[table])
            if row not in _repeated(tables[table])
        }
        accuracy = {row: round(cell / 100, 4) for row, cell in cells.items()}
        if benchmark == "imagenet":
            knobs, n = {"options": IMAGENET_OPTIONS[column]}, smallest_size(cells.values())
            columns.append(PaperColumn(benchmark, benchmark, accuracy, n, f"{benchmark}-{column.lower()}", knobs))
        else:
            columns.append(PaperColumn(benchmark, benchmark, accuracy, sizes[len(columns)], benchmark))
    return columns


def fits(percent: float, n: int, truncated: bool = False) -> bool:
    """Whether some number of right answers among ``n`` is printed as ``percent`` with two decimals."""
    hundredths = round(percent * 100)
    near = hundredths * n // 10_000
    printed: Callable[[int], int] = (
        (lambda k: 10_000 * k // n) if truncated else (lambda k: (20_000 * k + n) // (2 * n))
    )
    return any(printed(k) == hundredths for k in (near - 1, near, near + 1))


def smallest_size(cells: Iterable[float]) -> int:
    """The smallest test set that all ``cells`` (percent) fit, all of them rounded or all of them truncated."""
    distinct = set(cells)
    return next(
        n
        for n in range(1, ANY_FITS + 1)
        if any(all(fits(cell, n, truncated) for cell in distinct) for truncated in (False, True))
    )


def _rows(table: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield from table["rows"].items()


def _columns(table: Mapping[str, Any]) -> list[str]:
    return [column for column in next(iter(table["rows"].values())) if column != AVERAGE]


def _off(printed: float, recomputed: float) -> bool:
    return abs(printed - recomputed) > TOLERANCE


def _repeated(table: Mapping[str, Any]) -> dict[str, str]:
    """The rows that repeat an earlier one cell by cell, and that one."""
    first: dict[tuple[float, ...], str] = {}
    return {
        name: first[cells] for name, row in _rows(table) if first.setdefault(cells := tuple(row.values()), name) != name
    }


def _duplicates(tables: Tables) -> Iterator[Finding]:
    for name, table in tables.items():
        for row, original in _repeated(table).items():
            yield Finding("duplicate", name, row, "", row, original, f"every cell is that of row {original}")


def _column_sizes(tables: Tables) -> list[dict[str, int]]:
    """Of each benchmark in ``SIZED``, the number of questions behind each column."""
    return [
        {
            c: smallest_size(row[c] for name in names for _, row in _rows(tables[name]))
            for c in _columns(tables[names[0]])
        }
        for names in SIZED
    ]


def _with_sizes(tables: Tables) -> Iterator[tuple[str, dict[str, int]]]:
    """Every table whose columns are those of a benchmark with known sizes."""
    for sizes in _column_sizes(tables):
        for name, table in tables.items():
            if set(_columns(table)) == set(sizes):
                yield name, sizes


def _misfits(table: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, str]:
    """The columns with cells that are impossible at their size, and the column of whose size those cells are."""
    wrong = {}
    for column, n in sizes.items():
        cells = [row[column] for row in _misfit_rows(table, sizes)]
        if any(not fits(cell, n) for cell in cells):
            others = sorted((size, other) for other, size in sizes.items() if all(fits(cell, size) for cell in cells))
            wrong[column] = others[0][1] if others else "none"
    return wrong


def _misfit_rows(table: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Row]:
    return [row for _, row in _rows(table) if any(not fits(row[column], n) for column, n in sizes.items())]


def _labels(tables: Tables) -> Iterator[Finding]:
    for name, table in tables.items():
        header = table.get("header", ())
        for head in sorted({head for head in header if header.count(head) > 1}):
            columns = [c for c, printed in zip([*_columns(table), AVERAGE], header, strict=True) if printed == head]
            yield Finding("label", name, "", head, head, ", ".join(columns), f"{head} is the head of two columns")
    for names in SAME_COLUMNS:
        for name in names:
            header = tables[name].get("header", ())
            if len(set(header)) == len(header):
                for printed, column in zip(header, next(iter(tables[names[0]]["rows"].values())), strict=False):
                    if printed.replace("-", "") != column.replace("-", ""):
                        yield Finding("label", name, "", column, printed, column, f"is {column} in {names[0]}")
    for name, sizes in _with_sizes(tables):
        for column, true in _misfits(tables[name], sizes).items():
            what = f"cells that {sizes[column]} questions cannot give; they fit the size of {true}"
            yield Finding("label", name, "", column, column, true, what)


def _copies(tables: Tables) -> Iterator[Finding]:
    """Runs that stand in several tables of one benchmark and model, with different cells."""
    groups = [[name for name in names if name.endswith(size)] for names in SAME_COLUMNS for size in ("3b", "7b")]
    groups += [list(pair) for pair in GROUPED.items()]
    for names in groups:
        seen: dict[tuple[str, str], tuple[str, float]] = {}
        for name in names:
            for row, cells in _rows(tables[name]):
                for column, cell in cells.items():
                    key = (DEFAULT_DIFFICULTY.get(row, row), column)
                    where, before = seen.setdefault(key, (name, cell))
                    if cell != before:
                        yield Finding("copy", name, row, column, cell, before, f"is another value in {where}")


def _groups(tables: Tables) -> Iterator[Finding]:
    for name, leaf_name in GROUPED.items():
        leaves = tables[leaf_name]["rows"]
        # The leaves of a row that repeats another are not its own.
        rows = {row: cells for row, cells in _rows(tables[name]) if row not in _repeated(tables[leaf_name])}
        for group, members in GROUPS.items():
            if not any(_off(cells[group], mean(leaves[row][m] for m in members)) for row, cells in rows.items()):
                continue
            instead = [
                chosen
                for chosen in combinations_with_replacement(members, len(members))
                if not any(_off(cells[group], mean(leaves[row][m] for m in chosen)) for row, cells in rows.items())
            ]
            what = f"not the mean of {', '.join(members)}"
            what += f", but of {', '.join(instead[0])}" if instead else ""
            for row, cells in rows.items():
                recomputed = mean(leaves[row][m] for m in members)
                if _off(cells[group], recomputed):
                    yield Finding("group", name, row, group, cells[group], round(recomputed, 2), what)


def _averages(tables: Tables) -> Iterator[Finding]:
    sized = dict(_with_sizes(tables))
    for name, table in tables.items():
        if name in GROUPED or AVERAGE not in next(iter(table["rows"].values())):
            continue
        sizes = sized.get(name)
        true = _misfits(table, sizes) if sizes else {}
        mixed = _misfit_rows(table, sizes) if sizes else []
        said = False
        for row, cells in _rows(table):
            printed, columns = cells[AVERAGE], _columns(table)
            plain = mean(cells[column] for column in columns)
            if sizes is None:
                if _off(printed, plain):
                    yield Finding("average", name, row, AVERAGE, printed, round(plain, 2), "not the mean of its row")
                continue
            weights = {c: sizes.get(true.get(c, c) if cells in mixed else c, 0) for c in columns}
            total = sum(weights.values())
            weighted = sum(cells[column] * n for column, n in weights.items()) / total
            if not _off(printed, weighted):
                if not said:
                    what = f"the mean over {total} questions, not over {len(columns)} columns"
                    yield Finding("average", name, row, AVERAGE, printed, round(plain, 2), what)
                said = True
            else:
                kind = "the mean over columns" if not _off(printed, plain) else "no mean of its row"
                what = f"{kind}; over the {total} questions, as in the paper's other rows, it is the recomputed value"
                yield Finding("average", name, row, AVERAGE, printed, round(weighted, 2), what)


def _gains(tables: Tables) -> Iterator[Finding]:
    for name, table in tables.items():
        trained = [cells for row, cells in _rows(table) if row != "base"]
        for column, printed in table.get("gain", {}).items():
            gain = max(cells[column] for cells in trained) - table["rows"]["base"][column]
            if _off(printed, gain):
                what = "not the best trained row less the base"
                yield Finding("gain", name, "gain", column, printed, round(gain, 2), what)


def _test_sizes(tables: Tables) -> Iterator[Finding]:
    for column in _columns(tables[GRAPH["3b"]]):
        n = smallest_size(cells[column] for table in GRAPH.values() for _, cells in _rows(tables[table]))
        what = "the size of the test set is not stated; this is the smallest that fits all cells"
        yield Finding("size", "table5_graph", "", column, None, n, what)
