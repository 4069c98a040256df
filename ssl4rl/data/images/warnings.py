"""What about images and questions makes scores on them mean little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ssl4rl.source import SPLITS
from ssl4rl.vision.image_set import FEWEST_HELD_OUT, ImageSet
from ssl4rl.vision.questions import QuestionSet

FEW = 20
"""Below it, a split holds a handful at most."""
MANY_REPEATED = 0.05
"""Share of the images that repeat another's bytes, from which on it is said."""
ONE_LETTER = 0.9
"""Share of the questions with the same right letter, from which on guessing it looks like knowledge."""


def image_warnings(images: ImageSet, facts: Mapping[str, Any]) -> list[str]:
    """What makes scores on a set of images mean little, a sentence each."""
    found = []
    count, labels = len(images), facts["labels"]
    if count < FEW:
        found.append(f"images: {count:,}; scores rest on a handful of examples")
    else:
        empty = [split for split in SPLITS if not facts["splits"][split]]
        found += [f"no images are in {' and '.join(empty)}"] if empty else []
        for split in SPLITS[1:]:
            held = facts["splits"][split]
            if 0 < held < FEWEST_HELD_OUT:
                found.append(f"{split} holds {held} image{'s' * (held > 1)}: scores on it rest on so few")
    distinct = count - facts["duplicates"]
    if distinct == 1 and count > 1:
        found.append("all images are the same one")
    elif facts["duplicates"] > MANY_REPEATED * count:
        found.append(f"{facts['duplicates']:,} of {count:,} images repeat another's bytes")
    if len(labels) == 1:
        found.append(_of_one_class(images, next(iter(labels))))
    elif labels and max(labels.values()) == 1 and count > 1:
        found.append("no label has two images: the labels seem to be names, and nothing can be learned of a class")
    elif lone := sum(number == 1 for number in labels.values()):
        found.append(f"{lone:,} of {len(labels):,} labels have a single image")
    return found


def _of_one_class(images: ImageSet, label: str) -> str:
    """Of a folder around the class folders, what to give instead."""
    labelled = int((images.labels >= 0).sum()) if images.labels is not None else 0
    which = "all images have" if labelled == len(images) else f"the {labelled:,} images with a label have all"
    warning = f"{which} the label {label!r}, so every answer about classes is right"
    parts = [PurePosixPath(images.describe(index)).parts for index in range(len(images))]
    below = {each[each.index(label) + 1] for each in parts if label in each[:-2]}
    if len(below) > 1:
        classes = ", ".join(sorted(below)[:3])
        return f"{warning}: it is a folder around others ({classes}); give that folder, so that these are the classes"
    return warning


def question_warnings(questions: QuestionSet, facts: Mapping[str, Any]) -> list[str]:
    """What makes scores on a table of questions mean little, a sentence each."""
    found = []
    asked = [each for each in questions.questions if not each.rotated]
    count = len(asked)
    if count < FEW:
        found.append(f"questions: {count:,}; scores rest on a handful of examples")
    answered = [each for each in asked if each.answer]
    if not answered:
        found.append("no question has an answer: replies can be written for submission, and get no score")
    elif len(answered) < count:
        found.append(f"{count - len(answered):,} of {count:,} questions have no answer and get no score")
    if repeated := sum(len(set(each.options.values())) < len(each.options) for each in asked):
        found.append(f"{repeated:,} of {count:,} questions have an option twice: either letter of it counts as right")
    if len(answered) > 1:
        letter, times = Counter(each.answer for each in answered).most_common(1)[0]
        if times >= ONE_LETTER * len(answered):
            found.append(
                f"{letter} is right in {times:,} of {len(answered):,} questions: always saying so scores as much"
            )
    seen = Counter(
        (each.text, tuple(sorted(each.options.values())), *(questions.hashes[image] for image in each.images))
        for each in asked
    )
    if twice := sum(times - 1 for times in seen.values()):
        found.append(f"{twice:,} of {count:,} questions repeat another one about the same image")
    if len(set(questions.hashes)) == 1 and count > 1:
        found.append("all questions are about the same image")
    return found
