"""What turns conversations with pictures into a vision-language model's inputs."""

from __future__ import annotations

import math
from typing import Any

from ssl4rl.inference.engines.base import Messages


def load_processor(path: str, model_type: str) -> Any:
    """The processor of a vision-language model.

    Without torchvision, what it would need for videos is left out: here nobody is shown one. (Qwen's processors
    refuse to start without it, though their image processor has a variant on Pillow.)

    Raises:
        OSError, ValueError, ImportError: what transformers raises where files are missing or do not fit.
    """
    import transformers
    from transformers import AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
    from transformers.utils import is_torchvision_available

    kind: Any = getattr(transformers, PROCESSOR_MAPPING_NAMES.get(model_type, ""), None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(path, padding_side="left")

    class ImagesOnly(kind):  # type: ignore[misc]
        # transformers reads from the signature what a processor is made of.
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any):
            super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    # Saved under the name by which every other program finds it.
    ImagesOnly.__name__ = kind.__name__
    return ImagesOnly.from_pretrained(path, padding_side="left")


def typed(messages: Messages) -> Messages:
    """The conversation with every turn as a list of typed parts, which the templates of many processors insist on."""
    return [
        {**turn, "content": [{"type": "text", "text": turn["content"]}]} if isinstance(turn["content"], str) else turn
        for turn in messages
    ]


def pictures(messages: Messages) -> list[Any]:
    """The images of a conversation, in order."""
    parts = (part for turn in messages if not isinstance(turn["content"], str) for part in turn["content"])
    return [part["image"] for part in parts if part["type"] == "image"]


def scaled(image: Any, min_pixels: int | None = None, max_pixels: int | None = None) -> Any:
    """A picture of at least ``min_pixels`` and at most ``max_pixels`` pixels, in its own shape."""
    pixels = image.width * image.height
    if max_pixels is not None and pixels > max_pixels:
        factor = math.sqrt(max_pixels / pixels)
        size = (math.floor(image.width * factor), math.floor(image.height * factor))
    elif min_pixels is not None and pixels < min_pixels:
        factor = math.sqrt(min_pixels / pixels)
        size = (math.ceil(image.width * factor), math.ceil(image.height * factor))
    else:
        return image
    return image.resize((max(1, size[0]), max(1, size[1])), resample=3)  # bicubic
