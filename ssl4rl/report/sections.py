"""What a report says about one run: results, curves, findings of other commands, and what the run was made with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssl4rl.mixture import names_of_parts
from ssl4rl.records import Completion, read_lines
from ssl4rl.report.attention import pictures_of
from ssl4rl.report.blocks import Collector, Section, Table, interval_text
from ssl4rl.report.figures import Figure, Point, figure_of
from ssl4rl.report.tables import print_scores
from ssl4rl.runs import CONFIG, ENVIRONMENT, Run
from ssl4rl.training.summary import describe_difference, describe_verdict, describe_work

AUDIT = "audit.jsonl"
"""In a run's folder: what ``ssl4rl audit --json`` printed."""
CALIBRATION = "calibration.jsonl"
"""In a run's folder: what ``ssl4rl calibrate --json`` printed."""

ALL = "all tasks"


def sections_of(run: Run) -> list[Section]:
    """All that its folder tells, without its replies; parts that it does not have are left out."""
    parts = [
        *(_evaluated(run) if run.is_evaluation else _trained(run)),
        _findings(run),
        Section("Attention", pictures=list(pictures_of(run))),
        _made_with(run),
    ]
    return [section for section in parts if not section.empty]


def headline(run: Run) -> list[str]:
    """A row for the table of all runs: folder, what it was, data, model and result."""
    done = run.scores if run.is_evaluation else run.summary
    kind = "evaluation" if run.is_evaluation else "warm start" if run.is_warmup else "training"
    if done is None:
        return [str(run.path), f"{kind}, not finished", "", "", ""]
    about = [str(run.path), f"{kind}: {done['benchmark' if run.is_evaluation else 'task']}", done["dataset"]]
    return [*about, str(done["model"]), _result(run.is_evaluation, done)]


def _result(is_evaluation: bool, done: Mapping[str, Any]) -> str:
    if is_evaluation:
        if done["accuracy"] is None:
            return "right answers not known"
        return f"{interval_text(done, 'accuracy')}, chance {done['chance']:.3f}, n={done['n']}"
    before, after = done["heldout"]["before"], done["heldout"]["after"]
    if before is None:
        return f"{done['steps']} steps, no held-out examples"
    gain = describe_difference(done["heldout"]["paired"])
    return f"{before['score']:.3f} → {after['score']:.3f}, {gain}, {done['steps']} steps"


# Training


def _trained(run: Run) -> Iterator[Section]:
    metrics = list(run.metrics())
    steps = [line for line in metrics if "heldout" not in line]
    records = [] if run.is_warmup else run.completions()
    yield _result_of_training(run, records)
    figures = [_heldout_figure(metrics), *_step_figures(steps)]
    yield Section("Over the steps", figures=[figure for figure in figures if figure is not None])
    tables = [table for table in (_by_level(records), _first_and_last(steps)) if table is not None]
    yield Section("By task and level", tables=tables)


def _result_of_training(run: Run, records: Sequence[Completion]) -> Section:
    summary = run.summary
    if summary is None:
        return Section("Result", ["The run is not finished: what follows is what it has recorded so far."])
    section = Section(
        "Result", [describe_work(summary), f"started from {summary['model']}; the model is {run.path / 'model'}"]
    )
    heldout = summary["heldout"]
    if heldout["before"] is not None:
        section.lines.append(describe_verdict(heldout["paired"]))
        best = heldout["best"]
        if best["step"] != summary["steps"]:
            gain = describe_difference(best["paired"])
            section.lines.append(
                f"best after step {best['step']}: {interval_text(best)}, {gain}; chosen by this very score"
            )
        section.tables.append(_heldout_table(run, records, heldout))
    return section


def _heldout_table(run: Run, records: Sequence[Completion], heldout: Mapping[str, Any]) -> Table:
    """Of each task, the score before and after and the paired difference, beside chance."""
    before, after, paired = heldout["before"], heldout["after"], heldout["paired"]
    # What was held out may be another task or level than what was trained on, and a control's is not corrupted.
    labels = {answer.id.label for answer in run.heldout()}
    alone = next(iter(labels)) if len(labels) == 1 else ALL
    chances = _chances(records) | ({alone: heldout["chance"]} if "chance" in heldout else {})
    rows = []
    for name in (alone, *after.get("tasks", {})):
        old, new, gain = (part if name == alone else part["tasks"][name] for part in (before, after, paired))
        chance = f"{chances[name]:.3f}" if name in chances else ""
        cells = [interval_text(old), interval_text(new), describe_difference(gain), f"{new['valid']:.0%}"]
        rows.append([name, *cells, chance, str(new["n"])])
    head = ["", "before", "after", "after − before", "valid after", "chance", "n"]
    return Table("Held-out scores, the same examples before and after", head, rows)


def _chances(records: Sequence[Completion]) -> dict[str, float]:
    """The mean chance of what was sampled, by task."""
    return {name: sum(record.chance for record in own) / len(own) for name, own in _by_task(records).items()}


def _by_task(records: Sequence[Completion]) -> dict[str, list[Completion]]:
    """The records of each task and level, under the name that summaries have for it."""
    names = names_of_parts((record.id.source, record.id.label) for record in records)
    found: dict[str, list[Completion]] = {}
    for record in records:
        found.setdefault(names[record.id.source, record.id.label], []).append(record)
    return found


