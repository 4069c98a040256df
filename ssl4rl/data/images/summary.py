"""Sets of images, questions and classified images in numbers: what ``data info`` and ``data validate`` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ssl4rl.data.images.warnings import image_warnings, question_warnings
from ssl4rl.source import SPLITS, Summary
from ssl4rl.tally import Tally, as_data, reading_rows
from ssl4rl.vision.classes import ClassifiedImages
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.questions import QuestionSet

SHOWN_NAMES = 12
"""Labels and categories that are listed for people; the rest are counted."""


def summarise_images(images: ImageSet) -> Summary:
    """Counts of images, labels and splits, and of what was not read."""
    labels = Counter(images.label_of(index) for index in range(len(images)))
    unlabelled = labels.pop(None, 0)
    counts = {str(name): labels[name] for name in images.label_names}
    skipped = dict(images.passed_over)
    if images.skipped:
        skipped["broken or missing images"] = len(images.skipped)
    facts: dict[str, Any] = {
        "name": images.name,
        "num_images": len(images),
        "num_labels": len(images.label_names),
        "labels": counts,
        "unlabelled_images": unlabelled,
        "duplicates": images.counts["duplicates"],
        "splits": {split: len(images.members(split)) for split in SPLITS},
        "splits_from": "hash" if images.given_splits is None else "data",
        "skipped": skipped,
        "reading": as_data([*images.reading, *_of_images(images, unlabelled)]),
        "fingerprint": images.fingerprint,
    }
    facts["warnings"] = image_warnings(images, facts)
    rows = [("name", images.name), *_image_rows(facts), *reading_rows(images.reading)]
    return Summary(facts, rows, _listed("labels", counts))


def _of_images(images: ImageSet, unlabelled: int) -> Iterator[Tally]:
    """What the images that were read have, and how many lack it."""
    count = len(images)
    if images.label_names:
        yield Tally.of("labels of images", count, {"images without a label": unlabelled}, count - unlabelled)
    inside = sum(len(images.members(split)) for split in SPLITS)
    yield Tally.of("splits of images", count, {"images in no split, or in two": count - inside}, inside)


def summarise_questions(questions: QuestionSet) -> Summary:
    """Counts of questions, by category, part and number of options."""
    rows = questions.questions
    facts: dict[str, Any] = {
        "name": questions.name,
        "num_questions": len({row.base for row in rows}),
        "num_rows": len(rows),
        "num_images": len(set(questions.hashes)),
        "categories": dict(Counter(row.category for row in rows if row.category)),
        "parts": dict(Counter(row.part for row in rows if row.part)),
        "options": {str(count): number for count, number in sorted(Counter(len(row.options) for row in rows).items())},
        "unanswered": sum(not row.answer for row in rows),
        "left_out": list(questions.left_out),
        "skipped": {"rows with broken or missing images": len(questions.skipped)} if questions.skipped else {},
        "reading": as_data(questions.reading),
        "fingerprint": questions.fingerprint,
    }
    facts["warnings"] = question_warnings(questions, facts)
    copies = facts["num_rows"] - facts["num_questions"]
    shown = [
        ("name", questions.name),
        ("questions", f"{facts['num_questions']:,} (and {copies:,} rotated copies)"),
        ("images", f"{facts['num_images']:,}"),
        ("options", ", ".join(f"{number:,} rows with {count}" for count, number in facts["options"].items())),
        ("without answer", f"{facts['unanswered']:,} rows"),
        *([("left out", f"{len(questions.left_out):,} rows (below)")] if questions.left_out else []),
        *([("not read", f"{len(questions.skipped):,} rows, broken images")] if questions.skipped else []),
        ("parts", ", ".join(f"{part} {number:,}" for part, number in facts["parts"].items()) or "none"),
        *reading_rows(questions.reading),
    ]
    return Summary(facts, shown, [*_listed("categories", facts["categories"]), *questions.left_out])


def summarise_classes(classified: ClassifiedImages) -> Summary:
    """The images in numbers, and their classes."""
    images = summarise_images(classified.images).facts
    used = Counter(int(number) for number in classified.classes if number >= 0)
    counts: Counter[str] = Counter()
    for number, names in enumerate(classified.names):
        counts[names[0]] += used[number]  # two classes may share a name
    facts = {
        **{key: value for key, value in images.items() if key not in ("num_labels", "labels", "unlabelled_images")},
        "num_classes": len(classified.names),
        "empty_classes": len(classified.names) - len(used),
        "unclassified_images": len(classified.classes) - sum(used.values()),
        "class_names": [list(names) for names in classified.names],
        "reading": [*images["reading"], *as_data(classified.of_names)],
        "fingerprint": classified.fingerprint,
    }
    classes = f"{facts['num_classes']:,} ({facts['empty_classes']:,} have no image here)"
    rows = [("name", classified.name), ("classes", classes), *_image_rows(facts), *reading_rows(classified.reading)]
    return Summary(facts, rows, _listed("classes", counts))


def _image_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("images", f"{facts['num_images']:,} ({facts['duplicates']:,} repeat another's bytes)")]
    if "num_labels" in facts:
        rows.append(("labels", f"{facts['num_labels']:,} ({facts['unlabelled_images']:,} images have none)"))
    sizes = " / ".join(f"{facts['splits'][split]:,}" for split in SPLITS)
    origin = "given" if facts["splits_from"] == "data" else "by content hash"
    rows.append(("splits", f"{sizes} (train / val / test, {origin})"))
    skipped = ", ".join(f"{reason} ({number:,})" for reason, number in facts["skipped"].items())
    return [*rows, ("not read", skipped or "nothing")]


def _listed(title: str, counts: Mapping[str, int]) -> list[str]:
    """One line with the names and their counts, cut after the first few."""
    if not counts:
        return []
    shown = [f"{name} ({number:,})" for name, number in list(counts.items())[:SHOWN_NAMES]]
    rest = len(counts) - len(shown)
    return [f"{title}: {', '.join(shown)}{f' … and {rest:,} more' if rest else ''}"]
