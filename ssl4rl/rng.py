"""Random generators that are named instead of numbered, so that every draw has a seed of its own."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def seeded_rng(*key: object) -> np.random.Generator:
    """A generator seeded by a hash of ``key``: the same in every process, and another one for every key."""
    digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def moved(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of ``count`` things in which none is at its own place, [count]; of one thing, that one."""
    while True:
        order = rng.permutation(count)
        if count < 2 or (order != np.arange(count)).all():
            return order
