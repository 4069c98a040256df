"""Names on the Hugging Face hub: found out with one short request whether they can be loaded, before anything retries.

Offline, transformers and datasets try for half a minute and more before they give up.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ssl4rl.errors import UserError

TIMEOUT = 10.0
"""Seconds after which the hub counts as unreachable."""


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
            raise OSError("HF_HUB_OFFLINE is set")
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

    os.environ["HF_HUB_OFFLINE"] = "1"
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
