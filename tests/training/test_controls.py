"""A recipe beside its controls: what differs, what is compared, and that nothing is trained twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from toys import toy_recipe

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.errors import UserError
from ssl4rl.graph.task import GraphTask
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.graph.view import edge_view
from ssl4rl.runs import open_run
from ssl4rl.training import controls
from ssl4rl.training.controls import CORRUPTIONS, arm_recipe, check_controls, run_controls
from ssl4rl.training.recipe import CONTROLS
from ssl4rl.training.tasks import Tasks
from ssl4rl.vision.tasks.rotation import Rotation

SHORT = {"grpo__max_steps": 2, "grpo__save_steps": 2, "heldout": {"examples": 8, "every": 0}, "seed": 3}


def short_recipe(folder: Path, **settings: Any) -> Any:
    return toy_recipe(folder, tasks=[{"name": "link"}], **{**SHORT, **settings})


@pytest.fixture
def cheap(model_folder: Path) -> Any:
    return short_recipe(model_folder, grpo__per_device_train_batch_size=8, grpo__max_completion_length=4)


@pytest.fixture(scope="module")
def big_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from toys import build_model

    return build_model(tmp_path_factory.mktemp("model"), max_position_embeddings=2048)


def test_arms_are_trained_once_and_compared_on_the_same_examples(big_context: Path, tmp_path: Path) -> None:
    recipe = short_recipe(big_context, grpo__per_device_train_batch_size=8, grpo__max_completion_length=4)
    said: list[str] = []
    arms = run_controls(recipe, ["random", "text"], 2, tmp_path, said.append)
    assert said[1:] == [f"{arm}, seed {seed}" for seed in (3, 4) for arm in ("task", "random", "text")]
    assert [arm.name for arm in arms] == ["task", "random", "text"]
    assert [arm.behind is None for arm in arms] == [True, False, False]
    for arm in arms:
        assert arm.after.n == 16 and len(arm.seeds) == 2
        # All start from the same model, and are asked the same.
        assert arm.before == arms[0].before
    ids = [[each.id for each in open_run(tmp_path / f"{arm}-3").heldout()] for arm in ("task", "random", "text")]
    assert ids[0] == ids[1] == ids[2]
    assert not any("corrupt" in str(example) for example in ids[2])
    assert all("corrupt" in str(each.id) for each in open_run(tmp_path / "text-3").completions())
    written = json.loads((tmp_path / "controls.json").read_text())
    assert [arm["name"] for arm in written["arms"]] == ["task", "random", "text"]
    # What is there is used, and what is not is added.
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    again = run_controls(recipe, ["random"], 2, tmp_path, said.append)
    assert again == arms[:2] and times == {path: path.stat().st_mtime_ns for path in times}
    with pytest.raises(UserError, match="task-3 is a run of another recipe; give another --output"):
        run_controls(recipe.model_copy(update={"refill": 1}), ["random"], 2, tmp_path, said.append)


def test_an_arm_differs_in_its_reward_or_its_prompts_only(cheap: Any) -> None:
    whole = cheap.model_dump()
    for arm in (*CONTROLS, *CORRUPTIONS):
        changed = arm_recipe(cheap, arm, 7).model_dump()
        differing = {key for key in whole if whole[key] != changed[key]}
        assert differing == {"seed", "corrupt" if arm in CORRUPTIONS else "reward"}
    assert CORRUPTIONS == ("text", "edges", "image")


@pytest.mark.parametrize(
    ("settings", "control", "problem"),
    [
        ({}, "nothing", "unknown control 'nothing'"),
        ({"reward": {"kind": "random"}}, "format", r"the recipe is a control already \(reward.kind: random\)"),
        ({"corrupt": "text"}, "format", r"the recipe is a control already \(corrupt: text\)"),
        ({"heldout": {"examples": 0}}, "format", "heldout.examples=0"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings: dict[str, Any], control: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        check_controls(short_recipe(Path(), **settings), [control])


@pytest.mark.parametrize(("task", "corrupt"), [("link", "image"), ("rotation", "text"), ("rotation", "edges")])
def test_a_corruption_of_another_kind_of_source_is_refused_before_anything_is_trained(
    task: str, corrupt: str, tmp_path: Path
) -> None:
    recipe = toy_recipe(tmp_path, tasks=[{"name": task}])
    with pytest.raises(UserError, match=rf"task {task}: task\.corrupt='{corrupt}'"):
        run_controls(recipe, ["random", corrupt], 2, tmp_path / "runs", print)
    assert not (tmp_path / "runs").exists()


def test_an_arm_has_only_settings_that_go_together(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, tasks=[{"name": "link"}], reward={"margin": 1.0})
    with pytest.raises(UserError, match=r"control text: .*reward\.margin needs .* no corrupt"):
        run_controls(recipe, ["text"], 1, tmp_path / "runs", print)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", [Link, Neighbor, Attribute])
def test_texts_are_blanked_and_options_and_answers_stay(kind: type[GraphTask[Any]]) -> None:
    plain, blank = kind(default_graph()), kind(default_graph(), knobs={"corrupt": "text"})
    example = blank.example(0)
    nodes = [line for line in example.text.splitlines() if line.startswith("[")]
    assert nodes and all(line.endswith(("(no description)", "(description hidden)")) for line in nodes)
    assert blank.score(example.reply_with(example.gold), example).value == 1
    assert any(line.startswith("[") and "(no" not in line for line in plain.example(0).text.splitlines())
    for candidate in example.meta.get("candidates", ()):
        assert default_graph().texts[candidate] in example.text


@pytest.mark.parametrize("kind", [Link, Neighbor, Attribute])
def test_rewired_edges_keep_degrees_and_say_nothing(kind: type[GraphTask[Any]]) -> None:
    graph = default_graph()
    task = kind(graph, knobs={"corrupt": "edges"})
    view = edge_view(graph)
    degrees = task.shown[1].degrees
    assert (degrees <= view.visible.degrees).all()
    assert degrees.sum() > 0.99 * view.visible.degrees.sum()  # what remains a self-loop is left out
    shown = [tuple(edge) for index in range(40) for edge in task.example(index).meta["edges"]]
    real = sum(len(view.full.between(*edge)) > 0 for edge in shown)
    assert len(shown) > 40 and real < 0.05 * len(shown)
    example = task.example(0)
    assert task.score(example.reply_with(example.gold), example).value == 1


def test_images_are_grey_and_keep_their_size() -> None:
    plain, grey = Rotation(default_scenes()), Rotation(default_scenes(), knobs={"corrupt": "image"})
    example = grey.example(0)
    assert [image.size for image in example.images] == [image.size for image in plain.example(0).images]
    for image in example.images:
        assert image.getextrema() == ((128, 128),) * 3
    assert len({grey.example(index).id.hash for index in range(8)}) == 8


def test_held_out_prompts_are_never_corrupted() -> None:
    tasks = Tasks.of(Link(default_graph())).corrupted("text")
    assert tasks.train.knobs.corrupt == "text" and tasks.heldout.knobs.corrupt is None
    assert controls.TASK not in CONTROLS
