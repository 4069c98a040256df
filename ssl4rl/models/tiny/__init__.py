"""The embedded model; README.md in this folder says how it was made."""

from pathlib import Path


def model_path() -> Path:
    """The folder that transformers and vLLM load."""
    return Path(__file__).parent
