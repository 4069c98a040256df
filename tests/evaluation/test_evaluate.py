"""An evaluation writes every reply down, loses none, and asks none twice, whatever happens to it."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ssl4rl.benchmarks import accepted_answers
from ssl4rl.errors import UserError
from ssl4rl.evaluation import suite
from ssl4rl.evaluation.cache import ContentCache, ReplyCache
from ssl4rl.evaluation.model import Model
from ssl4rl.evaluation.plan import build_benchmark, choose_shots, few_shot
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import _resolve, evaluate
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.lock import locked

RECIPE = EvalRecipe(benchmark="link", limit=12, again=4, baselines=False)


class Parrot:
    """Says "yes" to everything, from the last question to the first, and dies after ``lives`` replies."""

    files = None

    def __init__(self, lives: int = 10_000) -> None:
        self.identity = {"engine": "parrot", "model": "polly"}
        self.lives = lives
        self.asked: list[str] = []

    def stream(self, conversations, sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index in reversed(range(len(conversations))):
            if self.lives == 0:
                raise UserError("the server is gone")
            self.lives -= 1
            self.asked.append(conversations[index][-1]["content"])
            yield index, Reply("<answer>yes</answer>", 5, False)

    def likelihoods(self, conversations, choices) -> Iterator[tuple[int, list[float]]]:
        for index, replies in enumerate(choices):
            yield index, [-1.0 if "no" in reply else -2.0 for reply in replies]


def parrot(lives: int = 10_000, name: str = "parrot") -> Model:
    return Model(Parrot(lives), ReplyCache(name))


def lines(folder: Path, name: str = "predictions.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))


def test_what_a_run_holds(tmp_path):
    run = tmp_path / "run"
    evaluate(RECIPE, output=run, model=parrot())
    records, scores = lines(run), json.loads((run / "scores.json").read_text())
    assert sorted(record["index"] for record in records) == list(range(12))
    benchmark = build_benchmark(RECIPE)
    for record in records:
        example = benchmark.example(record["index"])
        assert (record["id"], record["item"]) == (str(example.id), example.meta["item"])
        assert (record["prompt"], record["gold"]) == (example.text, example.gold)
        assert record["score"] == (accepted_answers(example) == ["yes"])
    assert (scores["n"], scores["accuracy"], scores["chance"], scores["items"]) == (12, 0.5, 0.5, benchmark.size)
    assert scores["positions"] == [
        {"label": "yes", "gold": 6, "picked": 12, "right": 6},
        {"label": "no", "gold": 6, "picked": 0, "right": 0},
    ]
    assert scores["spread"] == 0.5 and scores["rows"] == 12
    removed = scores["baselines"]["graph removed"]
    assert (removed["n"], removed["accuracy"], removed["model_minus_baseline"]["difference"]) == (4, 0.5, 0.0)
    ablated = lines(run, "predictions.graph-removed.jsonl")
    assert {record["item"] for record in ablated} == {record["item"] for record in records if record["index"] < 4}
    assert yaml.safe_load((run / "config.yaml").read_text())["limit"] == 12


@pytest.mark.parametrize("lives", [0, 5, 12, 14])
def test_an_engine_that_dies_loses_nothing_and_nothing_is_asked_twice(tmp_path, lives):
    run, whole = tmp_path / "run", tmp_path / "whole"
    dying = parrot(lives=lives)
    with pytest.raises(UserError, match="the server is gone"):
        evaluate(RECIPE, output=run, model=dying)
    assert len(dying.engine.asked) == lives and not (run / "scores.json").exists()
    # Not even the cache is needed to resume: another model of another name has none.
    again = parrot(name="another")
    evaluate(RECIPE, output=run, resume=True, model=again)
    assert len(again.engine.asked) == 16 - lives and not set(again.engine.asked) & set(dying.engine.asked)
    evaluate(RECIPE, output=whole, model=parrot(name="third"))
    for name in ("predictions.jsonl", "predictions.graph-removed.jsonl"):
        assert sorted(lines(run, name), key=str) == sorted(lines(whole, name), key=str)
    with pytest.raises(UserError, match="nothing is left to resume"):
        evaluate(RECIPE, output=run, resume=True, model=parrot())


def test_a_torn_last_line_is_dropped_and_asked_again(tmp_path):
    run, said = tmp_path / "run", []
    with pytest.raises(UserError):
        evaluate(RECIPE, output=run, model=parrot(lives=6))
    path = run / "predictions.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    again = parrot(name="another")
    evaluate(RECIPE, output=run, resume=True, model=again, say=said.append)
    assert any("a torn last line is dropped" in line for line in said)
    assert len(again.engine.asked) == 7 + 4 and len(lines(run)) == 12
    assert len({record["item"] for record in lines(run)}) == 12


def test_what_cannot_be_compared_is_not_gone_on_with(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError):
        evaluate(RECIPE, output=run, model=parrot(lives=6))
    environment = (run / "environment.json").read_text()
    (run / "environment.json").unlink()
    with pytest.raises(UserError, match=r"environment\.json \(it is missing\)"):
        evaluate(RECIPE, output=run, resume=True, model=parrot())
    # A later version may record more of a source.
    content = json.loads(environment)
    content["sources"][0]["colour"] = "blue"
    (run / "environment.json").write_text(json.dumps(content))
    with (run / "predictions.jsonl").open("a") as file:
        file.write("[1, 2]\n")
    with pytest.raises(UserError, match=r"predictions\.jsonl line 7: it holds \[1, 2\], where a record in braces"):
        evaluate(RECIPE, output=run, resume=True, model=parrot())


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError):
        evaluate(RECIPE, output=run, model=parrot(lives=6))
    path = run / "predictions.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    content[2] = content[2][:50] + b"\n"
    path.write_bytes(b"".join(content))
    with pytest.raises(UserError, match=r"predictions\.jsonl line 3: not JSON"):
        evaluate(RECIPE, output=run, resume=True, model=parrot())


def test_predictions_of_another_recipe_are_not_gone_on_with(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError):
        evaluate(RECIPE, output=run, model=parrot(lives=6))
    for change in ({"knobs": {"fanout": 3}}, {"shots": 2}, {"scoring": "likelihood"}, {"model": "other"}):
        other = RECIPE.model_copy(update=change)
        with pytest.raises(UserError, match="started with other settings"):
            evaluate(other, output=run, resume=True, model=parrot())
    retrained = parrot()
    retrained.engine.identity["model"] = "polly the second"
    with pytest.raises(UserError, match="the model changed after"):
        evaluate(RECIPE, output=run, resume=True, model=retrained)
    # A line that was put there by hand, or by a version whose prompts differ.
    records = lines(run)
    records[0]["id"] = records[0]["id"][:-1] + "x"
    (run / "predictions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(UserError, match="which this recipe does not ask"):
        evaluate(RECIPE, output=run, resume=True, model=parrot())
    # Where the model runs, and what is fitted beside it, changes no reply.
    moved = RECIPE.model_copy(update={"engine": "http://elsewhere/v1"})
    (run / "predictions.jsonl").unlink()
    evaluate(moved, output=run, resume=True, model=parrot())


def test_nothing_is_written_when_a_prompt_or_the_model_is_refused(tmp_path):
    for change, message in (
        ({"model": "./nowhere"}, "does not exist"),
        ({"max_new_tokens": 10**6}, "--max-new-tokens"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(RECIPE.model_copy(update=change), output=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_servers_replies_are_kept_in_the_run_alone(tmp_path):
    first, second = Model(Parrot(), ReplyCache(None)), Model(Parrot(), ReplyCache(None))
    evaluate(RECIPE, output=tmp_path / "one", model=first)
    evaluate(RECIPE, output=tmp_path / "two", model=second)
    assert len(second.engine.asked) == 16 and not (tmp_path / "home" / "replies").exists()


def test_there_is_nothing_to_remove_where_no_graph_is_shown(tmp_path):
    recipe = RECIPE.model_copy(update={"level": "no-graph"})
    evaluate(recipe, output=tmp_path / "run", model=parrot())
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["baselines"] == {}


def test_the_same_question_is_asked_once_in_a_lifetime(tmp_path):
    evaluate(RECIPE, output=tmp_path / "one", model=parrot())
    second = parrot()
    evaluate(RECIPE, output=tmp_path / "two", model=second)
    assert second.engine.asked == []
    assert sorted(lines(tmp_path / "one"), key=str) == sorted(lines(tmp_path / "two"), key=str)
    longer = RECIPE.model_copy(update={"max_new_tokens": 7})
    third = parrot()
    evaluate(longer, output=tmp_path / "three", model=third)
    assert len(third.engine.asked) == 16


def test_a_poisoned_cache_is_noticed_and_not_counted(tmp_path):
    evaluate(RECIPE, output=tmp_path / "one", model=parrot())
    path = ReplyCache("parrot").path
    content = path.read_text().splitlines()
    # One reply is edited, one line is cut, and the file ends in the middle of another.
    content[3] = content[3].replace("yes", "no")
    content[5] = content[5][:30]
    path.write_text("\n".join(content)[:-25])
    said: list[str] = []
    model = parrot()
    evaluate(RECIPE, output=tmp_path / "two", model=model, say=said.append)
    assert any("3 damaged lines" in line for line in said) and len(model.engine.asked) == 3
    assert sorted(lines(tmp_path / "one"), key=str) == sorted(lines(tmp_path / "two"), key=str)
    # What was asked again is whole in the file, after the torn line.
    third = parrot()
    evaluate(RECIPE, output=tmp_path / "three", model=third)
    assert third.engine.asked == []


def test_what_stops_an_evaluation_says_how_to_go_on(tmp_path, monkeypatch):
    class Stopped(Parrot):
        def stream(self, conversations, sampling):
            for number, (index, reply) in enumerate(super().stream(conversations, sampling)):
                if number == 3:
                    raise SystemExit(143)  # what the command line makes of SIGTERM
                yield index, reply

    said: list[str] = []
    folder = tmp_path / "a run"
    with pytest.raises(SystemExit):
        evaluate(RECIPE, Model(Stopped(), ReplyCache("parrot")), folder, say=said.append)
    assert said[-1] == f"stopped; continue with: ssl4rl graph eval --resume --output '{folder}'"
    run = evaluate(RECIPE, parrot(), folder, resume=True, max_time=0, say=said.append)
    assert not run.finished and said[-1].startswith("stopped at the time limit; continue with: ssl4rl graph eval")
    with locked(folder), pytest.raises(UserError, match="a run is in use by process"):
        evaluate(RECIPE, parrot(), folder, resume=True)
    assert evaluate(RECIPE, parrot(), folder, resume=True, max_time=3600).finished
    whole = evaluate(RECIPE, parrot(), tmp_path / "whole")
    assert sorted(lines(folder), key=str) == sorted(lines(whole.path), key=str)


def test_a_home_that_cannot_be_written_costs_the_cache_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "file" / "home"))
    said: list[str] = []
    assert evaluate(RECIPE, parrot(), tmp_path / "run", say=said.append).finished
    assert any("replies are in the run alone:" in line and "cannot be written" in line for line in said)


def test_likelihood_takes_the_likeliest_label(tmp_path):
    recipe = RECIPE.model_copy(update={"scoring": "likelihood"})
    evaluate(recipe, output=tmp_path / "run", model=parrot())
    for record in lines(tmp_path / "run"):
        assert record["reply"] == "<answer>no</answer>" and record["logprobs"] == {"yes": -2.0, "no": -1.0}


def test_a_server_without_likelihoods_is_refused_before_anything_is_written(tmp_path):
    class Mute(Parrot):
        def likelihoods(self, conversations, choices):
            raise UserError("the server gives no likelihoods")

    for recipe in (RECIPE.model_copy(update={"scoring": "likelihood"}), EvalRecipe.build({"benchmark": "ranking"})):
        with pytest.raises(UserError, match="gives no likelihoods"):
            evaluate(recipe, output=tmp_path / "run", model=Model(Mute(), ReplyCache("mute")))
        assert not (tmp_path / "run").exists()


def test_ranking_is_scored_by_likelihood_and_a_parrot_is_no_better_than_chance(tmp_path):
    recipe = EvalRecipe.build({"benchmark": "ranking", "limit": 6, "again": 2, "knobs": {"num_candidates": 4}})
    assert recipe.scoring == "likelihood"
    scores = evaluate(recipe, output=tmp_path / "run", model=parrot()).scores
    assert (scores["n"], scores["rows"], scores["accuracy"]) == (6, 24, 0)
    assert scores["ranking"]["mean_rank"] == 2.5 and scores["ranking"]["auc"]["value"] == 0.5
    assert scores["baselines"].keys() == {
        "graph removed", "text only", "common neighbours", "adamic-adar", "degree product",
    }  # fmt: skip
    assert scores["baselines"]["graph removed"]["n"] == 2
    assert scores["baselines"]["graph removed"]["model_minus_baseline"]["difference"] == 0
    assert scores["notes"][0].startswith("ranks are among 4 candidates") and "many ties: in 100%" in scores["notes"][1]
    assert {record["question"] for record in lines(tmp_path / "run")} == {
        record["question"] for record in lines(tmp_path / "run") if record["gold"] == "yes"
    }
    with pytest.raises(UserError, match="benchmark ranking ranks by likelihood; leave out --scoring generate"):
        evaluate("ranking", scoring="generate", model=parrot(), output=tmp_path / "other")


def test_likelihoods_are_of_what_the_prompt_asks_for(tmp_path):
    recipe = RECIPE.model_copy(update={"scoring": "likelihood", "knobs": {"reasoning": False}})
    evaluate(recipe, output=tmp_path / "run", model=parrot())
    assert {record["reply"] for record in lines(tmp_path / "run")} == {"no"}
    with pytest.raises(UserError, match=r"the answer 'so' begins the answer 'so so'.*reasoning=true"):
        list(parrot().reply([[]], [{"a": "so so", "b": "so"}], recipe))


def test_few_shot_examples_are_of_train_and_of_all_classes():
    benchmark = build_benchmark(EvalRecipe(benchmark="node"))
    turns = few_shot(benchmark, choose_shots(benchmark, 8))
    train = type(benchmark)(benchmark.source, split="train")
    answered = {turn["content"] for turn in turns[1::2]}
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 8 and len(answered) > 3
    prompts = {train.example(i).text: train.example(i) for i in range(train.size)}
    shown = [prompts[turn["content"]] for turn in turns[::2]]
    assert {example.meta["class"] for example in shown} == set(benchmark.source.label_names)
    for example, answer in zip(shown, turns[1::2], strict=True):
        assert train.score(answer["content"], example).value == 1
    with pytest.raises(UserError, match="the training split of citations has"):
        choose_shots(benchmark, train.size + 1)


def test_the_paper_level_samples_as_the_paper_does():
    sampling = EvalRecipe(benchmark="node", level="paper").sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.01, 0.001, 1)
    assert EvalRecipe(benchmark="node").sampling.temperature == 0
    with pytest.raises(UserError, match="--scoring 'guess'"):
        EvalRecipe.build({"benchmark": "node", "scoring": "guess"})


def test_the_suite_evaluates_what_is_here_and_names_what_is_not(tmp_path, real_data, monkeypatch):
    from ssl4rl.data.graphs.fetch import fetch

    fetch("cora", real_data / "taglas")
    models: list[Model] = []

    def opened(recipe: EvalRecipe) -> Model:
        models.append(parrot())
        return models[-1]

    monkeypatch.setattr(Model, "open", opened)

    def run_suite(settings, output, *, name="paper", resume=False):
        planned = suite.plan_suite(name, settings, "graph")
        return suite.run_suite(planned, output, resume=resume, say=said.append)

    settings = {"limit": 4, "ablate": [], "baselines": False}
    said: list[str] = []
    folder, rows = run_suite(settings, tmp_path / "suite")
    assert [row["dataset"] for row in rows if "n" in row] == ["cora"]
    assert sum("is left out" in line and "ssl4rl data fetch" in line for line in said) == 6
    cora = rows[0]
    assert (cora["benchmark"], cora["n"], cora["paper"]["3b base"], cora["paper_n"]) == ("node", 4, 0.218, 1000)
    assert {row["benchmark"] for row in rows if row["dataset"] == "products"} == {"node", "link"}
    again, same = run_suite(settings, tmp_path / "suite", resume=True)
    assert (again, same) == (folder, rows) and len(models[1].engine.asked) == 0
    with pytest.raises(UserError, match="other settings"):
        run_suite(settings | {"limit": 5}, tmp_path / "suite", resume=True)
    with pytest.raises(UserError, match="did you mean one-hop"):
        run_suite({"level": "one-hopp"}, tmp_path / "x")
    with pytest.raises(UserError, match="num_hops"):
        run_suite({"knobs": {"hops": 1}}, tmp_path / "x")
    with pytest.raises(UserError, match="--resume needs"):
        run_suite(settings, tmp_path / "nowhere", resume=True)
    assert len(json.loads((folder / "suite.json").read_text())) == 7
    with pytest.raises(UserError, match="unknown suite"):
        run_suite(settings, tmp_path / "x", name="papers")


def test_an_opened_model_beside_a_recipe_is_the_one_that_is_named():
    opened = parrot()
    opened.engine.files = SimpleNamespace(name="models/parrot", notes=[])
    recipe, _ = _resolve(RECIPE, opened, {})
    assert recipe.model == "models/parrot"
    assert _resolve(RECIPE, parrot(), {})[0] == RECIPE


def test_a_reply_that_is_no_text_is_kept_as_it_will_be_read(tmp_path):
    cache = ContentCache(tmp_path / "cache")
    cache.put("key", {"reply": "half \ud83d"})
    assert cache.get("key") == {"reply": "half ?"}
    again = ContentCache(tmp_path / "cache")
    assert again.damaged == 0 and again.get("key") == {"reply": "half ?"}
