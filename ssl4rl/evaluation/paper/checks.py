"""Recomputing the paper's tables: the cells that cannot be right, and the sizes of test sets that it does not state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import mean

from ssl4rl.evaluation.paper.claims import CLAIMS, GAIN
from ssl4rl.evaluation.paper.tables import (
    AVERAGE,
    DEFAULT_DIFFICULTY,
    GRAPH,
    GROUPED,
    GROUPS,
    SAME_COLUMNS,
    Row,
    Table,
    Tables,
    column_names,
    column_sizes,
    fits,
    load_tables,
    repeated_rows,
    rows,
    smallest_size,
)

TOLERANCE = 0.015
"""Points by which a cell may miss its recomputed value: the paper rounds some cells to 0.01 and truncates others."""


@dataclass(frozen=True)
class Finding:
    """Something in a table that disagrees with the rest."""

    kind: str
    """``group``, ``average``, ``gain``, ``duplicate``, ``copy``, ``label``, ``claim`` or ``size``."""
    table: str
    row: str
    """Empty if a whole column is meant."""
    column: str
    """Empty if a whole row is meant."""
    printed: float | str | None
    recomputed: float | str | None
    message: str
    """One line that says what is wrong."""


def findings(tables: Tables | None = None) -> list[Finding]:
    """Everything that recomputing the tables finds, in the order of the checks; by default in the paper's own."""
    tables = load_tables() if tables is None else tables
    checks = (_duplicates, _labels, _copies, _groups, _averages, _gains, _claims, _test_sizes)
    return [finding for check in checks for finding in check(tables)]


def _differ(printed: float, recomputed: float) -> bool:
    return abs(printed - recomputed) > TOLERANCE


def _duplicates(tables: Tables) -> Iterator[Finding]:
    """Rows that repeat another row of their table."""
    for name, table in tables.items():
        for row, original in repeated_rows(table).items():
            yield Finding("duplicate", name, row, "", row, original, f"every cell is that of row {original}")


def _sized_tables(tables: Tables) -> Iterator[tuple[str, dict[str, int]]]:
    """Every table whose columns are those of a benchmark with known sizes."""
    for sizes in column_sizes(tables):
        for name, table in tables.items():
            if set(column_names(table)) == set(sizes):
                yield name, sizes


def _misfit_rows(table: Table, sizes: Mapping[str, int]) -> list[Row]:
    """The rows with a cell that is impossible at its column's size."""
    return [row for _, row in rows(table) if any(not fits(row[column], n) for column, n in sizes.items())]


def _misfits(table: Table, sizes: Mapping[str, int]) -> dict[str, str]:
    """The columns with cells that are impossible at their size, and the column whose size those cells fit."""
    misfit_rows = _misfit_rows(table, sizes)
    wrong = {}
    for column, n in sizes.items():
        cells = [row[column] for row in misfit_rows]
        if any(not fits(cell, n) for cell in cells):
            others = sorted((size, other) for other, size in sizes.items() if all(fits(cell, size) for cell in cells))
            wrong[column] = others[0][1] if others else "none"
    return wrong


def _labels(tables: Tables) -> Iterator[Finding]:
    """Column heads that are used twice, differ between tables of one benchmark, or have another column's cells."""
    for name, table in tables.items():
        header = table.get("header", ())
        for head in sorted({head for head in header if header.count(head) > 1}):
            printed_heads = zip([*column_names(table), AVERAGE], header, strict=True)
            columns = ", ".join(column for column, printed in printed_heads if printed == head)
            yield Finding("label", name, "", head, head, columns, f"{head} is the head of two columns")
    for names in SAME_COLUMNS:
        for name in names:
            header = tables[name].get("header", ())
            if len(set(header)) < len(header):
                continue
            for printed, column in zip(header, next(iter(tables[names[0]]["rows"].values())), strict=False):
                if printed.replace("-", "") != column.replace("-", ""):
                    yield Finding("label", name, "", column, printed, column, f"is {column} in {names[0]}")
    for name, sizes in _sized_tables(tables):
        for column, true in _misfits(tables[name], sizes).items():
            message = f"cells that {sizes[column]} questions cannot give; they fit the size of {true}"
            yield Finding("label", name, "", column, column, true, message)


def _copies(tables: Tables) -> Iterator[Finding]:
    """Runs that appear in several tables of one benchmark and model, with different cells."""
    groups = [[name for name in names if name.endswith(size)] for names in SAME_COLUMNS for size in ("3b", "7b")]
    groups += [list(pair) for pair in GROUPED.items()]
    for names in groups:
        seen: dict[tuple[str, str], tuple[str, float]] = {}
        for name in names:
            for row, cells in rows(tables[name]):
                for column, cell in cells.items():
                    run = (DEFAULT_DIFFICULTY.get(row, row), column)
                    table, before = seen.setdefault(run, (name, cell))
                    if cell != before:
                        yield Finding("copy", name, row, column, cell, before, f"is another value in {table}")


