"""Cloze: the word is missing on its line in every form, and each option could have been the one that is."""

import dataclasses
import re

import pytest

from ssl4rl.audit.leaks import find_leaks
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.tasks.cloze import BLANK, Cloze
from tests.audit.every_case import relation_graph


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_the_right_word_alone_belongs_in_the_text(level):
    graph = default_graph()
    for split in ("train", "val"):
        task = Cloze(graph, level=level, split=split)
        for index in range(30):
            example = task.example(index)
            target, word = example.meta["target"], example.meta["blank"]
            assert target in text_split(graph)[split]
            options = dict(re.findall(r"^([A-Z]): (\w+)$", example.text, re.MULTILINE))
            assert options[example.gold] == word
            assert [o for o in options.values() if o in graph.texts[target].split()] == [word]
            [line] = [line for line in example.text.splitlines() if BLANK in line]
            assert line.split("] ", 1)[1].replace(BLANK, word) == graph.texts[target]


def test_wrong_words_are_about_as_frequent_as_the_right_one():
    task = Cloze(default_graph())
    for index in range(30):
        words = re.findall(r"^[A-Z]: (\w+)$", task.example(index).text, re.MULTILINE)
        assert len({task._content.rank(word) for word in words}) == 1


def test_a_word_that_its_line_has_in_another_form_is_not_asked_about():
    graph = default_graph()
    texts = [f"{text} {text.split()[0]}s" for text in graph.texts]
    task = Cloze(dataclasses.replace(graph, texts=texts))
    for meta in (task.example(index).meta for index in range(60)):
        assert meta["blank"] != texts[meta["target"]].split()[0]


def test_a_missing_word_that_is_shown_on_its_line_is_a_leak():
    task = Cloze(default_graph())
    example = task.example(0)
    assert find_leaks(task, [example]) == []
    object.__setattr__(example, "parts", (example.text.replace(BLANK, example.meta["blank"]),))
    assert find_leaks(task, [example]) == [("shows a missing word on its line", str(example.id))]


def test_what_it_needs_is_said():
    with pytest.raises(NotApplicable, match="words that linked texts share more often"):
        Cloze(relation_graph())


def test_a_word_beside_a_digit_or_an_underscore_is_left_out_too():
    graph = default_graph()
    texts = [text.replace(text.split()[0], f"{text.split()[0]}2 __{text.split()[0]}__", 1) for text in graph.texts]
    task = Cloze(dataclasses.replace(graph, texts=texts))
    examples = [task.example(index) for index in range(60)]
    for example in examples:
        [line] = [line for line in example.text.splitlines() if BLANK in line]
        assert example.meta["blank"] not in re.findall(r"[^\W\d_]+", line.lower())
    assert find_leaks(task, examples) == []
