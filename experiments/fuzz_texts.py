"""What fuzzing feeds to the readers of texts, and what has to hold: the scorers, the lenient reading, ids and recipes.

Each target makes one input from a fuzzer's bytes, and raises if a promise is broken. Bytes choose words that the reader
knows, so that most inputs get past its first line.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ssl4rl.answers import Outcome, Scoring, score, score_any_of
from ssl4rl.audit.blind import excess, scores_of
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.lenient import find_choice, lenient_score
from ssl4rl.registry import TASKS
from ssl4rl.training.recipe_file import load_recipe

T = TypeVar("T")


def pieces(text: str) -> list[str]:
    """What stands between the bars of a text."""
    return text.split("|")


class Chooser:
    """Makes choices from bytes, one after the other; where they end, the first option is chosen."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, count: int) -> int:
        """A number below ``count``, which is at most 65,536."""
        size = 1 if count <= 256 else 2
        piece = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(piece, "little") % count

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        """The bytes that are left."""
        piece = self._data[self._at :]
        self._at = len(self._data)
        return piece

    def text(self, words: Sequence[str], most: int = 24) -> str:
        """Up to so many pieces: a word, a word many times, or any character (lone surrogates among them)."""
        pieces = []
        for _ in range(self.below(most + 1)):
            kind = self.below(16)
            if kind == 0:
                pieces.append(chr(self.below(65_536)))
            elif kind == 1:
                pieces.append(self.pick(words) * self.below(40))
            else:
                pieces.append(self.pick(words))
        return "".join(pieces)


REPLY_WORDS = pieces(
    "<answer>|</answer>|<think>|</think>|< answer >|</ANSWER|<|>| |\n|,|;|and |yes|no|A|B|C|D|(A)|[b]|1|2|3|4|0|"
    "90|180|270|-1|1.0|½|²|=|:|->|→|.|!|'|\"|row |column |°| degrees|top left|Top-Left|left|Ａ|１|，|。|（|）|、|"
    "\u3000|\u200b|\u202e|\x00|İ|٣|ß|İ|é|the answer is |not |because |but |Therefore, |I choose |\\boxed{|}|or |"
    "neither |nor |A or B|is wrong|is correct|option |Answer: |答案是|选|不是|theory|Neural Networks|- "
)

WORDS = pieces("yes|no|A|B|C|D|1|2|3|12|top left|right|C++|neural networks|-2|人")


