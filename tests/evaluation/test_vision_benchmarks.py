"""A made-up MMBench with known scores, and what is made of such runs: pages, tables, the paper's suite."""

import base64
import csv
import io
import json

import pytest
from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.evaluation import run as running
from ssl4rl.evaluation import suite
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.compare import compare
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.plan import build_benchmark
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.rescore import rescore_run
from ssl4rl.evaluation.run import evaluate
from ssl4rl.export.vlmevalkit import export_predictions, spaced
from ssl4rl.inference.engines import Reply
from ssl4rl.intervals import wilson
from ssl4rl.report.page import make_report
from ssl4rl.runs import open_run
from ssl4rl.statistics import Clusters

KNOWN = {"Knows?": "bee", "Guesses?": "A", "Half?": "B", "Wrong?": "cow"}
"""What the scripted model says to each question: the letter, or the letter of that option."""

QUESTIONS = [
    {"index": 1, "question": "Knows?", "A": "ant", "B": "bee", "C": "cow", "D": "dog", "answer": "B"},
    {"index": 2, "question": "Guesses?", "A": "ant", "B": "bee", "C": "cow", "category": "image_scene"},
    {"index": 3, "question": "Half?", "answer": "B", "category": "my_own", "l2-category": "mine", "split": ""},
    {"index": 4, "question": "Wrong?", "A": "ant", "B": "bee", "C": "cow", "D": "dog", "category": "image_style"},
]


def rotated(rows):
    """The rows of a table with every rotation of each, written out independently of the package."""
    for row in rows:
        texts = [row.get(letter, {"A": "yes", "B": "no"}.get(letter, "")) for letter in "ABCD"]
        texts = [text for text in texts if text]
        right = texts["ABCD".index(row.get("answer", "A"))]
        for shift in range(len(texts)):
            turned = [texts[(place + shift) % len(texts)] for place in range(len(texts))]
            options = dict(zip("ABCD", [*turned, "", ""], strict=False))
            yield {**row, **options, "index": row["index"] + shift * 1_000_000, "answer": "ABCD"[turned.index(right)]}


