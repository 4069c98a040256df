"""One evaluation: a benchmark's items, a model's replies, what they are worth, and the baselines beside them.

Every reply is written down as soon as it is there, so an evaluation that was stopped goes on where it was: no item is
asked or counted twice.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssl4rl.answers import score_any_of
from ssl4rl.errors import UserError
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.scores import CHOICES, SCORES, per_question, scores
from ssl4rl.example import Example, Score
from ssl4rl.inference.engines.base import Engine, Messages, Reply
from ssl4rl.runs import CONFIG, PREDICTIONS, RunFolder, default_folder, environment, read_lines
from ssl4rl.statistics import PairedDifference, interval
from ssl4rl.tasks import Benchmark

CHUNK = 1024
"""Items asked at once: enough to keep an engine busy, few enough to hold in memory whatever the benchmark's size."""

PICTURE_CHUNK = 64
"""The same for items with pictures, each of which takes a megabyte or more."""

LONGEST_LABEL = 32
"""Tokens that an answer with its tags may have."""

ENVIRONMENT = "environment.json"

SHOT_POOL = 512
"""Training items among which few-shot examples are looked for."""

Say = Callable[[str], None]


def build_benchmark(recipe: EvalRecipe, knobs: Mapping[str, Any] | None = None) -> AnyBenchmark:
    """The recipe's benchmark on the test split; ``knobs`` are set on top of its own.

    Raises:
        UserError: for an unknown benchmark, dataset, level or knob, or ones that do not fit together.
    """
    from ssl4rl.data import load_source_of
    from ssl4rl.registry import BENCHMARKS

    kind = BENCHMARKS.get(recipe.benchmark)
    source = load_source_of(kind, recipe.dataset)
    return kind(source, split="test", level=recipe.level, knobs={**recipe.knobs, **(knobs or {})}, seed=recipe.seed)


AnyBenchmark = Benchmark[Any, Any]


def few_shot(benchmark: AnyBenchmark, shots: int) -> Messages:
    """``shots`` answered examples of the training split as turns of a conversation, their classes in rotation.

    Raises:
        UserError: if the training split has fewer items.
    """
    if not shots:
        return []
    train = type(benchmark)(
        benchmark.source, split="train", level=benchmark.level, knobs=benchmark.overrides, seed=benchmark.seed
    )
    if train.size < shots:
        raise UserError(f"--shots {shots}: the training split of {benchmark.source.name} has {train.size} items")
    # Of all but the chosen ones only the classes are kept: pictures are large.
    pool = {index: train.example(index).meta["class"] for index in range(min(train.size, SHOT_POOL))}
    used: Counter[str] = Counter()
    turns: Messages = []
    for _ in range(shots):
        index = min(pool, key=lambda candidate: used[pool[candidate]])
        used[pool.pop(index)] += 1
        example = train.example(index)
        turns += [*example.messages(), {"role": "assistant", "content": f"<answer>{train.gold(example)}</answer>"}]
    return turns


@dataclass
class Model:
    """A model behind an engine, with what it replied before."""

    engine: Engine
    cache: ReplyCache
    recipe: EvalRecipe

    @classmethod
    def open(cls, recipe: EvalRecipe) -> Model:
        """Starts the engine.

        Raises:
            UserError: if the model or the engine cannot be had.
        """
        from ssl4rl.inference import open_engine

        engine = open_engine(recipe.engine, recipe.model, dtype=recipe.dtype)
        return cls(engine, ReplyCache(engine.identity if engine.files is not None else None), recipe)

    def answers(self, conversations: Sequence[Messages], examples: Sequence[Choices]) -> Iterator[tuple[int, Answer]]:
        """Each conversation's index and answer, in any order; those in the cache first."""
        if self.recipe.scoring == "likelihood":
            how = [{"choices": list(choices)} for choices in examples]
        else:
            how = [vars(self.recipe.sampling)] * len(conversations)
        keys = [self.cache.key(conversation, h) for conversation, h in zip(conversations, how, strict=True)]
        unknown = []
        for index, key in enumerate(keys):
            known = self.cache.get(key)
            if known is None:
                unknown.append(index)
            else:
                yield index, known
        asked = [conversations[index] for index in unknown]
        for place, answer in self._ask(asked, [examples[index] for index in unknown]):
            index = unknown[place]
            self.cache.put(keys[index], answer)
            yield index, answer

    def _ask(self, conversations: list[Messages], examples: list[Choices]) -> Iterator[tuple[int, Answer]]:
        if self.recipe.scoring == "likelihood":
            labels = [list(choices) for choices in examples]
            for index, found in self.engine.likelihoods(conversations, labels):
                logprobs = dict(zip(labels[index], found, strict=True))
                best = max(logprobs, key=logprobs.__getitem__)
                reply = Reply(f"<answer>{best}</answer>", 0, False)
                yield index, {**_reply(reply), "logprobs": logprobs}
        else:
            for index, reply in self.engine.stream(conversations, self.recipe.sampling):
                yield index, _reply(reply)


