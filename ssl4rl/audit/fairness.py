"""Can a task's reward be had without the task? The contract of fairness, measured as a table of cells.

A cell is one rule on one split of one task. Rules are fitted on examples of train, and followed on others of train and
on val: on these apart, so that an option that is right rarely in train and often in val (or the other way round) shows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssl4rl import answers
from ssl4rl.answers import words
from ssl4rl.audit.blind import blind_replies, scores_of
from ssl4rl.audit.needs import need_rules
from ssl4rl.audit.offers import Offer, read_offers
from ssl4rl.audit.rules import Rule, by_other_items, fitted_rules, fixed_rules, remembering_rules
from ssl4rl.audit.shortcuts import is_on_images
from ssl4rl.audit.surface import fitted_classifiers
from ssl4rl.benchmarks import AnyBenchmark, Benchmark
from ssl4rl.errors import NotApplicable
from ssl4rl.example import Example
from ssl4rl.rng import seeded_rng
from ssl4rl.statistics import Clusters
from ssl4rl.tasks import AnyTask, is_paper_level

ERRORS, EXCESS = 3.0, 0.02
"""A finding is above chance by more than both so many standard errors and so much."""
MUST_DETECT = 0.05
"""A cell in which an excess of this size would have been missed says nothing."""
FEWEST_CLUSTERS = 30
"""Standard errors from fewer clusters are too small themselves."""
ALPHA = 0.05
"""The chance that a table without any shortcut has a finding at all (Holm 1979)."""

SAMPLE, COMMON = 100, 16
"""Examples on which constants are searched for, and the words that they are made of."""
PATIENCE = 12
"""Words up to which a constant grows even while that does not pay."""

Array = NDArray[np.float64]
Verdict = Literal["finding", "passed", "not testable", "reported"]


@dataclass(frozen=True)
class Cell:
    """How much more than chance a rule earns on one split of a task."""

    source: str
    task: str
    split: str
    rule: str
    """``reverse of …`` where the lightest answer is given instead of the heaviest."""
    examples: int
    clusters: int
    """As many equally large groups of examples that share their first source item, and so are not independent."""
    chance: float
    score: float
    excess: float
    error: float
    """Standard error of the excess."""
    p: float
    """One-sided, that the excess is not above 0."""
    need: bool
    """Whether the rule reads what the question is about: what it earns says what the task needs, and is no fault."""
    exempt: bool
    """Whether the level reproduces the paper's leaks, and is not held to have none."""
    verdict: Verdict = "passed"


def measure(task: AnyTask, count: int) -> list[Cell]:
    """The cells of a task of split train: ``count`` examples to fit rules on, as many fresh ones, and as many of val.

    Of train, properties are tried on questions about other items than those they were fitted on.

    Of a benchmark, rules are fitted on items of its train split; on half of its own where it has none.
    Verdicts are still without Holm's correction: :func:`judge` gives those of a whole table.
    """
    fit, *parts = _parts(task, count)
    if fit.examples[0].scoring.function == "score_text":
        constant = _best_constant(fit.examples)
        return [
            part.cell(
                "best constant",
                [answers.score(each.reply_with(constant), each.scoring).value for each in part.examples],
            )
            for part in parts
        ]
    golds = list(dict.fromkeys(example.gold for example in fit.examples))
    train = read_offers(fit.examples, golds)
    fixed, fit_rules = _rules(task, train, with_classifiers=True)
    fitted, apart = fit_rules(train), by_other_items(fit_rules, train)
    needs = need_rules(task.source, train)
    blind = _best_blind(fit.examples)
    cells: list[Cell] = []
    for part in parts:
        offers = read_offers(part.examples, golds)
        cells += part.try_rules(fixed, offers)
        same = part.split == fit.split
        cells += part.try_rules(apart if same else fitted, offers, reverse=not same)
        cells += part.try_rules(needs, offers, reverse=False, need=True)
        cells.append(part.cell("best blind reply", scores_of(blind, part.examples)))
    return cells


