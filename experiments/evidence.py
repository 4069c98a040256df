"""What a self-supervised reward on a text graph teaches a real language model, beside its controls.

    python experiments/make_qwen.py --output QWEN
    python -m experiments.evidence --model QWEN [--arms task-0 random-0 …] [--runs RUNS] [--results FOLDER] [--dtype …]
                                   [--steps 80] [--asked "held out" node …]
    python -m experiments.evidence_table                   (the tables, from what is stored; no model is needed)

An arm is configs/laptop-graph.yaml for 80 steps, or a control (another reward, or prompts that lost what the answer
rests on), or another task or graph, or a reference: `sft` trains on the same golds (supervised),
`labels` is rewarded for the labels of the node benchmark's train split.
Every model, before training and after its last step, is asked the same questions: the held-out ones of seed 0,
the same without the nodes' texts, both labelled benchmarks, and one of another kind on another graph.
Every answer is stored in FOLDER/ARM.jsonl.gz, and what else is known of the arm in ARM.json.

Arms that are stored are not run again, and unfinished runs are resumed. Weights are dequantised from Q4_K_M.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

import ssl4rl
from experiments.arms import BASE, Asked, ask, check_model, is_stored, store
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.drafts import Draft
from ssl4rl.graph.benchmarks.base import LEVELS
from ssl4rl.graph.benchmarks.node import NodeClassification, NodeKnobs
from ssl4rl.graph.task import GraphTask
from ssl4rl.inference.engines import open_engine
from ssl4rl.inference.model import ModelFiles
from ssl4rl.registry import TASKS
from ssl4rl.runs import Run, open_run
from ssl4rl.tasks import AnyTask
from ssl4rl.training.controls import TASK, arm_recipe, arm_run, check_controls
from ssl4rl.training.recipe import Recipe
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.saving import MODEL
from ssl4rl.training.warmup import Settings, warm_up

RECIPE = Path(__file__).parents[1] / "configs" / "laptop-graph.yaml"
RESULTS = Path(__file__).parent / "results" / "evidence"
STEPS = 80
HELDOUT = "held out"
ASKED = {HELDOUT: 300, "held out, no texts": 150, "node": 300, "link": 300, "relation": 150}
"""Questions of each set; those about structure and forgetting are fewer, as a core answers about one a second."""
PROMPTS = 8
"""Prompts of a step, and so examples of a supervised step."""
SFT, LABELS, MIXTURE = "sft", "labels", "mixture"
CONTROLS = ("random", "format", "incorrect", "text", "edges")
MIXED = ("neighbor", "link", "attribute")
GRAPHS = ("wikispeedia", "umls")
ARMS = (
    *(f"{TASK}-{seed}" for seed in range(3)),
    *(f"{kind}-0" for kind in (*CONTROLS, SFT, LABELS)),
    *(f"{kind}-0" for kind in ("link", "attribute", "cloze", MIXTURE, "adaptive", "wikispeedia", "umls")),
)
"""In the order in which they are run."""
ANSWER: dict[str, Any] = {"reasoning": False, "text_budget": 140}
ANSWER_TOKENS = 4
BFLOAT16 = "bfloat16"
UNRELATED_TEXTS, UNRELATED_TOKENS, PROMPTS_COMPARED = 100, 64, 100


class Labels(GraphTask[NodeKnobs]):
    """The labels of the node benchmark as the reward: a reference, for nothing about it is self-supervised."""

    name: ClassVar[str] = LABELS
    knobs_type = NodeKnobs
    levels = LEVELS
    default_level: ClassVar[str] = "one-hop"

    def prepare(self) -> None:
        super().prepare()
        knobs = self.knobs.model_dump(exclude_unset=True)
        self.items = NodeClassification(self.source, split=self.split, level=self.level, knobs=knobs, seed=self.seed)

    def draft(self, index: int, rng: np.random.Generator) -> Draft:
        return self.items.draft(index % self.items.size, rng)


class Trial(NamedTuple):
    """What all arms of a folder share."""

    model: str
    """The folder of the untrained model."""
    data: Path
    dtype: str
    steps: int = STEPS
    asked: Sequence[str] = ASKED


def recipe_of(arm: str, trial: Trial) -> Recipe:
    """The recipe of an arm."""
    kind, seed = arm.split("-")
    values = load_recipe(RECIPE, model=trial.model).model_dump()
    values["grpo"] |= {"max_steps": trial.steps, "bf16": trial.dtype == BFLOAT16}
    values["model"]["dtype"] = trial.dtype
    values["heldout"] |= {"examples": 64, "every": 0}  # the last model is asked, so that none is chosen
    [entry] = values["tasks"]
    if kind in TASKS.names():
        entry["name"] = kind
    elif kind == MIXTURE:
        values["tasks"] = [{**entry, "name": name} for name in MIXED]
    elif kind == "adaptive":
        values["difficulty"] = kind
    elif kind in GRAPHS:
        entry["dataset"] = str(trial.data / "graphs" / kind)
    if kind == LABELS:
        entry.update(level=None, knobs=ANSWER)
    recipe = Recipe.model_validate(values)
    if kind not in CONTROLS:
        return arm_recipe(recipe, TASK, int(seed))
    check_controls(recipe, [kind])
    return arm_recipe(recipe, kind, int(seed))


def train(arm: str, trial: Trial, runs: Path) -> Run:
    """The arm's run, trained as far as it is not."""
    recipe, path = recipe_of(arm, trial), runs / arm
    if not arm.startswith(SFT):
        return arm_run(recipe, path)
    if path.is_dir() and open_run(path).finished:
        return open_run(path)
    settings = Settings(trial.steps, PROMPTS, recipe.grpo["learning_rate"])
    return warm_up(recipe, path, settings, resume=path.is_dir())


