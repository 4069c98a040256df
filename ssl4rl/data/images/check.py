"""Finding out once which images of a source cannot be decoded, so that none of them is come upon in a run.

Which ones can be is kept under ``SSL4RL_HOME/images`` by content hash, whatever file or table they are in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ssl4rl.data.images.store import Listing
from ssl4rl.errors import UserError
from ssl4rl.home import home
from ssl4rl.progress import progress

DECODABLE = "decodable.txt"
"""The hashes of the images that could be decoded, a line each; others are tried again."""

DIGITS = 32
"""Hexadecimal digits of a hash that are kept."""

CHUNK = 512
"""Images between two writes of what was found out."""

THREADS = min(8, os.cpu_count() or 1)
"""Decoders let other threads run; each may hold an image of a quarter of a gigabyte."""


def find_broken(listing: Listing) -> dict[int, str]:
    """What is wrong with each image that cannot be read or decoded, in order.

    Each distinct image is decoded once, and those that can be never again.
    """
    known = _known()
    first = {content: index for index, content in reversed(list(enumerate(listing.hashes))) if content}
    untried = sorted(index for content, index in first.items() if content[:DIGITS] not in known)
    undecodable: set[str] = set()
    broken = dict(listing.problems)

    def problem(index: int) -> str:
        try:
            listing.store.open(index, side=1)
        except UserError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(THREADS) as threads, progress("checking images", len(untried)) as advance:
        for start in range(0, len(untried), CHUNK):
            tried = untried[start : start + CHUNK]
            decodable = []
            for index, found in zip(tried, threads.map(problem, tried), strict=True):
                if found:
                    undecodable.add(listing.hashes[index])
                else:
                    decodable.append(listing.hashes[index][:DIGITS])
                advance(1)
            _remember(decodable)
    for index, content in enumerate(listing.hashes) if undecodable else ():
        if content in undecodable and index not in broken:
            broken[index] = problem(index)
    # A file may have been repaired between the two looks at it.
    return {index: broken[index] for index in sorted(broken) if broken[index]}


def _known() -> frozenset[str]:
    try:
        lines = (home() / "images" / DECODABLE).read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(line for line in lines if len(line) == DIGITS)


def _remember(hashes: Iterable[str]) -> None:
    """Adds to the file, unless it cannot be written to."""
    path = home() / "images" / DECODABLE
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line break in front: the last write may have been cut off.
        with path.open("a", encoding="ascii") as file:
            file.write("".join(f"\n{each}" for each in hashes) + "\n")
