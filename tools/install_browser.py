"""Get a headless Chromium for the tests of reports: ``make browser``. Without one they are skipped.

One that is there is enough. Otherwise Debian's package where this may be installed, or else Playwright's own build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
PACKAGE = "chromium-headless-shell"


def find_browser() -> str | None:
    """The program of the system's browser; None if there is none, and Playwright's own is to be tried."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def commands() -> list[list[str]]:
    """What installs a browser here, step by step."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        return [["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGE]]
    return [[sys.executable, "-m", "playwright", "install", "--with-deps", PACKAGE]]


def main() -> None:
    if (found := find_browser()) is not None:
        print(f"using {found}")
        return
    for command in commands():
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
