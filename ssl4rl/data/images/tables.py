"""Readers of tables that hold images: benchmark TSVs with base64, parquet and Arrow files, hub datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ssl4rl.data.images.cells import IMAGE_COLUMNS, image_row, images_in, plain_index, table_cell, why_unreadable
from ssl4rl.data.images.delimited import SEPARATORS, check_columns, read_header, read_tsv
from ssl4rl.data.images.store import LABEL_COLUMNS, Listing, Row, unpacked
from ssl4rl.data.readers import records_of
from ssl4rl.data.tables import SPLIT_NAMES, Problems, Table, check_names, split_name, where
from ssl4rl.data.text import cell_text, class_name
from ssl4rl.errors import UserError, listed
from ssl4rl.hub_names import check_hub_name
from ssl4rl.records import parse_json
from ssl4rl.tally import Tally

BATCH = 64
"""Rows of a table in memory at a time."""


def list_images_of(path: Path, with_splits: bool = False) -> Listing:
    """The images of a TSV, a csv or a table of questions in parquet.

    A column ``image`` holds each, or a list of several, as bytes, base64, a data URI, a path from the table's folder,
    or the ``index`` of the row that holds it; or a column ``image_path`` holds paths. ``with_splits`` reads a column
    ``split`` as well, which in a table of questions may hold other words.

    Raises:
        UserError: if the file as a whole is malformed, or an index occurs twice; with splits, if a word means none.
    """
    key, columns = [*_stamp([path]), "cells 1", with_splits], read_columns(path)
    label, split = _found(columns, *LABEL_COLUMNS), _found(columns, "split") if with_splits else []
    rows = _text_rows(path, *(next(iter(each), "") for each in (label, split)))
    listing = unpacked(path.stem, key, rows, f"images of {path.name}")
    used = [image_column(path, columns), "index", *label, *split]
    return replace(listing, reading=[_tally_columns(path.name, columns, used)])


def list_shards(root: Path, names: Sequence[str]) -> Listing:
    """Parquet or Arrow files below ``root``; several are one set, split as their names or folders say.

    Raises:
        UserError: if one cannot be read or has no column of images.
    """
    name = Path(names[0]).stem if len(names) == 1 else root.resolve().name
    listing = unpacked(name, _stamp([root / each for each in names]), _shard_rows(root, names), "rows")
    reading = []
    for each in names:
        schema = next((batch.schema for batch in _batches(root / each)), None) if listing.hashes else None
        if schema is not None:
            used = [_image_column(each, schema), *_label_columns(schema)[:1], *_found(schema.names, "split")]
            reading.append(_tally_columns(each, schema.names, used))
    return replace(listing, reading=reading)


def _found(columns: Iterable[str], *names: str) -> list[str]:
    """The first of the names that a column has, in any case; none if no column is called so."""
    return list(filter(None, [Table("", list(columns), ()).find(*names)]))


def _tally_columns(place: str, columns: Sequence[str], used: Sequence[str]) -> Tally:
    return Tally.of_named(f"columns of {place}", columns, used, f"unused columns of {place}")


def list_hub(source: str) -> Listing:
    """A dataset of the Hugging Face hub, ``owner/name`` or ``owner/name:configuration``, downloaded once.

    Raises:
        UserError: if it cannot be downloaded or has no column of images.
    """
    name, _, configuration = source.partition(":")
    return unpacked(
        name.rstrip("/").split("/")[-1], ("hub", name, configuration), _hub_rows(name, configuration), "rows"
    )


def _stamp(paths: Sequence[Path]) -> list[object]:
    """A key that changes when one of the files does."""
    statuses = [path.stat() for path in paths]
    return [(str(path.resolve()), each.st_size, each.st_mtime_ns) for path, each in zip(paths, statuses, strict=True)]


def read_columns(path: Path) -> list[str]:
    """The columns of a TSV, csv or parquet file; none if it is another file, or cannot be read."""
    suffix = path.suffix.lower()
    if suffix in SEPARATORS:
        return read_header(path, SEPARATORS[suffix])
    if suffix != ".parquet":
        return []
    import pyarrow
    import pyarrow.parquet

    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError):
        return []


def _text_rows(path: Path, label: str, split: str) -> Iterator[Row]:
    """The images of a table, one for each row; where a row has several, the others follow after the last row.

    ``label`` and ``split`` are the columns of these, empty where there is none. The table is read again for further
    images, as all of them might not fit into memory.
    """
    first_row: dict[str, str] = {}
    several = False

    def row_of(number: int, cells: Mapping[str, Any]) -> Row:
        place = where(Path(path.name), number)
        return Row(place, split=_split(cells.get(split) if split else "", str(path.parent / place)))

    for number, cells in read_rows(path, [], Problems(strict=True)):
        row = replace(
            row_of(number, cells),
            key=plain_index(str(cells.get("index", ""))),
            label=_label(cells.get(label) if label else None),
        )
        if row.key and row.key in first_row:
            raise UserError(f"{path.parent / row.place}, field index: {row.key} is a duplicate of {first_row[row.key]}")
        first_row[row.key] = row.place
        first, *more = images_in(cells[image_column(path, cells)])
        several = several or bool(more)
        yield image_row(row, first, path.parent)
    for number, cells in read_rows(path, [], Problems(strict=True)) if several else ():
        row = row_of(number, cells)
        yield from (image_row(row, each, path.parent) for each in images_in(cells[image_column(path, cells)])[1:])


def _split(cell: object, place: str) -> str:
    """The split that a cell names, empty for none.

    Raises:
        UserError: if the word means no split.
    """
    name = split_name("" if cell is None else str(cell))
    if name is None:
        raise UserError(f"{place}, field split: {cell!r} is not train, val or test (or empty)")
    return name


def image_column(path: Path, columns: Iterable[str]) -> str:
    """The column that holds images, or the paths of their files.

    Raises:
        UserError: if there is none.
    """
    names = list(columns)
    column = next((name for name in IMAGE_COLUMNS if name in names), None)
    if column is None:
        raise UserError(f"{path}: there is no column 'image'; its columns are {listed(names)}")
    return column


def read_rows(path: Path, required: Sequence[str], problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table of questions, TSV, csv or parquet, each with its number in the file.

    Cells are text, except that a parquet file's images are bytes, a struct of bytes and path, or a list of these.

    Raises:
        UserError: if a required column is missing, or from the row on that cannot be read.
    """
    if path.suffix.lower() != ".parquet":
        yield from read_tsv(path, required, problems, SEPARATORS[path.suffix.lower()])
        return
    number = 0
    for batch in _batches(path):
        check_columns(path, batch.schema.names, required)
        for cells, unreadable in records_of(batch):
            number += 1
            for name in required:
                if name in unreadable:
                    raise UserError(f"{where(path, number, name)}: {unreadable[name]}")
            yield number, {name: table_cell(value, name, where(path, number, name)) for name, value in cells.items()}


