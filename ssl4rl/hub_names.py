"""The Hugging Face hub: where it is, whether it answers, and whether it has a name, found out with one short request.

Offline, transformers and datasets try for half a minute and more before they give up.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Literal

from ssl4rl.errors import UserError

TIMEOUT = 10.0
"""Seconds after which a name counts as not to be looked up."""

SECONDS = 3.0
"""How long the hub is waited for."""

SWITCH = "HF_HUB_OFFLINE"
"""The variable that keeps the hub's clients from asking it."""


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


def check_hub_name(name: str, kind: Literal["model", "dataset"]) -> None:
    """Lets a path pass, a name that the hub has, and one in the local cache while the hub cannot be reached.

    In the last case, and under ``HF_HUB_OFFLINE``, nothing asks the hub from here on.

    Raises:
        UserError: if the hub does not have it, or can be reached no more than the name is in the cache.
    """
    if Path(name).exists():
        return
    import httpx
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    remedy = "download it where there is a network and give its folder, or set HF_HOME to a cache that has it"
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError(f"{SWITCH} is set")
        api = HfApi()
        (api.model_info if kind == "model" else api.dataset_info)(name, timeout=TIMEOUT)
    except HFValidationError as error:
        raise UserError(f"{name!r} is neither a folder nor a name on the Hugging Face hub (owner/name)") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"there is no folder {name}, and no {kind} of that name on the Hugging Face hub; check the "
            "spelling, or set HF_TOKEN if it is private"
        ) from error
    except (OSError, httpx.HTTPError) as error:
        if not _is_cached(name, kind):
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise UserError(
                f"there is no folder {name}, and the Hugging Face hub cannot be reached ({reason}): {remedy}"
            ) from error
        _stay_offline()


def _is_cached(name: str, kind: str) -> bool:
    """Whether the hub client's cache has some of its files."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}", "snapshots")
    return snapshots.is_dir() and any(snapshots.glob("*/*"))


def _stay_offline() -> None:
    """Tells the hub's clients in this process, and those that it starts, to use the cache alone."""
    import sys

    os.environ[SWITCH] = "1"
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
