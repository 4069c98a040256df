"""One evaluation: a benchmark's items, a model's replies, their scores, and the baselines to compare them with.

Every reply is recorded as soon as it arrives, so an evaluation that was stopped can be resumed: no item is asked or
counted twice.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.benchmarks import AnyBenchmark, Benchmark, versioned_name
from ssl4rl.checkpoints import is_about_disk
from ssl4rl.errors import UserError
from ssl4rl.evaluation.beside import Say, baselines_beside, open_encoder
from ssl4rl.evaluation.consistency import consistency
from ssl4rl.evaluation.model import Model, ReplyFields, unlike_training
from ssl4rl.evaluation.plan import Plan, Questions, build_benchmark, check_lengths, make_plan
from ssl4rl.evaluation.recipe import EvalRecipe
from ssl4rl.evaluation.samples import first_replies, sample_scores, token_counts
from ssl4rl.evaluation.scores import scores, unscored
from ssl4rl.evaluation.submission import SUBMISSION, check_submittable, write_submission
from ssl4rl.example import Example
from ssl4rl.inference.model import unfamiliar
from ssl4rl.lock import locked
from ssl4rl.progress import progress
from ssl4rl.provenance import Provenance
from ssl4rl.records import Prediction, is_torn, read_lines
from ssl4rl.runlog import RunLog
from ssl4rl.runs import CHOICES, SCORES, Run, UsedSource, default_folder
from ssl4rl.source import describe_broken, origin_of

if TYPE_CHECKING:
    from ssl4rl.evaluation.baselines.encoder import TextEncoder

CHUNK = 1024
"""Items that are asked at once: enough to keep an engine busy, few enough for memory whatever the benchmark's size."""

IMAGE_CHUNK = 64
"""The same for items with images, each of which takes a megabyte or more."""


class TimeIsUp(Exception):
    """The time limit of an evaluation has passed."""


def evaluate(
    benchmark: str | AnyBenchmark | EvalRecipe,
    model: str | Path | Model | None = None,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    max_time: float | None = None,
    say: Say = print,
    **settings: Any,
) -> Run:
    """Scores a model on a benchmark, with baselines on the same items, and returns the run.

    ``ssl4rl.evaluate("node", "runs/cora/model", dataset="cora", limit=500).scores`` has the accuracy.

    Args:
        benchmark: a registered name, a benchmark (whose source, split, level, knobs and seed are used), or a recipe.
        model: a folder, a hub name, or an opened model; None is the recipe's, or the embedded one.
        output: the run's folder; None makes one below ``runs/``.
        resume: whether to continue the run in ``output``.
        max_time: seconds after which no more is asked; the run that is returned is then not ``finished``.
        say: called with each line of progress.
        settings: fields of :class:`ssl4rl.evaluation.recipe.EvalRecipe`, such as ``dataset``, ``limit``, ``engine``.

    Raises:
        UserError: for anything that the user can fix; the replies so far are kept, and ``resume`` continues.
    """
    deadline = None if max_time is None else time.monotonic() + max_time
    log = RunLog()
    say = log.beside(say)
    recipe, built = _resolve(benchmark, model, settings)
    folder = None if output is None else Path(output)
    if folder is not None and not resume:
        Run.check_new(folder)
    broken = describe_broken(built.source, recipe.max_broken)
    plan = make_plan(recipe, built)
    if not built.has_answers:
        check_submittable(built)
    if resume:
        _check_resumed(recipe, folder)
    # Nothing is written before everything has been checked that a prompt or the model can be refused for.
    encoder = open_encoder(recipe, built)
    opened = model if isinstance(model, Model) else Model.open(recipe)
    if opened.cache.damaged:
        say(f"{opened.cache.damaged} damaged lines in {opened.cache.path} are ignored; their questions are asked again")
    if recipe.scoring == "likelihood":
        opened.check_likelihoods()
    check_lengths(plan, opened.engine)
    stranger = unfamiliar(recipe.model, [(built.source_kind, built.source.name)])
    for line in [*opened.notes, unlike_training(recipe), stranger, *built.notes, *broken]:
        if line:
            say(line)
    folder = folder or default_folder(built.name, built.source.name)
    command = f"ssl4rl {built.source_kind.side} eval --resume --output {shlex.quote(str(folder))}"
    if built.split != "test":
        command = f"ssl4rl.evaluate(…, output={str(folder)!r}, resume=True), since it is on split {built.split}"
    with locked(folder), log.kept(folder):
        run = _continue_run(plan, opened, folder) if resume else _start_run(plan, opened, folder)
        say(f"writing to {run.path}")
        try:
            run.write_json(SCORES, _results(plan, opened, run, encoder, [*broken], deadline, say))
        except (KeyboardInterrupt, SystemExit):
            say(f"stopped; continue with: {command}")
            raise
        except TimeIsUp:
            say(f"stopped at the time limit; continue with: {command}")
        except OSError as error:
            if not is_about_disk(error):
                raise
            reason = f"cannot write to {folder} ({error.strerror})"
            raise UserError(f"{reason}: make room or change its rights; then continue with: {command}") from error
    return run


