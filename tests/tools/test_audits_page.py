"""The page on the audits says what the stored results do."""

from pathlib import Path

from experiments.audit import summary

ROOT = Path(__file__).parents[2]


def test_tables_and_counts_are_those_of_the_stored_results():
    lines, faults = summary(ROOT / "experiments" / "results" / "audit")
    page = " ".join((ROOT / "docs" / "audits.md").read_text(encoding="utf-8").split())
    assert faults == []
    assert [line for line in lines if " ".join(line.split()) not in page] == []
