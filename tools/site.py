"""What the documentation site has besides the pages in docs/: MkDocs calls these hooks (``make docs``).

The start page is the README, the gallery shows three examples of every task and level that the embedded data carries,
and the page on Python comes from docstrings. Links to files of the repository that are no pages become their names.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from experiments.audit import read_cells
from ssl4rl.audit.fairness import Cell, judge
from ssl4rl.audit.registered import every_task, kinds_on
from ssl4rl.example import Example
from ssl4rl.tasks import Task
from ssl4rl.vision.sheet import contact_sheet

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 3
"""Examples of each task and level."""
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
API = (
    "ssl4rl", "ssl4rl.tasks", "ssl4rl.example", "ssl4rl.answers", "ssl4rl.drafts", "ssl4rl.runs", "ssl4rl.statistics",
    "ssl4rl.graph.task", "ssl4rl.graph.graph", "ssl4rl.vision.task", "ssl4rl.training.recipe",
    "ssl4rl.evaluation.recipe", "ssl4rl.audit.contract", "ssl4rl.audit.fairness",
)  # fmt: skip


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    modules = "\n\n".join(f"::: {module}" for module in API)
    files.append(File.generated(config, "api.md", content=f"# Python\n\n{modules}\n"))
    for kind in ("graph", "images"):
        name = "graph" if kind == "graph" else "vision"
        files.append(File.generated(config, f"gallery/{name}.md", content="\n".join(gallery(kind, files, config))))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Links that leave docs/ become the names of what they lead to."""

    def inside(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[2]))
        return link[0] if files.get_file_from_path(path) is not None else link[1]

    return LINK.sub(inside, markdown)


def gallery(kind: str, files: Files, config: Any) -> Iterator[str]:
    """The lines of a page: every task, its levels, and examples of each."""
    yield f"# {'Graph' if kind == 'graph' else 'Image'} tasks: what a model is asked\n"
    yield "The first examples of every task and level on the embedded data, with their answers.\n"
    carried = {type(task).name for task in every_task(kind)}
    for task in every_task(kind):
        if task.level == next(iter(task.levels)):
            yield f"## {task.name}\n\n{_summary(task)}\n"
        yield f"### {task.label}\n"
        yield from _audited(task)
        examples = [task.example(index) for index in range(SHOWN)]
        if kind == "images":
            sheet = f"gallery/{task.name}-{task.level}.png"
            picture = io.BytesIO()
            contact_sheet(examples).save(picture, "PNG")
            files.append(File.generated(config, sheet, content=picture.getvalue()))
            yield f"![{SHOWN} examples of {task.label}]({posixpath.basename(sheet)})\n"
        for example in examples:
            yield _written(example)
    if left := [each.name for each in kinds_on(kind) if each.name not in carried]:
        yield f"The embedded data does not carry {' and '.join(left)}.\n"


def _summary(task: Task[Any, Any]) -> str:
    return (type(task).__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")


@cache
def _cells(source: str) -> list[Cell]:
    """What ``experiments.audit`` measured on a source; empty if it has not."""
    path = ROOT / "experiments" / "results" / "audit" / f"{source}.csv"
    return judge(read_cells(path)) if path.is_file() else []


def _audited(task: Task[Any, Any]) -> Iterator[str]:
    """What rules that skip the task earn, where that was measured."""
    cells = [cell for cell in _cells(task.source.name) if cell.task == task.label and not cell.need]
    if cells:
        best = max(cells, key=lambda cell: cell.excess / max(cell.error, 1e-9))
        found = sum(cell.verdict == "finding" for cell in cells)
        yield (
            f"Audit: {len(cells)} rules that skip the task, on {best.examples:,} examples each of train and val; "
            f"{found} of them earn more than chance. The best: {best.rule}, {best.score:.3f} where chance is "
            f"{best.chance:.3f}.\n"
        )


def _written(example: Example) -> str:
    parts = [part if isinstance(part, str) else "⟨image⟩" for part in example.parts]
    prompt = "\n".join(line for part in parts for line in part.splitlines())
    return f"````text\n{prompt}\n````\n\nAnswer: `{example.gold}`; by chance {example.chance:.3f}.\n"
