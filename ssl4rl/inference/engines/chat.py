"""What goes to and comes from a server that speaks OpenAI's chat completions: messages as JSON."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ssl4rl.inference.messages import Messages


def with_data_urls(conversation: Messages) -> Messages:
    """The conversation as JSON, its PIL images as PNG in data URLs."""

    def written(part: Mapping[str, Any]) -> Mapping[str, Any]:
        if part["type"] != "image":
            return part
        png = io.BytesIO()
        part["image"].save(png, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}

    return [
        message
        if isinstance(message["content"], str)
        else {**message, "content": [written(part) for part in message["content"]]}
        for message in conversation
    ]


def reply_text(message: Mapping[str, Any]) -> str:
    """What a model wrote: its reasoning in ``<think>`` tags, if the server sends it apart, then the answer.

    The reasoning is ``reasoning_content`` or ``reasoning``, or parts of the content of type "thinking". Where there is
    no answer (the reply was cut off), the tag stays open, as it does where the reasoning is not sent apart.

    >>> reply_text({"content": "B", "reasoning_content": "It cites learning theory."})
    '<think>It cites learning theory.</think>B'

    Raises:
        KeyError: if the message has neither content nor reasoning; null is an empty content.
    """
    apart = message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content") if apart else message["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    thoughts = [apart, *(_text(part["thinking"]) for part in parts if part.get("type") == "thinking")]
    thought, answer = "".join(thoughts), "".join(_text(part) for part in parts if part.get("type") != "thinking")
    return f"<think>{thought}{'</think>' if answer else ''}{answer}" if thought else answer


def _text(part: Any) -> str:
    """The text of a part of a message: a string, an object with one, or a list of such."""
    if isinstance(part, list):
        return "".join(map(_text, part))
    return part if isinstance(part, str) else str(part.get("text") or "")


def retry_after(header: str | None) -> float:
    """Seconds that a server asks to wait: a number or a date (RFC 9110, 10.2.3)."""
    try:
        return float(header or 0)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(str(header)).timestamp() - time.time())
    except ValueError:
        return 0.0