class Scripted:
    """Replies as ``KNOWN`` says; with an image and without, and never to more than ``lives`` questions."""

    files = None

    def __init__(self, known=KNOWN, lives=10_000):
        self.identity = {"engine": "script", "model": str(known)}
        self.known, self.lives = known, lives
        self.asked: list[tuple[str, list]] = []

    def stream(self, conversations, sampling):
        for index, conversation in enumerate(conversations):
            if self.lives == 0:
                raise UserError("the server is gone")
            self.lives -= 1
            content = conversation[-1]["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            text = "\n".join(part["text"] for part in parts if part["type"] == "text")
            self.asked.append((text, [part["image"] for part in parts if part["type"] == "image"]))
            said = next((what for question, what in self.known.items() if question in text), "A")
            letter = next((line[0] for line in text.splitlines() if line[1:] == f": {said}"), said)
            yield index, Reply(f"<think>A, perhaps?</think><answer>{letter}</answer>", 9, False)


def evaluated(path, output, engine=None, cache=None, **settings):
    if "again" not in settings:
        settings["ablate"] = []
    recipe = EvalRecipe.build({"benchmark": "mmbench", "dataset": str(path), **settings})
    model = Model(engine or Scripted(), ReplyCache(cache))
    evaluate(recipe, model, output, say=lambda _: None)
    return json.loads((output / "scores.json").read_text())


@pytest.fixture
def written(question_table):
    return question_table(*rotated(QUESTIONS), name="rotated.tsv")


def test_the_known_numbers(written, question_table, tmp_path):
    table = evaluated(written, tmp_path / "table")
    by_flag = evaluated(question_table(*QUESTIONS), tmp_path / "flag", knobs={"rotate": True})
    for scores in (table, by_flag):
        readings = scores["readings"]
        # Knows: 4 of 4. Guesses A, which is right as it was written: 1 of 3. Half: 1 of 2. Wrong: 0 of 4.
        assert (readings["vanilla"]["accuracy"], readings["vanilla"]["n"]) == (3 / 4, 4)
        assert (readings["row_mean"]["accuracy"], readings["row_mean"]["n"]) == (6 / 13, 13)
        assert (readings["circular"]["accuracy"], readings["circular"]["n"]) == (1 / 4, 4)
        assert (scores["accuracy"], scores["n"], scores["rows"], scores["items"]) == (1 / 4, 4, 13, 4)
        assert (scores["low"], scores["high"]) == wilson(1, 4)
        assert scores["chance"] == pytest.approx((4**-4 + 3**-3 + 2**-2 + 4**-4) / 4)
        # Letters are right equally often, so the interval of the mean of rows is wider than that of 13 questions.
        low, high = readings["row_mean"]["low"], readings["row_mean"]["high"]
        assert high - low > wilson(6, 13)[1] - wilson(6, 13)[0]
        leaves = {
            leaf["name"]: (leaf["group"], leaf["n"], leaf["accuracy"], leaf["row_mean"])
            for leaf in scores["categories"]
        }
        assert leaves == {
            "ocr": ("finegrained_perception (instance-level)", 1, 1, 1),
            "image_scene": ("coarse_perception", 1, 0, 1 / 3),
            "image_style": ("coarse_perception", 1, 0, 0),
            "my_own": ("mine", 1, 0, 1 / 2),
        }
        groups = {group["name"]: group for group in scores["groups"]}
        assert groups["coarse_perception"] == {
            "name": "coarse_perception", "categories": 2, "n": 2, "micro": 0, "macro": 0, "row_mean": 1 / 6,
        }  # fmt: skip
        assert scores["macro"] == {"categories": 1 / 4, "groups": 1 / 3}


def test_a_constant_letter_scores_nothing_in_circular(written, tmp_path):
    scores = evaluated(written, tmp_path / "run", Scripted({"": "A"}), again=4)
    assert scores["accuracy"] == 0 and scores["readings"]["vanilla"]["accuracy"] == 2 / 4
    assert scores["readings"]["row_mean"]["accuracy"] == 4 / 13
    for name in ("first option", "majority letter", "no image", "blank image"):
        assert (scores["baselines"][name]["accuracy"], scores["baselines"][name]["n"]) == (0, 4)
    assert scores["positions"][0] == {"label": "A", "gold": 4, "picked": 13, "right": 4}
    # Recall 1 for A, 0 for B, C and D.
    assert scores["spread"] == pytest.approx((3 / 16) ** 0.5)


def test_without_rotations_accuracy_is_vanilla(question_table, tmp_path):
    scores = evaluated(question_table(*QUESTIONS), tmp_path / "run", again=2)
    assert scores["accuracy"] == scores["readings"]["vanilla"]["accuracy"] == 3 / 4
    assert list(scores["readings"]) == ["vanilla", "row_mean"]
    # The first option is right in all but two; so is the majority letter, and the difference is paired.
    first = scores["baselines"]["first option"]
    assert first["accuracy"] == 2 / 4 and first["model_minus_baseline"]["difference"] == 1 / 4
    assert scores["baselines"]["no image"]["n"] == scores["baselines"]["blank image"]["n"] == 2


def test_the_limit_counts_questions(written, tmp_path):
    scores = evaluated(written, tmp_path / "run", limit=2, again=1)
    assert scores["n"] == 2 and scores["items"] == 4 and scores["rows"] > 4
    assert scores["baselines"]["no image"]["n"] == 1


def test_what_the_model_is_shown(written, tmp_path):
    engine = Scripted()
    evaluated(written, tmp_path / "run", engine, again=4)
    shown, none, blank = engine.asked[::3], engine.asked[1::3], engine.asked[2::3]
    assert [text for text, _ in shown] == [text for text, _ in none] == [text for text, _ in blank]
    assert all(len(images) == 1 and images[0].getpixel((0, 0))[1:] == (90, 160) for _, images in shown)
    assert not any(images for _, images in none)
    assert all(images[0].getpixel((0, 0)) == (128, 128, 128) for _, images in blank)


def test_the_cache_tells_images_apart(question_table, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))
    path = question_table({"index": 1}, {"index": 2, "question": "question 1?"})
    engine = Scripted()
    evaluated(path, tmp_path / "one", engine, cache="model", again=2)
    # Two questions that differ in nothing but the image are two; without it they are one, and with a blank one too.
    assert len(engine.asked) == 2 + 2 + 2
    again = Scripted()
    evaluated(path, tmp_path / "two", again, cache="model", again=2)
    assert again.asked == []


