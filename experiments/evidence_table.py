"""The tables of docs/evidence.md, from the answers that a folder holds. No model is needed.

    python -m experiments.evidence_table [experiments/results/evidence]

Of each kind of arm and set of questions: the share that is right before training and after its last step, over all
seeds (and of each), and the paired difference from the untrained model; for a control also from the task's own arms of
the same seeds. Answers are clustered by the items that their questions share, whatever the seed; p-values are Holm's
over all differences.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import evidence, vision_evidence
from experiments.arms import BASE, stored
from experiments.transfer import holm
from ssl4rl.statistics import Clusters, PairedDifference
from ssl4rl.training.controls import TASK

CONTROLS = {*evidence.CONTROLS, *vision_evidence.CONTROLS}


@dataclass(frozen=True)
class Answers:
    """What a model answered to a set of questions, in their order; or models of several seeds, one after another."""

    ids: Sequence[str]
    items: Sequence[Sequence[str]]
    scores: Sequence[float]
    valid: Sequence[bool]

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]]) -> Answers:
        """Those of a file's lines."""
        ids, items, scores = ([line[name] for line in lines] for name in ("id", "items", "score"))
        return cls(ids, items, scores, [line["outcome"] not in ("invalid", "unparsed") for line in lines])

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Those of several models to the same questions."""
        every = [[each for part in parts for each in getattr(part, name)] for name in ("ids", "items", "scores")]
        return cls(*every, [each for part in parts for each in part.valid])

    def estimate(self) -> tuple[float, float, float]:
        """The mean score and the ends of its 95 % interval."""
        return (sum(self.scores) / len(self.scores), *Clusters(self.items).interval(self.scores))

    def against(self, other: Answers) -> PairedDifference:
        """How much better these are than another model's answers to the same questions."""
        if self.ids != other.ids:
            raise SystemExit(f"{self.ids[0]} and {other.ids[0]}: the questions are not the same; run both arms again")
        return PairedDifference.of(other.scores, self.scores, self.items)


Arms = dict[str, dict[int, dict[str, Answers]]]
"""Answers by kind of arm, seed and set of questions."""


def read(folder: Path) -> tuple[Arms, dict[str, dict[str, Any]]]:
    """All answers that a folder holds, and what else is known of each arm."""
    arms: Arms = {}
    every = (BASE, *evidence.ARMS, *vision_evidence.ARMS)
    kinds = dict.fromkeys(arm.partition("-")[0] for arm in every)
    first = (BASE, TASK, *(kind for kind in kinds if kind in CONTROLS))
    order = sorted(every, key=lambda arm: (*first, *kinds).index(arm.partition("-")[0]))
    paths = sorted(folder.glob("*.json"), key=lambda path: (*order, path.stem).index(path.stem))
    about = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    for arm in about:
        kind, _, seed = arm.partition("-")
        lines = stored(folder, arm)
        sets = dict.fromkeys(line["asked"] for line in lines)
        found = {asked: Answers.of([line for line in lines if line["asked"] == asked]) for asked in sets}
        arms.setdefault(kind, {})[int(seed or 0)] = found
    if BASE not in arms:
        raise SystemExit(f"{folder} has no {BASE}.json: the experiment that makes it has not been run")
    return arms, about


def rows_of(arms: Arms) -> Iterator[dict[str, Any]]:
    """A row for each kind and set of questions, its differences not yet corrected."""
    base = arms[BASE][0]
    for kind, seeds in arms.items():
        for asked in next(iter(seeds.values())):
            own = Answers.joined([answers[asked] for answers in seeds.values()])
            row: dict[str, Any] = {"arm": kind, "seeds": len(seeds), "asked": asked}
            row |= {"estimate": own.estimate(), "valid": sum(own.valid) / len(own.valid)}
            row["of each seed"] = [answers[asked].estimate() for answers in seeds.values()]
            if kind != BASE:
                row["from base"] = asdict(own.against(Answers.joined([base[asked]] * len(seeds))))
            shared = sorted(seeds.keys() & arms.get(TASK, {}).keys())
            if kind in CONTROLS and shared:
                task = Answers.joined([arms[TASK][seed][asked] for seed in shared])
                row["task ahead by"] = asdict(task.against(Answers.joined([seeds[each][asked] for each in shared])))
            yield row


def shown(difference: dict[str, Any] | None) -> str:
    """A difference in points, with its interval and corrected p."""
    if difference is None:
        return ""
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['difference']:+.1f} [{low:+.1f}, {high:+.1f}], p = {difference['p_holm']:.1g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=evidence.RESULTS)
    arms, about = read(parser.parse_args().folder)
    rows = list(rows_of(arms))
    holm([row[key] for row in rows for key in ("from base", "task ahead by") if key in row])
    for asked in dict.fromkeys(row["asked"] for row in rows):
        print(f"\n### {asked}\n\n| arm | seeds | score | valid | from the untrained model | task ahead by |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            if row["asked"] == asked:
                differences = [shown(row.get(key)) for key in ("from base", "task ahead by")]
                several = row["of each seed"] if row["seeds"] > 1 else []
                score = "; ".join("{:.3f} [{:.3f}, {:.3f}]".format(*each) for each in (row["estimate"], *several))
                cells = [row["arm"], str(row["seeds"]), score, f"{row['valid']:.2f}", *differences]
                print(f"| {' | '.join(cells)} |")
    print("\n| arm | reward, last 10 steps | KL from the base: answers | unrelated texts | minutes | commit |")
    print("|---|---|---|---|---|---|")
    for arm, known in about.items():
        if arm == BASE:
            continue
        rewards = [line["reward"] for line in known["metrics"] if "reward" in line][-10:]
        moved = [
            f"{known['divergence'][name]:.3f}" for name in ("held out", "unrelated texts") if "divergence" in known
        ]
        minutes, commit = known["summary"].get("seconds", 0) / 60, known["environment"]["git"]["commit"][:7]
        reward = f"{sum(rewards) / len(rewards):.2f}" if rewards else ""
        print(f"| {arm} | {reward} | {' | '.join(moved or ['', ''])} | {minutes:.0f} | {commit} |")


if __name__ == "__main__":
    main()
