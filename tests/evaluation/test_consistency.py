"""The same questions in other forms: what counts as the same answer, and what an evaluation asks and reports."""

import json

import pytest

from ssl4rl.errors import UserError
from ssl4rl.evaluation.consistency import consistency
from ssl4rl.evaluation.plan import build_benchmark, make_plan
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate

RED_BLUE, BLUE_RED = {"A": "red", "B": "blue"}, {"A": "blue", "B": "red"}


@pytest.fixture
def asked(prediction):
    """Predictions of items whose right class is red; of each, the options and the reply."""

    def make(*rows, prompt="usual"):
        made = []
        for item, (choices, reply) in enumerate(rows):
            gold = next(label for label, name in choices.items() if name == "red")
            answer = f"<answer>{reply}</answer>" if reply else "I cannot say"
            made.append(prediction(f"node:{item}", [gold], answer, choices, prompt=prompt, index=item))
        return made

    return make


def test_an_answer_is_the_same_by_its_meaning_and_a_letter_is_none(asked):
    usual = asked((RED_BLUE, "A"), (RED_BLUE, "B"), (RED_BLUE, "A"), (RED_BLUE, "A"), (RED_BLUE, ""))
    # The same class under another letter; the same letter for another class; alike again; wrong; unread both times.
    swapped = asked((BLUE_RED, "B"), (BLUE_RED, "B"), (RED_BLUE, "A"), (BLUE_RED, "A"), (BLUE_RED, ""), prompt="other")
    found = consistency(usual, {"options reordered": swapped})
    form = found["forms"]["options reordered"]
    assert form["changed"] == form["n"] == found["n"] == 5
    assert form["agreement"]["accuracy"] == found["agreement"]["accuracy"] == 2 / 5
    assert form["accuracy"] == 3 / 5 and form["model_minus_form"]["difference"] == 0
    assert found["worst"]["accuracy"] == 2 / 5 and found["best"]["accuracy"] == 4 / 5


def test_a_prompt_that_reads_the_same_says_nothing_of_agreement(asked):
    usual, same = asked((RED_BLUE, "A"), (RED_BLUE, "B")), asked((RED_BLUE, "A"), (RED_BLUE, "A"))
    form = consistency(usual, {"edges reordered": same})["forms"]["edges reordered"]
    assert (form["changed"], form["agreement"], form["n"]) == (0, None, 2)


def test_over_all_forms_one_that_differs_is_enough(asked):
    usual = asked((RED_BLUE, "A"), (RED_BLUE, "A"))
    forms = {
        "first": asked((BLUE_RED, "B"), (BLUE_RED, "B"), prompt="1"),
        "second": asked((RED_BLUE, "A"), (RED_BLUE, "B"), prompt="2"),
    }
    found = consistency(usual, forms)
    assert [form["agreement"]["accuracy"] for form in found["forms"].values()] == [1.0, 0.5]
    assert found["agreement"]["accuracy"] == found["worst"]["accuracy"] == 0.5 and found["best"]["accuracy"] == 1.0


@pytest.mark.parametrize(("name", "forms"), [("node", 5), ("link", 4)])
def test_one_command_asks_every_form_and_every_ablation_of_the_same_items(tmp_path, name, forms):
    settings = {"limit": 6, "again": 3, "ablate": ["all"], "consistent": True, "baselines": False, "max_new_tokens": 4}
    run = evaluate(name, output=tmp_path / "run", say=lambda _: None, **settings)
    scores = run.scores
    assert len(scores["consistency"]["forms"]) == forms and scores["consistency"]["n"] == 3
    assert list(scores["baselines"]) == [
        "graph removed", "edges rewired", "centre text only", "neighbour text only", "structure only",
    ]  # fmt: skip
    assert scores["notes"][0].startswith("edges reversed is left out: ")
    items = {row.item for row in run.predictions() if row.index < 3}
    for variant in (*scores["baselines"], *scores["consistency"]["forms"]):
        rows = run.predictions(variant)
        assert {row.item for row in rows} == items and len(rows) == 3
        assert {row.id.knobs.get("restated") or row.id.knobs.get("corrupt") or "hops" for row in rows} != {None}
    # Each is a whole example that its id rebuilds.
    assert run.replies_to(run.predictions("nodes renumbered")[0].id)


def test_only_what_is_named_is_asked(tmp_path):
    recipe = EvalRecipe.build({"benchmark": "node", "limit": 4, "ablate": ["structure-only", "structure only"]})
    assert [asked.variant for asked in make_plan(recipe, build_benchmark(recipe)).all] == [None, "structure only"]
    usual = EvalRecipe.build({"benchmark": "node", "limit": 4})
    assert [asked.variant for asked in make_plan(usual, build_benchmark(usual)).all] == [None, "graph removed"]
    nothing = EvalRecipe.build({"benchmark": "node", "limit": 4, "ablate": []})
    assert [asked.variant for asked in make_plan(nothing, build_benchmark(nothing)).all] == [None]
    for ablate in (["edges-rewird"], ["all", "structure-only"]):
        wrong = EvalRecipe.build({"benchmark": "node", "ablate": ablate})
        with pytest.raises(UserError, match="unknown ablation of benchmark node"):
            make_plan(wrong, build_benchmark(wrong))


def test_an_ablation_that_the_benchmark_is_already_is_not_asked_again():
    recipe = EvalRecipe.build({"benchmark": "node", "level": "no-graph", "limit": 4, "consistent": True})
    assert "graph removed" not in [asked.variant for asked in make_plan(recipe, build_benchmark(recipe)).all]


def test_scores_json_can_be_written_and_read(tmp_path):
    run = evaluate(
        "choice", output=tmp_path / "run", say=lambda _: None, limit=3, ablate=["all"], consistent=True,
        baselines=False, max_new_tokens=4,
    )  # fmt: skip
    scores = json.loads((run.path / "scores.json").read_text())
    forms = scores["consistency"]["forms"]
    assert list(forms) == ["options reordered", "image encoded again"]
    assert forms["image encoded again"]["changed"] == 3 and forms["image encoded again"]["agreement"]["n"] == 3
    assert list(scores["baselines"]) == ["no image", "blank image", "patches shuffled", "another image"]


def test_two_names_of_one_class_are_one_meaning(prediction):
    names = {name: name for name in ("tench", "Tinca tinca", "goldfish")}

    def asked_in(prompt, replies):
        golds = (["goldfish"], ["tench", "Tinca tinca"])
        rows = enumerate(zip(golds, replies, strict=True))
        return [
            prediction(str(n), gold, f"<answer>{reply}</answer>", names, prompt=prompt) for n, (gold, reply) in rows
        ]

    usual, other = asked_in("usual", ["tench", "tench"]), asked_in("other", ["Tinca tinca", "tench"])
    assert consistency(usual, {"other": other})["agreement"]["accuracy"] == 1
