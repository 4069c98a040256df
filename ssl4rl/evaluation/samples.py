"""Several replies to each question: pass@k, majority@k, and what they cost in tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean, pvariance
from typing import Any

import numpy as np

from ssl4rl.answers import Outcome
from ssl4rl.evaluation.scores import picked, question_of
from ssl4rl.intervals import FEWEST, wilson
from ssl4rl.records import Prediction


def first_replies(replies: Sequence[Prediction]) -> list[Prediction]:
    """The first reply to each item: what an evaluation with one sample would have."""
    return [reply for reply in replies if reply.sample == 0]


def token_counts(replies: Sequence[Prediction]) -> dict[str, Any]:
    """Tokens that were read and written: ``prompt``, ``reply`` and the mean length of a reply.

    A prompt counts once however many replies it got, as engines in this process run it once; a server bills it for
    each. None where some prompts were not counted: by a server that does not, or before there was this field.
    """
    prompts = [reply.prompt_tokens for reply in first_replies(replies)]
    written = sum(reply.tokens for reply in replies)
    return {
        "prompt": None if None in prompts else sum(count or 0 for count in prompts),
        "reply": written,
        "mean_reply": written / len(replies),
    }


def sample_scores(replies: Sequence[Prediction]) -> dict[str, Any] | None:
    """The content of ``samples`` in scores.json, or None where each item got one reply.

    ``n`` is the number of replies to an item, and ``budget`` has a row for each ``k`` = 1, 2, 4, … n: ``pass``, the
    share of the questions that at least one of k replies gets right (Chen et al. 2021, arXiv:2107.03374), and
    ``majority``, the share that the most frequent of k answers gets right (Wang et al. 2023, arXiv:2203.11171), both
    as the mean over all subsets of k of the n replies, and thus unbiased; ``tokens`` are those of k replies to a
    question. Only allowed answers vote; options with the same text are one answer; a tie counts in the share of the
    tied answers that are right. A question with several rows needs all of them right: ``pass`` with the replies of
    the same number.

    Intervals are Wilson's at the effective sample size, questions being the clusters.
    """
    by_question: dict[str, dict[str, list[Prediction]]] = {}
    for reply in replies:
        by_question.setdefault(question_of(reply), {}).setdefault(reply.item, []).append(reply)
    n = max(len(each) for rows in by_question.values() for each in rows.values())
    # A run that was stopped has some replies to its last items.
    questions = [list(rows.values()) for rows in by_question.values() if all(len(each) == n for each in rows.values())]
    if n == 1 or not questions:
        return None
    sizes = sorted({*(2**power for power in range(n.bit_length())), n})
    right = [_times_right(rows) for rows in questions]
    votes = [[_majorities(row) for row in rows] for rows in questions]
    per_question = sum(reply.tokens for rows in questions for row in rows for reply in row) / len(questions) / n
    budget = [
        {
            "k": k,
            "pass": _share([pass_at(k, n, times) for times in right], n),
            "majority": _share([math.prod(by_size[k - 1] for by_size in rows) for rows in votes], n),
            "tokens": k * per_question,
        }
        for k in sizes
    ]
    return {"n": n, "budget": budget}


def pass_at(k: int, n: int, right: int) -> float:
    """The share of the subsets of ``k`` of ``n`` replies that hold one of the ``right`` ones.

    >>> pass_at(1, 4, 1), pass_at(2, 4, 1), pass_at(4, 4, 1), pass_at(2, 4, 0)
    (0.25, 0.5, 1.0, 0.0)
    """
    return 1 - math.comb(n - right, k) / math.comb(n, k)


@lru_cache(maxsize=1 << 16)
def majorities(right: tuple[int, ...], wrong: tuple[int, ...], abstained: int) -> tuple[float, ...]:
    """How often the most frequent answer of k replies is right, for k = 1, 2, … n: the mean over all subsets of k.

    ``right`` and ``wrong`` are how often each answer was given, ``abstained`` how many replies had none. Where several
    answers are the most frequent, the subset counts in the share of them that are right; where none votes, not at all.

    >>> [round(share, 3) for share in majorities((2,), (1,), 0)]
    [0.667, 0.667, 1.0]
    """
    n = sum(right) + sum(wrong) + abstained
    total = np.zeros(n + 1)
    for place, own in enumerate(right):
        others = [*right[:place], *right[place + 1 :], *wrong]
        for votes in range(1, own + 1):
            # Row t: how many subsets of the others, by size, have t answers with as many votes and none with more.
            subsets = np.zeros((len(others) + 1, n + 1))
            subsets[0, : abstained + 1] = _choose(abstained)
            for count in others:
                fewer = _choose(count)[:votes]
                summed = np.array([np.convolve(row, fewer)[: n + 1] for row in subsets])
                if count >= votes:
                    summed[1:, votes:] += float(math.comb(count, votes)) * subsets[:-1, : n + 1 - votes]
                subsets = summed
            ties = 1 / np.arange(1, len(others) + 2)
            total[votes:] += float(math.comb(own, votes)) * (ties @ subsets)[: n + 1 - votes]
    return tuple(float(share) for share in (total / _choose(n))[1:])


def _choose(n: int) -> Any:
    """How many subsets of n there are, by size."""
    return np.array([math.comb(n, size) for size in range(n + 1)], dtype=float)


def _times_right(rows: Sequence[Sequence[Prediction]]) -> int:
    """How many draws of a question got all its rows right."""
    return sum(all(reply.outcome is Outcome.CORRECT for reply in draw) for draw in zip(*rows, strict=True))


def _majorities(replies: Sequence[Prediction]) -> tuple[float, ...]:
    """:func:`majorities` of the replies to one row."""
    votes: Counter[str] = Counter()
    is_right: dict[str, bool] = {}
    for reply in replies:
        label = picked(reply)
        if label is not None:
            # Two options with the same text are one answer.
            answer = reply.choices[label]
            votes[answer] += 1
            is_right[answer] = reply.outcome is Outcome.CORRECT
    right = sorted(count for answer, count in votes.items() if is_right[answer])
    wrong = sorted(count for answer, count in votes.items() if not is_right[answer])
    return majorities(tuple(right), tuple(wrong), len(replies) - votes.total())


def _share(values: Sequence[float], most: int) -> Mapping[str, Any]:
    """The mean over questions of values from 0 to 1, each from up to ``most`` replies, with its interval.

    The effective sample size is the number of 0/1 values whose mean would vary as much (Kish 1965), and no more than
    there are replies, or, of few questions, than there are of them.
    """
    mean, variance, n = fmean(values), pvariance(values), len(values)
    effective = min(n * mean * (1 - mean) / variance, n * most) if variance > 1e-12 else n
    effective = min(effective, n) if n < FEWEST else effective
    low, high = wilson(mean * effective, effective)
    return {"accuracy": mean, "low": low, "high": high, "n": n}
