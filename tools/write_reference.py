"""Write docs/reference.md from the registries.

python -m tools.write_reference
"""

from __future__ import annotations

from pathlib import Path

from ssl4rl.report.reference import write_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"


def main() -> None:
    PAGE.write_text(write_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
