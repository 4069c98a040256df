"""The card of a model or of exported examples, from what the run or the export has recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ssl4rl
from ssl4rl.export.guide import guide_files, task_names
from ssl4rl.export.manifest import Manifest
from ssl4rl.export.targets import find_target
from ssl4rl.models import EMBEDDED
from ssl4rl.registry import SOURCE_KINDS, TASKS
from ssl4rl.report.blocks import Section, Table, interval_text
from ssl4rl.report.page import plain_text, sections_text
from ssl4rl.report.sections import sections_of
from ssl4rl.runs import Run
from ssl4rl.settings import dump_yaml
from ssl4rl.training.controls import RESULT as CONTROLS
from ssl4rl.training.recipe import control_of
from ssl4rl.training.summary import describe_difference

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData, ModelCardData

TEMPLATES = Path(__file__).parents[1] / "templates" / "hub"

OWN_LICENCE = "apache-2.0"
"""Of the models and data that come with the package."""

NOT_STATED = "not stated; ask its owners before you share or use it"

TAGS = ["ssl4rl", "self-supervised", "reinforcement-learning"]


def model_card(
    run: Run, repo: str, *, licence: str | None, data_licence: str | None, evaluations: Sequence[Run] = ()
) -> str:
    """The card of the model that a finished run has trained."""
    from huggingface_hub import ModelCard, ModelCardData

    summary, config = run.summary or {}, run.config
    base = str(summary["model"])
    licence = licence or (OWN_LICENCE if base in EMBEDDED else None)
    kinds = [TASKS.get(entry["name"]).source_kind for entry in config["tasks"]]
    reads_images = any(kind.shows_images for kind in kinds)
    data: ModelCardData = ModelCardData(
        model_name=repo.rpartition("/")[2],
        base_model=base if _is_hub_name(base) else None,
        license=licence,
        library_name="transformers",
        pipeline_tag="image-text-to-text" if reads_images else "text-generation",
        tags=[*TAGS, *([] if run.is_warmup else ["grpo"])],
    )
    method = "by supervised training on gold answers" if run.is_warmup else "by GRPO"
    about = (
        f"{plain_text(_short(base))}, trained {method} on the task {plain_text(summary['task'])} with the data "
        f"{plain_text(summary['dataset'])}. What is right is known from the data itself, without labels or a judge."
    )
    if setting := control_of(config):
        about += f" It is a control ({setting}), from which the task cannot be learned."
    if licence is None:
        about += f" The licence of {plain_text(_short(base))} applies to it."
    sources = [(each.kind, each.name, each.dataset, each.fingerprint) for each in run.used_sources]
    card = ModelCard.from_template(
        data,
        template_str=_template("model"),
        name=repo.rpartition("/")[2],
        repo=repo,
        version=ssl4rl.__version__,
        about=about,
        auto_class="AutoModelForImageTextToText" if reads_images else "AutoModelForCausalLM",
        data=_data_table(sources, data_licence),
        scores=sections_text(list(_scores(run, evaluations))),
        limits=_model_limits(run, evaluations),
        command=_command(run, kinds[0].side),
        recipe=dump_yaml(_without_places({key: config[key] for key in config if key != "warmup"})).rstrip(),
    )
    return str(card.content)


def export_card(manifest: Manifest, folder: Path, repo: str, *, licence: str | None, data_licence: str | None) -> str:
    """The card of exported examples: the export's own guide, with what the hub wants to know."""
    from huggingface_hub import DatasetCard, DatasetCardData

    recipe = manifest.recipe
    shows_images = "images" in manifest.longest
    embedded = all(_is_embedded(each.kind, each.dataset) for each in recipe.tasks)
    files = {"data_files": [{"split": recipe.split, "path": [file.path for file in manifest.files]}]}
    data: DatasetCardData = DatasetCardData(
        pretty_name=task_names(manifest),
        license=licence or (OWN_LICENCE if embedded else None),
        task_categories=["image-text-to-text" if shows_images else "text-generation"],
        tags=TAGS,
        configs=[{"config_name": "default", **files}] if manifest.files else None,
    )
    sources = [(each.kind, each.source, each.dataset, each.fingerprint) for each in recipe.tasks]
    card = DatasetCard.from_template(
        data,
        template_str=_template("dataset"),
        guide=guide_files(find_target(recipe.to), folder, manifest, shows_images)["README.md"].strip(),
        data=_data_table(dict.fromkeys(sources), data_licence),
        limits=[
            "Every text and image comes from the data above, and so do its mistakes, and what it says of people.",
            "A reward is right about the data, not about the world: what the data lacks counts as wrong.",
            "They are of the training split: scores on them say nothing about examples that were not trained on."
            if recipe.split == "train"
            else "They are of the validation split, made for held-out scores: whoever trains on them has none left.",
        ],
    )
    return str(card.content)


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.md.jinja").read_text(encoding="utf-8")