Answer = dict[str, Any]
"""``reply``, ``tokens``, ``truncated``, and with scoring by likelihood ``logprobs``."""
Choices = Mapping[str, str]


def _reply(reply: Reply) -> Answer:
    return {"reply": reply.text, "tokens": reply.num_tokens, "truncated": reply.truncated}


def evaluate(
    recipe: EvalRecipe,
    output: Path | None = None,
    *,
    resume: bool = False,
    say: Say = print,
    model: Model | None = None,
) -> RunFolder:
    """Evaluates as the recipe says and returns the run's folder; ``model`` is one that is open already.

    Raises:
        UserError: for whatever the user can put right; the replies that are there stay, and ``resume`` goes on.
    """
    benchmark = build_benchmark(recipe)
    before = few_shot(benchmark, recipe.shots)
    n = benchmark.items_of(min(recipe.limit or benchmark.num_questions, benchmark.num_questions))
    if resume:
        _check_resumed(recipe, output)
    # Nothing is written before everything that a prompt or the model can be refused for has been looked at.
    model = model or Model.open(recipe)
    if model.cache.damaged:
        say(f"{model.cache.damaged} damaged lines in {model.cache.path} are not used; what they held is asked again")
    _check_lengths(model, (benchmark.example(index) for index in range(n)), before)
    folder = _open_folder(recipe, benchmark, model, output, resume)
    say(f"writing to {folder.path}")
    if benchmark.vocabulary is not None:
        folder.write_json(CHOICES, benchmark.vocabulary)
    started = time.monotonic()
    records = _predict(benchmark, before, model, folder, PREDICTIONS, n, say)
    ablations = {}
    for name, knobs in benchmark.ablations.items():
        taken = all(getattr(benchmark.knobs, knob) == value for knob, value in knobs.items())
        if recipe.ablate and not taken:
            ablated = build_benchmark(recipe, knobs=knobs)
            file = f"{Path(PREDICTIONS).stem}.{name.replace(' ', '-')}.jsonl"
            shots = few_shot(ablated, recipe.shots)
            some = benchmark.items_of(min(recipe.ablate, benchmark.num_questions))
            ablations[name] = _predict(ablated, shots, model, folder, file, min(n, some), say, name)
    found = {
        "benchmark": benchmark.label,
        "dataset": benchmark.source.name,
        "model": recipe.model or model.engine.identity["model"],
        **scores(records),
        "scoring": recipe.scoring,
        "shots": recipe.shots,
        "items": benchmark.num_questions,
        "seconds": round(time.monotonic() - started, 1),
    }
    found["baselines"], found["notes"] = _baselines(recipe, benchmark, records, ablations, say)
    folder.write_json(SCORES, found)
    return folder


def _check_resumed(recipe: EvalRecipe, output: Path | None) -> None:
    """Refuses to go on with a run that there is not, that is finished, or that was begun with other settings."""
    if output is None or not (output / CONFIG).is_file():
        raise UserError(f"--resume needs the run to go on with: --output RUN ({output} is none)")
    if (output / SCORES).is_file():
        raise UserError(f"{output} is finished; nothing is left to resume")
    begun = EvalRecipe.load(output / CONFIG)
    # These two change no reply: a server may have moved, and the baselines come last.
    free = {"engine": recipe.engine, "baselines": recipe.baselines}
    if begun.model_copy(update=free) != recipe:
        raise UserError(f"{output} was begun with other settings; give the same ones, or another --output")


def _open_folder(
    recipe: EvalRecipe, benchmark: AnyBenchmark, model: Model, output: Path | None, resume: bool
) -> RunFolder:
    # A server's model is known by name alone.
    content = model.engine.identity["model"]
    evaluated = {"model": content, "source": benchmark.source.fingerprint}
    if resume and output is not None:
        folder = RunFolder.open(output)
        begun = json.loads((output / ENVIRONMENT).read_text(encoding="utf-8")).get("evaluated")
        if begun is not None and begun != evaluated:
            changed = "dataset" if begun["model"] == content else "model"
            raise UserError(f"the {changed} has changed since {output} was begun; start anew with another --output")
        return folder
    folder = RunFolder.create(output or default_folder(benchmark.name, benchmark.source.name))
    folder.write(CONFIG, yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True))
    folder.write_json(ENVIRONMENT, {**environment(), "evaluated": evaluated})
    return folder


