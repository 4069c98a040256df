"""Answers kept by content, so that a model is never asked the same thing in the same way twice.

One append-only file per model under ``SSL4RL_HOME/replies``, or per graph for baselines. Every line carries a checksum
of itself: one that was cut off or edited is reported and its question asked again, instead of being counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl4rl.home import home
from ssl4rl.inference.messages import Messages
from ssl4rl.records import parse_json


def digest(value: Any) -> str:
    """SHA-256 of a JSON value; an image in it counts by its pixels."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_pixels)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _pixels(image: Any) -> list[Any]:
    return [image.mode, image.size, hashlib.sha256(image.tobytes()).hexdigest()]


class ContentCache:
    """Records (JSON objects) under keys, in one file; without a path nothing is kept.

    The file is read once, when the cache is made. ``damaged`` counts the lines that are not as they were written;
    ``unwritable`` says why nothing is kept any more, if the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.damaged = 0
        self.unwritable = ""
        self._records: dict[str, dict[str, Any]] = {}
        self._torn = False
        if self.path is not None and self.path.is_file():
            self._read(self.path.read_bytes())

    def _read(self, content: bytes) -> None:
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            if not line.strip():
                continue
            try:
                record = parse_json(line)
                checksum = record.pop("checksum")
            except (ValueError, AttributeError, KeyError):
                self.damaged += 1
                continue
            if checksum != digest(record)[:16]:
                self.damaged += 1
                continue
            self._records[record.pop("key")] = record

    def get(self, key: str) -> dict[str, Any] | None:
        """The record under that key, as it was given to :meth:`put`; None if there is none."""
        return self._records.get(key)

    def put(self, key: str, values: Mapping[str, Any]) -> None:
        """Adds a record, in one write."""
        if self.path is None:
            return
        written = json.dumps({"key": key, **values}, ensure_ascii=False).encode("utf-8", "replace")
        record = parse_json(written)  # as it will be read: what is no text is a question mark by then
        line = json.dumps({**record, "checksum": digest(record)[:16]}, ensure_ascii=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                # A torn last line is ended first: joined to it, this record would be lost too.
                file.write((("\n" if self._torn else "") + line).encode())
        except OSError as error:  # an evaluation can do without
            self.unwritable = f"{self.path} cannot be written ({error.strerror})"
            self.path = None
            return
        self._torn = False
        self._records[record.pop("key")] = record


class ReplyCache(ContentCache):
    """Everything that one model has replied.

    ``model`` identifies the model by content; None keeps nothing, for a model whose content is unknown (a server may
    serve another one tomorrow).
    """

    def __init__(self, model: Any) -> None:
        super().__init__(home() / "replies" / f"{digest(model)[:16]}.jsonl" if model is not None else None)

    def key(self, conversation: Messages, settings: Mapping[str, Any]) -> str:
        """The key of a reply: a hash of the conversation and of how the reply is made (sampling, or the choices)."""
        return digest([conversation, settings])
