"""``ssl4rl audit`` on tasks without a fault, with planted ones, and as it is typed wrongly."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import ssl4rl
from ssl4rl.cli import main
from ssl4rl.drafts import inserted
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.registry import TASKS


@pytest.fixture
def audit(monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssl4rl", "audit", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


@pytest.fixture
def planted(monkeypatch):
    """Registers a task for one test."""

    def register(kind):
        monkeypatch.setitem(TASKS._loaded, kind.name, kind)
        return kind.name

    return register


def test_a_task_without_a_fault_passes_and_says_what_it_needs(audit):
    code, out, err = audit("--task", "link", "--level", "easy", "--examples", "150")
    assert code == 0 and "nothing failed" in out and "checking link@easy on citations" in err
    assert "passed       contract  train 150 examples" in out
    assert "needs     val   texts alone: shared words" in out and "structure alone" in out
    # So few examples could not have shown a shortcut, and are not said to have none.
    assert "not testable rule" in out


def test_every_level_and_benchmark_is_checked(audit):
    code, out, _ = audit("--benchmark", "link", "--examples", "40", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {line["split"] for line in lines} == {"test"}
    assert {line["task"] for line in lines} == {f"link@{level}" for level in ssl4rl.benchmark("link").levels}


class Popular(Neighbor):
    """The right candidate is offered beside nodes that hardly anything links to."""

    name = "popular"

    def draft(self, index, rng):
        degrees = self.view.visible.degrees
        order = np.argsort(degrees, kind="stable")
        slot = self.slot(index, 4)
        wrong = rng.choice(order[:1000], 3, replace=False).tolist()
        candidates = inserted(int(rng.choice(order[-1000:])), wrong, slot)
        draft = super().draft(index, rng)
        options = "\n".join(f"{'ABCD'[i]}: {self.source.texts[node]} {node}" for i, node in enumerate(candidates))
        return replace(
            draft,
            parts=(f"Which one?\n{options}\nAnswer with one letter from A to D and nothing else.",),
            scoring=replace_scoring(draft.scoring, "ABCD"[slot]),
            gold="ABCD"[slot],
            chance=0.25,
            meta={"candidates": candidates, "asked": []},
        )


def replace_scoring(scoring, letter):
    return type(scoring)("score_any_of", {"accepted": [letter], "choices": list("ABCD")})


class Leaky(Link):
    """The prompt ends with the answer's edge."""

    name = "leaky"

    def draft(self, index, rng):
        draft = super().draft(index, rng)
        number = {node: key for key, node in draft.meta["nodes"].items()}
        one, other = (number[node] for node in draft.meta["asked"])
        [text] = draft.parts
        shown = text.replace("\nEdges:", f"\nEdges:\n[{one}] -- [{other}]", 1)
        return replace(draft, parts=(shown,), meta={**draft.meta, "edges": [*draft.meta["edges"], [one, other]]})


@pytest.mark.parametrize(
    ("kind", "check", "found"),
    [(Popular, "rule", "highest visible degree"), (Leaky, "leak", "shows the asked edge")],
)
def test_a_planted_fault_fails(audit, planted, kind, check, found):
    code, out, _ = audit("--task", planted(kind), "--level", "easy", "--examples", "400", "--json")
    failed = [json.loads(line) for line in out.splitlines() if '"failed"' in line]
    assert code == 1 and any(line["check"] == check and found in line["found"] for line in failed)


@pytest.mark.parametrize(("level", "verdict"), [("paper", "failed"), ("easy", "not testable")])
def test_the_papers_rotation_gives_the_angle_away_by_its_images_traits(audit, level, verdict):
    code, out, _ = audit("--task", "rotation", "--level", level, "--examples", "120", "--json")
    traits = [line for line in map(json.loads, out.splitlines()) if line["check"] == "traits"]
    assert {line["verdict"] for line in traits} == {verdict} and code == (verdict == "failed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --task NAME and --benchmark NAME"),
        (["--task", "link", "--benchmark", "node"], "give one of"),
        (["--task", "lnk"], "did you mean link"),
        (["--task", "link", "--level", "hardest"], "hardest"),
        (["--task", "link", "--level", "relation"], "relation"),
        (["--task", "link", "--set", "num_hops=2"], "did you mean task.num_hops=2"),
        (["--benchmark", "node", "--dataset", "nowhere"], "nowhere"),
        (["--task", "link", "--trained-on", "nowhere"], "nowhere"),
        (["--task", "rotation", "--level", "easy", "--model", "tiny"], "reads no images"),
        (["--task", "link", "--model", "./no-such-folder"], "no-such-folder"),
    ],
)
def test_mistakes_are_told_in_one_line(audit, arguments, message):
    code, out, err = audit(*arguments)
    assert code == 2 and out == "" and message in err and len(err.splitlines()) == 1


def test_a_benchmark_is_compared_with_what_was_trained_on(audit):
    asked = ["--benchmark", "node", "--level", "no-graph", "--examples", "40", "--json"]
    code, out, _ = audit(*asked, "--trained-on", "citations")
    [overlap] = [line for line in map(json.loads, out.splitlines()) if line["check"] == "overlap"]
    # The same data: its own other nodes are meant, and they have no copies.
    assert code == 0 and overlap["verdict"] == "passed" and "other nodes of citations" in overlap["found"]


def test_a_model_is_asked_what_its_replies_rest_on(audit, monkeypatch):
    monkeypatch.setattr("ssl4rl.audit.behaviour.SAMPLE", 8)
    asked = ["--benchmark", "node", "--level", "one-hop", "--examples", "40", "--json", "--model", "tiny"]
    code, out, err = audit(*asked)
    found = [line["found"] for line in map(json.loads, out.splitlines()) if line["check"] == "model"]
    assert code == 0 and "asking the model about node@one-hop on citations" in err
    assert [line.split(":")[0] for line in found] == ["options reordered", "first words alone"]


def test_a_set_without_images_to_try_on_is_not_testable(audit, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))
    for number in range(12):
        # Of a single image for training, none is left to hold out.
        folder = tmp_path / "set" / ("train" if number < 1 else "test")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(256, size=(64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    code, out, _ = audit(
        "--task", "rotation", "--level", "easy", "--dataset", str(tmp_path / "set"), "--examples", "20"
    )
    assert "not testable traits    val   its images: " in out and code in (0, 1)
