"""Flat groups are replaced by fresh ones: what is trained on, what is said about it, and that it resumes."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from processes import run_processes
from qwen_vl import build_qwen_vl
from safetensors.torch import load_file
from toys import Letters, Toy, ToySource, make_trainer, toy_recipe, toy_tasks, train_toys
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from ssl4rl.answers import FUNCTIONS, Score, Scoring
from ssl4rl.data.images.scenes import default_scenes
from ssl4rl.mixture import Mixture
from ssl4rl.records import Completion, read_lines
from ssl4rl.training.callbacks import GUARDED, ScaledUpdates
from ssl4rl.training.refill import FreshExamples, is_flat
from ssl4rl.training.tasks import Tasks
from ssl4rl.vision.tasks.jigsaw import Jigsaw


def score_has(reply: str, letters: str) -> Score:
    """1 if the reply holds one of the letters: a random model earns it now and then, so that some groups are flat."""
    return Score.of(float(any(letter in reply for letter in letters)), reply)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FUNCTIONS, "score_has", score_has)


class Has(Toy):
    """Does the reply hold the letter e or a? Where the answer is no, nothing earns anything, and the group is flat."""

    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_has", {"letters": "ea" if gold == "yes" else ""})


class TakesTurns(Has):
    """Its right answers alternate."""

    name = "turns"

    @property
    def num_slots(self) -> int:
        return 2


class HasPieces(Jigsaw):
    """The same on images; every second example is flat."""

    def draft(self, index: int, rng: Any) -> Any:
        letters = "ea" if rng.integers(2) else ""
        return replace(super().draft(index, rng), scoring=Scoring("score_has", {"letters": letters}))


def sampled_batch(trainer: Any, first: int = 0, groups: int = 4) -> dict[str, Any]:
    trainer.model.train()
    size = trainer.num_generations
    rows = [{"index": index} for index in range(first, first + groups) for _ in range(size)]
    batch: dict[str, Any] = trainer._generate_and_score_completions(rows)
    return batch


def check_spliced(trainer: Any, batch: dict[str, Any]) -> list[Completion]:
    """Prompts, completions, advantages and records are of the same rows; the records of everything sampled."""
    refilled = trainer._refilled
    records, size = refilled.batch.records, trainer.num_generations
    for row, record in enumerate(records):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        reply = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        example = trainer._reward.task.example(refilled.batch.indices[row])
        assert example.id == record.id and prompt == refilled.batch.prompt_ids[row]
        shown = trainer._files.tokenizer.decode(prompt)
        assert all(part in shown for part in example.parts if isinstance(part, str))
        assert trainer._files.decode(reply) == record.reply
    flat = [is_flat(r.reward for r in records[start : start + size]) for start in range(0, len(records), size)]
    assert refilled.flat == [group for group in flat for _ in range(size)]
    assert batch["moving"].tolist() == [float(not group) for group in refilled.flat]
    for group, start in zip(flat, range(0, len(records), size), strict=True):
        assert bool(batch["advantages"][start : start + size].abs().max() == 0) is group
    everything: list[Completion] = refilled.everything
    assert [r for r in everything if r.selected] == sorted(records, key=everything.index)
    return everything


def test_a_group_is_flat_when_its_rewards_are_equal() -> None:
    assert is_flat([0.5, 0.5]) and is_flat([0.1 + 0.2, 0.3]) and not is_flat([0.0, 0.0, 1.0])


def test_fresh_examples_have_the_same_place_and_none_occurs_twice() -> None:
    task = TakesTurns(ToySource())
    fresh = FreshExamples(task, 100)
    asked = [0, 0, 1, 2, 7, 7, 7]
    given = [fresh.like(index) for index in asked]
    assert len(set(given)) == len(given) and min(given) >= 100 and fresh.position == max(given) + 1
    assert [task.slot(index, 2) for index in given] == [task.slot(index, 2) for index in asked]
    mixture = Mixture([task, Letters(ToySource())])
    fresh = FreshExamples(mixture, 50)
    for index in range(20):
        assert mixture.place(fresh.like(index))[0] is mixture.place(index)[0]


@pytest.mark.parametrize("share", [True, False])
def test_flat_groups_are_replaced(model_folder: Path, tmp_path: Path, share: bool) -> None:
    recipe = toy_recipe(model_folder, refill=3, share_prompt=share)
    trainer = make_trainer(recipe, tmp_path / "run", toy_tasks(TakesTurns))
    batch = sampled_batch(trainer)
    everything = check_spliced(trainer, batch)
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert metrics["refill/rounds"] >= 1 and metrics["flat/after"] < metrics["flat/before"]
    assert metrics["flat/after"] == metrics["frac_reward_zero_std"]
    assert (metrics["sampled"], metrics["selected"]) == (len(everything), 16) and len(everything) > 16
    # The reward is that of the batch before anything was selected.
    assert metrics["reward"] == pytest.approx(sum(r.reward for r in everything[:16]) / 16)
    assert metrics["reward/sampled"] == pytest.approx(sum(r.reward for r in everything) / len(everything))
    assert metrics["reward/selected"] == pytest.approx(sum(r.reward for r in everything if r.selected) / 16)
    # Replaced examples come from where no batch draws, each with the place of the one that it replaces.
    assert all(index < 4 or index >= 16 for index in trainer._refilled.batch.indices)
    task = TakesTurns(ToySource())
    for place, index in enumerate(trainer._refilled.batch.indices[::4]):
        assert task.slot(index, 2) == task.slot(place, 2)


def test_a_model_that_cannot_be_read_is_asked_no_more(model_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_recipe(model_folder, refill=3), tmp_path / "run", toy_tasks(Toy))
    everything = check_spliced(trainer, sampled_batch(trainer))
    assert len(everything) == 16 and not any(record.valid for record in everything)
    assert trainer._metrics["train"]["refill/rounds"] == [0] and trainer._metrics["train"]["flat/after"] == [1]


def test_no_refill_keeps_the_batch(model_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_recipe(model_folder, refill=0), tmp_path / "run", toy_tasks(Has))
    everything = check_spliced(trainer, sampled_batch(trainer))
    assert len(everything) == 16 and all(record.selected for record in everything)
    assert trainer._metrics["train"]["refill/rounds"] == [0] and trainer._fresh.position == 16


def test_images_are_spliced_with_their_prompts(tmp_path: Path) -> None:
    """A mixture of examples with images and without: pixels, grids and counts are those of the selected examples."""
    model = build_qwen_vl(tmp_path / "qwen")
    tasks = Tasks.of(Mixture([HasPieces(default_scenes()), Has(ToySource())]))
    recipe = toy_recipe(model, refill=3, grpo__per_device_train_batch_size=32)
    trainer = make_trainer(recipe, tmp_path / "run", tasks)
    batch = sampled_batch(trainer, groups=8)
    everything = check_spliced(trainer, batch)
    assert len(everything) > 32
    examples = [trainer._reward.task.example(index) for index in trainer._refilled.batch.indices]
    assert batch["num_images"] == [len(example.images) for example in examples]
    assert {len(example.images) for example in examples} == {0, 4}
    processor = trainer._files.processor.image_processor
    alone = [processor(images=example.images, return_tensors="pt") for example in examples if example.images]
    assert torch.equal(batch["pixel_values"], torch.cat([each["pixel_values"] for each in alone]))
    metrics = trainer._metrics["train"]
    for name in ("reward/toy@medium", "parsed/jigsaw@medium", "valid/jigsaw@medium", "answers/commonest"):
        assert len(metrics[name]) == 1


class Engine:
    """Samples as vLLM would, from the trainer's own model, and tells the log-probabilities: server and colocated."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.calls: list[int] = []

    def _sample(self, prompt: list[int]) -> tuple[list[int], list[float]]:
        model, reply, logps = self.trainer.model, [], []
        with torch.no_grad():
            while len(reply) < self.trainer.max_completion_length:
                distribution = model(torch.tensor([prompt + reply])).logits[0, -1].log_softmax(-1)
                token = int(torch.multinomial(distribution.exp(), 1))
                reply.append(token)
                logps.append(float(distribution[token]))
                if token in self.trainer.eos_token_ids:
                    break
        return reply, logps

    def generate(self, prompts: list[Any], sampling_params: Any = None, n: int = 1, **_: Any) -> Any:
        self.calls.append(len(prompts))
        if sampling_params is None:
            found = [self._sample(prompt) for prompt in prompts for _ in range(n)]
            logprobs = [[[logp] for logp in logps] for _, logps in found]
            return {"prompt_ids": prompts, "completion_ids": [reply for reply, _ in found], "logprobs": logprobs}
        outputs = []
        for prompt in prompts:
            reply, logps = self._sample(prompt["prompt_token_ids"])
            said = [{t: SimpleNamespace(rank=1, logprob=p)} for t, p in zip(reply, logps, strict=True)]
            outputs.append(
                SimpleNamespace(
                    prompt_token_ids=prompt["prompt_token_ids"],
                    outputs=[SimpleNamespace(token_ids=reply, logprobs=said)],
                )
            )
        return outputs


