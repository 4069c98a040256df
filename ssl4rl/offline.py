"""Whether the Hugging Face hub answers: asked once, before libraries that ask again and again for half a minute."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from ssl4rl.errors import UserError

SECONDS = 3.0
"""How long the hub is waited for."""

SWITCH = "HF_HUB_OFFLINE"


def hub_address() -> str:
    """``$HF_ENDPOINT``, by default the hub's own."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_switched_off() -> bool:
    """Whether the user (or :func:`only_what_is_here`) said that the hub is not to be asked."""
    return os.environ.get(SWITCH, "").upper() in ("1", "TRUE", "YES", "ON")


def why_unreachable() -> str:
    """Why the hub cannot be reached; empty if it can. It is asked once a process."""
    return _found.get(hub_address(), f"{SWITCH} is set") if is_switched_off() else _ask(hub_address())


_found: dict[str, str] = {}
"""Why addresses did not answer, where :func:`only_what_is_here` has set the switch."""


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


def only_what_is_here() -> str:
    """Where the hub does not answer, makes every library look at what was downloaded before and at nothing else.

    Returns:
        Why the hub does not answer; empty if it does.
    """
    why = why_unreachable()
    if why and not is_switched_off():
        _found[hub_address()] = why
        os.environ[SWITCH] = "1"  # for other processes, and for libraries that are not imported yet
        constants, config = (sys.modules.get(name) for name in ("huggingface_hub.constants", "datasets.config"))
        for module in filter(None, (constants, config)):
            module.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    return why


def before_loading(model: str) -> None:
    """To be called before a library loads a model, a folder or a name on the hub.

    Raises:
        UserError: if it is neither a folder nor here from an earlier download, and the hub does not answer.
    """
    if Path(model).is_dir():
        return
    why = only_what_is_here()
    if not why:
        return
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        here = isinstance(try_to_load_from_cache(model, "config.json"), str)
    except HFValidationError:
        here = False
    if not here:
        raise UserError(
            f"model {model!r} is no folder, has not been downloaded, and {hub_address()} cannot be reached ({why}); "
            "give a folder, or set HF_ENDPOINT to a mirror"
        )