def _label(cell: object) -> str:
    """The name of a row's class; whole numbers that pandas made floats of are whole again."""
    label = cell_text(cell)
    return class_name(label) if label else ""


def _label_columns(schema: Any) -> list[str]:
    """The columns of labels that hold texts or numbers; one of lists (of boxes, of many labels) is none."""
    import pyarrow

    nested, binary = pyarrow.types.is_nested, pyarrow.types.is_binary
    return [
        name
        for wanted in LABEL_COLUMNS
        for name in _found(schema.names, wanted)
        if not nested(schema.field(name).type) and not binary(schema.field(name).type)
    ]


def _shard_rows(root: Path, names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        yield from _arrow_rows(name, _batches(root / name), "" if len(names) == 1 else _split_of(name))


def _split_of(name: str) -> str:
    """``train`` for train-00000-of-00002.parquet as the hub names it, and for train/data-00000.arrow on disk."""
    path = PurePosixPath(name)
    prefix = path.stem.partition("-")[0].lower()
    return prefix if prefix in SPLIT_NAMES else path.parent.name


def _batches(path: Path) -> Iterator[Any]:
    """The record batches of a parquet file, or of an Arrow file of either kind."""
    import pyarrow
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".parquet":
            with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20) as file:
                yield from file.iter_batches(batch_size=BATCH)
            return
        with pyarrow.memory_map(str(path)) as file:
            try:
                yield from pyarrow.ipc.open_stream(file)
            except pyarrow.ArrowInvalid:
                reader = pyarrow.ipc.open_file(file)
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a {path.suffix[1:]} file that can be read: {error}") from error


def _arrow_rows(origin: str, batches: Iterable[Any], split: str, read_paths: bool = False) -> Iterator[Row]:
    """The rows of record batches; an image is bytes, or a struct of bytes and path as ``datasets`` writes it."""
    number = 0
    for batch in batches:
        schema = batch.schema
        image = _image_column(origin, schema)
        label = next(iter(_label_columns(schema)), None)
        names = _class_names(schema, label)
        images = batch[image].to_pylist()
        labels = batch[label].to_pylist() if label else [None] * len(images)
        column = next(iter(_found(schema.names, "split")), "")
        given = batch[column].to_pylist() if column else [split] * len(images)
        for cell, value, side in zip(images, labels, given, strict=True):
            number += 1
            place = f"{origin}, row {number}"
            part = _split(side, place) if column else split
            name = names[value] if isinstance(value, int) and 0 <= value < len(names) else _label(value)
            struct = cell if isinstance(cell, dict) else {"bytes": cell}
            content, path = struct.get("bytes"), struct.get("path")
            if content is None and path and read_paths:
                try:
                    content = Path(path).read_bytes()
                except (OSError, ValueError) as error:
                    yield Row(place, problem=f"{place}: cannot read {path} ({why_unreadable(error)})")
                    continue
            problem = ""
            if not content:
                hint = f" but only the path {path}; list the files in an index csv" if path else ""
                problem = f"{place}, field {image}: there are no bytes of an image{hint}"
            yield Row(place, content or b"", label=name, split=part, problem=problem)


def _image_column(origin: str, schema: Any) -> str:
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    check_names(origin, schema.names)
    candidates = [field.name for field in schema if holds_bytes(field.type)]
    if "image" in candidates:
        return "image"
    if len(candidates) != 1:
        problem = "no column holds encoded images"
        if candidates:
            problem = f"several columns hold bytes ({', '.join(candidates)})"
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise UserError(f"{origin}: {problem}; call the right one `image` (the columns are {columns})")
    return str(candidates[0])


def _class_names(schema: Any, label: str | None) -> Sequence[str]:
    """The names of the classes, if ``datasets`` stored them with the numbers."""
    try:
        about = parse_json((schema.metadata or {})[b"huggingface"])
        return [str(name) for name in about["info"]["features"][label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _hub_rows(name: str, configuration: str) -> Iterator[Row]:
    check_hub_name(name, "dataset")
    import datasets

    try:
        parts = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # datasets raises errors of many libraries here
        reason = str(error).split("\n")[0]
        raise UserError(
            f"cannot load {name} from the Hugging Face hub ({reason}); "
            "download its parquet files and give the folder that holds them"
        ) from error
    for split, part in parts.items():
        batches = (batch for table in part.with_format("arrow").iter(batch_size=BATCH) for batch in table.to_batches())
        yield from _arrow_rows(f"{name}/{split}", batches, str(split), read_paths=True)