def scoring(choose: Chooser) -> Scoring:
    """A scoring as tasks write them; its arguments are JSON."""
    offered = list(dict.fromkeys(choose.pick(WORDS) for _ in range(1 + choose.below(6))))
    some = offered[: 1 + choose.below(len(offered))]
    bare = {"bare": bool(choose.below(2))}
    numbers = list(range(1, 2 + choose.below(9)))
    angle = choose.pick([15, 45, 90])
    kind = choose.below(9)
    arguments: dict[str, Any] = {
        0: {"accepted": some, "choices": offered},
        1: {"accepted": some},
        2: {"hidden": some, "candidates": offered},
        3: {"gold": dict(zip(offered, reversed(offered), strict=True)), "values": offered},
        4: {"gold": dict(zip(map(str, numbers), offered, strict=False))},
        5: {
            "gold": " ".join(offered),
            "baseline": choose.pick([0.0, 0.1, 0.5, 0.99]),
            "max_words": 1 + choose.below(30),
        },
        6: {"degrees": angle * choose.below(360 // angle), "step": angle},
        7: {"cell": [1 + choose.below(numbers[-1]), 1 + choose.below(numbers[-1])], "n": numbers[-1]},
        8: {"gold": numbers[::-1], "reward": choose.pick(["exact", "partial", "slots"])},
    }[kind]
    names = ["any_of", "any_of", "subset", "matching", "matching", "text", "angle", "cell", "permutation"]
    return Scoring(f"score_{names[kind]}", {**arguments, **bare})


def answers(data: bytes) -> None:
    """No reply makes a scorer fail, and no score leaves [0, 1]."""
    choose = Chooser(data)
    asked, reply = scoring(choose), choose.text(REPLY_WORDS)
    for written in (reply, f"<answer>{reply}</answer>"):
        verdict = score(written, asked)
        assert 0 <= verdict.value <= 1, "a score outside [0, 1]"
        assert (verdict.answer is None) == (verdict.outcome is Outcome.UNPARSED), "an answer without having been read"
        assert verdict.valid or verdict.value == 0, "a reward for an invalid answer"
        assert (verdict.value == 1) == (verdict.outcome is Outcome.CORRECT), "an outcome that is not the score's"
        assert score(written, Scoring(*json.loads(json.dumps(asked)))) == verdict, "another score after JSON"


CHOICES = [
    {"A": "Neural Networks", "B": "Theory", "C": "Case Based", "D": "Networks"},
    {"yes": "yes", "no": "no"},
    {"1": "_hypernym", "2": "instance hypernym", "12": "/film/film/genre"},
    {"A": "", "B": "A", "C": "B and C"},
    {"A": "Theory", "B": "Theory and Networks", "C": "Networks Theory"},
    {"A": "左", "B": "右", "C": "not A", "D": "a" * 50},
]


def lenient(data: bytes) -> None:
    """The lenient reading finds one of the options or nothing, and all that the strict reading does."""
    choose = Chooser(data)
    choices = choose.pick(CHOICES)
    labels = list(choices)
    accepted = labels[: 1 + choose.below(len(labels))]
    reply = choose.text(REPLY_WORDS)
    found = find_choice(reply, choices)
    assert found is None or found in choices, "an option that is not offered"
    if choose.below(4) == 0:
        assert find_choice(reply, dict(reversed(choices.items()))) == found, "another option in another order"
    verdict = lenient_score(reply, accepted, choices)
    assert verdict.value in (0, 1), "a score between 0 and 1"
    if score_any_of(reply, accepted, labels, bare=True).value == 1:
        assert verdict.value == 1, "correct in the strict reading only"


ID_WORDS = [
    *pieces(
        'shop/2024/|val/|link|@hard|@|+|fanout=2|num_hops=|,|/0|/7|/|#|#0123abcd|%40|%25|%|=|[|{|"|\\u|NaN|Infinity|'
        "1e999|-0|null|true|999999999999999999999999999999|٣|²"
    ),
    "[" * 3000,
]


def example_id(data: bytes) -> None:
    """A text is an id that reads back as itself, or is refused."""
    choose = Chooser(data)
    text = choose.text(ID_WORDS)
    if choose.below(2):
        text = f"s/val/link@{text}/{choose.text(ID_WORDS, 2)}0/7#0123abcd"
    try:
        read = ExampleId.parse(text)
    except UserError:
        return
    assert ExampleId.parse(str(read)) == read, "an id that reads back as another one"
    hash(read)


RECIPE_WORDS = [
    *pieces(
        "tasks:\n|- name: link\n|  level: easy\n|  knobs: {|num_hops: 2|}|  weight: |  dataset: |\n|model:\n|"
        "  path: tiny\n|  lora: |grpo:\n|  max_steps: |  beta: |seed: |engine: |refill: |heldout:\n|  examples: |"
        "  every: |log_completions_every: |reward:\n|format: |- |? |: | |1|-1|0|1e-4|1e999|.nan|.inf|true|null|~|'a'|"
        '"|[|]|{|}|&a |*a|!!python/object:os.system |!!binary |!!int x|!!float |!!bool x|!!timestamp |!!set |<<: |'
        "2001-13-45|2001-01-01|0x|0o9|1:99|%YAML 9|---\n|...|\t|#|>|@|`|="
    ),
    "9" * 5000,
]
OVERRIDES = pieces("task.num_hops|tasks.0.level|grpo.max_steps|seed|model.lora|tasks||heldout.examples|a.b")


@cache
def scratch() -> Path:
    """A folder of this process, which is deleted when it ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def recipe(data: bytes) -> None:
    """A recipe is read, or refused in one line."""
    choose = Chooser(data)
    file = scratch() / "recipe.yaml"
    file.write_bytes(choose.text(RECIPE_WORDS, 40).encode("utf-8", "surrogatepass"))
    keys = [choose.pick(OVERRIDES) for _ in range(choose.below(3))]
    overrides = [f"{key}={choose.text(RECIPE_WORDS, 3)}" for key in keys]
    for given in (file, None):
        try:
            load_recipe(given, overrides=overrides, side=choose.pick(["graph", "vision"]))
        except UserError as error:
            check_message(error)


def check_message(error: UserError) -> None:
    """One line that fits a screen or two."""
    message = str(error)
    assert message.strip(), "an error without a message"
    assert len(message) < 10_000, "a message that nobody can read"


@cache
def pools(examples: int = 120) -> list[tuple[Any, list[Example]]]:
    """Every task at each level that is meant to be fair, with examples on its kind's default source."""
    found = []
    for kind in map(TASKS.get, TASKS.names()):
        for level in kind.levels:
            if level.startswith("paper"):
                continue
            try:
                task = kind(kind.source_kind.load(), level=level)
            except NotApplicable:
                continue
            found.append((task, drawn(task, range(examples))))
    return found


def drawn(task: Any, indices: range) -> list[Example]:
    """Examples without what they show, which scoring does not read."""
    return [replace(task.example(index), parts=()) for index in indices]


@cache
def fresh_examples(label: str) -> list[Example]:
    """Further examples of a task."""
    task, examples = next(found for found in pools() if found[0].label == label)
    return drawn(task, range(len(examples), len(examples) + FRESH))


FRESH = 1000
"""Examples on which an excess over chance has to show again: among so many replies, some are lucky on a few."""
TOLERANCE = 0.02


def blind(data: bytes) -> None:
    """A reply that was made without the example earns no more than chance."""
    choose = Chooser(data)
    task, examples = choose.pick(pools())
    words = REPLY_WORDS if choose.below(2) else [*_offered(task.label), ", ", " ", "=", "<answer>", "</answer>"]
    reply = choose.text(words)
    reply = reply if choose.below(4) == 0 else examples[0].reply_with(reply)
    if not excess([reply], examples):
        return
    fresh = fresh_examples(task.label)
    gain = float(np.mean(scores_of(reply, fresh))) - float(np.mean([example.chance for example in fresh]))
    assert not (excess([reply], fresh) and gain > TOLERANCE), f"{task.label} pays a blind reply {gain:.3f} above chance"


@cache
def _offered(label: str) -> list[str]:
    """What the golds of a task's examples consist of."""
    examples = next(found for task, found in pools() if task.label == label)
    return sorted(
        {example.gold for example in examples} | {word for example in examples for word in example.gold.split()}
    )
