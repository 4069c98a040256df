"""The folder in which downloads, converted datasets and replies are kept."""

import os
from pathlib import Path


def home() -> Path:
    """``$SSL4RL_HOME``, by default ``~/.cache/ssl4rl``."""
    return Path(os.environ.get("SSL4RL_HOME") or "~/.cache/ssl4rl").expanduser()
