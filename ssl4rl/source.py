"""What examples are cut from, and what the command line knows about each kind of it.

A *source* is one graph, one set of images, or whatever a plug-in brings. Its *kind* says how a source of that kind is
loaded, checked and described; every verb goes through it, so a new kind works everywhere once it is registered.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ssl4rl.errors import FirstProblem, UserError, unknown
from ssl4rl.tally import skipped_in

if TYPE_CHECKING:
    from ssl4rl.registry import Registry

SPLITS = ("train", "val", "test")


class Source(Protocol):
    """What examples are cut from. ``fingerprint`` is a hash of the content, so an id names the data it came from."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


S = TypeVar("S", bound=Source)


@dataclass(frozen=True)
class Summary:
    """A source in numbers: ``facts`` for programs, ``rows`` (a name and a sentence each) for people."""

    facts: Mapping[str, Any]
    rows: Sequence[tuple[str, str]]
    details: Sequence[str] = ()
    """Further lines for people: names of classes, an example."""


@dataclass(frozen=True)
class Report:
    """What checking a source found. It can be used if there are no problems."""

    problems: Sequence[str]
    """One line each, naming file, row and field."""
    summary: Summary | None
    """None where the problems left nothing to describe."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """What was found and not read, and how much of it: ``{"hidden files": 2}``."""


@dataclass(frozen=True)
class SourceKind(Generic[S]):
    """How sources of one kind are named, loaded, checked and described."""

    name: str
    """``graph``, ``images``, …; ``data info --kind`` takes it."""
    side: str
    """Which command works on it: ``ssl4rl graph`` or ``ssl4rl vision``."""
    default: str
    """The registered source that is used where none is named."""
    default_noun: str
    """What messages call that: "the embedded graph"."""
    registry: Registry[Callable[[], S]]
    """The sources that have names of their own."""
    read: Callable[[str], S]
    """Loads a user's own files from a path; raises UserError at the first problem."""
    recognises: Callable[[str], bool]
    """Whether a path looks like a source of this kind."""
    check: Callable[[str], Report]
    """Reads a user's own files and collects every problem."""
    summarise: Callable[[S], Summary]
    shows_images: bool = False
    """Whether prompts about it have images, so that the model has to read them."""
    default_task: str | None = None
    """The task that ``ssl4rl SIDE train`` takes where none is named; None leaves it to another kind of the side."""
    locate: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    """Where a registered source comes ``from``, whether it is ``here``, and its ``folder``, for sources that have to be
    fetched first; None for those that are always here."""

    def entry(self, name: str) -> dict[str, Any]:
        """What `data list` says of a registered source, ready for JSON."""
        origin = "embedded" if name == self.default else "registered"
        return {"name": name, "kind": self.name, **(self.locate(name) or {"from": origin, "here": True})}

    def validate(self, name: str) -> Report:
        """Checks a user's own files one by one, and a registered source by loading it."""
        if name not in self.registry.names():
            return self.check(name)
        try:
            source = self.load(name)
            return Report([], self.summarise(source), skipped_in(getattr(source, "reading", ())))
        except UserError as error:
            return Report([str(error)], None)

    def load(self, name: str | None = None) -> S:
        """The source of that registered name or path; the default one for None.

        Raises:
            UserError: if there is no such source, or its files are bad.
        """
        name = self.default if name is None else name
        if name in self.registry.names():
            source = self.registry.get(name)()
            if not hasattr(source, "fingerprint"):
                got = f"returned a {type(source).__module__}.{type(source).__name__}".replace("builtins.", "")
                raise UserError(f"{self.registry.noun} {name!r} {got}; it must be {self.registry.contract}")
            return _remember(source, name)
        if _is_bare(name):
            raise self._unknown(name)
        try:
            source = self.read(name)
        except FirstProblem as error:
            command = f"ssl4rl data validate {shlex.quote(name)}"
            raise UserError(f"{error}; `{command}` names all that is wrong there") from error
        return _remember(source, name if ":" in name else str(Path(name).expanduser().absolute()))

    def _unknown(self, name: str) -> UserError:
        from ssl4rl.registry import SOURCE_KINDS

        names = self.registry.names()
        for kind in map(SOURCE_KINDS.get, SOURCE_KINDS.names()):
            if name in kind.registry.names():
                return UserError(
                    f"{name} is a source of kind {kind.name}, and one of kind {self.name} is needed; there are: "
                    f"{', '.join(names)} (or give a folder or file)"
                )
        return unknown_dataset(self.registry.noun, name, names)


MOST_LISTED = 10
"""Broken items of a source that are listed; the others are counted."""


def describe_broken(source: Source, most: float) -> list[str]:
    """Lines about what a source (images, questions) had to leave out because it is broken; none if nothing is.

    Raises:
        UserError: if it is more than the share ``most`` of all.
    """
    skipped: Sequence[str] = getattr(source, "skipped", ())
    if not skipped:
        return []
    found = len(skipped) + len(source)  # type: ignore[arg-type]
    listed = [*skipped[:MOST_LISTED]]
    if len(skipped) > MOST_LISTED:
        listed.append(f"… and {len(skipped) - MOST_LISTED:,} more (ssl4rl data validate lists all)")
    counted = f"{len(skipped):,} of {found:,} in {source.name} cannot be read"
    if len(skipped) > most * found:
        raise UserError(
            f"{counted}, more than max_broken={most:g} of them allows: fix or remove them, or pass them over with "
            f"--set max_broken={_round_up(len(skipped) / found):g}\n" + "\n".join(listed)
        )
    return [f"{counted} and {'is' if len(skipped) == 1 else 'are'} passed over:", *listed]


def _round_up(share: float) -> float:
    return math.ceil(100 * share) / 100


_ORIGINS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def origin_of(source: Source) -> str | None:
    """The registered name or the absolute path that a source was loaded by; None for one that was made in memory."""
    with suppress(TypeError):
        return _ORIGINS.get(source)
    return None


def _remember(source: S, origin: str) -> S:
    with suppress(TypeError):  # a plug-in's source may be neither hashable nor weakly referenced
        _ORIGINS[source] = origin
    return source


def unknown_dataset(noun: str, name: str, names: Iterable[str]) -> UserError:
    """An error for a name that is neither registered nor a path."""
    near = near_folders(Path(name))
    return UserError(f"{unknown(noun, name, names)} (nor is there a folder or file of that name here{near})")


def near_folders(path: Path) -> str:
    """Of a folder or file that is not there, those beside it that are called nearly so, as the end of a message."""
    with suppress(OSError, ValueError):
        near = difflib.get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=2)
        return f"; did you mean {' or '.join(str(path.parent / each) for each in near)}?" if near else ""
    return ""


def imported(location: str) -> Callable[..., Any]:
    """The function at ``module:name``, imported when it is called; so a kind costs nothing to look at."""
    module, _, name = location.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call


def _is_bare(name: str) -> bool:
    """Whether a name can only be meant as a registered one: it is no path, and no file or folder here has it."""
    path = Path(name)
    is_path = name.startswith((".", "~")) or ":" in name or len(path.parts) > 1 or bool(path.suffix)
    return not is_path and not path.exists()
