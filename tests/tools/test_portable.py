"""What only Linux has is asked for nowhere without saying what happens elsewhere.

`make types` finds attributes of modules that other systems lack; this finds what types cannot tell.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ONLY_POSIX = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
ONLY_FORK = {"fork", "forkpty", "register_at_fork"}
PLACES = ("/proc/", "/dev/", "/sys/", "/tmp", "/var/")


def guards(node):
    """Whether what is below is for one system, or for those that have it."""
    if isinstance(node, ast.If):
        return "sys.platform" in ast.unparse(node.test) or "os.name" in ast.unparse(node.test)
    return isinstance(node, ast.Try)


def unguarded(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else [child.module or ""]
            yield from ((child.lineno, name) for name in names if name.split(".")[0] in ONLY_POSIX)
        if isinstance(child, ast.Attribute) and child.attr in ONLY_FORK and ast.unparse(child.value) == "os":
            yield child.lineno, f"os.{child.attr}"
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            if child.value.startswith(PLACES):
                yield child.lineno, child.value
            if child.value == "fork":
                yield child.lineno, "the start method fork"
        if not guards(child):
            yield from unguarded(child)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", ["fcntl"]),
        ("def lock():\n    from termios import tcgetattr", ["termios"]),
        ("import os\nos.fork()", ["os.fork"]),
        ("open('/proc/self/statm')", ["/proc/self/statm"]),
        ("get_context('fork')", ["the start method fork"]),
        ("import sys\nif sys.platform == 'win32':\n    import msvcrt\nelse:\n    import fcntl", []),
        ("try:\n    open('/proc/self/statm')\nexcept OSError:\n    pass", []),
    ],
)
def test_what_is_found(source, found):
    assert [what for _, what in unguarded(ast.parse(source))] == found


def test_nothing_in_the_package_needs_linux():
    paths = sorted((ROOT / "ssl4rl").rglob("*.py"))
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in paths
        for line, what in unguarded(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert paths and not lines