def questions(trial: Trial) -> Iterator[Asked]:
    """What every model is asked."""
    entry = load_recipe(RECIPE, model=trial.model).tasks[0]
    task = ssl4rl.task(entry.name, entry.dataset, level=entry.level, split="val", **entry.knobs)
    graphs = {"node": "cora", "link": "cora", "relation": str(trial.data / "graphs" / "umls")}
    for name in trial.asked:
        if name in graphs:
            asked: AnyTask = ssl4rl.benchmark(name, graphs[name], **ANSWER)
        else:
            asked = task if name == HELDOUT else task.changed({"corrupt": "text"})
        yield Asked.first(name, asked, ASKED[name])


def divergence(model: str, trial: Trial) -> dict[str, float]:
    """How far a model has moved from the untrained one: KL(model ‖ untrained) of the next token, in nats.

    The mean over tokens: the answer's first on the held-out prompts, and those of texts that have nothing to do with
    them, descriptions of software packages.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trial.model)
    examples = next(questions(trial._replace(asked=[HELDOUT]))).examples[:PROMPTS_COMPARED]
    prompts = [tokenizer.apply_chat_template(each.messages(), add_generation_prompt=True) for each in examples]
    prompts = [prompt["input_ids"] if isinstance(prompt, Mapping) else prompt for prompt in prompts]
    package_graph = ssl4rl.load(str(trial.data / "graphs" / "spack"))
    texts = [tokenizer(text).input_ids[:UNRELATED_TOKENS] for text in package_graph.texts if len(text) > 200]
    dtype = getattr(torch, trial.dtype)
    pair = [AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval() for path in (model, trial.model)]

    def mean(sequences: list[list[int]], last: bool) -> float:
        total, count = 0.0, 0
        for ids in sequences:
            with torch.no_grad():
                both = [
                    each(torch.tensor([ids])).logits[0, -1 if last else 0 :].float().log_softmax(-1) for each in pair
                ]
            divergences = (both[0].exp() * (both[0] - both[1])).sum(-1)
            total, count = total + float(divergences.sum()), count + len(divergences)
        return total / count

    return {"held out": mean(prompts, True), "unrelated texts": mean(texts[:UNRELATED_TEXTS], False)}


def answers(path: str, trial: Trial) -> list[dict[str, Any]]:
    """The answers of the model in a folder."""
    engine = open_engine("transformers", path, dtype=trial.dtype, batch_size=16)
    lines = list(ask(engine, questions(trial), ANSWER_TOKENS))
    del engine
    gc.collect()
    return lines


def measure(arm: str, trial: Trial, runs: Path, results: Path) -> None:
    """Trains an arm and stores its answers; of the base, its answers alone."""
    if arm == BASE:
        hashes = {"model": ModelFiles(trial.model).fingerprint}
        return store(results, arm, answers(trial.model, trial), sha256=hashes)
    run = train(arm, trial, runs)
    trained = str(run.path / MODEL)
    store(results, arm, answers(trained, trial), run, divergence=divergence(trained, trial))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="of another model, a folder of its own")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--dtype", choices=[BFLOAT16, "float32"], default=BFLOAT16, help="float32 without AVX-512")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--asked", nargs="+", choices=list(ASKED), default=list(ASKED))
    options = parser.parse_args()
    TASKS.register(LABELS)(Labels)  # here, for the tables import this module and are no place to add a task
    if not graph_folder("cora").is_dir():
        fetch("cora", options.data / "taglas")
    check_model(options.results, ModelFiles(options.model).fingerprint)
    trial = Trial(options.model, options.data, options.dtype, options.steps, options.asked)
    for arm in (BASE, *options.arms):
        if not is_stored(options.results, arm):
            measure(arm, trial, options.runs, options.results)


if __name__ == "__main__":
    main()
