"""The tables of docs/evidence.md, from the answers that experiments/results/evidence holds. No model is needed.

    python -m experiments.evidence_table

Of each arm and set of questions: the share that is right before and after (of the best model by held-out score, and of
the last), and the paired difference from the untrained model, from the task's own arm of seed 0 for a control. Answers
are clustered by the nodes that their questions share; p-values are Holm's over all differences of the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.evidence import ARMS, BASE, RESULTS
from experiments.transfer import holm
from ssl4rl.statistics import Clusters, PairedDifference

TASK = "task-0"
"""What controls are held against."""
UNCOMPARED = ("task-1", "task-2", "sft-0", "labels-0")
"""Arms that are no control of it: other seeds, and references."""
MODELS = ("best", "last")


@dataclass(frozen=True)
class Answers:
    """What one model answered to one set of questions, in their order."""

    ids: Sequence[str]
    items: Sequence[Sequence[str]]
    scores: Sequence[float]
    valid: float

    def estimate(self) -> str:
        """The mean score with its 95 % interval."""
        low, high = Clusters(self.items).interval(self.scores)
        return f"{sum(self.scores) / len(self.scores):.3f} [{low:.3f}, {high:.3f}]"

    def against(self, other: Answers) -> PairedDifference:
        """How much better these are than another model's answers to the same questions."""
        if self.ids != other.ids:
            raise SystemExit(f"{self.ids[0]} and {other.ids[0]}: the questions are not the same; run both arms again")
        return PairedDifference.of(other.scores, self.scores, self.items)


def answers_of(path: Path) -> dict[tuple[str, str], Answers]:
    """The answers that a file holds, by model and set of questions."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = {}
    for key in dict.fromkeys((line["model"], line["asked"]) for line in lines):
        own = [line for line in lines if (line["model"], line["asked"]) == key]
        valid = sum(line["outcome"] not in ("invalid", "unparsed") for line in own) / len(own)
        ids, items, scores = ([line[name] for line in own] for name in ("id", "items", "score"))
        found[key] = Answers(ids, items, scores, valid)
    return found


def rows_of(stored: dict[str, dict[tuple[str, str], Answers]]) -> Iterator[dict[str, Any]]:
    """A row for each arm, model and set of questions, its differences not yet corrected."""
    base = stored[BASE]
    for arm, answers in stored.items():
        for (model, asked), own in answers.items():
            row: dict[str, Any] = {"arm": arm, "model": model, "asked": asked, "score": own.estimate()}
            row["valid"] = own.valid
            if arm != BASE:
                row["from base"] = asdict(own.against(base[BASE, asked]))
            if arm not in (BASE, TASK, *UNCOMPARED) and TASK in stored:
                # Where the task's best model is its last, that is stored once.
                task = stored[TASK].get((model, asked)) or stored[TASK]["best", asked]
                row["task ahead by"] = asdict(task.against(own))
            yield row


def shown(difference: dict[str, Any] | None) -> str:
    """A difference in points, with its interval and corrected p."""
    if difference is None:
        return ""
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['difference']:+.1f} [{low:+.1f}, {high:+.1f}], p = {difference['p_holm']:.1g}"


def main() -> None:
    paths = [RESULTS / f"{arm}.jsonl" for arm in (BASE, *ARMS)]
    stored = {path.stem: answers_of(path) for path in paths if path.is_file()}
    if BASE not in stored:
        raise SystemExit(f"{RESULTS} has no {BASE}.jsonl; `python -m experiments.evidence` makes it")
    rows = list(rows_of(stored))
    holm([row[key] for row in rows for key in ("from base", "task ahead by") if key in row])
    for asked in dict.fromkeys(row["asked"] for row in rows):
        print(f"\n### {asked}\n\n| arm | model | score | valid | from the untrained model | task ahead by |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            if row["asked"] == asked:
                differences = [shown(row.get(key)) for key in ("from base", "task ahead by")]
                cells = [row["arm"], row["model"], row["score"], f"{row['valid']:.2f}", *differences]
                print(f"| {' | '.join(cells)} |")
    print("\n| arm | reward, last 10 steps | KL from the base: answers | unrelated texts | minutes |")
    print("|---|---|---|---|---|")
    for arm in stored:
        about = json.loads((RESULTS / f"{arm}.json").read_text())
        rewards = [line["reward"] for line in about.get("metrics", ()) if "reward" in line][-10:]
        moved, minutes = about.get("divergence", {}), about.get("summary", {}).get("seconds", 0) / 60
        reward = f"{sum(rewards) / len(rewards):.2f}" if rewards else ""
        if moved:
            print(f"| {arm} | {reward} | {moved['held out']:.3f} | {moved['unrelated texts']:.3f} | {minutes:.0f} |")


if __name__ == "__main__":
    main()
