"""Vision-language models train on images: the architecture of the paper, on all four tasks, on real photos."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from qwen_vl import build_qwen_vl
from toys import build_model, make_trainer, train_toys

import ssl4rl
from ssl4rl.answers import Scoring
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.records import read_lines
from ssl4rl.training.preparation import prepare
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.run import train
from ssl4rl.training.tasks import Tasks, build_tasks
from ssl4rl.vision.tasks.jigsaw import Jigsaw

SMALL = [
    "grpo.max_steps=2",
    "grpo.save_steps=2",
    "grpo.per_device_train_batch_size=8",
    "grpo.gradient_accumulation_steps=1",
    "grpo.num_generations=4",
    "grpo.max_completion_length=8",
    "grpo.learning_rate=1e-2",
    "grpo.lr_scheduler_type=constant",
    "heldout.examples=4",
    "engine=transformers",
]
CONFIGS = Path(__file__).parents[2] / "configs"
MULTIMODAL = Path(sys.prefix) / "multimodal"


class Letters(Jigsaw):
    """Scores the letters e of a reply: a random model earns something at once."""

    def draft(self, index: int, rng: Any) -> Any:
        return replace(super().draft(index, rng), scoring=Scoring("score_letters", {}))


def letters_task() -> Tasks:
    return Tasks.of(Letters(default_scenes()))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Heads of 32: vLLM's attention on the CPU takes few other sizes.
    return build_qwen_vl(tmp_path_factory.mktemp("qwen"), hidden_size=64)


@pytest.fixture(scope="module")
def photos(real_data: Path) -> str:
    return str(real_data / "photos" / "coco")


@pytest.mark.parametrize(
    "settings",
    [
        ["rotation"],
        ["jigsaw", "task.n=3"],
        ["contrastive"],
        ["position"],
        ["rotation", "jigsaw"],
        ["rotation", "jigsaw", "share_prompt=false"],
    ],
    ids="+".join,
)
def test_every_task_trains_on_photos(settings: list[str], qwen: Path, photos: str, tmp_path: Path) -> None:
    knobs = [setting for setting in settings if "=" in setting]
    recipe = load_recipe(
        tasks=[task for task in settings if "=" not in task],
        dataset=photos,
        model=str(qwen),
        overrides=[*SMALL, *knobs, "task.size=112"],
        side="vision",
    )
    run = train(recipe, tmp_path / "run").path
    assert [line["step"] for line in read_lines(run / "metrics.jsonl") if "loss" in line] == [1, 2]
    assert json.loads((run / "summary.json").read_text())["dataset"] == "coco"
    # The final model is whole: processor, weights, tokenizer.
    assert ModelFiles(str(run / "model")).reads_images


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from transformers import AutoModelForImageTextToText

    return dict(AutoModelForImageTextToText.from_pretrained(folder).named_parameters())


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_vision_tower_can_be_frozen(frozen: bool, lora: bool, qwen: Path, tmp_path: Path) -> None:
    overrides = [*SMALL, "heldout.examples=0", f"model.freeze_vision={frozen}", *(["model.lora.r=4"] if lora else [])]
    recipe = load_recipe(tasks=["jigsaw"], model=str(qwen), overrides=overrides, side="vision")
    run = train_toys(recipe, tmp_path / "run", letters_task()).path
    before, after = _weights(qwen), _weights(run / "model")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("language_model" in name for name in moved)
    assert any("visual" in name for name in moved) is not frozen
    if lora:
        from safetensors import safe_open

        with safe_open(run / "checkpoint-2" / "adapter_model.safetensors", "pt") as adapters:
            assert any("visual" in name for name in adapters.keys()) is not frozen  # noqa: SIM118


def test_swapping_two_images_changes_the_log_probabilities(qwen: Path, tmp_path: Path) -> None:
    """So the images arrive, and each in its place; with the prompt shared and without."""
    for share in (True, False):
        overrides = [*SMALL, f"share_prompt={share}"]
        recipe = load_recipe(tasks=["jigsaw"], model=str(qwen), overrides=overrides, side="vision")
        trainer = make_trainer(recipe, tmp_path / f"run-{share}", letters_task())
        trainer.model.train()
        batch = trainer._generate_and_score_completions([{"index": index} for index in (0, 0, 0, 0, 1, 1, 1, 1)])

        def logps(images: torch.Tensor, trainer: Any = trainer, batch: Any = batch) -> torch.Tensor:
            names = ("image_grid_thw", "num_images", "mm_token_type_ids")
            with torch.no_grad():
                return trainer._get_per_token_logps_and_entropies(
                    trainer.model,
                    torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
                    torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
                    batch["completion_ids"].shape[1],
                    pixel_values=images,
                    **{name: batch[name] for name in names},
                )[0]

        pixels = batch["pixel_values"]
        # Two patches of every completion of the first example change places.
        patch = len(pixels) // sum(batch["num_images"])
        swapped = pixels.clone()
        for completion in range(4):
            at = completion * 4 * patch
            swapped[at : at + patch], swapped[at + patch : at + 2 * patch] = (
                pixels[at + patch : at + 2 * patch],
                pixels[at : at + patch],
            )
        difference = (logps(pixels) - logps(swapped)).abs().sum(1)
        assert (difference[:4] > 1e-4).all() and (difference[4:] == 0).all()


def test_bounds_on_pixels_bound_the_tokens(qwen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = {}
    for most in (4 * 28 * 28, 16 * 28 * 28):
        overrides = [*SMALL, "heldout.examples=0", "grpo.max_steps=1", f"model.max_pixels={most}"]
        recipe = load_recipe(tasks=["rotation"], model=str(qwen), overrides=overrides, side="vision")
        train(recipe, tmp_path / str(most))
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("longest prompt"))
        tokens[most] = int(line.split(" tokens, ")[1].split(" of them for 2 image(s)")[0])
    assert tokens == {4 * 28 * 28: 8, 16 * 28 * 28: 32}


def test_a_vision_language_model_trains_on_graphs(qwen: Path, tmp_path: Path) -> None:
    recipe = load_recipe(tasks=["link"], model=str(qwen), overrides=SMALL)
    run = train(recipe, tmp_path / "run").path
    assert [line["step"] for line in read_lines(run / "metrics.jsonl") if "loss" in line] == [1, 2]


def test_what_cannot_be_is_said_before_the_model_is_loaded(qwen: Path, tmp_path: Path) -> None:
    text = build_model(tmp_path / "text", max_position_embeddings=4096)
    recipe = load_recipe(tasks=["rotation"], model=str(text), overrides=SMALL, side="vision")
    with pytest.raises(UserError, match="reads no images; use a vision-language model, such as tiny-vision"):
        train(recipe, tmp_path / "run")
    recipe = load_recipe(tasks=["link"], model=str(text), overrides=[*SMALL, "model.freeze_vision=true"])
    with pytest.raises(UserError, match=r"model.freeze_vision: .* reads no images"):
        train(recipe, tmp_path / "run")
    recipe = load_recipe(tasks=["link"], model=str(text), overrides=[*SMALL, "model.max_pixels=1000"])
    with pytest.raises(UserError, match=r"model.max_pixels: .* reads no images"):
        train(recipe, tmp_path / "run")
    with pytest.raises(UserError, match="min_pixels=2000 is more than max_pixels=1000"):
        load_recipe(overrides=["model.min_pixels=2000", "model.max_pixels=1000"], side="vision")
    recipe = load_recipe(tasks=["link", "rotation"], model=str(text), overrides=[*SMALL, "tasks.1.weight=0.001"])
    with pytest.raises(UserError, match="reads no images"):
        train(recipe, tmp_path / "run")
    # 64 patches of up to 144 tokens do not fit into 2,048.
    overrides = [*SMALL, "task.n=6", "task.size=2016"]
    recipe = load_recipe(tasks=["jigsaw"], model=str(qwen), overrides=overrides, side="vision")
    with pytest.raises(UserError, match=r"prompt of example scenes/train/jigsaw.* lower task\.size"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_given_is_the_tiny_model_on_drawn_scenes() -> None:
    recipe = load_recipe(side="vision")
    assert recipe.model.path == "tiny-vision" and [entry.name for entry in recipe.tasks] == ["rotation"]
    assert build_tasks(recipe).train.source.name == "scenes"


@pytest.mark.slow
@pytest.mark.skipif(not MULTIMODAL.is_dir(), reason="vLLM's multimodal models need torchvision")
def test_vllm_samples_from_what_is_trained(qwen: Path, tmp_path: Path) -> None:
    """Log-probabilities of vLLM in process are the trainer's while the weights move: the same images, as expanded."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_train_vision import SMALL, letters_task
