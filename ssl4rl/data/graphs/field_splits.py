"""The splits that named fields bring along: masks, of which there may be several, or lists of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.data.graphs.splits import check_number, disjoint, keep_one, mask_of
from ssl4rl.data.tables import SPLIT_NAMES, split_name
from ssl4rl.graph.adjacency import IntArray
from ssl4rl.source import SPLITS

if TYPE_CHECKING:
    from ssl4rl.data.graphs.fields import Fields

LISTS = tuple(
    (f"{word}_{end}", split)
    for word, split in SPLIT_NAMES.items()
    for end in ("idx", "index", "indices", "id", "ids", "nodes")
)
"""What a list of the nodes of a split may be called, and the split."""
TOGETHER = ("split_idx", "splits")
"""What a dictionary of such lists may be called."""


def splits_of(fields: Fields, count: int, number: int | None) -> tuple[dict[str, IntArray], dict[str, int]]:
    """The nodes of each split, and how many masks there are if there are several; ``number`` picks one of these.

    Raises:
        UserError: if two fields mean one split, a node is in two splits, or no mask has the number.
    """
    columns, fields_of, said = _masks(fields, count)
    # Who names a mask by its number wants no list beside it.
    lists = {} if columns and number is not None else _listed(fields, count)
    several = max((len(rows) for rows in columns.values()), default=1)
    for split, rows in columns.items():
        if len(rows) not in (1, several):
            raise fields.error(f"there are {len(rows)} masks of {split}, but {several} of another split")
    # Masks that are fields of their own have the numbers of their names, which may begin with 1.
    numbers = (said if len(said) == several else list(range(several))) if columns else []
    if number is not None:
        check_number(number, numbers or ([0] if lists else []), fields.place)
    chosen = number if number is not None else numbers[0] if numbers else 0
    masks = {split: rows[numbers.index(chosen) if len(rows) > 1 else 0] for split, rows in columns.items()}
    for split, (field, members) in lists.items():
        # Many files hold a split both ways, which is one split as long as both agree.
        if split in masks and not np.array_equal(masks[split], members):
            raise keep_one(fields_of[split], field, f"{split} and differ", fields.place)
        masks[split] = members
    if not masks:
        return {}, {}
    return disjoint(masks, fields.place), {"masks": several, "mask": chosen} if several > 1 else {}


def edge_splits_of(fields: Fields, count: int) -> dict[str, IntArray]:
    """The edges of each split, from a mask [E] of each (``edge_train_mask``), as ``to_pyg`` writes them.

    Raises:
        UserError: if one is no such mask.
    """
    found = {}
    for split in SPLITS:
        field = f"edge_{split}_mask"
        given = fields.get(field)
        if given is not None:
            mask = fields.array(field, given)
            if mask.dtype.kind != "b" or mask.shape != (count,):
                shape = f"{list(mask.shape)} of {mask.dtype}"
                raise fields.error(f"{field} is {shape}; it must have true or false for each of {count:,} edges")
            found[split] = np.flatnonzero(mask)
    return found


def _masks(fields: Fields, count: int) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str], list[int]]:
    """The masks of each split, [C, N], the first of its fields, and the numbers in the names of all."""
    columns: dict[str, NDArray[np.bool_]] = {}
    field_of: dict[tuple[str, int], str] = {}
    named = [(mask, field) for field in fields.all if isinstance(field, str) and (mask := mask_of(field)) is not None]
    for mask, field in sorted(named, key=lambda each: each[0][1]):
        if mask in field_of:
            raise keep_one(field_of[mask], field, mask[0], fields.place)
        field_of[mask] = field
        fields.used.add(field)
        rows, split = _mask(fields, field, count), mask[0]
        columns[split] = np.concatenate([columns[split], rows]) if split in columns else rows
    first = {split: field for (split, _), field in reversed(field_of.items())}
    return columns, first, sorted({number for _, number in field_of})


def _mask(fields: Fields, field: str, count: int) -> NDArray[np.bool_]:
    """[C, N], from a mask [N], [N, C], or a list of C masks."""
    value = fields.all[field]
    rows = [fields.array(field, each) for each in value] if isinstance(value, list) else value
    mask = fields.array(field, rows)
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise fields.error(f"{field} holds something that is neither true nor false")
    shape = mask.shape
    if mask.ndim == 1:
        mask = mask[None]
    elif mask.ndim == 2 and mask.shape[1] != count:
        mask = mask.T
    if mask.ndim != 2 or mask.shape[1] != count or not len(mask):
        raise fields.error(f"{field} is {list(shape)} for {count} nodes")
    return mask.astype(bool)


def _listed(fields: Fields, count: int) -> dict[str, tuple[str, NDArray[np.bool_]]]:
    """A mask [N] of each split that is given as a list of nodes, and where: ``train_idx``, ``split_idx["train"]``."""
    given = [(split, field, fields.all[field]) for field, split in LISTS if field in fields.all]
    fields.used.update(field for _, field, _ in given)
    for field in TOGETHER:
        together = fields.all.get(field)
        # Anything else under these names is a field like others: counted as unused.
        if isinstance(together, Mapping) and together:
            fields.used.add(field)
            for word, nodes in together.items():
                split = split_name(str(word))
                if split is None:
                    raise fields.error(f"{field} holds {word!r}, which is not train, val or test")
                if split and nodes is not None:
                    given.append((split, f"{field}[{word!r}]", nodes))
    masks: dict[str, tuple[str, NDArray[np.bool_]]] = {}
    for split, field, nodes in given:
        if split in masks:
            raise keep_one(masks[split][0], field, split, fields.place)
        masks[split] = (field, _members(fields, split, nodes, count))
    return masks


def _members(fields: Fields, split: str, nodes: Any, count: int) -> NDArray[np.bool_]:
    """A mask [N] from a list of nodes, or from a mask that is called as one."""
    numbers = fields.array(f"the list of nodes of {split}", nodes)
    if numbers.dtype.kind == "b" and numbers.size == count:
        return numbers.reshape(-1)
    numbers = fields.whole(f"the list of nodes of {split}", nodes).reshape(-1)
    unknown = numbers[(numbers < 0) | (numbers >= count)]
    if len(unknown):
        raise fields.error(f"the nodes of {split} include {unknown[0]}, but nodes are 0 to {count - 1}")
    members = np.zeros(count, dtype=bool)
    members[numbers] = True
    return members
