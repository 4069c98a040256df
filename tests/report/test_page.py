"""Reports as text: complete, whole, the same each time, and nothing in them but text comes from data."""

import base64
import hashlib
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ssl4rl.audit.table import Line
from ssl4rl.errors import UserError
from ssl4rl.report.attention import pictures_of
from ssl4rl.report.groups import of_training, spread
from ssl4rl.report.page import as_html, make_report, write_report
from ssl4rl.report.sections import _by_level, _first_and_last, sections_of
from ssl4rl.report.shown import Rebuilt, drawing_of
from ssl4rl.runs import Run
from ssl4rl.statistics import Estimate
from ssl4rl.training.calibrate import Difficulty
from ssl4rl.training.recipe import TaskEntry
from tests.report.conftest import HOSTILE


class Page(HTMLParser):
    """The elements of a page, its texts, and what its script is given."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.data = json.loads(next(text for tag, text in self.texts if tag == "script" and text.startswith("{")))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(*runs, **options):
    return Page(as_html(make_report(runs, **options)))


def test_texts_from_data_stay_texts(hostile_graph, write_training):
    run = write_training(hostile_graph, note=HOSTILE)
    page = page_of(run)
    assert len(page.of("script")) == 2 and page.of("b") == [] and page.of("i") == []
    assert all("onerror" not in attributes for attributes in page.of("img"))
    assert any("</script><script>" in text for tag, text in page.texts if tag == "pre")
    assert any(HOSTILE.strip() in group["prompt"] for group in page.data["groups"])


def test_nothing_is_loaded_and_only_the_page_s_own_script_may_run(write_training):
    text = as_html(make_report([write_training("citations")]))
    page = Page(text)
    sources = [attributes["src"] for attributes in page.of("img")]
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert page.of("link") == [] and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    policy = next(each["content"] for each in page.of("meta") if "http-equiv" in each)
    for tag in ("style", "script"):
        own = text.rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() in policy


def test_a_page_is_the_same_each_time(write_training):
    run = write_training("citations")
    assert as_html(make_report([run])) == as_html(make_report([run]))


def test_replies_to_one_prompt_are_one_group_and_held_out_examples_show_before_and_after(write_training):
    groups = page_of(write_training("citations")).data["groups"]
    training = [group for group in groups if group["kind"] == "training"]
    assert len(training) == 6 and all(len(group["replies"]) == 4 for group in training)
    assert [group.get("marks") for group in training] == [None, ["flat", "replaced"]] * 3
    held_out = [group for group in groups if group["kind"] == "held out"]
    assert [[reply["by"] for reply in group["replies"]] for group in held_out] == [
        ["before training", "after step 6"]
    ] * 4
    assert all("Is there an edge between" in group["question"] and group["gold"] for group in held_out)
    assert sum(group.get("marks") == ["changed"] for group in held_out) in (1, 2)


def test_the_drawing_is_the_shown_subgraph_with_the_asked_nodes_marked(write_training):
    entry = of_training(write_training("citations"))[-1]
    asked, example = Rebuilt().example(entry.run, entry.id)
    drawing = drawing_of(asked, example)
    marked = {number for number, _, _, is_asked in drawing.nodes if is_asked}
    assert marked == {str(number) for number in re.findall(r"\[(\d+)\]", example.text.splitlines()[-2])}
    numbers = [number for number, *_ in drawing.nodes]
    shown = {frozenset((numbers[a], numbers[b])) for a, b in drawing.edges}
    edges = re.search(r"Edges: (.+)\.", example.text)
    assert shown == {frozenset(pair.split("-")) for pair in edges[1].split(", ")}
    assert all(0 <= place <= 1 for _, x, y, _ in drawing.nodes for place in (x, y))


def test_images_are_shown_once_each(write_training):
    data = page_of(write_training("scenes", "rotation", groups=3)).data
    used = [place for group in data["groups"] for place in group["images"]]
    assert sorted(set(used)) == list(range(len(data["images"]))) and len(data["groups"][0]["images"]) == 2


def test_data_that_are_gone_leave_the_text(hostile_graph, write_training):
    run = write_training(hostile_graph)
    for file in Path(hostile_graph).iterdir():
        file.unlink()
    report = make_report([run])
    assert any(line.startswith("10 prompts are shown without images and drawings: ") for line in report.about_replies)
    sampled = [group for group in report.data["groups"] if group["kind"] == "training"]
    assert all(group["prompt"] and "drawing" not in group for group in sampled)


def test_a_limit_takes_whole_groups_from_all_of_the_run(write_training):
    entries = of_training(write_training("citations", groups=20))
    for most in (0, 4, 17, 40, 88, 1000):
        chosen = spread(entries, most)
        replies = sum(len(entry.group.replies) for entry in chosen)
        assert max(0, min(most, 88) - 8) <= replies <= most
    report = make_report([entries[0].run], most=40)
    assert "40 of 88 recorded replies" in report.about_replies[0]


def test_evaluations_of_one_benchmark_are_compared(write_evaluation):
    first = write_evaluation("first", ["yes"] * 10)
    second = write_evaluation("second", ["no"] + ["yes"] * 9)
    page = page_of(first, second)
    [changed] = [group for group in page.data["groups"] if group["kind"] == "compared"]
    assert [reply["by"] for reply in changed["replies"]] == [str(first.path), str(second.path)]
    headings = [text for tag, text in page.texts if tag in ("h2", "h3")]
    assert headings[:2] == ["Overview", "Results"] and f"{second.path} against {first.path}" in headings
    assert any("of 10 shared questions" in text for tag, text in page.texts if tag == "p")
    report = make_report([first, second], most=11)
    assert "11 of 22 recorded replies (comparisons show some again), " in report.about_replies[0]


def test_evaluations_that_ask_other_questions_say_why_they_are_not_compared(write_evaluation):
    first, second = write_evaluation("first", ["yes"] * 10), write_evaluation("second", ["yes"] * 10)
    lines = (second.path / "predictions.jsonl").read_text().replace('"pair:', '"other:')
    (second.path / "predictions.jsonl").write_text(lines)
    page = page_of(first, second)
    assert any("They are not compared: " in text and "share no item" in text for _, text in page.texts)


def test_an_unfinished_run_shows_what_it_has(tmp_path):
    run = Run.create(tmp_path / "begun", {"tasks": []})
    page = page_of(run)
    texts = [text for _, text in page.texts]
    assert any("not finished" in text for text in texts) and "No replies are recorded yet." in texts


def test_findings_of_other_commands_are_read_from_the_folder(write_training):
    run = write_training("citations")
    line = Line("citations", "link@easy", "leak", "val", "failed", "a | b")
    (run.path / "audit.jsonl").write_text(json.dumps(asdict(line)) + "\n")
    score = Estimate(0.5, 0.4, 0.6, 16, 16, 1.0, 1.0, 0.5, 0.4, 0.6)
    level = Difficulty(TaskEntry(name="link"), "link@easy", "citations", 16, score, 9.0, 0.25, 0.1, 0.4, 1.0)
    (run.path / "calibration.jsonl").write_text(json.dumps(level.as_dict()) + "\n")
    page = page_of(run)
    texts = [text for _, text in page.texts]
    assert "Audit of link@easy on citations" in texts and "0.25 [0.10, 0.40] of 16" in texts


def test_attention_maps_are_drawn_from_the_folder(write_training, write_attention, tmp_path):
    run = write_training("citations", folder="run")
    folder = write_attention(run)
    graph, photo = pictures_of(run)
    assert (graph.suffix, photo.suffix) == ("svg", "png") and "goes to the image" in photo.about
    assert b"<script" not in graph.data and b"&lt;script" in graph.data and b"$x_1$" in graph.data
    page = page_of(run)
    assert {graph.about, photo.about} <= {image["alt"] for image in page.of("img")}
    assert len(page.of("script")) == 2 and any("[1]" in text for tag, text in page.texts if tag == "th")
    write_report(make_report([run]), tmp_path / "about.md", "md")
    assert {"1-graph.svg", "1-photo.png"} <= {path.name for path in (tmp_path / "about-figures").iterdir()}
    (folder / "photo.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"photo\.png is not a PNG"):
        make_report([run])
    (folder / "graph.json").write_text('{"kind": "graph"}')
    with pytest.raises(UserError, match=r"graph\.json is not what .+ writes \(graph\.id"):
        make_report([run])


def test_markdown_has_the_same_tables_and_figures_beside_it(write_training, tmp_path):
    run = write_training("citations", folder="a_run")
    write_report(make_report([run]), tmp_path / "report.md", "md")
    text = (tmp_path / "report.md").read_text()
    assert "### Over the steps" in text and r"a\_run" in text
    figures = re.findall(r"!\[.+\]\((.+)\)", text)
    assert len(figures) == 4 and all((tmp_path / figure).read_text().startswith("<?xml") for figure in figures)


def test_evaluations_on_other_data_are_each_compared_with_their_own_kind(write_evaluation):
    runs = [write_evaluation(name, ["yes"] * 10) for name in ("one", "two", "three")]
    for run, dataset in zip(runs, ("cora", "pubmed", "pubmed"), strict=True):
        run.config["dataset"] = dataset
    headings = [text for tag, text in page_of(*runs).texts if tag in ("h2", "h3")]
    assert [each for each in headings if " against " in each] == [f"{runs[2].path} against {runs[1].path}"]


def test_a_metric_that_only_the_first_step_has_is_listed(write_training):
    table = _first_and_last([{"reward": 1, "sampled": 8}, {"reward": 2, "loss": 0.5}])
    assert table is not None
    assert table.rows == [["reward", "1", "2"], ["sampled", "8", ""], ["loss", "", "0.5"]]


def test_the_same_task_on_two_graphs_is_two_rows(write_training):
    records = list(write_training("citations").completions())
    others = [record.model_copy(update={"id": replace(record.id, source="umls"), "score": 0.0}) for record in records]
    table = _by_level([*records, *others])
    assert [row[0] for row in table.rows] == [f"{name}/{records[0].id.label}" for name in ("citations", "umls")]
    assert table.rows[1][1] == "0.000" and [row[5] for row in table.rows] == [str(len(records))] * 2
    assert _by_level(records).rows[0][0] == records[0].id.label


def test_what_was_held_out_has_its_own_name_and_chance(write_training):
    """Another task than was trained on, or the same without what a control took away."""
    run = write_training("citations", name="link", folder="trained")
    other = write_training("citations", name="neighbor", folder="other")
    (run.path / "heldout.jsonl").write_bytes((other.path / "heldout.jsonl").read_bytes())
    score = {"score": 0.5, "low": 0.4, "high": 0.6, "n": 4, "distinct": 4, "parsed": 1.0, "valid": 1.0}
    paired = {"difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.04, "test": "McNemar", "won": 1, "lost": 0}
    heldout = {"before": score, "after": score, "best": {"step": 6, **score}, "paired": paired, "chance": 0.2}
    about = {"task": "link@medium", "dataset": "citations", "steps": 6, "seconds": 1.0, "model": "tiny"}
    run.write_json("summary.json", {**about, "heldout": heldout})
    tables = [table for section in sections_of(run) for table in section.tables]
    [table] = [table for table in tables if table.title.startswith("Held-out")]
    [row] = table.rows
    assert row[0] == "neighbor@medium" and "0.200" in row