def _groups(tables: Tables) -> Iterator[Finding]:
    """Cells of groups that are not the mean of their leaves."""
    for name, leaf_name in GROUPED.items():
        table, leaves = tables[name], tables[leaf_name]["rows"]
        # The leaves of a row that repeats another are not its own.
        repeated = repeated_rows(tables[leaf_name])
        own = {row: cells for row, cells in rows(table) if row not in repeated}
        for group, members in GROUPS.items():
            means = {row: mean(leaves[row][member] for member in members) for row in own}
            wrong = [row for row, cells in own.items() if _differ(cells[group], means[row])]
            if not wrong:
                continue
            message = f"not the mean of {', '.join(members)}"
            if instead := _averaged_instead(group, members, own, leaves):
                message += f", but of {', '.join(instead)}"
            for row in wrong:
                yield Finding("group", name, row, group, own[row][group], round(means[row], 2), message)
            gain = max(value for row, value in means.items() if row != "base") - means["base"]
            if (printed := table.get(GAIN, {}).get(group)) is not None and _differ(printed, gain):
                message = "the largest gain of cells that are wrong"
                yield Finding("group", name, GAIN, group, printed, round(gain, 2), message)


def _averaged_instead(
    group: str, members: tuple[str, ...], own: Mapping[str, Row], leaves: Mapping[str, Row]
) -> tuple[str, ...]:
    """The members, some of them repeated, whose mean the group's cells are in every row; empty if there are none."""
    for chosen in combinations_with_replacement(members, len(members)):
        if not any(_differ(cells[group], mean(leaves[row][m] for m in chosen)) for row, cells in own.items()):
            return chosen
    return ()


def _averages(tables: Tables) -> Iterator[Finding]:
    """Averages that are not the mean of their row, or that are another mean than in the other rows."""
    sized = dict(_sized_tables(tables))
    for name, table in tables.items():
        if name in GROUPED or AVERAGE not in next(iter(table["rows"].values())):
            continue
        if name in sized:
            yield from _weighted_averages(name, table, sized[name])
            continue
        columns = column_names(table)
        for row, cells in rows(table):
            plain = mean(cells[column] for column in columns)
            if _differ(cells[AVERAGE], plain):
                yield Finding("average", name, row, AVERAGE, cells[AVERAGE], round(plain, 2), "not the mean of its row")


def _weighted_averages(name: str, table: Table, sizes: Mapping[str, int]) -> Iterator[Finding]:
    true, mixed_up, columns = _misfits(table, sizes), _misfit_rows(table, sizes), column_names(table)
    reported = False
    for row, cells in rows(table):
        printed = cells[AVERAGE]
        plain = mean(cells[column] for column in columns)
        weights = {c: sizes.get(true.get(c, c) if cells in mixed_up else c, 0) for c in columns}
        total = sum(weights.values())
        weighted = sum(cells[column] * n for column, n in weights.items()) / total
        if _differ(printed, weighted):
            kind = "no mean of its row" if _differ(printed, plain) else "the mean over columns"
            message = f"{kind}, where the paper's other rows have the mean over the {total} questions"
            yield Finding("average", name, row, AVERAGE, printed, round(weighted, 2), message)
        elif not reported:  # once a table
            message = f"the mean over {total} questions, not over {len(columns)} columns"
            yield Finding("average", name, row, AVERAGE, printed, round(plain, 2), message)
            reported = True


def _gains(tables: Tables) -> Iterator[Finding]:
    """Printed gains that are not the best trained row minus the base."""
    for name, table in tables.items():
        trained = [cells for row, cells in rows(table) if row != "base"]
        for column, printed in table.get("gain", {}).items():
            gain = max(cells[column] for cells in trained) - table["rows"]["base"][column]
            if _differ(printed, gain):
                message = "not the best trained row minus the base"
                yield Finding("gain", name, "gain", column, printed, round(gain, 2), message)


def _claims(tables: Tables) -> Iterator[Finding]:
    """Numbers of the text that differ from the cell that they are about, by more than their rounding."""
    for claim in CLAIMS:
        table = tables[claim.table]
        cell = (table[GAIN] if claim.row == GAIN else table["rows"][claim.row])[claim.column]
        if abs(float(claim.printed) - cell) > claim.margin:
            message = f"the text of section {claim.section} says {claim.printed}"
            yield Finding("claim", claim.table, claim.row, claim.column, float(claim.printed), cell, message)


def _test_sizes(tables: Tables) -> Iterator[Finding]:
    """The smallest test sets that Table 5's cells allow."""
    for column in column_names(tables[GRAPH["3b"]]):
        n = smallest_size(cells[column] for table in GRAPH.values() for _, cells in rows(tables[table]))
        message = "the size of the test set is not stated; this is the smallest that fits all cells"
        yield Finding("size", "table5_graph", "", column, None, n, message)
