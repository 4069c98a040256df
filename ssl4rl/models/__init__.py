"""The small models that ship with the package, by name, and how they were made."""

from pathlib import Path

TINY = "tiny"
"""A language model."""
TINY_VISION = "tiny-vision"
"""A vision-language model."""

EMBEDDED = {TINY: "tiny", TINY_VISION: "tiny_vision"}
"""Each model's name, and the folder beside this file that holds it."""


def embedded_path(name: str) -> Path:
    """The folder of an embedded model, as transformers and vLLM load it."""
    return Path(__file__).parent / EMBEDDED[name]
