"""Hand-written runs."""

import json

import pytest
import yaml

from ssl4rl.answers import score_any_of


@pytest.fixture
def prediction():
    """A line of predictions.jsonl, scored strictly; ``accepted`` begins with the label of the item's own class."""

    def make(item, accepted, reply, choices, truncated=False):
        score = score_any_of(reply, accepted)
        return {
            "item": item,
            "id": f"toy/test/link@one-hop/0/{item}#00000000",
            "index": 0,
            "reply": reply,
            "tokens": len(reply),
            "truncated": truncated,
            "answer": score.answer,
            "value": score.value,
            "outcome": score.outcome.value,
            "accepted": accepted,
            "choices": choices,
            "class": choices[accepted[0]],
            "chance": len(accepted) / len(choices),
        }

    return make


@pytest.fixture
def write_run(tmp_path):
    """The folder of a finished evaluation."""

    def write(name, records, settings=None):
        run = tmp_path / name
        run.mkdir()
        (run / "predictions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        (run / "config.yaml").write_text(yaml.safe_dump(settings or {"benchmark": "link"}))
        (run / "scores.json").write_text("{}")
        return run

    return write