def _is_hub_name(model: str) -> bool:
    return model not in EMBEDDED and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) is not None and not Path(model).exists()


def _is_embedded(kind: str, dataset: str | None) -> bool:
    return SOURCE_KINDS.get(kind).default == dataset


def _short(text: str) -> str:
    """A place on one machine is nobody else's business: of a path that is one, the last part."""
    return Path(text).name if Path(text).is_absolute() or text.startswith("~") else text


def _without_places(value: Any) -> Any:
    """Settings with absolute paths shortened to their last part."""
    if isinstance(value, Mapping):
        return {key: _without_places(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_places(each) for each in value]
    return _short(value) if isinstance(value, str) else value


def _data_table(sources: Iterable[tuple[str, str, str | None, str]], licence: str | None) -> str:
    """Kind, name and origin, licence and fingerprint of each source, in Markdown."""
    rows = []
    for kind, name, dataset, fingerprint in sources:
        own = f"{OWN_LICENCE} (it comes with ssl4rl)" if _is_embedded(kind, dataset) else licence or NOT_STATED
        rows.append([name, kind, _short(dataset) if dataset else "made in memory", own, fingerprint])
    table = Table("What the examples are cut from", ["data", "kind", "loaded as", "licence", "fingerprint"], rows)
    return sections_text([Section("", tables=[table])]).replace("### \n", "", 1).strip() + "\n"


def _scores(run: Run, evaluations: Sequence[Run]) -> Iterable[Section]:
    """What the run has learned, by task, beside its controls; and what evaluations of it found."""
    for section in sections_of(run):
        if section.title == "Result":
            own = [line for line in section.lines if not line.startswith("started from")]
            yield replace(section, title="Held out, on the task itself", lines=own)
        if section.title == "By task and level":
            by_task = [table for table in section.tables if table.title.startswith("Recorded")]
            yield replace(section, title="In training", tables=by_task)
    if (controls := _controls(run)) is not None:
        yield controls
    for evaluation in evaluations:
        result = next(section for section in sections_of(evaluation) if section.title == "Result")
        asked = str((evaluation.scores or {})["model"])
        tables = [replace(table, title=table.title.replace(asked, "this model")) for table in result.tables]
        name, level = evaluation.config["benchmark"], evaluation.config.get("level")
        yield replace(result, title=f"Benchmark {name}{f' at level {level}' if level else ''}", tables=tables)


def _controls(run: Run) -> Section | None:
    """The run's recipe beside its controls, if `ssl4rl controls` has made it."""
    path = run.path.resolve().parent / CONTROLS
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if {**content["recipe"], "seed": run.config.get("seed")} != dict(run.config):
        return None  # of another recipe
    rows = []
    for arm in content["arms"]:
        ahead = "" if arm["behind"] is None else describe_difference(arm["behind"])
        seeds = ", ".join(f"{score:.3f}" for score in arm["seeds"])
        rows.append([arm["name"], interval_text(arm["before"]), interval_text(arm["after"]), seeds, ahead])
    head = ["reward or prompts", "before", "after", "after, of each seed", "the task is ahead by"]
    about = "The same steps and seeds with a reward, or with prompts, from which the task cannot be learned."
    return Section("Beside its controls", [about], [Table(f"{content['seeds']} seeds of each", head, rows)])


def _command(run: Run, side: str) -> str:
    """What trains it again, given the recipe as FILE."""
    if not run.is_warmup:
        return f"ssl4rl {side} train --config FILE"
    settings = run.config["warmup"]
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    return f"ssl4rl {side} warmup --config FILE {options}"


def _model_limits(run: Run, evaluations: Sequence[Run]) -> list[str]:
    summary = run.summary or {}
    heldout, best = summary["heldout"]["before"], summary["heldout"]["best"]
    tasks = len(run.config["tasks"])
    what = "one task" if tasks == 1 else f"{tasks} tasks"
    limits = [f"It was trained for {what} on the data above; what it does elsewhere was not measured here."]
    if evaluations:
        limits[0] = "Beyond the benchmarks above, what it does elsewhere was not measured here."
    if heldout is None:
        limits.append("Nothing was held out, so that it is not known whether it learned anything.")
    else:
        limits.append(
            "Held-out examples are cut from the same data and ask the same; they say nothing about other data."
        )
        if best["step"] != summary["steps"]:
            limits.append(f"The model of step {best['step']} was chosen by this very score, which flatters it.")
    if _controls(run) is None:
        limits.append(
            "No controls were trained beside it: part of a gain may be due to the form of replies, not the task."
        )
    limits.append("Its answers are not checked by anyone, and the limits of the model that it started from remain.")
    return limits
