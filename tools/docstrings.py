"""Docstrings for the documentation site (an extension of Griffe): their reStructuredText becomes Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"^ *>>> .*?(?=\n *\n|\Z)", re.DOTALL | re.MULTILINE)
ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")


class Docstrings(Extension):
    """Doctests become blocks of code, and references to names the names."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Griffe calls it once for each module, class, function and attribute."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
