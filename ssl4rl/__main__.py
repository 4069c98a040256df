"""``python -m ssl4rl``: the same as the command ``ssl4rl``."""

from ssl4rl.cli.main import main

main()
