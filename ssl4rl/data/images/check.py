"""Finding out once which images of a source cannot be decoded, so that none of them is come upon in a run.

Which ones can be, and which have several frames, is kept under ``SSL4RL_HOME/images`` by content hash, whatever file or
table they are in.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ssl4rl.data.images.store import Listing
from ssl4rl.errors import UserError
from ssl4rl.home import home
from ssl4rl.progress import progress
from ssl4rl.tally import Tally
from ssl4rl.vision.decode import has_more_frames

DECODABLE, SEVERAL = "decoded.txt", "frames.txt"
"""The hashes of the images that could be decoded, a line each (others are tried again), and of those with frames."""

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
    known = _known(DECODABLE)
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

    def look(index: int) -> tuple[str, bool]:
        found = problem(index)
        with suppress(OSError):
            return found, not found and has_more_frames(listing.store.read(index))
        return found, False

    with ThreadPoolExecutor(THREADS) as threads, progress("checking images", len(untried)) as advance:
        for start in range(0, len(untried), CHUNK):
            tried = untried[start : start + CHUNK]
            decodable, several = list[str](), list[str]()
            for index, (found, frames) in zip(tried, threads.map(look, tried), strict=True):
                if found:
                    undecodable.add(listing.hashes[index])
                else:
                    decodable.append(listing.hashes[index][:DIGITS])
                    several += decodable[-1:] if frames else []
                advance(1)
            _remember(SEVERAL, several)
            _remember(DECODABLE, decodable)
    for index, content in enumerate(listing.hashes) if undecodable else ():
        if content in undecodable and index not in broken:
            broken[index] = problem(index)
    # A file may have been repaired between the two looks at it.
    return {index: broken[index] for index in sorted(broken) if broken[index]}


def tally_frames(listing: Listing, broken: Mapping[int, str]) -> list[Tally]:
    """How many images have several frames, of which the first is read; nothing where none has.

    It is known of the images that :func:`find_broken` looked at.
    """
    several = _known(SEVERAL)
    kept = [content for index, content in enumerate(listing.hashes) if index not in broken]
    count = sum(content[:DIGITS] in several for content in kept) if several else 0
    reason = "images of several frames or pages, of which the first is read"
    return [Tally.of("images read in full", len(kept), {reason: count})] if count else []


def _known(name: str) -> frozenset[str]:
    try:
        lines = (home() / "images" / name).read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(line for line in lines if len(line) == DIGITS)


def _remember(name: str, hashes: Collection[str]) -> None:
    """Adds to the file, unless it cannot be written to."""
    path = home() / "images" / name
    with suppress(OSError):
        if not hashes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line break in front: the last write may have been cut off.
        with path.open("a", encoding="ascii") as file:
            file.write("".join(f"\n{each}" for each in hashes) + "\n")
