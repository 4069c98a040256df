"""Image sets from a user's own files: a folder, an index csv, a table that holds images, or a dataset of the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ssl4rl.data.images.cells import IMAGE_SUFFIXES, OTHER_FORMATS
from ssl4rl.data.images.check import find_broken, tally_frames
from ssl4rl.data.images.delimited import read_header
from ssl4rl.data.images.folder import Files, list_folder, visible_files, walk
from ssl4rl.data.images.index import NAMES_CSV, PATH_COLUMNS, SYNSETS, list_index, read_index, tables_beside
from ssl4rl.data.images.kaggle import SOLUTION, is_kaggle, list_kaggle
from ssl4rl.data.images.store import Listing
from ssl4rl.data.images.summary import summarise_images
from ssl4rl.data.images.tables import list_hub, list_images_of, list_shards
from ssl4rl.data.tables import Problems, plain_column, split_name
from ssl4rl.data.text import indexed
from ssl4rl.errors import UserError
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.source import SPLITS, Report
from ssl4rl.tally import Tally, named, skipped_in
from ssl4rl.vision.image_set import ImageSet

HUB = "hub:"
"""Prefix of a dataset of the Hugging Face hub: ``hub:owner/name`` or ``hub:owner/name:configuration``."""

SHARDS = (".parquet", ".arrow", ".feather")
"""Tables with a column of images, in the form that ``datasets`` writes."""

SUFFIXES = (".csv", ".tsv", *SHARDS)

OTHER_TABLES = (*SUFFIXES, ".json", ".jsonl", ".xlsx")
"""Endings of files that may say something about the images; those that are not read are named."""


def load_images(path: str) -> ImageSet:
    """The images of a folder, an index csv, a parquet, Arrow or TSV file, or ``hub:owner/name``.

    - A folder: all images in it and below it. Class subfolders give labels; ``train``, ``val`` and ``test`` folders
      above them give splits. Hidden files and files that are not images are passed over and counted, and tables that
      are not read are named. A folder that holds no images but parquet or Arrow files is read as their union.
      A table beside the images called ``metadata`` or ``index`` (csv, jsonl or parquet) that gives labels or splits is
      read as an index, also one in each folder of a split; ImageNet's tree is read as Kaggle hands it out.
    - An index csv: a column ``path`` or ``file_name`` (relative to the csv's folder), optionally ``label`` and
      ``split``; where one of these is missing, the folders say it.
    - A parquet or Arrow file: a column of encoded images, optionally ``label`` and ``split``.
    - A TSV: a column ``image`` with base64, or with the ``index`` of the row that holds the image; optionally ``label``
      and ``split``.

    Columns may be in any case but for those of images. Of an image of several frames the first is read, and counted.

    Every image is decoded once, and never again; those that cannot be are left out and named in ``skipped``.

    Raises:
        UserError: if there is no such file, it is malformed (the message names the file and the row), a split is
            called by an unknown word, two tables are about the same images, or none of the images can be read.
    """
    listing = list_images(path, Problems(strict=True))
    broken = find_broken(listing)
    if len(broken) == len(listing.hashes):
        raise UserError(f"{listing.name}: none of the {len(broken):,} images can be read, e.g. {broken[0]}")
    return _image_set(listing, broken)


def check_images(path: str) -> Report:
    """Decodes every image once, and names each one that is broken, missing or unreadable."""
    problems = Problems(strict=False)
    try:
        listing = list_images(path, problems)
    except UserError as error:
        return Report([*problems.messages, str(error)], None)
    broken = find_broken(listing)
    skipped = skipped_in(_reading(listing, broken))
    summary = None
    if len(broken) < len(listing.hashes):
        summary = summarise_images(_image_set(listing, broken))
    return Report([*problems.messages, *broken.values()], summary, skipped)


def recognises_images(path: str) -> bool:
    """Whether the path is a folder with images or tables of them, a table of images, an image, or ``hub:…``.

    Of tables with images, those that hold questions are a kind of their own.
    """
    if path.startswith(HUB):
        return True
    file = Path(path).expanduser()
    if file.is_dir():
        # Photos that cannot be read count as well: what to do about them is said when they are.
        return any(name.lower().endswith((*IMAGE_SUFFIXES, *OTHER_FORMATS, *SHARDS)) for name in visible_files(file))
    if not file.is_file():
        return False
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return not set(PATH_COLUMNS).isdisjoint(map(plain_column, read_header(file, ",")))
    if suffix == ".tsv":
        columns = read_header(file, "\t")
        return "image" in columns and "question" not in columns
    return suffix in (*SHARDS, *IMAGE_SUFFIXES)


def list_images(path: str, problems: Problems) -> Listing:
    """The images of a source as they are named, before any is decoded; bad rows of an index go to ``problems``.

    Raises:
        UserError: if there is no such source, or it cannot be read as a whole.
    """
    listing = _list(path, problems)
    if not listing.hashes:
        raise UserError(f"{path} holds no images")
    return listing


def _list(path: str, problems: Problems) -> Listing:
    if path.startswith(HUB):
        return list_hub(path.removeprefix(HUB))
    file = Path(path).expanduser()
    if file.is_dir():
        return _list_directory(file, problems)
    suffix = file.suffix.lower()
    if not file.is_file():
        raise UserError(f"there is no folder or file {path} (a dataset of the hub is written {HUB}owner/name)")
    if suffix in SHARDS:
        return list_shards(file.parent, [file.name])
    if suffix == ".tsv":
        return list_images_of(file, with_splits=True)
    if suffix == ".csv":
        return list_index(file, problems)
    if suffix in IMAGE_SUFFIXES:
        raise UserError(f"{path} is a single image; give the folder that holds it")
    raise UserError(f"{path} is not a file of images that can be read; give a folder, or {', '.join(SUFFIXES)}")


def _list_directory(root: Path, problems: Problems) -> Listing:
    """The images in a folder, or else those in the tables that it holds."""
    files, passed_over = walk(root)
    found = len(files) + passed_over.total()
    images = [file for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
    shards = [file for file in files if file.lower().endswith(SHARDS)]
    beside = tables_beside(root, files, images, problems)
    tables = [Path(table.path).relative_to(root).as_posix() for table in beside]
    if beside:
        index = read_index(root, beside, problems)
        listing = index.listing
        read = set(images) & set(listing.store.paths if isinstance(listing.store, Files) else ())
        which = f"{tables[0]} does not name" if len(tables) == 1 else "no table names"
        passed_over[f"images that {which}"] = len(set(images) - index.named)
        passed_over["images of bad rows"] = len((set(images) & index.named) - read)
    elif images:
        listing = list_kaggle(root, images) if is_kaggle(images) else list_folder(root, images)
        tables = [SOLUTION] if is_kaggle(images) and SOLUTION in files else []
    elif shards:
        listing = list_shards(root, shards)
        of_files = Tally.of_named("files", files, shards, "files that are not tables of images")
        return replace(listing, passed_over=dict(of_files.skipped), reading=[*listing.reading, of_files])
    else:
        raise UserError(f"{root} holds no images{_instead(root, files)}; images end in {', '.join(IMAGE_SUFFIXES)}")
    known = {*images, *tables}
    passed_over.update(_not_read([file for file in files if file not in known]))
    passed_over = +passed_over
    if beside:
        of_files = Tally.of("files", found, passed_over, len(read) + len(tables))
        return replace(listing, passed_over=dict(passed_over), reading=[*listing.reading, of_files])
    return replace(listing, passed_over=dict(passed_over), found=found, tables=len(tables))


def _not_read(files: Sequence[str]) -> Counter[str]:
    """Why files beside images are not read, and how many; tables are named, for they may hold labels or splits."""
    names = [file for file in files if file in (NAMES_CSV, SYNSETS)]
    tables = [file for file in files if file.lower().endswith(OTHER_TABLES) and file not in names]
    others = [file for file in files if not file.lower().endswith(OTHER_TABLES) and file not in names]
    reasons = {"names of classes, which are read as --kind classes": names, "tables that are not read": tables}
    return Counter(photos_named(file) or "files that are not images" for file in others) + Counter(
        {named(reason, those): len(those) for reason, those in reasons.items()}
    )


def photos_named(file: str) -> str:
    """What files of that ending are called that are photos and are not read; empty for other files."""
    suffix = PurePosixPath(file).suffix
    return f"{suffix[1:].upper()} photos, which are not read" if suffix.lower() in OTHER_FORMATS else ""


def _instead(root: Path, files: Sequence[str]) -> str:
    """What a folder without images holds."""
    photos = [file for file in files if file.lower().endswith(OTHER_FORMATS)]
    if photos:
        kind = PurePosixPath(photos[0]).suffix[1:].upper()
        return f" that can be read, only {kind} such as {photos[0]} (convert them to JPEG or PNG)"
    if SOURCE_KINDS.get("graph").recognises(str(root)):
        return f", but a graph ({files[0]}): use ssl4rl graph"
    return f", only other files such as {files[0]}" if files else ""


def _image_set(listing: Listing, broken: Mapping[int, str]) -> ImageSet:
    """The set of a listing's images, without the broken ones."""
    kept = np.array([index for index in range(len(listing.hashes)) if index not in broken], dtype=np.int64)
    label_names, labels = indexed([listing.labels[index] for index in kept])
    names = [split_name(listing.splits[index]) for index in kept]
    splits = np.array([SPLITS.index(name) if name else -1 for name in names], dtype=np.int64)
    return ImageSet(
        name=listing.name,
        store=listing.store.take(kept),
        hashes=[listing.hashes[index] for index in kept],
        labels=labels if label_names else None,
        label_names=label_names,
        given_splits=splits if (splits >= 0).any() else None,
        skipped=list(broken.values()),
        passed_over=listing.passed_over,
        reading=_reading(listing, broken),
    )


def _reading(listing: Listing, broken: Mapping[int, str]) -> list[Tally]:
    return [_tally(listing, broken), *listing.reading, *tally_frames(listing, broken)]


def _tally(listing: Listing, broken: Mapping[int, str]) -> Tally:
    """The files or rows that were found: those read, those passed over, and the broken ones."""
    read = len(listing.hashes) - len(broken)
    skipped = {"broken or missing images": len(broken)}
    if listing.unit == "files":
        return Tally.of(listing.unit, listing.found, {**listing.passed_over, **skipped}, read + listing.tables)
    return Tally.of(listing.unit, listing.found, {**skipped, "bad rows": listing.found - len(listing.hashes)}, read)
