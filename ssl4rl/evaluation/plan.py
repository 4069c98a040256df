"""What an evaluation will ask: the benchmark, how many of its items, few-shot turns, and the model's own baselines.

A plan is made, and its prompts are measured, before anything is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ssl4rl.benchmarks import AnyBenchmark
from ssl4rl.errors import NotApplicable, UserError, unknown
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.example import Example
from ssl4rl.inference.messages import Messages, with_scaled_images
from ssl4rl.registry import BENCHMARKS
from ssl4rl.runs import hyphened, predictions_file

if TYPE_CHECKING:
    from ssl4rl.inference.engines import Engine

LONGEST_LABEL = 32
"""Tokens that an answer with its tags may have."""

EVERY = "all"
"""Instead of the names of all ablations."""

SHOT_POOL = 512
"""Training items that few-shot examples are chosen from."""

MANY_OPTIONS = 100
"""More options than this are what makes a prompt long, rather than a subgraph."""


@dataclass(frozen=True)
class Questions:
    """Items of a benchmark to ask a model: the first ``count``, each after the same few-shot turns."""

    benchmark: AnyBenchmark
    shots: Messages
    count: int
    variant: str | None = None
    """What was taken away or put in another way; None for the benchmark itself."""
    samples: int = 1
    """Replies to each item."""

    @property
    def file(self) -> str:
        """The file in the run that the predictions go to."""
        return predictions_file(self.variant)

    def conversation(self, example: Example) -> Messages:
        """What the model is sent for one item."""
        return [*self.shots, *example.messages()]


@dataclass(frozen=True)
class Plan:
    """Everything that an evaluation asks."""

    recipe: EvalRecipe
    main: Questions
    ablations: tuple[Questions, ...]
    restatements: tuple[Questions, ...]
    notes: tuple[str, ...]
    """What to know about the items, and what does not apply to the data and is left out."""

    @property
    def all(self) -> tuple[Questions, ...]:
        """The benchmark's own questions first."""
        return self.main, *self.ablations, *self.restatements


def build_benchmark(recipe: EvalRecipe) -> AnyBenchmark:
    """The recipe's benchmark on the test split.

    Raises:
        UserError: for an unknown benchmark, dataset, level or knob, or ones that do not fit together.
    """
    kind = BENCHMARKS.get(recipe.benchmark)
    source = kind.source_kind.load(recipe.dataset)
    return kind(source, split="test", level=recipe.level, knobs=recipe.knobs, seed=recipe.seed)


def make_plan(recipe: EvalRecipe, benchmark: AnyBenchmark) -> Plan:
    """The plan of a recipe on its benchmark.

    Raises:
        UserError: for an unknown ablation, a scoring that the benchmark cannot use, or if the training split has
            too few items for the shots.
    """
    if benchmark.ranks and recipe.scoring != "likelihood":
        raise UserError(f"benchmark {benchmark.name} ranks by likelihood; leave out --scoring {recipe.scoring}")
    notes = [*benchmark.notes]
    shots = choose_shots(benchmark, recipe.shots)
    count = min(recipe.again, recipe.limit or recipe.again)

    def again(variants: Mapping[str, Mapping[str, Any]]) -> tuple[Questions, ...]:
        asked = []
        for name, knobs in variants.items():
            if all(getattr(benchmark.knobs, knob) == value for knob, value in knobs.items()):
                continue  # the benchmark's own questions are that already
            try:
                asked.append(_questions(benchmark.changed(knobs), shots, count, name))
            except NotApplicable as reason:
                notes.append(f"{name} is left out: {reason}")
        return tuple(asked)

    ablations, restatements = _ablations(recipe, benchmark), benchmark.restatements if recipe.consistent else {}
    if not benchmark.has_answers:
        notes.append(
            "the right answers are not known here, so there are no scores, baselines, ablations or other forms"
        )
        ablations, restatements = (), {}
    return Plan(
        recipe,
        main=replace(_questions(benchmark, shots, recipe.limit), samples=recipe.samples),
        ablations=again({name: benchmark.ablations[name] for name in ablations}),
        restatements=again(restatements),
        notes=tuple(notes),
    )


def _ablations(recipe: EvalRecipe, benchmark: AnyBenchmark) -> Sequence[str]:
    """The names of those that are asked."""
    if recipe.ablate is None:
        return benchmark.usual_ablations
    named = {hyphened(name): name for name in benchmark.ablations}
    if recipe.ablate == [EVERY]:
        return list(named.values())
    chosen = [hyphened(name) for name in recipe.ablate]
    for name in chosen:
        if name not in named:
            raise unknown(f"ablation of benchmark {benchmark.name}", name, [*named, EVERY, "none"])
    return [named[name] for name in dict.fromkeys(chosen)]


def _questions(
    benchmark: AnyBenchmark, shots: Sequence[int], limit: int | None, variant: str | None = None
) -> Questions:
    questions = min(limit or benchmark.num_questions, benchmark.num_questions)
    return Questions(benchmark, few_shot(benchmark, shots), benchmark.items_of(questions), variant)


def choose_shots(benchmark: AnyBenchmark, shots: int) -> list[int]:
    """Which ``shots`` items of the training split to answer in front of every question, rotating through the classes.

    They are the same ones whatever a prompt shows of them.

    Raises:
        UserError: if the training split has fewer items.
    """
    if not shots:
        return []
    train: Any = benchmark.on_split("train")
    if train.size < shots:
        raise UserError(f"--shots {shots}: the training split of {benchmark.source.name} has {train.size} items")
    # Only the classes are kept, and the chosen examples are built later: images are large.
    pool = {index: train.example(index).meta["class"] for index in range(min(train.size, SHOT_POOL))}
    used: Counter[str] = Counter()
    chosen = []
    for _ in range(shots):
        index = min(pool, key=lambda candidate: used[pool[candidate]])
        used[pool.pop(index)] += 1
        chosen.append(index)
    return chosen


def few_shot(benchmark: AnyBenchmark, items: Sequence[int]) -> Messages:
    """These items of the training split with their answers, as turns of a conversation."""
    turns: Messages = []
    examples = map(benchmark.on_split("train").example, items) if items else ()
    for example in examples:
        turns += [*example.messages(), {"role": "assistant", "content": example.gold_reply}]
    return turns


def check_lengths(plan: Plan, engine: Engine) -> None:
    """Refuses prompts that leave no room for the reply; a server refuses its own.

    Raises:
        UserError: naming the example, and the setting to lower.
    """
    files = engine.files
    if files is None:
        return
    from ssl4rl.inference.lengths import measure

    limit = files.context_length(getattr(engine, "context_length", None))
    if plan.recipe.scoring == "likelihood":
        reply_length, setting = LONGEST_LABEL, "--shots"
    else:
        reply_length, setting = plan.recipe.sampling.max_new_tokens, "--max-new-tokens or --shots"
    benchmark = plan.main.benchmark
    if (listed := len(benchmark.choices(benchmark.example(0)))) > MANY_OPTIONS:
        setting += f", merge some of the {listed:,} options that it lists, or take a model that reads more"
    for asked in plan.all:
        examples = (asked.benchmark.example(index) for index in range(asked.count))
        before = with_scaled_images(asked.shots, files.min_pixels, files.max_pixels)
        measure(files, examples, reply_length, limit, before=before, reply_setting=setting)
