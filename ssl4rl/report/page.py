"""A report of runs: one HTML page that needs no other file and no network, or Markdown with its figures beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ssl4rl.errors import UserError
from ssl4rl.evaluation.compare import Comparison, compare
from ssl4rl.files import wanted
from ssl4rl.report.blocks import Collector, Section, Table
from ssl4rl.report.comparison import print_difference
from ssl4rl.report.groups import (
    as_json,
    count_replies,
    illustrated,
    of_comparison,
    of_evaluation,
    of_training,
    spread,
)
from ssl4rl.report.sections import headline, sections_of
from ssl4rl.report.shown import Rebuilt
from ssl4rl.runs import Run

if TYPE_CHECKING:
    from jinja2 import Environment

    from ssl4rl.report.groups import Entry

TEMPLATES = Path(__file__).parents[1] / "templates" / "report"


@dataclass(frozen=True)
class Part:
    """A run, or a comparison of two, with what is said about it."""

    name: str
    sections: Sequence[Section]


@dataclass
class Report:
    """Everything on a page."""

    title: str
    parts: list[Part]
    about_replies: list[str] = field(default_factory=list)
    data: Mapping[str, Any] = field(default_factory=dict)
    """``groups`` of replies and ``images``, for the page's script."""


def make_report(runs: Sequence[Run], most: int | None = None) -> Report:
    """What is known of runs, and their replies: all, or at most ``most``, evenly spread.

    Evaluations of one benchmark are also compared with the first of them.

    Raises:
        UserError: if a file of a run is damaged.
    """
    parts = [Part(str(run.path), sections_of(run)) for run in runs]
    compared: list[Entry] = []
    comparisons = []
    for pair in _pairs(runs):
        section, entries = _compared(pair)
        comparisons.append(section)
        compared += entries
    if comparisons:
        parts.insert(0, Part("Compared", comparisons))
    if len(runs) > 1:
        table = Table("", ["run", "what", "data", "model", "result"], [headline(run) for run in runs])
        parts.insert(0, Part("Overview", [Section("Results", tables=[table])]))
    report = Report(runs[0].path.name if len(runs) == 1 else f"{len(runs)} runs", parts)
    _add_replies(report, runs, compared, most)
    return report


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Each evaluation with the first one of the same benchmark on the same data."""
    first: dict[tuple[str, str | None], Run] = {}
    for run in runs:
        if run.is_evaluation:
            before = first.setdefault((run.config["benchmark"], run.config.get("dataset")), run)
            if before is not run:
                yield before, run


def _compared(pair: tuple[Run, Run]) -> tuple[Section, list[Entry]]:
    title = f"{pair[1].path} against {pair[0].path}"
    try:
        comparison: Comparison = compare(*pair)
    except UserError as error:  # other data or other questions: each run still has its own part
        return Section(title, [f"They are not compared: {error}"]), []
    collected = Collector()
    print_difference(collected, *pair, comparison)
    return collected.section(title), of_comparison(pair, comparison)


def _add_replies(report: Report, runs: Sequence[Run], compared: Sequence[Entry], most: int | None) -> None:
    entries = [entry for run in runs for entry in (of_evaluation if run.is_evaluation else of_training)(run)]
    shown = [*entries, *compared]
    recorded = count_replies(shown)
    if most is not None:
        shown = [*spread(entries, max(most - count_replies(compared), 0)), *spread(compared, most)]
    listed = count_replies(shown)
    rebuilt = Rebuilt()
    groups = illustrated(shown, rebuilt)
    if not recorded:
        report.about_replies.append("No replies are recorded yet.")
    elif listed < recorded:
        again = " (comparisons show some again)" if compared else ""
        report.about_replies.append(
            f"{listed:,} of {recorded:,} recorded replies{again}, all those to a prompt or none, evenly spread; "
            "--replies decides how many."
        )
    for reason, count in rebuilt.refused.items():
        report.about_replies.append(f"{count} prompts are shown without images and drawings: {reason}")
    report.data = {"groups": [as_json(group) for group in groups], "images": rebuilt.images}


def write_report(report: Report, path: Path, form: str = "html") -> None:
    """Writes a report as ``html`` or ``md``; the figures of the latter go to a folder beside it.

    Raises:
        UserError: if it cannot be written.
    """
    text = _markdown(report, path) if form == "md" else as_html(report)
    with wanted(path) as file:
        # What is not valid Unicode in data becomes a question mark.
        file.write_bytes(text.encode("utf-8", "replace"))


def as_html(report: Report) -> str:
    """The page. Whatever comes from data is text in it, and a policy lets no script run but the page's own."""
    from markupsafe import Markup

    import ssl4rl

    template = _environment(escape=True).get_template("page.html.jinja")
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return template.render(report=report, style=style, script=script, version=ssl4rl.__version__)


def _markdown(report: Report, path: Path) -> str:
    """The text for ``path``, after its figures were written beside that."""
    folder = path.with_name(f"{path.stem}-figures")
    names: dict[int, str] = {}
    for number, part in enumerate(report.parts, start=1):
        for section in part.sections:
            drawn = {id(figure): (f"{figure.name}.svg", figure.svg()) for figure in section.figures}
            drawn |= {id(each): (f"{each.name}.{each.suffix}", each.data) for each in section.pictures}
            for what, (name, data) in drawn.items():
                names[what] = f"{folder.name}/{number}-{name}"
                with wanted(path.parent / names[what]) as file:
                    folder.mkdir(exist_ok=True)
                    file.write_bytes(data)
    template = _environment(escape=False).get_template("page.md.jinja")
    return template.render(report=report, file_of=lambda drawn: quote(names[id(drawn)]))


def sections_text(sections: Sequence[Section]) -> str:
    """Sections as Markdown, without their figures."""
    without = [replace(section, figures=[], pictures=[]) for section in sections]
    return _environment(escape=False).get_template("sections.md.jinja").render(sections=without)


def _environment(*, escape: bool) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=escape, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {"data_url": _data_url, "csp_hash": _csp_hash, "plain": plain_text}
    return environment


def _data_url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _csp_hash(text: str) -> str:
    """The source expression that allows this very script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def plain_text(text: str) -> str:
    """A text on one line, none of which is read as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]|<>#$~&])", r"\\\1", " ".join(text.split()))
