"""What a set of baselines answers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class BaselineAnswers:
    """The answers of each baseline."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    """Name of the baseline → one answer per item, scored as replies are."""
    scores: dict[str, list[float]] = field(default_factory=dict)
    """The same for items that are ranked: name of the baseline → one score per item."""
    notes: list[str] = field(default_factory=list)
    """Which baselines were left out and why, and what to know about the others."""
