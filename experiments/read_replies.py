"""How well does the lenient reading read replies of models that were not trained on our form?

    python -m experiments.read_replies

11,959 real replies of vision-language models to multiple-choice questions (replies/blink.jsonl). Three sets: the rows
that hold exactly one bracketed option, which is the answer; the same rows with the brackets taken off ("(D)" becomes
"D"); and 300 of the other rows, drawn with a fixed seed and labelled by hand before the rules were written
(replies_by_hand.json: line number and letter, null where the reply commits to no option, contradicts itself, or gives a
letter beside another option's name). The rules were chosen by looking at the other rows, never at those 300.

Right, wrong and abstained are counted apart. To abstain is right where the label is null. Data: SSL4RL_TEST_DATA
(default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ssl4rl.environment import environment
from ssl4rl.lenient import find_choice

BY_HAND = Path(__file__).with_name("replies_by_hand.json")


class Item(NamedTuple):
    """A reply, the options by label, and the label that it means; None if it commits to none."""

    reply: str
    choices: Mapping[str, str]
    label: str | None


def sets(path: Path) -> dict[str, list[Item]]:
    """The three sets of replies, by name."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    by_hand: dict[str, str | None] = json.loads(BY_HAND.read_text())
    certain = [Item(row["reply"], row["choices"], row["letter"]) for row in rows if row["certain"]]
    return {
        "certain": certain,
        "certain, without brackets": [
            item._replace(reply=re.sub(r"[(（]([A-Z])[)）]", r"\1", item.reply)) for item in certain
        ],
        "uncertain, by hand": [
            Item(rows[int(line) - 1]["reply"], rows[int(line) - 1]["choices"], label) for line, label in by_hand.items()
        ],
    }


def measure(items: Iterable[Item]) -> dict[str, Any]:
    """How many replies were read right, wrong, and not at all, and their shares."""
    verdicts = list(_verdicts(items))
    counts = {verdict: verdicts.count(verdict) for verdict in ("right", "wrong", "abstained")}
    return {"n": len(verdicts), **counts, **{f"{name}_share": count / len(verdicts) for name, count in counts.items()}}


def _verdicts(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        read = find_choice(item.reply, item.choices)
        yield "right" if read == item.label else "abstained" if read is None else "wrong"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/read_replies.json"))
    options = parser.parse_args()
    found = {name: measure(items) for name, items in sets(options.data / "replies" / "blink.jsonl").items()}
    for name, row in found.items():
        shares = ", ".join(f"{row[f'{verdict}_share']:.2%} {verdict}" for verdict in ("right", "wrong", "abstained"))
        print(f"{name} ({row['n']:,}): {shares}")
    options.output.write_text(json.dumps({"environment": environment(), "sets": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
