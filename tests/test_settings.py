"""YAML from outside: a value, or one line that says where it is wrong."""

import pytest

from ssl4rl.errors import UserError
from ssl4rl.settings import dump_yaml, parse_yaml

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join([f'*{chr(97 + n)}'] * 10)}]}}\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("", None),
        ("# nothing", None),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {k: 1}\nb: {<<: *x, l: 2}", {"a": {"k": 1}, "b": {"k": 1, "l": 2}}),
    ],
)
def test_yaml_is_read_as_people_mean_it(text, value):
    assert parse_yaml(text, "file") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "file line 1: not valid YAML"),
        # What PyYAML's constructors trip over, each with an error of another type.
        ("a: 2001-13-45", "month"),
        ("!!timestamp x", "file: not valid YAML"),
        ("!!int x", "file: not valid YAML"),
        ("!!int ''", "file: not valid YAML"),
        ("!!bool x", "file: not valid YAML"),
        ("9" * 5000, "file: not valid YAML"),
        ("[" * 1500, "it is nested too deeply"),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("&a [*a]", "it refers to itself"),
        ("seed: 1\ngrpo:\n  beta: 0\n  'beta': 1", "file line 4: .*the key 'beta' is there twice"),
        (LAUGHS, "stands for more than 100,000 values"),
        (MERGES, "stands for more than 100,000 values"),
    ],
    ids=lambda text: text[:16],
)
def test_what_is_no_yaml_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_yaml(text, "file")
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_a_string_that_looks_like_a_number_is_written_so_that_it_is_read_as_one():
    content = {"model": "12e3", "seed": 3, "rate": 1e-5, "name": "-1E5", "plain": "link"}
    assert parse_yaml(dump_yaml(content), "x") == content
