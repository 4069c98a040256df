"""Runs to report on: written by hand, about real examples of a graph whose texts are hostile."""

import json

import pytest
from PIL import Image

from ssl4rl.build import task
from ssl4rl.records import Completion, HeldoutAnswer, Prediction
from ssl4rl.runs import Run, UsedSource
from tools.install_browser import find_browser

HOSTILE = (
    "</script><script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\"> {{ 7 * 7 }} "
)


@pytest.fixture
def hostile_graph(tmp_path):
    """A ring with chords; every text would be a script if it were not escaped."""
    here = tmp_path / "graph <b>"
    here.mkdir()
    rows = "".join(f'{i},"{HOSTILE.replace(chr(34), chr(34) * 2)} number {i}"\n' for i in range(60))
    (here / "nodes.csv").write_text("id,text\n" + rows)
    edges = "".join(f"{i},{(i + 1) % 60}\n{i},{(i * 7 + 3) % 60}\n" for i in range(60))
    (here / "edges.csv").write_text("source,target\n" + edges)
    return str(here)


def started(path, asked, settings):
    run = Run.create(path, settings)
    run.write_environment([UsedSource.of(asked)], "0123", {})
    return run


@pytest.fixture
def write_training(tmp_path):
    """Writes a run of training on a task: groups of four replies, half of them flat, and held-out answers."""

    def write(source, name="link", groups=6, folder="training <i>", **config):
        asked = task(name, source)
        run = started(tmp_path / folder, asked, {"tasks": [{"name": name}], **config})
        for index in range(groups):
            example = asked.example(index)
            for number in range(4):
                right = index % 2 == 0 and number == 0
                reply = f"<think>{HOSTILE}</think>" + (example.gold_reply if right else "<answer>neither</answer>")
                score = asked.score(reply, example)
                fields = Completion.fields_of(example, reply, score)
                selected = index % 2 == 0
                run.append(
                    "completions.jsonl",
                    Completion(**fields, tokens=9, step=index + 1, reward=score.value, selected=selected),
                )
            step = {"step": index + 1, "reward": index / groups, "reward/sampled": 0.1, "reward/selected": 0.5}
            run.append("metrics.jsonl", {**step, "flat/before": 0.5, "flat/after": 0.25, "completions/mean_length": 9})
        val = asked.on_split("val")
        for step in (0, groups):
            answers = []
            for index in range(4):
                example = val.example(index)
                reply = example.gold_reply if step and index < 2 else "no"
                score = val.score(reply, example)
                about = {"step": step, "index": index, "id": example.id, "items": example.source_items}
                answers.append(
                    HeldoutAnswer(**about, reply=reply, answer=score.answer, score=score.value, outcome=score.outcome)
                )
            run.append("heldout.jsonl", *(answer.model_dump(mode="json") for answer in answers))
            score = {"score": step / 10, "low": 0.0, "high": 0.9}
            run.append("metrics.jsonl", {"step": step, "heldout": score})
        return run

    return write


@pytest.fixture
def write_evaluation(tmp_path):
    """Writes an evaluation by hand: an answer to each of a number of two-option items."""

    def write(folder, answers, **config):
        asked = task("link")
        run = started(tmp_path / folder, asked, {"benchmark": "link", **config})
        for index, answer in enumerate(answers):
            example = asked.example(index)
            reply = example.reply_with(answer)
            fields = Prediction.fields_of(example, reply, asked.score(reply, example))
            labels = {"item": f"pair:{index}", "class_name": example.gold, "choices": {"yes": "yes", "no": "no"}}
            run.append("predictions.jsonl", Prediction(**fields, **labels, index=index))
        return run

    return write


@pytest.fixture
def write_attention():
    """Writes a map of a graph and one of an image into a run, as ``attend --run`` does."""

    def write(run):
        share = {"share": 0.2, "tokens": 3}
        about = {"token": "yes", "nodes": {"1": share, "2": share}, "edges": {"1-2": share}}
        maps = [{"model": f"{HOSTILE} $x_1$", **about, "question": share, "rest": share}]
        drawing = {"nodes": [["1", 0.0, 0.0, True], ["2", 1.0, 1.0, False]], "edges": [[0, 1]], "directed": False}
        graph = {
            "kind": "graph",
            "id": "citations/train/link@medium/0/0#804b0a61",
            "texts": {"1": HOSTILE, "2": HOSTILE},
            "drawing": drawing,
            "maps": maps,
        }
        image = {"model": "tiny-vision", "token": "dog", "box": [0, 0, 1, 1], "attention": [[0.1, 0.2]]}
        photo = {"kind": "image", "image": f"{HOSTILE}.jpg", "question": "Where?", "maps": [image]}
        folder = run.path / "attention"
        folder.mkdir()
        for name, record in (("graph", graph), ("photo", photo)):
            (folder / f"{name}.json").write_text(json.dumps(record))
        Image.new("RGB", (8, 8)).save(folder / "photo.png")
        return folder

    return write


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium: the system's, or Playwright's own."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=find_browser(), args=["--disable-gpu"])
        except api.Error as error:
            pytest.skip(f"no Chromium here (`make browser` installs it): {str(error).splitlines()[0]}")
        yield opened
        opened.close()
