"""Writes rows into files, a small group at a time, so that memory does not grow with their number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from ssl4rl.export.rows import Row
from ssl4rl.files import whole

ROWS_PER_FILE = {False: 10_000, True: 1_000}
ROWS_PER_GROUP = {False: 1_000, True: 50}
"""Without images, and with them: what is held in memory, and what a trainer reads at once."""


class Writer(Protocol):
    """An open file of rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Writes a group of rows."""


@contextmanager
def open_shard(path: Path, suffix: str, features: dict[str, Any]) -> Iterator[Writer]:
    """A file of rows, which has its name once it is complete; left by an error, there is none."""
    kind = ParquetWriter if suffix == "parquet" else JsonLinesWriter
    with whole(path) as temporary, closing(kind(temporary, features)) as writer:
        yield writer


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, path: Path, features: dict[str, Any]) -> None:
        self._columns = list(features)
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            ordered = {column: row[column] for column in self._columns}
            self._file.write(json.dumps(ordered, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class ParquetWriter:
    """Parquet, with the types of its columns as huggingface's datasets library reads them.

    They are written in the older way, a list being the type of its items in brackets, which every version reads.
    """

    def __init__(self, path: Path, features: dict[str, Any]) -> None:
        import pyarrow.parquet

        self._schema = arrow_schema(features)
        self._file = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        import pyarrow

        self._file.write_table(pyarrow.Table.from_pylist(list(rows), self._schema))

    def close(self) -> None:
        self._file.close()


def arrow_schema(features: dict[str, Any]) -> Any:
    """The columns' types as pyarrow's, with huggingface's beside them."""
    import pyarrow

    fields = [pyarrow.field(name, _arrow_type(feature)) for name, feature in features.items()]
    about = json.dumps({"info": {"features": features}})
    return pyarrow.schema(fields, metadata={"huggingface": about})


def _arrow_type(feature: Any) -> Any:
    import pyarrow

    if isinstance(feature, list):
        return pyarrow.list_(_arrow_type(feature[0]))
    kind = feature.get("_type")
    if kind == "Value":
        return {"string": pyarrow.string(), "int64": pyarrow.int64()}[feature["dtype"]]
    if kind == "Image":
        return pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.struct([(name, _arrow_type(inner)) for name, inner in feature.items()])
