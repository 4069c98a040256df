"""The processor of a vision-language model, and the size in which it gets images."""

from __future__ import annotations

import math
from typing import Any


def load_processor(path: str, model_type: str) -> Any:
    """The processor of a vision-language model.

    Without torchvision, the part that reads videos is left out, as no prompt here has one. (Qwen's processors refuse to
    load without torchvision, although their image processor has a variant that needs only Pillow.)

    Raises:
        OSError, ValueError, ImportError: as transformers does, if files are missing or do not fit.
    """
    import transformers
    from transformers import AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
    from transformers.utils import is_torchvision_available

    kind: Any = getattr(transformers, PROCESSOR_MAPPING_NAMES.get(model_type, ""), None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(path, padding_side="left", trust_remote_code=False)

    class ImagesOnly(kind):  # type: ignore[misc]
        # transformers reads from the signature what a processor is made of.
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any):
            super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    # Saved under the name by which every other program finds it.
    ImagesOnly.__name__ = kind.__name__
    return ImagesOnly.from_pretrained(path, padding_side="left")


def scaled(image: Any, min_pixels: int | None = None, max_pixels: int | None = None) -> Any:
    """The image with at least ``min_pixels`` and at most ``max_pixels`` pixels, its proportions kept."""
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
