"""The scores of docs/evidence.md are what its stored answers give."""

import re
import sys
from pathlib import Path

from experiments import again, evidence_table
from ssl4rl.registry import TASKS

PAGE = (Path(__file__).parents[1] / "docs" / "evidence.md").read_text(encoding="utf-8")
RESULTS = Path(evidence_table.__file__).parent / "results"
SCORE = re.compile(r"(?<!\d)\.\d{3} \[\.\d{3}, \.\d{3}\]")


def scores(text):
    return SCORE.findall(re.sub(r"\b0\.", ".", text.replace("*", "")))


def test_the_tables_add_no_task():
    assert evidence_table.evidence.LABELS not in TASKS.names()


def test_every_score_of_the_page_is_that_of_stored_answers(monkeypatch, capsys):
    for folder in ("evidence", "vision_evidence"):
        monkeypatch.setattr(sys, "argv", ["evidence_table", str(RESULTS / folder)])
        evidence_table.main()
    monkeypatch.setattr(sys, "argv", ["again"])
    again.main()
    given, shown = set(scores(capsys.readouterr().out)), scores(PAGE)
    assert len(shown) > 120 and not [score for score in shown if score not in given]
