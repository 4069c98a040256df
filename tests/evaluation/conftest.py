"""Hand-written runs."""

import zlib

import pytest

from ssl4rl.answers import Scoring, score
from ssl4rl.records import Prediction
from ssl4rl.runs import Run


@pytest.fixture
def prediction():
    """A prediction, scored strictly; ``accepted`` begins with the label of the item's own class."""

    def make(item, accepted, reply, choices, **changes):
        scoring = Scoring("score_any_of", {"accepted": accepted})
        verdict = score(reply, scoring)
        values = {
            "item": item,
            "id": f"toy/test/link@one-hop/0/{item if item.isdecimal() else zlib.crc32(item.encode())}#00000000",
            "index": 0,
            "prompt": "Two texts are given.\nAre they linked?\nGive one word.",
            "reply": reply,
            "tokens": len(reply),
            "truncated": False,
            "answer": verdict.answer,
            "score": verdict.value,
            "outcome": verdict.outcome,
            "gold": accepted[0],
            "scoring": scoring,
            "choices": choices,
            "class_name": choices[accepted[0]],
            "chance": len(accepted) / len(choices),
        }
        return Prediction(**{**values, **changes})

    return make


@pytest.fixture
def write_run(tmp_path):
    """A finished evaluation."""

    def write(name, predictions, settings=None) -> Run:
        run = Run.create(tmp_path / name, settings or {"benchmark": "link"})
        run.append("predictions.jsonl", *predictions)
        run.write_json("scores.json", {})
        return run

    return write
