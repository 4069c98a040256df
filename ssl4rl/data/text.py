"""Cleans up texts, and the names of classes and relations."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from html.entities import html5
from typing import Any

import numpy as np

from ssl4rl.graph.adjacency import IntArray
from ssl4rl.graph.arrays import Numbers, taken

GAPS = ("nan", "NaN", "<NA>", "NaT")
"""What pandas writes where nothing is."""
LONGEST_NUMBER = 18
"""Digits of a name up to which names are sorted as numbers: Python reads a few thousand at most."""
NO_CLASS = ("-1", "-1.0")
"""What PyG and others give a node that has no class."""


_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f\x90\x9b-\x9f]")
"""Characters that mean nothing in a text and something to a terminal."""


_ENTITY = re.compile(r"&(#[0-9]+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);")
"""An entity as HTML closes it. Some old names also count without a semicolon, but so stand the parameters of a URL."""


def clean(text: str) -> str:
    """The text as one line of valid UTF-8, with HTML entities decoded and every run of white space made one space.

    Control characters count as white space. Entities end with a semicolon; without one, they are text.

    >>> clean("R&amp;D &#8212; ?a=0&section=2&copy=1")
    'R&D — ?a=0&section=2&copy=1'
    """
    if not text:
        return ""
    if "&" in text:
        text = _ENTITY.sub(_decoded, text)
    return " ".join(_CONTROL.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).split())


def _decoded(entity: re.Match[str]) -> str:
    """The characters that an entity stands for; itself if there is none of its name."""
    name = entity[1]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(f"{name};", entity[0])


def present(cell: str) -> str:
    """The cell; empty where it says in words that nothing is there, as pandas writes a gap.

    >>> present("nan"), present("<NA>"), present("None"), present("naan")
    ('', '', 'None', 'naan')
    """
    return "" if cell.strip() in GAPS else cell


def is_missing(value: Any) -> bool:
    """Whether nothing is there: None, NaN, or pandas' marks for a gap.

    >>> is_missing(float("nan")), is_missing(0)
    (True, False)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | Decimal | np.floating) and math.isnan(value)


def cell_text(value: Any) -> str | None:
    """A cell as text (empty for null and NaN), or None if it is neither text nor a number."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return present(value)
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas turns a column of integers with a gap into floats
    return str(value) if isinstance(value, int | float | Decimal) else None


def class_name(label: str) -> str:
    """The name of a class; empty for what stands for none: a gap, or −1 as in PyG and scikit-learn.

    >>> class_name(" Theory "), class_name("-1"), class_name("nan")
    ('Theory', '', '')
    """
    name = clean(present(label))
    return "" if name in NO_CLASS else name


def class_names(labels: Sequence[str]) -> list[str]:
    """The class of each label, empty for none; numbers that a table turned into floats are whole again.

    >>> class_names(["1.0", "", "2.0"]), class_names(["1.0", "1.5"])
    (['1', '', '2'], ['1.0', '1.5'])
    """
    names = [class_name(label) for label in labels]
    if all(re.fullmatch(r"\d+\.0+", name) for name in names if name):
        names = [name.partition(".")[0] for name in names]
    return names


def readable(name: str) -> str:
    """``Rule_Learning`` → ``Rule Learning``, ``_has_part`` → ``has part``."""
    return clean(name.replace("_", " "))


def sentences(*parts: str) -> str:
    """Joins the non-empty parts, with a full stop after each that does not end a sentence itself."""
    text = ""
    for part in filter(None, map(clean, parts)):
        text += ("" if not text else " " if text[-1] in ".!?:;" else ". ") + part
    return text


def freebase_relations(paths: Sequence[str]) -> list[str]:
    """Readable names for Freebase property paths, as short as they can be without becoming ambiguous.

    ``/people/person/spouse_s./people/marriage/type_of_union`` → ``person: spouses / type of union``. If two paths
    would get the same name, both also show the types along the way, and if that is not enough, the domains.
    """

    def words(name: str) -> str:
        return readable(re.sub(r"_s$", "s", name))

    def render(path: str, detail: int) -> str:
        steps = []
        for number, hop in enumerate(path.split(".")):
            *domains, kind, prop = ["", "", *hop.strip("/").split("/")]
            shown = domains if detail > 1 else []
            if detail or number == 0:
                shown = [*shown, kind]
            prefix = " ".join(words(part) for part in shown if part)
            prefix = re.sub(r"\b(\w+) \1\b", r"\1", prefix)  # american football football team
            steps.append(f"{prefix}: {words(prop)}" if prefix else words(prop))
        return " / ".join(steps)

    names = [render(path, 0) for path in paths]
    for detail in (1, 2):
        uses = Counter(names)
        names = [name if uses[name] == 1 else render(path, detail) for path, name in zip(paths, names, strict=True)]
    uses = Counter(names)
    return [name if uses[name] == 1 else path for path, name in zip(paths, names, strict=True)]


def first_repeated(items: Iterable[Any]) -> Any | None:
    """The first item that was there before; None if all differ."""
    seen = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None


def indexed(names: Sequence[str]) -> tuple[list[str], IntArray]:
    """The distinct names in order (numbers by size), and the index of each name, [N]; −1 for an empty one."""
    distinct = sorted({name for name in names if name})
    if all(name.isdecimal() and len(name) <= LONGEST_NUMBER for name in distinct):
        distinct.sort(key=int)
    index = {name: number for number, name in enumerate(distinct)}
    return distinct, np.array([index.get(name, -1) for name in names], dtype=np.int64)


class Words:
    """Words of which there are few, each of many rows' one; a row takes up a number."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._codes = Numbers(np.int32)

    @property
    def words(self) -> list[str]:
        """The distinct words, as they came up."""
        return list(self._code_of)

    def add(self, word: str) -> None:
        """The next row's."""
        self._codes.append(self._code_of.setdefault(word, len(self._code_of)))

    def indexed(self, names: Sequence[str]) -> tuple[list[str], IntArray]:
        """The distinct ``names`` that the words stand for, in order, and the index of each row's; −1 for an empty one.

        ``names`` holds one for each of :attr:`words`.
        """
        distinct, numbers = indexed(names)
        return distinct, taken(numbers, self._codes.finish())
