"""ImageNet as Kaggle hands it out: ``ILSVRC/Data/CLS-LOC`` of train, val, test, and the classes of val as a csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssl4rl.data.images.folder import list_folder
from ssl4rl.data.images.store import Listing
from ssl4rl.data.readers import read_table
from ssl4rl.data.tables import Problems
from ssl4rl.errors import UserError
from ssl4rl.tally import Tally

TREE = "ILSVRC/Data/CLS-LOC/"
SOLUTION = "LOC_val_solution.csv"


def is_kaggle(images: Sequence[str]) -> bool:
    """Whether all images of a folder are below Kaggle's tree."""
    return bool(images) and all(image.startswith(TREE) for image in images)


def list_kaggle(root: Path, images: Sequence[str]) -> Listing:
    """The images of the tree: train has a folder a class, val has its classes in the csv, and test has none.

    Raises:
        UserError: if there are images of val and no csv of their classes, or it lacks one.
    """
    listing = list_folder(root / TREE, [image.removeprefix(TREE) for image in images])
    labels, reading = list(listing.labels), list(listing.reading)
    of_val = [number for number, split in enumerate(listing.splits) if split == "val"]
    if of_val:
        path = root / SOLUTION
        if not path.is_file():
            raise UserError(f"{root} holds no {SOLUTION}, which says the classes of the images in {TREE}val")
        table = read_table(path, Problems(strict=True))
        image, answer = table.require("ImageId", ""), table.require("PredictionString", "")
        class_of = {cells[image].strip(): cells[answer].split()[:1] for _, cells in table.rows}
        for number in of_val:
            name = Path(images[number]).stem
            if not class_of.get(name):
                raise UserError(f"{path}: it has no class for {name}, which is in {TREE}val")
            labels[number] = class_of[name][0]
        here = {Path(images[number]).stem for number in of_val}
        skipped = {
            "classes of images that are not here": sum(cells[image].strip() not in here for _, cells in table.rows)
        }
        reading = [Tally.of(f"rows of {SOLUTION}", table.found, skipped)]
    return replace(listing, name=root.resolve().name, labels=labels, reading=reading)