def measure_cheaply(task: AnyTask, fit: Sequence[Example], held_out: Sequence[Example]) -> list[Cell]:
    """The cells of the rules alone, without classifiers, fitted on some examples of a task and tried on others."""
    golds = list(dict.fromkeys(example.gold for example in fit))
    train = read_offers(fit, golds)
    fixed, fit_rules = _rules(task, train, with_classifiers=False)
    part, offers = _Part(task, task.split, held_out), read_offers(held_out, golds)
    apart = part.try_rules(by_other_items(fit_rules, train), offers, reverse=False)
    return [*part.try_rules(fixed, offers), *apart]


def _rules(
    task: AnyTask, train: Sequence[Offer], *, with_classifiers: bool
) -> tuple[dict[str, Rule], Callable[[Sequence[Offer]], dict[str, Rule]]]:
    """Rules that remember nothing but single options, if that; and what fits the others on questions of train."""

    def fit(offers: Sequence[Offer]) -> dict[str, Rule]:
        rules = fitted_rules(task.source, offers)
        if with_classifiers:
            rules |= fitted_classifiers(task.source, offers)
        # A list is odd whatever else is offered: who remembers it remembers the question.
        return rules | remembering_rules(task.source, offers) if are_lists else rules

    are_lists = all(offer.are_lists for offer in train)
    fixed = fixed_rules(task.source, train)
    return fixed if are_lists else fixed | remembering_rules(task.source, train), fit


def _parts(task: AnyTask, count: int) -> list[_Part]:
    """The examples to fit rules on, and those to try them on."""
    if isinstance(task, Benchmark):
        return _parts_of_benchmark(task, count)
    parts = []
    for split, first in (("train", 0), ("train", count), ("val", 0)):
        try:
            on_split = task if split == task.split else task.on_split(split)
            parts.append(_Part(task, split, [on_split.example(first + index) for index in range(count)]))
        except NotApplicable:
            # A source may have no val part; what is asked is of train.
            if split == "train":
                raise
    return parts


def _parts_of_benchmark(benchmark: AnyBenchmark, count: int) -> list[_Part]:
    """Its train items and its own; where data has only test items, one half of these and the other."""
    try:
        train: Any = benchmark.on_split("train")
        return [_Part(each, each.split, _items(each, count)) for each in (train, benchmark)]
    except NotApplicable:
        items = _items(benchmark, 2 * count)
        # In a random order: right answers may alternate from item to item.
        order = seeded_rng("halves", benchmark.source.fingerprint).permutation(len(items)).tolist()
        return [_Part(benchmark, benchmark.split, [items[index] for index in order[half::2]]) for half in (0, 1)]


def _items(benchmark: AnyBenchmark, count: int) -> list[Example]:
    if benchmark.size < 2:
        raise NotApplicable(f"{benchmark.label} has too few items on {benchmark.source.name} for rules")
    return [benchmark.example(index) for index in range(min(benchmark.size, count))]


@dataclass(frozen=True)
class _Part:
    """Examples of one split of a task."""

    task: AnyTask
    split: str
    examples: Sequence[Example]

    def try_rules(
        self, rules: Mapping[str, Rule], offers: Sequence[Offer], *, reverse: bool = True, need: bool = False
    ) -> Iterator[Cell]:
        """A cell for each rule, and for its reverse; ``need`` are rules that say what the task needs."""
        ties = [seeded_rng("ties", str(offer.example.id)).random(len(offer.labels)) for offer in offers]
        for name, rule in rules.items():
            weights = rule(offers)
            yield self.cell(name, _follow(offers, weights, ties), need=need)
            if reverse:
                yield self.cell(f"reverse of: {name}", _follow(offers, weights, ties, -1))

    def cell(self, rule: str, scores: Sequence[float] | Array, *, need: bool = False) -> Cell:
        chance = np.array([example.chance for example in self.examples])
        gain = np.array(scores) - chance
        error, clusters = clustered_error(gain, [example.source_items[0] for example in self.examples])
        excess = float(gain.mean())
        return Cell(
            source=self.task.source.name,
            task=self.task.label,
            split=self.split,
            rule=rule,
            examples=len(gain),
            clusters=clusters,
            chance=round(float(chance.mean()), 4),
            score=round(float(np.mean(scores)), 4),
            excess=round(excess, 4),
            error=round(error, 5),
            p=0.5 * math.erfc(excess / max(error, 1e-9) / math.sqrt(2)),
            need=need,
            exempt=is_on_images(self.task) and is_paper_level(self.task.level),
        )


