"""The lines of a run's JSON-lines files: replies with their scores, shared by training and evaluation."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ssl4rl.answers import Outcome, Score, Scoring
from ssl4rl.errors import UserError, quoted
from ssl4rl.example import Example, ExampleId

RecordedId = Annotated[
    ExampleId,
    BeforeValidator(lambda value: ExampleId.parse(value) if isinstance(value, str) else value),
    PlainSerializer(str),
]
"""An example's id, as text in a file."""


class ReplyRecord(BaseModel):
    """One reply and its score: what lines of completions.jsonl and predictions.jsonl have in common."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    id: RecordedId
    """The example's id; ``ssl4rl graph|vision show ID`` rebuilds it."""
    prompt: str
    """The texts of the prompt, without its images."""
    reply: str
    """What the model wrote, special tokens left out."""
    answer: str | None
    """What was read from the reply; null if nothing could be."""
    score: float
    """The task's score, from 0 to 1."""
    outcome: Outcome
    """``correct``, ``partial``, ``wrong``, ``invalid`` or ``unparsed``."""
    gold: str
    """The answer that scores 1."""
    chance: float
    """The expected score of the best reply that does not look at the prompt."""
    scoring: Scoring
    """The call that scores a reply: the function's name and its arguments."""
    tokens: int = 0
    """Tokens of the reply."""

    @classmethod
    def fields_of(cls, example: Example, reply: str, score: Score) -> dict[str, Any]:
        """The common fields, of a reply to an example."""
        return {
            "id": example.id,
            "prompt": example.text,
            "reply": reply,
            "answer": score.answer,
            "score": score.value,
            "outcome": score.outcome,
            "gold": example.gold,
            "chance": example.chance,
            "scoring": example.scoring,
        }

    @property
    def parsed(self) -> bool:
        """Whether an answer could be read."""
        return self.verdict.parsed

    @property
    def valid(self) -> bool:
        """Whether an answer could be read, and is one of those to choose from."""
        return self.verdict.valid

    @property
    def verdict(self) -> Score:
        """The score as it was recorded."""
        return Score(self.score, self.answer, self.outcome)

    def line(self) -> dict[str, Any]:
        """The record as JSON, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Completion(ReplyRecord):
    """A reply that was sampled for training: a line of completions.jsonl."""

    step: int
    """The optimiser step that it was sampled for, counted from 1."""
    reward: float
    """What GRPO was given for it."""
    selected: bool = True
    """Whether it was trained on; false for a group that was replaced because all its rewards were equal."""


class Prediction(ReplyRecord):
    """A reply to an item of a benchmark: a line of predictions.jsonl."""

    index: int
    """Which item of the benchmark it is."""
    item: str
    """A key of the item that is the same whatever the prompt shows; comparisons pair by it."""
    class_name: str = Field(alias="class")
    """The name of the right class."""
    items: tuple[str, ...] = ()
    """The example's ``source_items``, by which the statistics are clustered; none where a run did not record them."""
    choices: Mapping[str, str] = Field(default_factory=dict)
    """What may be answered, by label (in choices.json where all items share it)."""
    truncated: bool = False
    """Whether the reply was cut off at its longest length."""
    prompt_tokens: int | None = None
    """Tokens of the prompt; null if a server does not count them."""
    sample: int = 0
    """Which reply to the item it is, where several were drawn."""
    logprobs: Mapping[str, float] | None = None
    """Log-probability of each label, with scoring by likelihood."""
    question: str | None = None
    """The question, where several items are one: with its options in other orders, or with another candidate each."""
    rotated: bool = False
    """Whether the item is such a copy."""
    category: str | None = None
    """What the question is reported under, where questions have categories."""
    group: str | None = None
    """The category's group."""
    edge: str | None = None
    """The edge one end of which is looked for, where the items of a question are candidates to be ranked."""

    def with_shared_choices(self, choices: Mapping[str, str]) -> Prediction:
        """The same with the choices that all items share, which its line does not repeat."""
        copy = self.model_copy(update={"choices": choices})
        copy.__pydantic_fields_set__.discard("choices")
        return copy

    @property
    def accepted(self) -> list[str]:
        """The labels that are right."""
        return list(self.scoring.arguments["accepted"])


class HeldoutAnswer(BaseModel):
    """The answer to one held-out example at one step: a line of heldout.jsonl."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    step: int
    """After how many steps of training; 0 is before."""
    index: int
    """Which held-out example it is: the same at every step."""
    id: RecordedId
    """The example's id."""
    items: tuple[str, ...]
    """Its ``source_items``, by which the statistics are clustered."""
    reply: str
    """What the model wrote, special tokens left out."""
    answer: str | None
    """What was read from the reply; null if nothing could be."""
    score: float
    """The task's score, from 0 to 1."""
    outcome: Outcome
    """``correct``, ``partial``, ``wrong``, ``invalid`` or ``unparsed``."""

    @property
    def verdict(self) -> Score:
        """The score as it was recorded."""
        return Score(self.score, self.answer, self.outcome)

    @property
    def own_items(self) -> list[str]:
        """Its items with the name of their source: nodes of two graphs may have the same number."""
        return [f"{self.id.source}/{item}" for item in self.items]


def encode_line(record: Mapping[str, Any]) -> bytes:
    """A record as one line of a JSON-lines file; what is not valid Unicode becomes a question mark.

    JSON has no NaN and no infinity: a field that is one is null.
    """
    fields = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }
    return (json.dumps(fields, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"an object has {quoted(twice)} twice, and one of the values would be lost")
    return found


def parse_json(text: str | bytes) -> Any:
    """``json.loads`` for text from outside.

    Raises:
        ValueError: if it is not JSON, is nested deeper than Python reads, or has a key of an object twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file, oldest first; a torn last line is dropped, a missing file is empty.

    Raises:
        UserError: for a broken line that is not the last one.
    """
    if not path.is_file():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise UserError(f"{path} line {number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise UserError(f"{path} line {number}: it holds {quoted(record)}, where a record in braces should be")
        yield record


def is_torn(path: Path) -> bool:
    """Whether the last line of a JSON-lines file was cut off while it was written."""
    end = path.read_bytes().rsplit(b"\n", 1)[-1] if path.is_file() else b""
    try:
        parse_json(end or b"{}")
    except ValueError:
        return True
    return False