def _results(
    plan: Plan,
    opened: Model,
    run: Run,
    encoder: TextEncoder | None,
    broken: Sequence[str],
    deadline: float | None,
    say: Say,
) -> dict[str, Any]:
    """Asks for what is missing, and returns what scores.json says."""
    recipe, built = plan.recipe, plan.main.benchmark
    started = time.monotonic()
    _ask(plan, opened, run, deadline, say)
    # Read back rather than kept: while an engine works, memory does not grow with the items.
    answers = {asked.variant: _in_order(run.answered(asked.variant)) for asked in plan.all}
    if opened.cache.unwritable:
        say(f"replies are in the run alone: {opened.cache.unwritable}; SSL4RL_HOME names another folder")
    replies = answers[plan.main.variant]
    predictions = first_replies(replies)
    results = {
        "benchmark": built.label,
        "dataset": built.source.name,
        "model": opened.name if opened.engine.files is None else recipe.model or opened.name,
        **(scores(predictions) if built.has_answers else unscored(predictions)),
        "scoring": recipe.scoring,
        "shots": recipe.shots,
        "items": built.num_questions,
        "tokens": token_counts(replies),
        "seconds": round(time.monotonic() - started, 1),
    }
    if not built.has_answers:
        results["submission"] = {"file": SUBMISSION, "rows": write_submission(run, built, predictions)}
    elif (samples := sample_scores(replies)) is not None:
        results["samples"] = samples
    if plan.restatements:
        restated = {str(asked.variant): answers[asked.variant] for asked in plan.restatements}
        results["consistency"] = consistency(predictions, restated)
    ablated = {str(asked.variant): answers[asked.variant] for asked in plan.ablations}
    results["baselines"], notes = baselines_beside(plan, predictions, ablated, encoder, say)
    results["notes"] = [*plan.notes, *notes, *broken]
    return results


def _resolve(
    benchmark: str | AnyBenchmark | EvalRecipe, model: str | Path | Model | None, settings: Mapping[str, Any]
) -> tuple[EvalRecipe, AnyBenchmark]:
    """The whole recipe of an evaluation, and its benchmark."""
    # An opened model without files, such as a server's, is the one that a recipe's engine leads to.
    unknown_files = isinstance(model, Model) and model.engine.files is None
    if model is not None and not (unknown_files and isinstance(benchmark, EvalRecipe)):
        settings = {**settings, "model": model.name if isinstance(model, Model) else str(model)}
    if isinstance(benchmark, EvalRecipe):
        recipe = EvalRecipe.build({**benchmark.model_dump(), **settings}) if settings else benchmark
        return recipe, build_benchmark(recipe)
    if not isinstance(benchmark, Benchmark):
        recipe = EvalRecipe.build({"benchmark": benchmark, **settings})
        return recipe, build_benchmark(recipe)
    fixed = {
        "benchmark": benchmark.name,
        "dataset": origin_of(benchmark.source) or benchmark.source.name,
        "level": benchmark.level,
        "knobs": benchmark.overrides,
        "seed": benchmark.seed,
    }
    for name in fixed:
        if name in settings:
            raise UserError(f"{name} is the benchmark's own; build the benchmark with another one instead")
    scoring = {"scoring": "likelihood"} if benchmark.ranks else {}
    return EvalRecipe.build({**scoring, **fixed, **settings}, kind=benchmark.source_kind), benchmark


def _check_resumed(recipe: EvalRecipe, output: Path | None) -> None:
    """Refuses to continue a run that does not exist, is finished, or was started with other settings."""
    if output is None:
        raise UserError("--resume needs the run to continue: --output RUN")
    run = Run.open(output)
    if run.finished:
        raise UserError(f"{output} is finished; nothing is left to resume")
    # These change no reply: a server may have moved, and the baselines come last.
    free = {"engine": recipe.engine, "baselines": recipe.baselines, "encoder": recipe.encoder}
    if EvalRecipe.of(run).model_copy(update=free) != recipe:
        raise UserError(f"{output} was started with other settings; give the same ones, or another --output")


def _start_run(plan: Plan, model: Model, folder: Path) -> Run:
    benchmark = plan.main.benchmark
    run = Run.create(folder, plan.recipe.model_dump())
    if benchmark.vocabulary is not None:
        run.write_json(CHOICES, benchmark.vocabulary)
    _provenance(benchmark, model).record(run)
    return run