def _heldout_figure(metrics: Sequence[Mapping[str, Any]]) -> Figure | None:
    curves: dict[str, list[Point]] = {}
    for line in metrics:
        if "heldout" in line:
            scores = {ALL: line["heldout"], **dict(sorted(line["heldout"].get("tasks", {}).items()))}
            for name, score in scores.items():
                curves.setdefault(name, []).append(Point(line["step"], score["score"], score["low"], score["high"]))
    return Figure("heldout", "Held-out score with 95 % interval", curves) if curves else None


def _step_figures(steps: Sequence[Mapping[str, Any]]) -> Iterator[Figure | None]:
    found = sorted({key for line in steps for key in line} - {"reward/sampled", "reward/selected"})

    def of_tasks(prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): key for key in found if key.startswith(prefix)}

    reward = {"first sampled": "reward", "everything sampled": "reward/sampled", "trained on": "reward/selected"}
    yield figure_of(steps, "reward", "Reward", reward)
    flat = {"before refill": "flat/before", "after refill": "flat/after"}
    yield figure_of(steps, "flat", "Share of flat groups", flat)
    if tasks := of_tasks("reward/"):
        yield figure_of(steps, "tasks", "Reward of each task, first sampled", {ALL: "reward", **tasks})
    yield figure_of(steps, "valid", "Share of valid replies", {ALL: "valid", **of_tasks("valid/")})
    yield figure_of(steps, "length", "Mean tokens of a reply", {"tokens": "completions/mean_length"}, between=None)
    yield figure_of(steps, "rungs", "Share of each rung of the curriculum", of_tasks("share/"))


def _by_level(records: Sequence[Completion]) -> Table | None:
    """Recorded replies of each task and level."""
    rows = []
    for name, own in _by_task(records).items():
        mean = sum(record.score for record in own) / len(own)
        chance = sum(record.chance for record in own) / len(own)
        valid = sum(record.valid for record in own) / len(own)
        tokens = sum(record.tokens for record in own) / len(own)
        kept = sum(record.selected for record in own)
        cells = [f"{mean:.3f}", f"{chance:.3f}", f"{valid:.0%}", f"{tokens:.0f}", str(len(own)), str(kept)]
        rows.append([name, *cells])
    head = ["", "score", "chance", "valid", "tokens", "replies recorded", "trained on"]
    return Table("Recorded replies, in the mean", head, rows) if rows else None


def _first_and_last(steps: Sequence[Mapping[str, Any]]) -> Table | None:
    """Every metric of the first and the last step."""
    recorded = [line for line in steps if "reward" in line or "loss" in line]
    if not recorded:
        return None
    first, last = recorded[0], recorded[-1]
    rows = [[key, _number(first.get(key)), _number(last.get(key))] for key in {**first, **last}]
    return Table("Every metric", ["", "first step", "last step"], rows)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "" if value is None else str(value)


# Evaluation


def _evaluated(run: Run) -> Iterator[Section]:
    if run.scores is None:
        yield Section("Result", ["The evaluation is not finished: its replies so far are below."])
        return
    collected = Collector()
    print_scores(run.scores, collected)
    yield collected.section("Result")
    tables = []
    if classes := run.scores.get("per_class"):
        head = ["", "n", "precision", "recall", "F1"]
        rows = [
            [row["name"], str(row["n"]), *(_number(row[key]) for key in ("precision", "recall", "f1"))]
            for row in classes
        ]
        tables.append(Table("Each class", head, rows))
    if confusion := run.scores.get("confusion"):
        pairs = zip(confusion["labels"], confusion["rows"], strict=True)
        counts = [[label, *map(str, row)] for label, row in pairs]
        tables.append(Table("Right class (rows) and answered class (columns)", ["", *confusion["columns"]], counts))
    yield Section("By class", tables=tables)


# What other commands found, and what the run was made with


def _findings(run: Run) -> Section:
    section = Section("Audit and calibration")
    checks: dict[str, list[list[str]]] = {}
    for line in read_lines(run.path / AUDIT):
        row = [line["check"], line["verdict"], line["split"], line["found"]]
        checks.setdefault(f"Audit of {line['task']} on {line['source']}", []).append(row)
    for title, rows in checks.items():
        section.tables.append(Table(title, ["check", "verdict", "split", "found"], rows))
    levels = []
    for line in read_lines(run.path / CALIBRATION):
        useful = f"{line['useful']:.2f} [{line['useful_low']:.2f}, {line['useful_high']:.2f}] of {line['groups']}"
        score = line["score"]
        levels.append([line["label"], interval_text(score), f"{score['valid']:.0%}", useful, line["verdict"]])
    if levels:
        head = ["", "score", "valid", "useful groups", "verdict"]
        section.tables.append(Table("Calibration: what the model can learn from", head, levels))
    return section


def _made_with(run: Run) -> Section:
    made = run.environment
    lines = []
    if made:
        packages = ", ".join(f"{name} {version}" for name, version in made.get("packages", {}).items())
        processors = [f"{made.get('cpus')} CPUs", *map(str, made.get("gpus", ()))]
        commit = (made.get("git") or {}).get("commit")
        lines = [
            f"{made.get('time')}, Python {made.get('python')}, {made.get('platform')}, {', '.join(processors)}",
            *([f"commit {commit}"] if commit else []),
            packages,
        ]
    texts = {CONFIG: (run.path / CONFIG).read_text(encoding="utf-8")}
    if made:
        texts[ENVIRONMENT] = json.dumps(made, indent=2, ensure_ascii=False)
    return Section("Recipe and environment", lines, texts=texts)
