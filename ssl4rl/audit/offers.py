"""What a question offers, read from any example: the answers to choose from, and what is known of each.

Nothing here is particular to a task. Lettered options are read from the prompt ("A: …", one a line). Of ``meta`` these
keys are used where an example has them, and a task of your own is covered where it follows them:

- ``candidates``: the nodes behind the lettered options, in their order (an option may just name a shown node, "[3]");
- ``lists``: the nodes that each option lists, where it is right by how these go together;
- ``asked``, ``target`` or ``masked``: the nodes that the question is about.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from ssl4rl import answers
from ssl4rl.example import Example
from ssl4rl.graph.read_graph import read_node
from ssl4rl.prompts import OPTION_LETTERS

ASKED = ("asked", "target", "masked", "node")
"""The keys of ``meta`` that may name the nodes a question is about."""

REFERENCE = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Offer:
    """A question without its context: what may be answered, what is right, and how an answer is written."""

    example: Example
    labels: tuple[str, ...]
    """What may be answered: letters, "yes" and "no", …"""
    texts: tuple[str, ...]
    """What each label stands for, as the prompt shows it; the label itself where there are no options."""
    nodes: tuple[int, ...]
    """The nodes behind the labels; empty where there are none."""
    asked: tuple[int, ...]
    """The nodes that the question is about; empty where there are none."""
    right: frozenset[str]
    """The labels that are right."""
    named: bool = False
    """Whether the options name nodes that the prompt shows ("[3]"); ``texts`` are then what stands there."""
    keys: tuple[str, ...] = ()
    """What each label is matched with ("3" in "3=B"), in a question that matches."""

    @property
    def has_texts(self) -> bool:
        """Whether the labels stand for texts that the prompt lists."""
        return self.texts != self.labels

    @property
    def are_lists(self) -> bool:
        """Whether each option lists several texts, and is right by how these go together."""
        return "lists" in self.example.meta

    @property
    def things(self) -> Sequence[Hashable]:
        """What each label stands for, whatever is shown of it: its node, or else its text.

        How much of a node's text is shown depends on the context, and so tells of it.
        """
        return self.nodes or self.texts

    def edges_shown(self, node: int) -> tuple[int, int]:
        """How many edges the prompt shows into a node, and out of it."""
        edges = self.example.meta.get("edges", ())
        return sum(target == node for _, target in edges), sum(source == node for source, _ in edges)

    @cached_property
    def shares_neighbors(self) -> bool:
        """Whether the prompt shows a node that is joined with all those that the question is about."""
        around: dict[int, set[int]] = {node: set() for node in self.asked}
        for source, target in self.example.meta.get("edges", ()):
            for node, other in ((source, target), (target, source)):
                if node in around:
                    around[node].add(other)
        return bool(around) and bool(set.intersection(*around.values()))

    @property
    def picks(self) -> int:
        """How many labels make an answer."""
        if self.keys:
            return len(self.keys)
        return len(self.right) if self.example.scoring.function == "score_subset" else 1

    def score(self, order: Sequence[str]) -> float:
        """What the answer earns that takes the first labels of ``order``."""
        chosen = order[: self.picks]
        pairs = zip(self.keys, chosen, strict=False)
        answer = ", ".join(f"{key}={label}" for key, label in pairs) if self.keys else ", ".join(chosen)
        return answers.score(self.example.reply_with(answer), self.example.scoring).value


def read_offers(examples: Sequence[Example], known: Sequence[str] = ()) -> list[Offer]:
    """The offers of a task's examples; ``known`` are answers that may be given where a prompt lists no options."""
    golds = list(dict.fromkeys([*known, *(example.gold for example in examples)]))
    return [_read(example, golds) for example in examples]


def _read(example: Example, golds: Sequence[str]) -> Offer:
    function, arguments = example.scoring
    right, keys = _right(function, arguments, example.gold)
    labels = next((list(arguments[key]) for key in ("choices", "candidates", "values") if arguments.get(key)), [])
    options = shown_options(example.text, labels or list(OPTION_LETTERS))
    if not right <= options.keys():
        options = {label: label for label in labels or golds}
    candidates = example.meta.get("candidates") or ()
    texts = _named_texts(example.text, list(options.values()))
    return Offer(
        example=example,
        labels=tuple(options),
        texts=tuple(texts or options.values()),
        nodes=tuple(map(int, candidates)) if len(candidates) == len(options) else (),
        asked=tuple(_asked(example.meta)),
        right=right,
        named=bool(texts),
        keys=keys,
    )


def _named_texts(prompt: str, options: Sequence[str]) -> list[str]:
    """The texts of the nodes that options name; empty if they do not."""
    if not all(REFERENCE.fullmatch(option) for option in options):
        return []
    lines = {f"[{number}]": text for number, text in filter(None, map(read_node, prompt.splitlines()))}
    return [lines[option] for option in options] if lines.keys() >= set(options) else []


def _right(function: str, arguments: Mapping[str, Any], gold: str) -> tuple[frozenset[str], tuple[str, ...]]:
    if function == "score_any_of":
        return frozenset(arguments["accepted"]), ()
    if function == "score_subset":
        return frozenset(arguments["hidden"]), ()
    if function == "score_matching":
        return frozenset(arguments["gold"].values()), tuple(arguments["gold"])
    return frozenset([gold]), ()


def _asked(meta: Mapping[str, Any]) -> Iterator[int]:
    for key in ASKED:
        value = meta.get(key)
        if isinstance(value, int):
            yield value
        elif isinstance(value, list | tuple) and all(isinstance(node, int) for node in value):
            yield from value


def shown_options(prompt: str, labels: Sequence[str]) -> dict[str, str]:
    """The last list of options in a prompt, by label: lines that begin with ``labels`` in turn, "A: …", "B: …"."""
    return list_options(prompt, labels)[1]


def above_options(offer: Offer) -> str:
    """What a prompt shows before its list of options; all of it where there is none."""
    above, _, _ = list_options(offer.example.text, offer.labels)
    return "\n".join(above)


def lines_outside_options(offer: Offer) -> list[str]:
    """The lines of a prompt that are not in its list of options."""
    above, _, below = list_options(offer.example.text, offer.labels)
    return [*above, *below]


def list_options(prompt: str, labels: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """The lines above the last list of options in a prompt, its options by label, and the lines below it."""
    lines = prompt.splitlines()
    for first in range(len(lines) - 1, -1, -1):
        if lines[first].startswith(f"{labels[0]}: "):
            pairs = takewhile(lambda pair: pair[1].startswith(f"{pair[0]}: "), zip(labels, lines[first:], strict=False))
            options = {label: line.removeprefix(f"{label}: ") for label, line in pairs}
            if len(options) > 1:
                return lines[:first], options, lines[first + len(options) :]
    return lines, {}, []