def test_many_images_are_not_held_at_once(written, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "IMAGE_CHUNK", 5)
    sizes = []

    class Counting(Scripted):
        def stream(self, conversations, sampling):
            sizes.append(len(conversations))
            return super().stream(conversations, sampling)

    evaluated(written, tmp_path / "run", Counting(), again=4)
    # 13 with their images, as many without one, as many with blank ones.
    assert sizes == [5] * 7 + [4]


def test_an_interrupted_run_is_resumed(written, tmp_path):
    output = tmp_path / "run"
    with pytest.raises(UserError, match="the server is gone"):
        evaluated(written, output, Scripted(lives=7))
    recipe = EvalRecipe.of(open_run(output))
    engine = Scripted()
    evaluate(recipe, Model(engine, ReplyCache(None)), output, resume=True, say=lambda _: None)
    assert len(engine.asked) == 6
    assert json.loads((output / "scores.json").read_text())["readings"]["row_mean"]["accuracy"] == 6 / 13


def test_completion_keeps_its_names_once_and_reads_synonyms(real_data, tmp_path):
    settings = {"benchmark": "imagenet", "dataset": str(real_data / "imagenet"), "level": "completion", "limit": 6}
    recipe = EvalRecipe.build({**settings, "ablate": []})
    benchmark = build_benchmark(recipe)
    names = [benchmark.example(index).gold for index in range(6)]

    class Naming(Scripted):
        def stream(self, conversations, sampling):
            replies = [f"<answer>{names[0]}</answer>", f"It is a {names[1]}.", "<answer>no idea</answer>"]
            for index in range(len(conversations)):
                yield index, Reply(replies[index] if index < 3 else "", 3, False)

    evaluate(recipe, Model(Naming(), ReplyCache(None)), tmp_path / "run", say=lambda _: None)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["accuracy"] == 1 / 6 and scores["lenient"]["accuracy"] == 2 / 6 and scores["parsed"] == 2 / 6
    assert scores["chance"] == pytest.approx(1 / 998) and "majority" in scores["baselines"]
    assert "first option" not in scores["baselines"] and scores["positions"] == []
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    assert not any("choices" in json.loads(line) for line in lines)
    assert rescore_run(open_run(tmp_path / "run"), "lenient").scores["accuracy"] == 2 / 6
    every = EvalRecipe.build({**settings, "ablate": [], "knobs": {"images": "all"}})
    evaluate(every, Model(Naming(), ReplyCache(None)), tmp_path / "all", say=lambda _: None)
    scores = json.loads((tmp_path / "all" / "scores.json").read_text())
    assert scores["items"] == 250 and "majority" not in scores["baselines"] and "left out" in scores["notes"][-1]


def test_compare_counts_questions_and_shows_rows(written, tmp_path):
    evaluated(written, tmp_path / "old")
    evaluated(written, tmp_path / "new", Scripted(KNOWN | {"Guesses?": "ant", "Half?": "A"}))
    found = compare(open_run(tmp_path / "old"), open_run(tmp_path / "new"))
    assert (found.benchmark, found.shared, found.only_first, found.only_second) == ("mmbench", 4, 0, 0)
    # Guesses is right in all its rows now; Half is wrong where it was right and right where it was wrong.
    assert (found.first.score, found.second.score, found.paired.won, found.paired.lost) == (1 / 4, 2 / 4, 1, 0)
    assert len(found.changed) == 2 + 2


