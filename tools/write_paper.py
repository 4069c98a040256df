"""Write docs/paper: a page for each table of the paper.

python -m tools.write_paper
"""

from __future__ import annotations

from pathlib import Path

from ssl4rl.report.paper import paper_pages

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "paper"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, page in paper_pages().items():
        (FOLDER / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