def _predict(
    benchmark: AnyBenchmark,
    before: Messages,
    model: Model,
    folder: RunFolder,
    file: str,
    n: int,
    say: Say,
    what: str = "",
) -> list[dict[str, Any]]:
    """Asks the first ``n`` items that the file does not hold yet, and returns the records of all of them."""
    records = _kept(benchmark, folder, file, n, say)
    pending = [index for index in range(n) if index not in records]
    with _progress(f"{benchmark.label} {what}".strip(), n, n - len(pending)) as advance:
        size = PICTURE_CHUNK if pending and benchmark.example(pending[0]).images else CHUNK
        for start in range(0, len(pending), size):
            chunk = [benchmark.example(index) for index in pending[start : start + size]]
            choices = [benchmark.choices(example) for example in chunk]
            conversations = [[*before, *example.messages()] for example in chunk]
            for place, answer in model.answers(conversations, choices):
                index = pending[start + place]
                records[index] = _record(benchmark, index, chunk[place], choices[place], answer)
                folder.append(file, records[index])
                advance()
    shared = {} if benchmark.vocabulary is None else {"choices": benchmark.vocabulary}
    return [{**records[index], **shared} for index in sorted(records)]


def _kept(benchmark: AnyBenchmark, folder: RunFolder, file: str, n: int, say: Say) -> dict[int, dict[str, Any]]:
    """What an interrupted evaluation wrote, by index; a torn last line is cut off the file, and asked again."""
    path = folder.path / file
    records: dict[int, dict[str, Any]] = {}
    for record in read_lines(path):
        index = record["index"]
        if index >= n or benchmark.example(index).id != record["id"]:
            raise UserError(
                f"{path} answers {record['id']}, which this recipe does not ask: the dataset or ssl4rl has changed "
                "since; start anew with another --output"
            )
        records[index] = record
    if path.is_file():
        whole = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records.values())
        if path.stat().st_size != len(whole.encode("utf-8", "replace")):
            say(f"{path.name}: a torn last line is dropped, and its item asked again")
        folder.write(file, whole)
        say(f"going on after {len(records)} of {n} items")
    return records


def _check_lengths(model: Model, examples: Iterable[Example], before: Messages) -> None:
    """Refuses prompts that leave no room for the reply; those of a server are its own to refuse."""
    files = model.engine.files
    if files is None:
        return
    limit = files.context_length(getattr(model.engine, "context_length", None))
    if model.recipe.scoring == "likelihood":
        reply, setting = LONGEST_LABEL, "--shots"
    else:
        reply, setting = model.recipe.sampling.max_new_tokens, "--max-new-tokens or --shots"
    files.check_lengths(examples, reply, limit, before=before, reply_setting=setting)


def _record(benchmark: AnyBenchmark, index: int, example: Example, choices: Choices, answer: Answer) -> dict[str, Any]:
    score = benchmark.score(answer["reply"], example)
    return {
        "item": example.meta["item"],
        "id": example.id,
        "index": index,
        **answer,
        "answer": score.answer,
        "value": score.value,
        "outcome": str(score.outcome),
        "accepted": example.target,
        **({"choices": dict(choices)} if benchmark.vocabulary is None else {}),
        "class": example.meta["class"],
        "chance": benchmark.chance(example),
        **{key: example.meta[key] for key in ("question", "rotated", "category", "group") if key in example.meta},
    }


def _baselines(
    recipe: EvalRecipe,
    benchmark: AnyBenchmark,
    records: Sequence[Mapping[str, Any]],
    ablations: Mapping[str, Sequence[Mapping[str, Any]]],
    say: Say,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Each baseline's accuracy with its interval on the same items, and what was left out."""
    model = per_question(records)
    found: dict[str, dict[str, Any]] = {}
    for name, replies in ablations.items():
        found[name] = _beside(per_question(replies), model)
    if not recipe.baselines:
        return found, []
    from ssl4rl.evaluation.baselines import baselines

    predictions = baselines(benchmark, records, say)
    for name, said in predictions.answers.items():
        answers = {record["item"]: f"<answer>{label}</answer>" for record, label in zip(records, said, strict=True)}

        def scored(record: Mapping[str, Any], answers: Mapping[str, str] = answers) -> Score:
            return score_any_of(answers[record["item"]], record["accepted"])

        found[name] = _beside(per_question(records, scored), model)
    return found, predictions.notes


def _beside(baseline: Mapping[str, Score], model: Mapping[str, Score]) -> dict[str, Any]:
    """A baseline's accuracy, and by how much the model is better on the same questions."""
    values = [score.value for score in baseline.values()]
    low, high = interval(values)
    paired = PairedDifference.of(values, [model[question].value for question in baseline])
    return {
        "accuracy": sum(values) / len(values),
        "low": low,
        "high": high,
        "n": len(values),
        "model_minus_baseline": {"difference": paired.difference, "low": paired.low, "high": paired.high},
    }


@contextmanager
def _progress(title: str, total: int, done: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda: bar.advance(task)
