"""Ids of examples: what they spell, and that they parse back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Template

import ssl4rl
from ssl4rl.answers import Outcome
from ssl4rl.errors import UserError
from ssl4rl.example import ExampleId

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
IDS = st.builds(
    ExampleId,
    source=st.text(min_size=1),
    split=st.sampled_from(["train", "val", "test"]),
    task=NAMES,
    level=NAMES,
    knobs=st.dictionaries(NAMES, VALUES, max_size=3),
    seed=st.integers(0, 10**6),
    index=st.integers(0, 10**9),
    hash=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)


@given(IDS)
def test_an_id_parses_back(example_id):
    assert ExampleId.parse(str(example_id)) == example_id


@pytest.mark.parametrize(
    ("text", "source", "label"),
    [
        ("cora/train/link@hard/0/3#01234567", "cora", "link@hard"),
        ("shop/2024/val/link@medium+fanout=1/0/3#01234567", "shop/2024", "link@medium+fanout=1"),
        ("a/train/link%40b/val/x@y/0/3#01234567", "a/train/link@b", "x@y"),
        ('a/val/x@y+name="b/val/c@d,e=1"/0/3#01234567', "a", 'x@y+name="b/val/c@d,e=1"'),
        ("100%25/val/x@y/0/3#01234567", "100%", "x@y"),
    ],
)
def test_ids_by_hand(text, source, label):
    example_id = ExampleId.parse(text)
    assert (example_id.source, example_id.label) == (source, label)
    assert str(example_id) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "cora/train/link/0/3#01234567",
        "cora/train/link@hard/0/3",
        "cora/train/link@hard/0/three#01234567",
        "cora/train/link@hard+fanout/0/3#01234567",
        "cora/train/link@hard+fanout=/0/3#01234567",
        "cora/train/link@hard+fanout=3x=4/0/3#01234567",
        "cora/train/link@hard/0/3#0123",
        "cora/train/link@hard/0/-3#01234567",
        "cora/train/link@hard/1_0/3#01234567",
    ],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(UserError) as raised:
        ExampleId.parse(text)
    assert str(raised.value).startswith(f"{text!r} is not the id of an example, which looks like ")


QWEN_VL = """{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for content in message.content -%}
{% if content.type == "image" %}<|vision_start|><|image_pad|><|vision_end|>{% elif "text" in content -%}
{{ content.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}"""
"""How the template of Qwen2.5-VL writes a turn: its parts one right after the other."""


@pytest.mark.parametrize("name", ["rotation", "contrastive", "jigsaw", "position"])
def test_no_text_of_a_prompt_runs_into_another(name):
    example = ssl4rl.task(name).example(0)
    [turn] = example.messages()
    kinds = [part["type"] for part in turn["content"]]
    assert ("text", "text") not in list(pairwise(kinds))
    written = Template(QWEN_VL).render(messages=[turn])
    shown = written.replace("<|vision_start|><|image_pad|><|vision_end|>", "")
    assert shown == f"<|im_start|>user\n{example.text}<|im_end|>\n"
    assert written.count("<|image_pad|>") == len(example.images)


def test_an_image_and_a_text_are_the_parts_that_templates_know():
    example = ssl4rl.task("contrastive").example(0)
    one, other = example.images
    texts = [part for part in example.parts if isinstance(part, str)]
    assert example.messages() == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": texts[0]},
                {"type": "image", "image": one},
                {"type": "text", "text": f"\n{texts[1]}"},
                {"type": "image", "image": other},
                {"type": "text", "text": "\n" + "\n".join(texts[2:])},
            ],
        }
    ]


def test_a_prompt_without_an_image_is_its_text():
    example = ssl4rl.task("link").example(0)
    assert example.messages() == [{"role": "user", "content": example.text}]


def test_an_id_and_an_example_say_what_they_are():
    example, other = (ssl4rl.task("link").example(index) for index in (0, 1))
    again = ExampleId.parse(str(example.id))
    assert repr(example.id) == f"ExampleId({str(example.id)!r})"
    assert hash(again) == hash(example.id) != hash(other.id)
    assert (example.is_bare, example.gold_reply) == (False, f"<answer>{example.gold}</answer>")
    bare = ssl4rl.task("link", reasoning=False).example(0)
    assert (bare.is_bare, bare.gold_reply) == (True, bare.gold)
    assert f"{Outcome.CORRECT}" == "correct"
