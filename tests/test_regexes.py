"""Every regular expression of the package takes time linear in the length of a text, whatever the text is."""

import importlib
import pkgutil
import re
import time
from pathlib import Path

import pytest

import ssl4rl

HEAVY = ("ssl4rl.models.make", "ssl4rl.__main__", "ssl4rl.inference.engines.vllm", "ssl4rl.training.vllm_sync")
"""Modules that need what is not installed, or run when they are imported."""

SHORT, LONG = 2_000, 8_000
"""Characters of the two lengths that are compared: quadratic time is 16 times as long for the longer one."""
MOST_TIMES = 9.0
NOTHING = 0.01
"""Seconds for the longer text below which no two times are compared."""


def expressions() -> dict[str, re.Pattern[str]]:
    found = {}
    for module in pkgutil.walk_packages(ssl4rl.__path__, "ssl4rl."):
        if not module.name.startswith(HEAVY):
            try:
                content = vars(importlib.import_module(module.name))
            except ModuleNotFoundError as error:
                # Some modules are for trainers that are not installed here.
                assert not str(error.name).startswith("ssl4rl")
                continue
            found |= {
                f"{module.name}.{name}": value for name, value in content.items() if isinstance(value, re.Pattern)
            }
    return {name: value for name, value in found.items() if isinstance(value.pattern, str)}


EXPRESSIONS = expressions()

PIECES = (
    *(
        " ",
        "\n",
        "\t \n",
        "a",
        "A",
        "1",
        "_",
        ".",
        ",",
        "-",
        "'",
        '"',
        "*",
        "(",
        ")",
        "[",
        "]",
        "{",
        "<",
        ">",
        "/",
        "|",
        "=",
        ":",
    ),
    *(
        "a ",
        "A ",
        "a.",
        "a, ",
        "1.",
        "1,",
        "( ",
        "< ",
        "</",
        "[1] ",
        "[1",
        "and ",
        "or A ",
        "A or ",
        "A, ",
        "(A) ",
        "not A ",
    ),
    *(
        "<answer",
        "<answer>",
        "</answer>",
        "<think>",
        "< / answer",
        "answer is ",
        "the answer is not ",
        "option A ",
        "wait ",
    ),
    *(
        "[1] --",
        "[1] -- [2] ",
        "1->2, ",
        "--> [",
        "<|",
        "|>",
        "\\text",
        "`",
        "x_",
        "_x",
        "train_mask",
        "0.0",
        "é",
        "中",
        "１",
    ),
    *(
        "the the ",
        "is the option choice ",
        "A is wrong. ",
        "I think A. ",
        "neither A nor ",
        "{a}",
        "{",
        "=,:",
        "counter",
        "deg ",
    ),
)
"""What adversarial texts are made of: each repeated, and followed by something that does not match."""

ENDS = ("", "!", "\x00", "\n!")


SOURCES = "".join(path.read_text(encoding="utf-8") for path in Path(ssl4rl.__file__).parent.rglob("*.py"))


def uses(name: str) -> set[str]:
    """How an expression is used: at a place of the text (``match``), for the whole of it, or anywhere in it."""
    methods = set(re.findall(rf"\b{name.rpartition('.')[2]}\.(\w+)", SOURCES)) - {"pattern"}
    return {method if method in ("match", "fullmatch") else "finditer" for method in methods or {"finditer"}}


def seconds(pattern: re.Pattern[str], methods: set[str], text: str) -> float:
    started = time.process_time()
    if "finditer" in methods:
        for _ in pattern.finditer(text):
            pass
    for method in methods - {"finditer"}:
        getattr(pattern, method)(text)
    return time.process_time() - started


def test_there_are_expressions_to_look_at():
    assert len(EXPRESSIONS) > 50
    assert {name.rpartition(".")[0] for name in EXPRESSIONS} >= {"ssl4rl.answers", "ssl4rl.lenient", "ssl4rl.mentions"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_time_is_linear(name):
    pattern, methods = EXPRESSIONS[name], uses(name)
    for piece in PIECES:
        for end in ENDS[1:2] if len(piece) > 1 else ENDS:
            long = piece * (LONG // len(piece)) + end
            taken = seconds(pattern, methods, long)
            if taken < NOTHING:
                continue
            short = min(seconds(pattern, methods, piece * (SHORT // len(piece)) + end) for _ in range(3))
            taken = min(taken, *(seconds(pattern, methods, long) for _ in range(2)))
            assert taken < NOTHING or taken < MOST_TIMES * short, (
                f"{piece!r} * n + {end!r}: {short:.4f} s, then {taken:.4f} s"
            )
