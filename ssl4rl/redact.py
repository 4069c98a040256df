"""What must not be written down: keys and passwords in command lines and addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ssl4rl.errors import UserError

HIDDEN = "***"

_NAMED = re.compile(r"(?i)token(?!s\b|iz)|secret|passw|credential|authorization|api.?key|access.?key|private.?key")
"""What a variable, an option or a field is called that holds one."""

_LOOKS_SECRET = re.compile(r"(?:hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|ya29\.)[A-Za-z0-9_\-]{12,}")
"""How the keys of well-known services begin."""

_USER = re.compile(r"(?<=://)[^/\s@]{1,400}(?=@)")
SHORTEST = 8
"""Characters of an environment variable's value from which on it is looked for: a shorter one may be any word."""


def without_secrets(arguments: Iterable[str]) -> list[str]:
    """The words of a command line, with what is secret in them replaced.

    That is the value of an option, a setting or a part of an address that is called like one, what looks like the key
    of a well-known service, the user of an address, and the value of any environment variable that is called like one.

    >>> without_secrets(["eval", "--api-key", "abc", "--set", "x.token=abc", "http://me:abc@host/v1?key=1&api_key=abc"])
    ['eval', '--api-key', '***', '--set', 'x.token=***', 'http://***@host/v1?key=1&api_key=***']
    >>> without_secrets(["--max-new-tokens", "64", "--set", "task.max_tokens=300"])
    ['--max-new-tokens', '64', '--set', 'task.max_tokens=300']
    """
    known = sorted(
        (value for name, value in os.environ.items() if _NAMED.search(name) and len(value) >= SHORTEST), key=len
    )
    return list(_hidden(arguments, known[::-1]))


def _hidden(arguments: Iterable[str], known: list[str]) -> Iterator[str]:
    is_value = False
    for argument in arguments:
        if is_value and not argument.startswith("--"):
            yield HIDDEN
            is_value = False
            continue
        is_value = argument.startswith("--") and "=" not in argument and bool(_NAMED.search(argument))
        for value in known:
            argument = argument.replace(value, HIDDEN)
        argument = _USER.sub(HIDDEN, _LOOKS_SECRET.sub(HIDDEN, argument))
        parts = re.split(r"([?&\s])", argument)
        yield "".join(map(_setting, parts))


def _setting(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and _NAMED.search(name) else part


def check_address(address: str) -> None:
    """Refuses an address with a key in it, which a run would write down in its recipe.

    Raises:
        UserError: saying where a key belongs.
    """
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query:
        shown = without_secrets([address])[0].partition("?")[0]
        raise UserError(
            f"the address {shown} has a user, a password or a query in it, which runs would write down; "
            "give the address alone, and a key in the environment variable OPENAI_API_KEY"
        )
