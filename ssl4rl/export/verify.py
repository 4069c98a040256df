"""Checks an export: the hash of every file, and what its own scorer gives for right, wrong and broken replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ssl4rl import answers
from ssl4rl.answers import Scoring
from ssl4rl.errors import UserError
from ssl4rl.export.examples import Examples
from ssl4rl.export.manifest import MANIFEST, Manifest, file_sha256, read_manifest

MOST_LISTED = 20
"""Mismatches that are listed."""
BUILT = 100
"""Examples that are built where they are not in files."""

ComputeScore = Callable[[str, str, str], float]


@dataclass
class Verified:
    """What a check found."""

    manifest: Manifest
    rows: int = 0
    replies: int = 0
    mismatches: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The result in words."""
        shown = self.mismatches[:MOST_LISTED]
        if len(self.mismatches) > len(shown):
            shown.append(f"and {len(self.mismatches) - len(shown):,} more")
        files = len(self.manifest.files) + 1
        checked = f"{files} file(s), {self.rows:,} rows, {self.replies:,} replies"
        return [*shown, f"{checked}: " + (f"mismatches: {len(self.mismatches):,}" if shown else "all match")]


def verify(folder: Path) -> Verified:
    """Checks an export against its manifest, and its scorer against this package's.

    The scorer is run, unless its hash is not the manifest's.

    Raises:
        UserError: if the folder has no manifest, or one of another form.
    """
    manifest = read_manifest(folder)
    for name in [manifest.scorer.path, *(file.path for file in manifest.files)]:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{folder / MANIFEST} names a file outside its folder, {name}; do not use this export")
    found = Verified(manifest)
    scorer = folder / manifest.scorer.path
    if not _matches(scorer, manifest.scorer.sha256, found):
        return found
    compute_score = load_scorer(scorer)
    if not manifest.files:
        _check_built(folder, compute_score, found)
        return found
    for file in manifest.files:
        path = folder / file.path
        if not _matches(path, file.sha256, found):
            continue
        rows = 0
        last = ""
        for row in read_rows(path):
            rows += 1
            last = _rescore(row, last, compute_score, found)
        found.rows += rows
        if rows != file.rows:
            found.mismatches.append(f"{path} has {rows:,} rows, and its manifest says {file.rows:,}")
    told = sum(file.rows for file in manifest.files)
    if told != manifest.recipe.count:
        found.mismatches.append(f"{folder / MANIFEST} names {told:,} rows of {manifest.recipe.count:,}")
    return found


def _check_built(folder: Path, compute_score: ComputeScore, found: Verified) -> None:
    """Builds some examples, where there are no rows of them, and scores replies to those."""
    try:
        examples = Examples(folder)
        last = ""
        for index in range(min(BUILT, found.manifest.recipe.count or BUILT)):
            last = _rescore(examples.row(index), last, compute_score, found)
            found.rows += 1
    except UserError as error:
        found.mismatches.append(str(error))


def load_scorer(path: Path) -> ComputeScore:
    """The function ``compute_score`` of an exported scorer, loaded as trainers do: without registering a module.

    The file itself is compiled: bytecode beside it may be of another one, and none is to be left there.
    """
    module = ModuleType("exported_scorer")
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    function: ComputeScore = module.compute_score
    return function


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """What scoring needs of the rows of a file: ``data_source``, ``ground_truth`` and ``extra_info``."""
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
        return
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(1_000, columns=["data_source", "ground_truth", "extra_info"]):
            yield from batch.to_pylist()


def replies_to(gold: str, other: str) -> dict[str, bool]:
    """Replies to a row, and whether each has to earn nothing: ``gold`` scores 1, ``other`` answers another row."""
    return {
        other: False,
        "": True,
        f"{gold}{gold}" if "<answer>" in gold else f"<answer>{gold}": True,
        gold.replace("</answer>", "") if "<answer>" in gold else f"<think>{gold}": True,
    }


def mismatch(path: Path, sha256: str) -> str:
    """Why a file is not the one that a manifest names; empty if it is."""
    if not path.is_file():
        return f"{path} is missing"
    return "" if file_sha256(path) == sha256 else f"{path} is not the file of its manifest"


def _matches(path: Path, sha256: str, found: Verified) -> bool:
    if reason := mismatch(path, sha256):
        found.mismatches.append(reason)
    return not reason


def _rescore(row: dict[str, Any], other: str, compute_score: ComputeScore, found: Verified) -> str:
    """Scores replies to one row with both scorers; returns the one that is right."""
    source, truth, info = row["data_source"], row["ground_truth"], row["extra_info"]
    gold = str(info["gold_reply"])
    scoring = Scoring(*json.loads(truth))
    if compute_score(source, gold, truth) != 1:
        found.mismatches.append(f"{info['id']}: the right reply {gold!r} scores {compute_score(source, gold, truth)}")
    for reply, is_broken in replies_to(gold, other).items():
        given, own = compute_score(source, reply, truth), answers.score(reply, scoring).value
        if given != own:
            found.mismatches.append(f"{info['id']}: {reply!r} scores {given}, and {own} here")
        elif is_broken and given:
            found.mismatches.append(f"{info['id']}: the broken reply {reply!r} scores {given}")
    found.replies += 1 + len(replies_to(gold, other))
    return gold
