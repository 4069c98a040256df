"""The splits that data bring along: words in a column, or masks, of which there may be several by number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.tables import SPLIT_NAMES, Problems, Table, plain_column, split_name
from ssl4rl.errors import UserError
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.arrays import Numbers, places_of
from ssl4rl.source import SPLITS

TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "")

_MASK = re.compile(r"([a-z]+)_masks?_?(\d*)")


def mask_of(field: str) -> tuple[str, int] | None:
    """The split and the number that the name of a mask says; None for any other name.

    >>> mask_of("train_mask"), mask_of("valid_mask_3"), mask_of("title")
    (('train', 0), ('val', 3), None)
    """
    match = _MASK.fullmatch(plain_column(field))
    if match is None or match[1] not in SPLIT_NAMES:
        return None
    return SPLIT_NAMES[match[1]], int(match[2] or 0)


def keep_one(first: str, second: str, split: str, place: str) -> UserError:
    """The error that two fields, columns or files say which the members of one split are."""
    return UserError(f"{place}: {first} and {second} both mean {split}; keep one")


def chosen_columns(columns: Sequence[str], number: int | None, place: str) -> tuple[dict[str, str], list[int]]:
    """The column of each split among those that hold masks, and the numbers that there are.

    ``number`` picks one of several; by default the first. A split with a single mask goes with every number.

    Raises:
        UserError: if there is no mask of that number, or two columns are the same mask.
    """
    found: dict[str, dict[int, str]] = {}
    for column in columns:
        mask = mask_of(column)
        if mask is None:
            continue
        split, its_number = mask
        if its_number in found.setdefault(split, {}):
            raise keep_one(found[split][its_number], column, split, place)
        found[split][its_number] = column
    numbers = sorted({each for masks in found.values() if len(masks) > 1 for each in masks})
    if number is not None:
        check_number(number, numbers or ([0] if found else []), place)
    number = (numbers[0] if numbers else 0) if number is None else number
    return {
        split: masks[number] if number in masks else next(iter(masks.values()))
        for split, masks in found.items()
        if number in masks or len(masks) == 1
    }, numbers


def check_number(number: int, numbers: Sequence[int], place: str) -> None:
    """Refuses a number that no mask has.

    Raises:
        UserError: if there is none of that number.
    """
    if not numbers:
        raise UserError(f"{place}: there is no mask, so that `mask: {number}` in dataset.yaml picks none; remove it")
    if number not in numbers:
        raise UserError(f"{place}: there is no mask {number}; they are numbered {numbers[0]} to {numbers[-1]}")


def disjoint(masks: Mapping[str, NDArray[np.bool_]], place: str) -> dict[str, IntArray]:
    """The indices that each split's mask [N] selects, ascending; of a split without a mask, none.

    Raises:
        UserError: if a node is in two splits, or masks differ in length.
    """
    lengths = {len(mask) for mask in masks.values()}
    if len(lengths) > 1:
        raise UserError(
            f"{place}: its masks have {' and '.join(map(str, sorted(lengths)))} entries; they need one a node"
        )
    if masks:
        twice = np.flatnonzero(np.sum(list(masks.values()), axis=0) > 1)
        if len(twice):
            named = " and ".join(split for split in SPLITS if split in masks and masks[split][twice[0]])
            raise UserError(
                f"{place}: node {twice[0]} is in {named}"
                + (f" ({len(twice) - 1:,} more nodes are in two splits)" if len(twice) > 1 else "")
                + "; put each node into one split"
            )
    empty = np.zeros(0, dtype=np.int64)
    return {split: np.flatnonzero(masks[split]) if split in masks else empty for split in SPLITS}


class SplitColumns:
    """How the rows of a table of nodes or edges are split: by a column of words, by masks, or not at all."""

    def __init__(self, table: Table, settings: Mapping[str, Any], problems: Problems) -> None:
        self.table, self.problems = table, problems
        self.column = table.require(settings["split"], "split") if "split" in settings else table.find("split")
        masks, self.numbers = chosen_columns(table.columns, settings.get("mask"), str(table.path))
        if self.column and masks and "split" not in settings and "mask" not in settings:
            raise UserError(
                f"{table.path}: it has a column {self.column!r} and masks ({', '.join(masks.values())}); "
                "keep one of them, or say `split:` or `mask:` in dataset.yaml"
            )
        self.masks = {} if "split" in settings else masks
        if self.masks:
            self.column = ""
            self.number = settings.get("mask", self.numbers[0] if self.numbers else 0)
            every_mask = [column for column in table.columns if mask_of(column)]
            table.used.update(every_mask if self.numbers else self.masks.values())

    def __bool__(self) -> bool:
        return bool(self.column or self.masks)

    def of(self, row: int, cells: Mapping[str, str]) -> str:
        """The split of a row, empty for none; a cell that says neither is a problem, as are two splits at once."""
        if self.column:
            word = cells.get(self.column, "").strip()
            split = split_name(word)
            if split is None:
                place = self.table.place(row, self.column)
                self.problems.add(f"{place}: {word!r} is not train, val or test (or empty)")
            return split or ""
        inside = []
        for split, column in self.masks.items():
            cell = cells.get(column, "").strip().lower()
            if cell in TRUE:
                inside.append(split)
            elif cell not in FALSE:
                self.problems.add(f"{self.table.place(row, column)}: {cell!r} is neither true nor false")
        if len(inside) > 1:
            self.problems.add(f"{self.table.place(row)}: it is in {' and '.join(inside)}; put it into one split")
        return inside[0] if inside else ""

    @property
    def counts(self) -> dict[str, int]:
        """How many numbered masks there are, and which one is used, if there are several."""
        return {"masks": len(self.numbers), "mask": self.number} if len(self.numbers) > 1 and self.masks else {}


class Members:
    """Which rows of a table are in which split, as they are read."""

    def __init__(self, columns: SplitColumns) -> None:
        self.columns = columns
        self._codes = Numbers(np.int8)
        self.without = 0
        """How many rows are in none."""

    def __bool__(self) -> bool:
        return bool(self.columns)

    def add(self, row: int, cells: Mapping[str, str]) -> None:
        """The next row that is used."""
        if self.columns:
            split = self.columns.of(row, cells)
            self.without += not split
            self._codes.append(SPLITS.index(split) if split else len(SPLITS))

    def finish(self) -> dict[str, IntArray]:
        """The numbers of the rows in each split."""
        codes = self._codes.finish()
        return {split: places_of(code, codes) for code, split in enumerate(SPLITS)}
