"""An example as a row: the columns that verl, OpenRLHF, EasyR1, ms-swift and TRL look for."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.messages import Messages, images_of

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE = "<image>"
PLACEHOLDERS = (IMAGE, "<video>", "<audio>")
"""What trainers replace in a text by the next image, video or sound, so that no text may hold one of its own."""

Row = dict[str, Any]


def row_of(example: Example, index: int, messages: Messages) -> Row:
    """Every column but ``prompt`` and ``images``, which each trainer has in its own form.

    ``messages`` are the example's, whose texts must be free of placeholders.

    Raises:
        UserError: if one of them is not.
    """
    _check_texts(example, messages)
    truth = ground_truth(example)
    return {
        "id": clean(str(example.id)),
        "data_source": clean(f"{example.id.source}/{example.id.label}"),
        "ability": example.id.task,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "ground_truth": truth,
        "extra_info": {
            "split": example.id.split,
            "index": index,
            "id": clean(str(example.id)),
            "gold_reply": clean(example.gold_reply),
        },
    }


def ground_truth(example: Example) -> str:
    """The call that scores a reply, as JSON: the name of the function, and its arguments after the reply."""
    return clean(json.dumps([example.scoring.function, dict(example.scoring.arguments)], ensure_ascii=False))


def clean(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def with_placeholders(messages: Messages) -> str:
    """The one turn as a text, with a placeholder where each image stands."""
    content = messages[0]["content"]
    if isinstance(content, str):
        return clean(content)
    return "".join(clean(part["text"]) if part["type"] == "text" else IMAGE for part in content)


def in_parts(messages: Messages) -> list[dict[str, Any]]:
    """The one turn as a list of parts, each a text or the place of an image."""
    content = messages[0]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [
        {"type": "text", "text": clean(part["text"])} if part["type"] == "text" else {"type": "image", "text": None}
        for part in parts
    ]


def pngs(messages: Messages) -> list[bytes]:
    """The images of a conversation, in order."""
    return [png(image) for image in images_of(messages)]


def png(image: Image) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    # Of photographs and drawings, level 3 makes files as small as the default level 6 does, in less than half the time.
    image.save(file, format="PNG", compress_level=3)
    return file.getvalue()


def _check_texts(example: Example, messages: Messages) -> None:
    content = messages[0]["content"]
    texts = [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]
    for text in texts:
        for placeholder in PLACEHOLDERS:
            if placeholder in text:
                raise UserError(
                    f"a text of example {example.id} holds {placeholder}, where trainers would put an image; take it "
                    "out of the dataset's texts"
                )