def _continue_run(plan: Plan, model: Model, output: Path) -> Run:
    """The run, if data, model and benchmark are still what they were when it was started."""
    run = Run.open(output)
    check_unchanged(run, plan.main.benchmark, model)
    vocabulary = plan.main.benchmark.vocabulary
    if vocabulary is not None and not (output / CHOICES).is_file():  # it was stopped before this could be written
        run.write_json(CHOICES, vocabulary)
    return run


def check_unchanged(run: Run, benchmark: AnyBenchmark, model: Model) -> None:
    """Refuses a run whose data, model or benchmark are no longer what they were when it was started.

    Raises:
        UserError: naming what has changed.
    """
    if changes := _provenance(benchmark, model).changes(run):
        raise UserError(f"{', '.join(changes)} changed after {run.path} was started; start again with another --output")


def _provenance(benchmark: AnyBenchmark, model: Model) -> Provenance:
    versions = {versioned_name(benchmark): benchmark.version}
    return Provenance([UsedSource.of(benchmark)], model.fingerprint, versions)


def _ask(plan: Plan, model: Model, run: Run, deadline: float | None, say: Say) -> None:
    """Asks for the replies that the run does not hold yet, and records them."""
    answered = {asked.variant: _answered(asked, run, say) for asked in plan.all}
    pending = [
        (index, asked, sample)
        for index in range(plan.main.count)
        for asked in plan.all
        if index < asked.count
        for sample in range(asked.samples)
        if (index, sample) not in answered[asked.variant]
    ]
    total, benchmark = sum(asked.count * asked.samples for asked in plan.all), plan.main.benchmark
    with progress(benchmark.label, total, total - len(pending)) as advance:
        size = IMAGE_CHUNK if pending and benchmark.example(pending[0][0]).images else CHUNK
        for start in range(0, len(pending), size):
            # The forms of an item are side by side: an engine reads only once what they begin with.
            part = pending[start : start + size]
            examples: dict[tuple[str | None, int], Example] = {}
            for index, asked, _ in part:
                if (asked.variant, index) not in examples:
                    examples[asked.variant, index] = asked.benchmark.example(index)
            chunk = [(asked, examples[asked.variant, index], sample) for index, asked, sample in part]
            choices = [asked.benchmark.choices(example) for asked, example, _ in chunk]
            conversations = [asked.conversation(example) for asked, example, _ in chunk]
            answers = [
                {label: example.reply_with(label) for label in labels}
                for (_, example, _), labels in zip(chunk, choices, strict=True)
            ]
            draws = [sample for *_, sample in chunk] if plan.recipe.samples > 1 else None
            for place, fields in model.reply(conversations, answers, plan.recipe, draws):
                asked, example, sample = chunk[place]
                run.append(asked.file, _prediction(asked, example, sample, choices[place], fields))
                advance(1)
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeIsUp


def _in_order(predictions: Iterable[Prediction]) -> list[Prediction]:
    return sorted(predictions, key=lambda each: (each.index, each.sample))


def _answered(questions: Questions, run: Run, say: Say) -> set[tuple[int, int]]:
    """Index and sample of what a stopped evaluation recorded; a torn last line is cut off and its item asked again."""
    path = run.path / questions.file
    found: set[tuple[int, int]] = set()
    for prediction in run.answered(questions.variant):
        index = prediction.index
        if index >= questions.count or questions.benchmark.example(index).id != prediction.id:
            raise UserError(
                f"{path} answers {prediction.id}, which this recipe does not ask: the dataset or ssl4rl has changed "
                "since; start again with another --output"
            )
        found.add((index, prediction.sample))
    if path.is_file():
        if is_torn(run.path / questions.file):
            say(f"{path.name}: a torn last line is dropped, and its item asked again")
        run.rewrite(questions.file, list(read_lines(path)))
        what = "items" if questions.samples == 1 else "replies"
        say(f"continuing after {len(found)} of {questions.count * questions.samples} {what}")
    return found


def _prediction(
    asked: Questions, example: Example, sample: int, choices: Mapping[str, str], fields: ReplyFields
) -> Prediction:
    benchmark, reply = asked.benchmark, fields["reply"]
    record = {
        **Prediction.fields_of(example, reply, benchmark.score(reply, example)),
        **fields,
        "index": example.id.index,
        "item": example.meta["item"],
        "class_name": example.meta["class"],
        "items": example.source_items,
    }
    if asked.samples > 1:
        record["sample"] = sample
    if benchmark.vocabulary is None:
        record["choices"] = dict(choices)
    for key in ("question", "rotated", "category", "group", "edge"):
        if key in example.meta:
            record[key] = example.meta[key]
    return Prediction(**record)
