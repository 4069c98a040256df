"""The embedded questions: which thing is in a drawn scene, by name among four or as yes or no.

The answers follow from the scenes' labels. There are questions for training (examples to show before an item), about
scenes that vision tasks train on, and for test, about scenes that they do not train on.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.prompts import option_labels
from ssl4rl.rng import seeded_rng
from ssl4rl.vision.drawing.scenes import KINDS
from ssl4rl.vision.questions import TRAIN, Question, QuestionSet

VERSION = 1
NUM_TRAIN = 200
"""How many scenes of the training split have a question; of the test split, all have."""
NUM_OPTIONS = 4


@lru_cache(maxsize=1)
def scene_questions() -> QuestionSet:
    """Two kinds of questions in turn: ``naming`` (4 options) and ``checking`` (yes or no, as often right)."""
    scenes = default_scenes()
    train, test = scenes.members("train")[:NUM_TRAIN], scenes.members("test")
    numbers = [*train.tolist(), *test.tolist()]
    questions = [
        _question(number, place, str(scenes.label_of(number)), TRAIN if place < len(train) else "test")
        for place, number in enumerate(numbers)
    ]
    taken = np.array(numbers, dtype=np.int64)
    return QuestionSet(scenes.name, scenes.store.take(taken), [scenes.hashes[number] for number in numbers], questions)


def _question(number: int, place: int, kind: str, part: str) -> Question:
    rng = seeded_rng("scene question", VERSION, number)
    others = [str(other) for other in rng.permutation([other for other in KINDS if other != kind])]
    if place % 2 == 0:
        texts = [str(text) for text in rng.permutation([kind, *others[: NUM_OPTIONS - 1]])]
        text, right, category = "What is the largest thing that stands in this image?", kind, "naming"
    else:
        named = kind if rng.random() < 0.5 else others[0]
        texts, right = ["yes", "no"], "yes" if named == kind else "no"
        text, category = f"Is the largest thing that stands in this image a {named}?", "checking"
    letters = option_labels(len(texts))
    return Question(
        index=str(number),
        base=str(number),
        text=text.replace(" a animal", " an animal"),
        options=dict(zip(letters, texts, strict=True)),
        answer=letters[texts.index(right)],
        image=place,
        place=f"scene {number}",
        category=category,
        part=part,
    )
