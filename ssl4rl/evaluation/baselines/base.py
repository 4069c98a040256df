"""What a set of baselines answers, and where answers are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from ssl4rl.evaluation.cache import ContentCache, digest
from ssl4rl.home import home

LEFT_OUT_ON_TRAIN = "the baselines are fitted on train, so they are left out for items of train"


class LeftOut(Exception):
    """Why a baseline cannot be fitted to this graph."""


@dataclass
class BaselineAnswers:
    """The answers of each baseline."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    """Name of the baseline → one answer per item, scored as replies are."""
    scores: dict[str, list[float]] = field(default_factory=dict)
    """The same where items are ranked: name of the baseline → one score per item."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Name of a baseline that was fitted → how long fitting and answering took; it may have been in an earlier run."""
    notes: list[str] = field(default_factory=list)
    """Which baselines were left out and why, and what to know about the others."""


@dataclass(frozen=True)
class Baseline:
    """One that is fitted to a graph."""

    name: str
    answer: Callable[[Any], list[Any]]
    """The answers (where items are ranked, scores) from the features, or from None where it reads none."""
    features: Features | None = None
    prepare: Callable[[], Any] = lambda: None
    """Makes what several need, such as an import or pairs to choose a threshold on; it is called before ``answer``."""

    @property
    def full_name(self) -> str:
        """Its name with that of its features."""
        return self.name + (self.features.suffix if self.features else "")


@dataclass(frozen=True)
class Features:
    """What a baseline reads of the texts: one row of length 1 per node (0 for a text of which nothing is known)."""

    suffix: str
    """What the name of a baseline on these features ends with."""
    identity: str
    """What they depend on besides the texts."""
    matrix: Callable[[], Any]
    """[N, F], sparse or an array, computed when it is first needed; or :class:`LeftOut` is raised."""


class AnswerCache(ContentCache):
    """The answers that baselines gave to questions about one graph, in ``SSL4RL_HOME/baselines``.

    ``questions`` is everything about the questions and the graph that answers depend on. So is the code in this
    package: an answer of other code is not found.
    """

    def __init__(self, fingerprint: str, questions: Any) -> None:
        super().__init__(home() / "baselines" / f"{fingerprint[:16]}.jsonl")
        self._about = digest([fingerprint, questions, code_version()])

    def key(self, baseline: Baseline) -> str:
        """The key of a baseline's answers."""
        return digest([self._about, baseline.full_name, baseline.features and baseline.features.identity])


@cache
def code_version() -> str:
    """A hash of the source of every baseline."""
    sources = sorted(
        (file.name, file.read_bytes()) for file in files(__package__).iterdir() if file.name.endswith("py")
    )
    return sha256(b"".join(name.encode() + source for name, source in sources)).hexdigest()


def fit(
    baselines: Iterable[Baseline], kept: AnswerCache, notes: list[str], say: Callable[[str], None]
) -> Iterator[tuple[str, list[Any], float]]:
    """Of each baseline its name, its answers and the seconds that they took; kept ones are not computed again.

    What several need is not counted in the seconds. ``notes`` gets a line for each that is left out, ``say`` one for
    each that is fitted.
    """
    if kept.damaged:
        say(f"{kept.damaged} damaged lines in {kept.path} are ignored; their baselines are fitted again")
    for baseline in baselines:
        name, key = baseline.full_name, kept.key(baseline)
        found = kept.get(key)
        if found is None:
            try:
                say(f"baseline: {name}")
                baseline.prepare()
                features = baseline.features and baseline.features.matrix()
                started = time.perf_counter()
                answers = baseline.answer(features)
            except LeftOut as reason:
                notes.append(f"{name} is left out: {reason}")
                continue
            except ModuleNotFoundError as error:
                notes.append(f"{name} is left out: it needs {error.name}, pip install 'ssl4rl[graph]'")
                continue
            found = {"answers": answers, "seconds": round(time.perf_counter() - started, 2)}
            kept.put(key, found)
        yield name, found["answers"], found["seconds"]
