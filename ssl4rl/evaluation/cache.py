"""Replies kept by content: the same model asked the same thing in the same way is not asked again.

One append-only file per model under ``SSL4RL_HOME/replies``. A line carries a checksum of itself, so that one that
was cut off or edited is noticed, reported and asked for anew instead of being counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl4rl.home import home
from ssl4rl.inference.engines.base import Messages


def digest(value: Any) -> str:
    """SHA-256 of a JSON value; an image in it counts by its pixels."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_pixels)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _pixels(image: Any) -> list[Any]:
    return [image.mode, image.size, hashlib.sha256(image.tobytes()).hexdigest()]


class ReplyCache:
    """What one model replied, whenever it was asked.

    ``model`` identifies the model by content; None, for one whose content is not known (a server may serve another
    tomorrow), keeps nothing. The file is read once, when the cache is made. ``damaged`` counts the lines that were not
    what had been written.
    """

    def __init__(self, model: Any) -> None:
        self.path: Path | None = home() / "replies" / f"{digest(model)[:16]}.jsonl" if model is not None else None
        self.damaged = 0
        self._replies: dict[str, dict[str, Any]] = {}
        self._torn = False
        if self.path is not None and self.path.is_file():
            self._read(self.path.read_bytes())

    def _read(self, content: bytes) -> None:
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                checksum = record.pop("checksum")
            except (ValueError, AttributeError, KeyError):
                self.damaged += 1
                continue
            if checksum != digest(record)[:16]:
                self.damaged += 1
                continue
            self._replies[record.pop("key")] = record

    def key(self, conversation: Messages, how: Mapping[str, Any]) -> str:
        """Names what is asked: the conversation, and how the reply is made (sampling, or the choices)."""
        return digest([conversation, how])

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply of that key, as :meth:`put` got it."""
        return self._replies.get(key)

    def put(self, key: str, reply: Mapping[str, Any]) -> None:
        """Keeps a reply (a JSON object), in one write."""
        if self.path is None:
            return
        record = {"key": key, **reply}
        line = json.dumps({**record, "checksum": digest(record)[:16]}, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            # After a torn last line, a new one begins: glued to it, this reply would be lost too.
            file.write((("\n" if self._torn else "") + line).encode("utf-8", "replace"))
        self._torn = False
        self._replies[key] = dict(reply)