from toys import score_letters, train_toys
from ssl4rl.answers import FUNCTIONS
from ssl4rl.training.recipe_file import load_recipe
FUNCTIONS["score_letters"] = score_letters
overrides = [*SMALL, "engine=vllm", "grpo.max_steps=3", "grpo.save_steps=3"]
recipe = load_recipe(tasks=["jigsaw"], model={str(qwen)!r}, overrides=overrides, side="vision")
train_toys(recipe, Path({str(tmp_path / "run")!r}), letters_task())
"""
    environment = {**os.environ, "PYTHONPATH": str(MULTIMODAL)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    steps = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    # Image and control tokens are never sampled, which takes their share from vLLM's distribution alone.
    assert max(step["sampling/sampling_logp_difference/mean"] for step in steps) < 0.05
    before, after = _weights(qwen), _weights(tmp_path / "run" / "model")
    assert any("visual" in name and not torch.equal(before[name], after[name]) for name in before)


def grids() -> list[tuple[str, ...]]:
    """What the paper trains for its tables, as ``task@level``, the combination included."""
    variants = {
        "rotation": "rotation@paper",
        "jigsaw": "jigsaw@paper",
        "contrastive": "contrastive@paper",
        "position": "position@paper",
        "rotation-90": "rotation@paper",
        "rotation-45": "rotation@paper-45",
        "contrastive-weak": "contrastive@paper",
        "contrastive-strong": "contrastive@paper-strong",
        **{f"{task}-2x2": f"{task}@paper" for task in ("jigsaw", "position")},
        **{f"{task}-{n}x{n}": f"{task}@paper-{n}x{n}" for task in ("jigsaw", "position") for n in (3, 4, 5)},
    }
    tables = json.loads((Path(ssl4rl.__file__).parent / "evaluation" / "paper" / "paper_tables.json").read_text())
    tables = [table for name, table in tables.items() if name.startswith("table") and "graph" not in name]
    rows = {row for table in tables for row in table["rows"]}
    combination = tuple(variants[task] for task in ("rotation", "jigsaw", "contrastive", "position"))
    found = {combination if row == "combination" else (variants[row],) for row in rows - {"base"}}
    return sorted(found)


@pytest.mark.parametrize("variants", grids(), ids="+".join)
def test_every_grid_of_the_paper_is_one_recipe_and_a_level(
    variants: tuple[str, ...], qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    tasks, levels = zip(*(variant.split("@") for variant in variants), strict=True)
    for model in ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"):
        level = None if levels[0] == "paper" else levels[0]
        recipe = load_recipe(CONFIGS / "paper-vision.yaml", tasks=tasks, level=level, model=model, side="vision")
        # Its own files are a download away; a tiny model of its kind measures the prompts.
        recipe.model.path = str(qwen)
        recipe.heldout.examples = 0
        recipe.grpo["max_completion_length"] = 512
        run = prepare(recipe)
        assert run.plan.prompts_per_generation == 512 and run.plan.generation_batch_size == 2560 and run.risks == []
        assert run.tasks.train.label == "+".join(variants) and run.longest.images >= 1


def _folder_of_scenes(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        default_scenes().open(number).save(path)
    return paths


def test_one_truncated_photo_ends_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = _folder_of_scenes(tmp_path / "photos", 40)
    paths[3].write_bytes(paths[3].read_bytes()[:-200])
    settings = [*SMALL, "heldout.examples=0", "grpo.max_steps=1", "grpo.save_steps=1"]
    recipe = load_recipe(overrides=settings, tasks=["rotation"], dataset=str(tmp_path / "photos"), side="vision")
    with pytest.raises(UserError, match=r"1 of 40 in photos cannot be read, more than max_broken=0\.01"):
        prepare(recipe)
    run = train(recipe.model_copy(update={"max_broken": 0.05}), tmp_path / "run")
    output = capsys.readouterr().out
    assert run.finished and "1 of 40 in photos cannot be read and is passed over:" in output
    assert f"{paths[3]} is broken" in output


def test_a_photo_that_breaks_later_is_drawn_around(tmp_path: Path) -> None:
    paths = _folder_of_scenes(tmp_path / "photos", 8)
    task = ssl4rl.task("rotation", str(tmp_path / "photos"))
    before = [task.example(index) for index in range(30)]
    broken = before[0].meta["files"][0]
    (tmp_path / "photos" / broken).write_bytes(paths[0].read_bytes()[:500])
    after = [task.example(index) for index in range(30)]
    assert all(broken not in example.meta["files"] for example in after)
    assert all(a.id == b.id for a, b in zip(after, before, strict=True) if broken not in b.meta["files"])
    assert any(broken in reason for reason in task.redrawn)
