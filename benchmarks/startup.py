"""How long commands take that need no model: ``python -m benchmarks.startup [--runs 11]``.

Each run is a process of its own, timed from its start to its end; files are in the system's cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.common import figure, report, seconds

COMMANDS = (
    (["--help"], 0.4),
    (["graph", "show", "--task", "link"], 1.0),
    (["graph", "show", "--benchmark", "node"], None),
    (["data", "list"], None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    program = str(Path(sys.executable).with_name("ssl4rl"))
    figures = []
    for arguments, bound in COMMANDS:

        def run(command: tuple[str, ...] = (program, *arguments)) -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        run()
        times = [seconds(run) for _ in range(options.runs)]
        figures.append(figure(f"ssl4rl {' '.join(arguments)}", times, at_most=bound))
    report("startup", figures)


if __name__ == "__main__":
    main()
