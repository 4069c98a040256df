"""``ssl4rl.evaluate`` from Python: by name, with a benchmark, with a plug-in's own benchmark, with a recipe."""

import json
from dataclasses import replace

import pytest

import ssl4rl
from ssl4rl.benchmarks import Benchmark
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.inference.engines import Reply
from ssl4rl.registry import SOURCE_KINDS
from ssl4rl.runs import UsedSource
from ssl4rl.tasks import Knobs


class Constant:
    """Always gives the same answer."""

    files = None

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.identity = {"engine": "constant", "model": f"always {answer}"}

    def stream(self, conversations, sampling):
        for index in range(len(conversations)):
            yield index, Reply(f"<answer>{self.answer}</answer>", 3, False)


def always(answer: str) -> Model:
    return Model(Constant(answer), ReplyCache(None))


def quiet(_line: str) -> None:
    """Says nothing."""


def test_by_name(tmp_path):
    run = ssl4rl.evaluate("link", always("yes"), tmp_path / "run", say=quiet, limit=6, ablate=[], baselines=False)
    assert run.scores["accuracy"] == 0.5 and run.scores["model"] == "always yes"
    assert run.finished and run.is_evaluation and len(run.predictions()) == 6
    assert (run.config["benchmark"], run.config["dataset"], run.config["limit"]) == ("link", None, 6)
    (used,) = run.used_sources
    source = ssl4rl.load("citations")
    assert used == UsedSource("graph", "citations", "citations", source.fingerprint)
    assert (run.environment["model"], run.environment["task_versions"]) == ("always yes", {"benchmark link": 3})
    # What was recorded rebuilds the example, and scores its reply alike.
    prediction = run.predictions()[0]
    benchmark, example = ssl4rl.rebuild(prediction.id, run=run)
    assert example.text == prediction.prompt and benchmark.score(prediction.reply, example) == prediction.verdict


def test_a_benchmark_brings_its_own_source_level_knobs_and_seed(tmp_path):
    graph = replace(ssl4rl.load("citations"), name="mine")
    benchmark = ssl4rl.benchmark("link", graph, level="no-graph", seed=3, negatives="random")
    settings = {"say": quiet, "limit": 4, "baselines": False}
    run = ssl4rl.evaluate(benchmark, always("no"), tmp_path / "run", **settings)
    assert [prediction.id for prediction in run.predictions()] == [benchmark.example(i).id for i in range(4)]
    config = {key: run.config[key] for key in ("dataset", "level", "knobs", "seed")}
    assert config == {"dataset": "mine", "level": "no-graph", "knobs": {"negatives": "random"}, "seed": 3}
    with pytest.raises(ssl4rl.UserError, match="seed is the benchmark's own"):
        ssl4rl.evaluate(benchmark, always("no"), tmp_path / "other", **settings, seed=4)
    (tmp_path / "run" / "scores.json").unlink()
    again = ssl4rl.evaluate(benchmark, always("no"), tmp_path / "run", resume=True, **settings)
    assert again.scores["n"] == 4
    (tmp_path / "run" / "scores.json").unlink()
    other = ssl4rl.benchmark("link", replace(graph, texts=graph.texts[::-1]), "no-graph", seed=3, negatives="random")
    with pytest.raises(ssl4rl.UserError, match=r"the dataset mine .* changed after"):
        ssl4rl.evaluate(other, always("no"), tmp_path / "run", resume=True, **settings)


def test_a_recipe_with_other_settings(tmp_path):
    recipe = EvalRecipe(benchmark="node", limit=9, ablate=[], baselines=False)
    run = ssl4rl.evaluate(recipe, always("A"), tmp_path / "run", say=quiet, limit=2)
    assert run.scores["n"] == 2 and run.config["limit"] == 2
    with pytest.raises(ssl4rl.UserError, match="unknown setting of an evaluation 'limt'; did you mean limit"):
        ssl4rl.evaluate("node", always("A"), limt=2)
    with pytest.raises(ssl4rl.UserError, match=r"\./nowhere does not exist"):
        ssl4rl.evaluate("node", "./nowhere", tmp_path / "none")
    assert not (tmp_path / "none").exists()


class NoKnobs(Knobs):
    """No settings."""


class Parity(Benchmark):
    """A plug-in's benchmark, not registered: is the number of a node, or of an image, even?"""

    name = "parity"
    knobs_type = NoKnobs
    levels = {"medium": {}}  # noqa: RUF012
    size = 8

    def draft(self, index, rng):
        answer = "no" if index % 2 else "yes"
        return self.closed(
            (f"Is {index} even?", "Give yes or no inside <answer></answer>."),
            accepted=[answer],
            choices={"yes": "yes", "no": "no"},
            item=f"number:{index}",
            class_name=answer,
            source_items=(f"number:{index}",),
            meta={},
        )


@pytest.mark.parametrize(("kind", "dataset"), [("graph", "citations"), ("images", "scenes"), ("questions", "scenes")])
def test_a_plug_ins_benchmark_gets_constants_and_a_note(tmp_path, kind, dataset):
    cls = type("Parity", (Parity,), {"source_kind": SOURCE_KINDS.get(kind)})
    benchmark = cls(ssl4rl.load(dataset, kind), split="test")
    run = ssl4rl.evaluate(benchmark, always("yes"), tmp_path / "run", say=quiet)
    assert run.scores["accuracy"] == 0.5 and run.scores["notes"]
    assert run.scores["baselines"].keys() == {"first option", "majority letter"}
    assert json.loads((tmp_path / "run" / "predictions.jsonl").read_text().splitlines()[1])["gold"] == "no"
