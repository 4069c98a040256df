"""``import ssl4rl``: light, and a deliberate list of names."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ssl4rl

ROOT = Path(ssl4rl.__file__).parents[1]
DOCTESTED = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in (*ROOT.glob("ssl4rl/**/*.py"), *ROOT.glob("tools/*.py"))
    if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
)


def test_every_name_of_the_face_is_there_and_documented():
    assert set(dir(ssl4rl)) == set(ssl4rl.__all__)
    for name in ssl4rl.__all__:
        assert getattr(ssl4rl, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        ssl4rl.trian  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, ssl4rl; print(sorted({'torch', 'numpy', 'pydantic', 'transformers', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bare_checkout_knows_its_version():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import ssl4rl; print(ssl4rl.__version__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ssl4rl.__version__ != "unknown"


@pytest.mark.parametrize("module", DOCTESTED)
def test_examples_in_docstrings(module):
    results = doctest.testmod(import_module(module))
    assert results.attempted and not results.failed
