"""What a model's answers about labels rest on, and whether it means them: without the structure, and in other forms.

    ssl4rl graph eval --benchmark node --dataset cora --model MODEL --dtype float32 --engine transformers \
        --set task.reasoning=false --set task.text_budget=140 --max-new-tokens 4 --no-baselines \
        --limit 150 --again 150 --ablate all --consistent --output RUN
    python -m experiments.again --keep RUN ARM      (adds a run's answers to what is stored)
    python -m experiments.again                     (the tables, from what is stored; no model is needed)

ARM is one of experiments.evidence whose model was asked, or ``base``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.arms import ANSWERS, BASE, store, stored
from ssl4rl.evaluation.consistency import consistency
from ssl4rl.evaluation.scores import beside_model, items_per_question, mean_and_interval, per_question
from ssl4rl.records import Prediction
from ssl4rl.runs import Run, open_run

RESULTS = Path(__file__).parent / "results" / "evidence_again"
USUAL = "as it is"

Variants = Mapping[str, list[Prediction]]


def keep(run: Run, arm: str) -> None:
    """Stores all answers of an evaluation, and how they were asked; prompts are rebuilt from the ids."""
    scores = run.scores or {}
    variants = {USUAL: None, **{name: name for name in (*scores["baselines"], *scores["consistency"]["forms"])}}
    lines = [
        {"asked": asked, **row.model_dump(mode="json"), "prompt": ""}
        for asked, variant in variants.items()
        for row in run.predictions(variant)
    ]
    store(RESULTS, arm, lines, recipe={**run.config, "model": arm}, asked_with=run.environment["git"])


def read(arm: str) -> Variants:
    """The stored answers of an arm, by how it was asked."""
    variants: dict[str, list[Prediction]] = {}
    for line in stored(RESULTS, arm):
        variants.setdefault(line.pop("asked"), []).append(Prediction.model_validate(line))
    return variants


def _points(found: Mapping[str, Any]) -> str:
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{100 * found['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"


def _share(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{found['accuracy']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def show(arm: str, variants: Variants) -> None:
    """Prints an arm's table."""
    usual = variants[USUAL]
    scores, items = per_question(usual), items_per_question(usual)
    others = {name: rows for name, rows in variants.items() if name != USUAL}
    means = consistency(usual, others)
    print(f"\n### {arm}\n\n| asked | right | as it is, ahead by | answered alike | of n |\n|---|---|---|---|---|")
    own = mean_and_interval([score.value for score in scores.values()], list(items.values()))
    print(f"| {USUAL} | {_share(own)} | | | |")
    for name, rows in others.items():
        found, form = beside_model(per_question(rows), scores, items), means["forms"][name]
        cells = [name, _share(found), _points(found["model_minus_baseline"]), _share(form["agreement"])]
        print(f"| {' | '.join(cells)} | {form['changed']} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", nargs=2, metavar=("RUN", "ARM"))
    kept = parser.parse_args().keep
    if kept is not None:
        keep(open_run(Path(kept[0])), kept[1])
    arms = sorted(
        (path.name.removesuffix(ANSWERS) for path in RESULTS.glob(f"*{ANSWERS}")), key=lambda arm: arm != BASE
    )
    for arm in arms:
        show(arm, read(arm))


if __name__ == "__main__":
    main()