def clustered_error(values: Sequence[float] | Array, clusters: Iterable[str]) -> tuple[float, int]:
    """The standard error of a mean whose values come in clusters, and the effective number of these (Kish 1965).

    A few large clusters among many small ones make an error that is itself uncertain, and mostly too small.
    """
    grouped = Clusters([[cluster] for cluster in clusters])
    sizes = np.array([len(group) for group in grouped.groups])
    return grouped.error(np.asarray(values, dtype=float).tolist()), int(sizes.sum() ** 2 // (sizes**2).sum())


def judge(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with their verdicts, after Holm's correction over all that could be findings."""
    order = sorted((i for i, cell in enumerate(cells) if not cell.need), key=lambda i: cells[i].p)
    rejected = set()
    for rank, place in enumerate(order):
        if cells[place].p > ALPHA / (len(order) - rank):
            break
        rejected.add(place)
    return [replace(cell, verdict=_verdict(cell, place in rejected)) for place, cell in enumerate(cells)]


def _verdict(cell: Cell, rejected: bool) -> Verdict:
    if cell.need:
        return "reported"
    enough = cell.clusters >= FEWEST_CLUSTERS
    if enough and rejected and cell.excess > max(ERRORS * cell.error, EXCESS):
        return "finding"
    return "passed" if enough and ERRORS * cell.error <= MUST_DETECT else "not testable"


def _follow(
    offers: Sequence[Offer], weights: Sequence[Sequence[float]], ties: Sequence[Array], sign: int = 1
) -> list[float]:
    """What the answers with the heaviest labels earn; of equal weights, the one with the least of ``ties`` is taken."""
    scores = []
    for offer, own, tie in zip(offers, weights, ties, strict=True):
        heaviest = sorted((-sign * float(weight), tie[place], place) for place, weight in enumerate(own))
        scores.append(offer.score([offer.labels[place] for _, _, place in heaviest]))
    return scores


def _best_blind(fit: Sequence[Example]) -> str:
    """The blind reply that earns most on the examples that rules are fitted on."""
    few = fit[:SAMPLE]
    means = {reply: float(scores_of(reply, few).mean()) for reply in blind_replies(few)}
    best = sorted(means, key=lambda reply: -means[reply])[:3]
    return max(best, key=lambda reply: float(scores_of(reply, fit).mean()))


def _best_constant(fit: Sequence[Example]) -> str:
    """The description that earns most on ``fit`` whatever is asked: among common words, right ones, and a search."""
    few = fit[:SAMPLE]
    golds = [example.gold for example in few]
    frequency = Counter(word for gold in golds for word in set(words(gold)))
    common = [word for word, _ in frequency.most_common(COMMON)]

    def mean(constant: str) -> float:
        return float(np.mean([answers.score(each.reply_with(constant), each.scoring).value for each in few]))

    best, score, grown = "", 0.0, ""
    for size in range(2 * COMMON):
        grown = max((f"{grown} {word}" for word in common), key=mean)
        value = mean(grown)
        if value > score:
            best, score = grown, value
        elif size > PATIENCE:
            break
    prefixes = [" ".join(common[:length]) for length in (4, 8, 16, 24, 32, 48)]
    return max([best, *prefixes, *golds[:50]], key=mean)
