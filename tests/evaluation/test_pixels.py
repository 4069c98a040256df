"""Images are asked about in the size that training showed them in, or it is said that they are not."""

import json
import sys
from pathlib import Path

import pytest
import yaml

import ssl4rl
from ssl4rl.cli.main import main
from ssl4rl.errors import UserError
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.model import Model, unlike_training
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.run import evaluate
from ssl4rl.inference.engines import Reply
from ssl4rl.models import TINY, TINY_VISION
from ssl4rl.runs import open_run


class Looking:
    """Keeps the sizes of the images that it gets."""

    files = None

    def __init__(self) -> None:
        self.identity = {"engine": "script", "model": "looking"}
        self.sizes: list[tuple[int, int]] = []

    def stream(self, conversations, sampling):
        for index, conversation in enumerate(conversations):
            self.sizes += [
                part["image"].size
                for turn in conversation
                if not isinstance(turn["content"], str)
                for part in turn["content"]
                if part["type"] == "image"
            ]
            yield index, Reply("<answer>A</answer>", 3, False)


def asked(output: Path, **settings) -> list[tuple[int, int]]:
    engine = Looking()
    recipe = EvalRecipe.build({"benchmark": "choice", "limit": 3, "ablate": [], "baselines": False, **settings})
    evaluate(recipe, Model(engine, ReplyCache(None)), output, say=lambda _: None)
    return engine.sizes


def test_images_are_scaled_into_the_bounds_also_in_shots(tmp_path: Path) -> None:
    whole = asked(tmp_path / "whole", shots=1)
    assert len(whole) == 6 and all(width * height > 400 for width, height in whole)
    assert all(width * height <= 400 for width, height in asked(tmp_path / "small", shots=1, max_pixels=400))
    assert all(width * height >= 40_000 for width, height in asked(tmp_path / "large", shots=1, min_pixels=40_000))


def test_the_command_line_takes_the_keys_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["ssl4rl", "vision", "eval", "--benchmark", "choice", "--limit", "2"]
    command += ["--ablate", "none", "--no-baselines"]
    command += ["--max-new-tokens", "2", "--set", "model.max_pixels=400", "--output", "run"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, capsys.readouterr().err
    assert open_run("run").config["max_pixels"] == 400


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_pixels": 0}, r"--set model\.max_pixels 0: "),
        ({"max_pixels": "many"}, r"--set model\.max_pixels "),
        ({"min_pixels": 9, "max_pixels": 4}, r"model\.min_pixels=9 is more than model\.max_pixels=4"),
        ({"chat_template_kwargs": 5}, r"--set model\.chat_template_kwargs 5: "),
    ],
)
def test_impossible_bounds_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EvalRecipe.build({"benchmark": "choice", **settings})


def test_a_model_without_images_has_no_bounds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.max_pixels: model 'tiny' reads no images"):
        ssl4rl.evaluate("node", TINY, output=tmp_path / "run", max_pixels=400, limit=1)


def test_a_run_that_was_trained_in_another_way_is_said(tmp_path: Path) -> None:
    def line(model: str, **settings: object) -> str | None:
        return unlike_training(EvalRecipe.build({"benchmark": "choice", "model": model, **settings}))

    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    config = {"tasks": [], "model": {"path": "x", "max_pixels": 400, "chat_template_kwargs": {"thinking": False}}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for model in (run, run / "model"):
        said = line(str(model))
        assert said == (
            f'{run} was trained with model.max_pixels=400, model.chat_template_kwargs={{"thinking": false}}, and is '
            "asked with model.max_pixels=null, model.chat_template_kwargs=null; --set makes them the same"
        )
        assert line(str(model), max_pixels=400, chat_template_kwargs={"thinking": False}) is None
    assert line(TINY_VISION) is None and line(str(tmp_path)) is None
    for content in ("a: 1\n", "[", "tasks: []\nmodel: none\n", json.dumps({"benchmark": "choice", "model": "x"})):
        (run / "config.yaml").write_text(content)
        assert line(str(run)) is None
