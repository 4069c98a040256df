"""Where the Hugging Face hub is, and whether it answers: it is asked once."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from functools import cache

SECONDS = 3.0
"""How long the hub is waited for."""

SWITCH = "HF_HUB_OFFLINE"


def hub_address() -> str:
    """``$HF_ENDPOINT``, by default the hub's own."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_switched_off() -> bool:
    """Whether the hub is not to be asked."""
    return os.environ.get(SWITCH, "").upper() in ("1", "TRUE", "YES", "ON")


def why_unreachable() -> str:
    """Why the hub cannot be reached; empty if it can. It is asked once a process."""
    return f"{SWITCH} is set" if is_switched_off() else _ask(hub_address())


@cache
def _ask(address: str) -> str:
    try:
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except urllib.error.HTTPError:
        pass  # it answered
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""
