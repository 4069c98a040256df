"""The first two ids of every task and benchmark of the package at every level: what must not change unnoticed.

python tests/audit/golden_ids.py        # writes golden_ids.json anew
"""

import json
from pathlib import Path

from every_case import CASES, Case

PINNED = Path(__file__).with_suffix(".json")
OURS = [case for case in CASES if case.kind.__module__.startswith("ssl4rl.")]
"""Plug-ins that happen to be installed pin their own."""
INDICES = (0, 1)


def ids_of(case: Case) -> list[str]:
    """The ids as they are now."""
    task = case.build()
    return [str(task.example(index).id) for index in INDICES]


if __name__ == "__main__":
    PINNED.write_text(json.dumps({str(case): ids_of(case) for case in OURS}, indent=1) + "\n", encoding="utf-8")
