"""Splits that data bring along: which masks are used, and that no node is in two."""

import numpy as np
import pytest

from ssl4rl.data.graphs.splits import chosen_columns, disjoint, mask_of
from ssl4rl.errors import UserError


def test_names_of_masks() -> None:
    assert [
        mask_of(name) for name in ("train_mask", "valid_masks", "test_mask_3", "VAL_MASK_0", "stop_mask", "text")
    ] == [
        ("train", 0),
        ("val", 0),
        ("test", 3),
        ("val", 0),
        None,
        None,
    ]


SEVERAL = ["train_mask_1", "train_mask_2", "train_mask_4", "val_mask_1", "val_mask_4", "test_mask", "text"]


@pytest.mark.parametrize(
    ("columns", "number", "chosen", "numbers"),
    [
        (["text", "train_mask", "val_mask"], None, {"train": "train_mask", "val": "val_mask"}, []),
        (["train_mask", "val_mask"], 0, {"train": "train_mask", "val": "val_mask"}, []),
        # The first by default; a split with a single mask goes with every number, one that lacks it is left out.
        (SEVERAL, None, {"train": "train_mask_1", "val": "val_mask_1", "test": "test_mask"}, [1, 2, 4]),
        (SEVERAL, 4, {"train": "train_mask_4", "val": "val_mask_4", "test": "test_mask"}, [1, 2, 4]),
        (SEVERAL, 2, {"train": "train_mask_2", "test": "test_mask"}, [1, 2, 4]),
        (["text"], None, {}, []),
    ],
)
def test_which_masks_are_chosen(
    columns: list[str], number: int | None, chosen: dict[str, str], numbers: list[int]
) -> None:
    assert chosen_columns(columns, number, "here") == (chosen, numbers)


@pytest.mark.parametrize(
    ("columns", "number", "message"),
    [
        (SEVERAL, 3, "here: there is no mask 3; they are numbered 1 to 4"),
        (["train_mask"], 1, "here: there is no mask 1; they are numbered 0 to 0"),
        (["text"], 0, "here: there is no mask, so that `mask: 0` in dataset.yaml picks none; remove it"),
    ],
)
def test_numbers_that_no_mask_has_are_refused(columns: list[str], number: int, message: str) -> None:
    with pytest.raises(UserError) as raised:
        chosen_columns(columns, number, "here")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["val_mask", "valid_mask"], "here: val_mask and valid_mask both mean val; keep one"),
        (["train_mask", "Training_Mask"], "here: train_mask and Training_Mask both mean train; keep one"),
        (
            ["test_mask_1", "val_mask_1", "testing_mask_1"],
            "here: test_mask_1 and testing_mask_1 both mean test; keep one",
        ),
        (["train_mask", "train_mask_0"], "here: train_mask and train_mask_0 both mean train; keep one"),
    ],
)
def test_two_columns_of_one_mask_are_refused(columns: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        chosen_columns(columns, None, "here")
    assert str(raised.value) == message


def mask(*places: int) -> np.ndarray:
    return np.isin(np.arange(5), places)


def test_masks_become_the_nodes_that_they_select() -> None:
    found = disjoint({"train": mask(3, 0), "test": mask(1)}, "here")
    assert {split: nodes.tolist() for split, nodes in found.items()} == {"train": [0, 3], "val": [], "test": [1]}
    assert all(nodes.dtype == np.int64 for nodes in found.values())


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"train": mask(0, 3), "val": mask(1), "test": mask(3, 4)}, "here: node 3 is in train and test"),
        (
            {"val": mask(1, 2, 4), "test": mask(1, 2, 4), "train": mask(4)},
            "here: node 1 is in val and test (2 more nodes are in two splits)",
        ),
    ],
)
def test_a_node_in_two_splits_is_named(masks: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError) as raised:
        disjoint(masks, "here")
    assert str(raised.value) == f"{message}; put each node into one split"