@pytest.mark.parametrize("mode", ["server", "colocate"])
def test_log_probabilities_of_an_engine_are_spliced(
    model_folder: Path, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's own client of vLLM, on a stub of the engine."""
    trainer = make_trainer(toy_recipe(model_folder, refill=3), tmp_path / "run", toy_tasks(Has))
    engine = Engine(trainer)
    monkeypatch.setattr(vllm_generation, "SamplingParams", lambda **settings: settings, raising=False)
    client = VLLMGeneration.__new__(VLLMGeneration)
    settings = {
        **dict.fromkeys(("min_p", "structured_outputs_regex")),
        "mode": mode,
        "model": trainer.model,
        "accelerator": trainer.accelerator,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "max_completion_length": trainer.max_completion_length,
        "logprobs": 0,
        "generation_kwargs": {},
        "tensor_parallel_size": 1,
        "enable_sleep_mode": False,
        "vllm_client": engine,
        "llm": engine,
        "sync_weights": lambda: None,
    }
    for name, value in settings.items():
        setattr(client, name, value)
    trainer.vllm_generation, trainer.use_vllm, trainer._share_sampling = client, True, False
    trainer._last_loaded_step = -1
    batch = sampled_batch(trainer)
    check_spliced(trainer, batch)
    metrics = trainer._metrics["train"]
    assert metrics["refill/rounds"][-1] >= 1 and len(engine.calls) == metrics["refill/rounds"][-1] + 1
    assert metrics["sampling/sampling_logp_difference/max"][-1] < 1e-4
    assert trainer._refilled.batch.logprobs is not None


@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_vllm_in_process_refills(model_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba")
    recipe = toy_recipe(
        model_folder,
        engine="vllm",
        refill=2,
        heldout={"examples": 0},
        grpo__learning_rate=1e-2,
        grpo__generation_kwargs={"logit_bias": None},
    )
    run = train_toys(recipe, tmp_path / "run", toy_tasks(Has)).path
    steps = [line for line in read_lines(run / "metrics.jsonl") if "loss" in line]
    assert max(step["sampling/sampling_logp_difference/mean"] for step in steps) < 1e-3
    assert max(step["refill/rounds"] for step in steps) >= 1


def metrics_of(run: Path) -> list[dict[str, Any]]:
    timings = {"seconds", "step_time"}
    return [{k: v for k, v in line.items() if k not in timings} for line in read_lines(run / "metrics.jsonl")]


def test_a_resumed_run_draws_the_same_fresh_examples(model_folder: Path, tmp_path: Path) -> None:
    settings = {"refill": 2, "heldout": {"examples": 0}, "log_completions_every": 1, "scale_updates": True}
    whole = train_toys(toy_recipe(model_folder, **settings), tmp_path / "whole", toy_tasks(Has)).path
    state = json.loads((whole / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["ssl4rl.fresh_examples"]["position"] > 16
    lines = list(read_lines(whole / "completions.jsonl"))
    replaced = {line["id"] for line in lines if not line["selected"]}
    assert replaced and replaced.isdisjoint(line["id"] for line in lines if line["selected"])
    # No example is asked about twice in a run.
    assert len({(line["id"], line["step"]) for line in lines}) == len({line["id"] for line in lines})
    for line in metrics_of(whole):
        step = [each for each in lines if each["step"] == line["step"]]
        assert line["sampled"] == len(step) and line["selected"] == sum(each["selected"] for each in step) == 16
        assert line["reward/sampled"] == pytest.approx(sum(each["reward"] for each in step) / len(step))
        assert line["reward"] == pytest.approx(sum(each["reward"] for each in step[:16]) / 16)
    run = tmp_path / "killed"
    shutil.copytree(whole, run)
    for name in ("checkpoint-4", "model"):
        shutil.rmtree(run / name)
    (run / "summary.json").unlink()
    train_toys(toy_recipe(model_folder, **settings), run, toy_tasks(Has), resume=True)
    assert metrics_of(run) == metrics_of(whole)
    assert (run / "completions.jsonl").read_bytes() == (whole / "completions.jsonl").read_bytes()
    mine, theirs = (load_file(path / "model" / "model.safetensors") for path in (run, whole))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_what_is_counted_is_summed_over_the_generations_of_a_step(model_folder: Path, tmp_path: Path) -> None:
    settings = {"grpo__per_device_train_batch_size": 4, "grpo__gradient_accumulation_steps": 4, "refill": 1}
    settings |= {"grpo__steps_per_generation": 1, "log_completions_every": 1, "heldout": {"examples": 0}}
    run = train_toys(toy_recipe(model_folder, **settings), tmp_path / "run", toy_tasks(Has))
    records = list(read_lines(run.path / "completions.jsonl"))
    for step in run.metrics():
        own = [record for record in records if record["step"] == step["step"]]
        assert (step["sampled"], step["selected"]) == (len(own), sum(record["selected"] for record in own))
        assert step["selected"] == 16 and 1 <= step["refill/rounds"] <= 4


def test_every_step_has_the_reward_of_its_generation(model_folder: Path, tmp_path: Path) -> None:
    """Two optimiser steps on each generation batch, each seeing half of its groups."""
    settings = {"grpo__per_device_train_batch_size": 8, "grpo__steps_per_generation": 2, "refill": 1}
    run = train_toys(toy_recipe(model_folder, heldout={"examples": 0}, **settings), tmp_path / "run", toy_tasks(Has))
    steps = list(run.metrics())
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    for step in steps:
        assert {"loss", "learning_rate", "grad_norm", "reward", "parsed", "valid", "update_scale"} <= step.keys()
    for name in ("reward", "reward/selected", "flat/after", "answers/commonest"):
        assert steps[0][name] == steps[1][name] and steps[2][name] == steps[3][name]
    assert any(steps[0][name] != steps[2][name] for name in ("reward", "reward_std", "answers/commonest"))
    # What would be counted twice stands where it was counted.
    assert ["sampled" in step for step in steps] == [True, False, True, False]
    for first, second in (steps[:2], steps[2:]):
        scale = (first["update_scale"] + second["update_scale"]) / 2
        assert scale == pytest.approx(1 - first["flat/after"])


def moved(moving: list[float], *, guarded: bool = False, steps: int = 1) -> list[float]:
    """How far Adam moves a weight in each step, ``moving`` being which of its completions are not in flat groups."""
    from accelerate import Accelerator

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.0)
    scaled = ScaledUpdates(Accelerator(cpu=True), guarded=guarded)
    lengths = []
    for _ in range(steps):
        before = weight.item()
        scaled.add(torch.tensor(moving), optimizer)
        weight.grad = torch.tensor([sum(moving) / len(moving)])
        optimizer.step()
        scaled.on_optimizer_step(None, None, None, optimizer=optimizer)
        assert optimizer.param_groups[0]["lr"] == 0.1
        lengths.append(abs(weight.item() - before))
    return lengths


def test_one_group_of_eight_moves_the_weights_an_eighth_as_far() -> None:
    full = moved([1.0] * 8)
    assert full == pytest.approx([0.1], rel=1e-4)
    assert moved([1.0] + [0.0] * 7) == pytest.approx([0.0125], rel=1e-4)
    assert moved([0.0] * 8) == [0.0]
    assert moved([1.0] + [0.0] * 7, guarded=True) == pytest.approx([0.1 * (1 / 8 + 7 / 8 * GUARDED)], rel=1e-4)


class Never(Toy):
    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_has", {"letters": ""})


def test_where_all_groups_are_flat_only_a_guard_moves_the_weights(model_folder: Path, tmp_path: Path) -> None:
    settings = {"heldout": {"examples": 0}, "refill": 1, "grpo__max_steps": 2}
    before = load_file(model_folder / "model.safetensors")
    for name, guard in (("plain", {}), ("guarded", {"grpo__entropy_coef": 0.1})):
        run = train_toys(toy_recipe(model_folder, **settings, **guard), tmp_path / name, toy_tasks(Never))
        after = load_file(run.path / "model" / "model.safetensors")
        same = all(torch.equal(before[key], value) for key, value in after.items())
        assert same is (not guard)
        assert [line["update_scale"] for line in run.metrics()] == pytest.approx([GUARDED if guard else 0.0] * 2)


def refill_and_tell(model: Path, folder: Path, batch: int, difficulty: str) -> None:
    """Two steps; what a process has at the end goes into a file."""
    from accelerate import PartialState

    from ssl4rl.training.trainer import TaskTrainer

    FUNCTIONS["score_has"] = score_has
    settings = {"refill": 2, "heldout": {"examples": 0}, "log_completions_every": 1, "difficulty": difficulty}
    own = {"grpo__use_cpu": True, "grpo__per_device_train_batch_size": batch, "grpo__max_steps": 2}
    train = TaskTrainer.train

    def train_and_tell(self: TaskTrainer, *arguments: Any, **more: Any) -> None:
        train(self, *arguments, **more)
        refilled = self._refilled
        told = {
            "position": self._fresh.position,
            "indices": refilled.batch.indices,
            "rounds": refilled.rounds,
            "schedule": self.schedule and self.schedule.state,
            "flat": refilled.flat,
            "records": [record.reward for record in refilled.batch.records],
        }
        (folder / f"rank{PartialState().process_index}").write_text(json.dumps(told))

    TaskTrainer.train = train_and_tell  # type: ignore[method-assign]
    train_toys(toy_recipe(model, **settings, **own), folder / "run", toy_tasks(Has))


@pytest.mark.parametrize(("batch", "difficulty"), [(8, "fixed"), (6, "fixed"), (8, "adaptive")])
def test_two_processes_refill_their_own_groups(model_folder: Path, tmp_path: Path, batch: int, difficulty: str) -> None:
    """With 6 completions per process a group is spread over both, and stays as it is."""
    run_processes(2, refill_and_tell, model_folder, tmp_path, batch, difficulty)
    told = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2)]
    rewards = told[0]["records"] + told[1]["records"]
    flat = [is_flat(rewards[start : start + 4]) for start in range(0, len(rewards), 4)]
    assert told[0]["flat"] + told[1]["flat"] == [group for group in flat for _ in range(4)]
    assert told[0]["position"] == told[1]["position"] and told[0]["rounds"] == told[1]["rounds"]
    assert told[0]["schedule"] == told[1]["schedule"]
    assert difficulty == "fixed" or sum(told[0]["schedule"]["used"]) == 8
    steps = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert [step["selected"] for step in steps] == [2 * batch] * 2
    if batch == 6:
        assert told[0]["rounds"] == 0 and told[0]["position"] == 6
        return
    indices = [*told[0]["indices"][::4], *told[1]["indices"][::4]]
    assert len(set(indices)) == 4 and max(step["sampled"] for step in steps) > 16
    assert max(indices) < told[0]["position"]