def test_a_report_shows_image_question_and_both_replies_to_what_changed(question_table, tmp_path):
    path = question_table(*QUESTIONS[:3], {"index": 9, "question": "Is 1 < 2 & <b>bold</b>?"})
    evaluated(path, tmp_path / "old")
    evaluated(path, tmp_path / "new", Scripted(KNOWN | {"Knows?": "ant", "bold": "B"}))
    runs = [open_run(tmp_path / "old"), open_run(tmp_path / "new")]
    data = make_report(runs).data
    changed = [group for group in data["groups"] if group["kind"] == "compared"]
    assert sorted(group["question"] for group in changed) == ["Is 1 < 2 & <b>bold</b>?", "Knows?"]
    for group in changed:
        assert [reply["by"] for reply in group["replies"]] == [str(run.path) for run in runs]
        [place] = group["images"]
        source = data["images"][place]
        assert source.startswith("data:image/jpeg;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        assert image.size == (40, 30) and abs(image.getpixel((20, 15))[2] - 160) < 10
    # Without the questions as they were there is no image, and the page says so.
    question_table(*QUESTIONS[:3], {"index": 9, "question": "Is 1 < 2 & <b>bolder</b>?"})
    assert any("the dataset has changed" in line or "changed since" in line for line in make_report(runs).about_replies)


def test_predictions_as_vlmevalkit_reads_them(written, tmp_path):
    assert spaced("<think>A or C?</think>\n<answer>C</answer>") == "<answer> C </answer>"
    assert spaced("It is <ANSWER>\nB.</answer> !") == "It is <ANSWER> B. </answer> !"
    assert spaced("the answer is B") == "the answer is B" and spaced("<think>so</think>") == "-"
    assert spaced('=HYPERLINK("http://x")') == ' =HYPERLINK("http://x")' and spaced("@B") == " @B"
    evaluated(written, tmp_path / "run")
    assert export_predictions(open_run(tmp_path / "run"), tmp_path / "out.tsv") == 13
    with (tmp_path / "out.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["index"] for row in rows[:5]] == ["1", "2", "3", "4", "1000001"]
    assert [row["prediction"] for row in rows[:4]] == [f"<answer> {letter} </answer>" for letter in "BABC"]
    assert rows[4]["question"] == "Knows?" and rows[4]["A"] == "bee" and rows[4]["answer"] == "A"
    recipe = EvalRecipe.of(open_run(tmp_path / "run"))
    moved = recipe.model_copy(update={"knobs": {**recipe.knobs, "rotate": False, "restated": "options"}})
    restated = evaluate(moved, Model(Scripted(), ReplyCache(None)), tmp_path / "moved", say=lambda _: None)
    export_predictions(restated, tmp_path / "moved.tsv")
    with (tmp_path / "moved.tsv").open(newline="") as file:
        shown = {f"question:{row['index']}": row for row in csv.DictReader(file, delimiter="\t")}
    for prediction in restated.predictions():
        row = shown[prediction.item]
        assert {letter: row[letter] for letter in prediction.choices} == dict(prediction.choices)
        assert row["answer"] in prediction.accepted
    with pytest.raises(UserError, match=r"ends in \.tsv"):
        export_predictions(open_run(tmp_path / "run"), tmp_path / "out.xlsx")
    graph = EvalRecipe.build({"benchmark": "link", "limit": 2, "ablate": [], "baselines": False})
    evaluate(graph, Model(Scripted(), ReplyCache(None)), tmp_path / "graph", say=lambda _: None)
    with pytest.raises(UserError, match="of benchmark link; only multiple-choice"):
        export_predictions(open_run(tmp_path / "graph"), tmp_path / "out.tsv")


def test_a_clustered_interval():
    def clustered(values, clusters):
        return Clusters([[cluster] for cluster in clusters]).interval(values)

    values, clusters = [1, 0, 1, 1, 0, 0], list(range(6))
    assert clustered(values, clusters) == wilson(3, 6)
    # Every value three times over in its cluster is worth no more than once (n / (n - 1), as the clusters are few).
    assert clustered(values * 3, clusters * 3) == pytest.approx(wilson(3 / 6 * 5, 5))
    # Clusters that are alike, each half right: at most all rows count, and of few clusters no more than there are.
    assert clustered([1, 0] * 6, [i // 2 for i in range(12)]) == pytest.approx(wilson(3, 6))
    assert clustered([1, 0] * 30, [i // 2 for i in range(60)]) == pytest.approx(wilson(30, 60))
    assert clustered([1] * 8, [0, 0, 0, 0, 1, 1, 1, 1]) == wilson(2, 2)


def test_the_suite(real_data, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "open", lambda recipe: Model(Scripted(), ReplyCache(None)))
    settings = {"limit": 4, "ablate": [], "baselines": False, "dataset": str(real_data)}
    said: list[str] = []

    def run_suite(settings, output, *, resume=False):
        planned = suite.plan_suite("paper", settings, "vision")
        return suite.run_suite(planned, output, resume=resume, say=said.append)

    folder, rows = run_suite(settings, tmp_path / "suite")
    names = ["mmbench", "seedbench", "imagenet-completion", "imagenet-choice-20", "imagenet-choice-200"]
    assert [row["name"] for row in rows] == names and [row["name"] for row in rows if "left_out" in row] == [
        "seedbench"
    ]
    assert sum("seedbench is left out" in line for line in said) == 1
    by_name = {row["name"]: row for row in rows}
    assert (by_name["mmbench"]["paper_n"], by_name["seedbench"]["paper_n"]) == (4329, 14232)
    # The 7B row that repeats another is not shown as its own.
    assert "7b contrastive" in by_name["mmbench"]["paper"] and "7b position" not in by_name["mmbench"]["paper"]
    for name, options in zip(names[2:], (None, 20, 200), strict=True):
        recipe = EvalRecipe.of(open_run(folder / name))
        assert recipe.knobs["options"] == options and recipe.sampling.max_new_tokens == 2048
    _, same = run_suite(settings, folder, resume=True)
    assert same == rows
    environment = folder / names[2] / "environment.json"
    recorded = environment.read_text()
    environment.write_text(json.dumps({**json.loads(recorded), "model": "of another content"}))
    with pytest.raises(UserError, match="the model changed after"):
        run_suite(settings, folder, resume=True)
    environment.write_text(recorded)
    for dataset in (None, str(tmp_path / "nowhere")):
        wrong = settings | {"dataset": dataset}
        with pytest.raises(
            UserError, match="needs --dataset FOLDER, the folder that holds mmbench, seedbench, imagenet"
        ):
            run_suite(wrong, tmp_path / "x")


def test_seed_bench_has_dimensions_and_no_groups(question_table, tmp_path):
    path = question_table(
        {"category": "Instances Counting", "question": "Knows?", "B": "bee", "answer": "B"},
        {"category": "Instances Counting"},
        {"category": "Spatial Relation", "answer": "B"},
        columns=["index", "question", "A", "B", "answer", "category", "image"],
    )
    scores = evaluated(path, tmp_path / "run", benchmark="seedbench")
    found = {leaf["name"]: (leaf["n"], leaf["accuracy"]) for leaf in scores["categories"]}
    assert found == {"Instances Counting": (2, 1), "Spatial Relation": (1, 0)}
    assert scores["groups"] == [] and scores["macro"] == {"categories": 1 / 2, "groups": None}
    assert scores["accuracy"] == pytest.approx(2 / 3)
