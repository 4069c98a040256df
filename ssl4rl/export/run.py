"""Examples with their scorer, for another trainer: rows in files, or what builds them as they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.export.folder import DATA, ExportFolder
from ssl4rl.export.guide import guide_files
from ssl4rl.export.manifest import ExportRecipe, Longest, Manifest, WrittenFile, WrittenScorer, file_sha256, longer
from ssl4rl.export.rows import Row
from ssl4rl.export.scorer import SCORER, scorer_sha256, scorer_source
from ssl4rl.export.shards import ROWS_PER_FILE, ROWS_PER_GROUP, open_shard
from ssl4rl.export.targets import Target, find_target
from ssl4rl.graph.budget import count_pieces
from ssl4rl.inference.messages import Messages
from ssl4rl.mixture import parts_of
from ssl4rl.tasks import AnyTask

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

Say = Callable[[str], None]
LOOKED_AT = 1_000
"""Examples whose prompts are measured where examples are built as they are used."""


@dataclass(frozen=True)
class RowSource:
    """What makes rows of a task's examples for one trainer.

    With ``model``, strings in texts that it would read as control tokens are written apart, and prompts are measured
    by its tokenizer too.
    """

    task: AnyTask
    target: Target
    model: ModelFiles | None = None

    @property
    def shows_images(self) -> bool:
        """Whether any of the prompts has images."""
        return any(part.source_kind.shows_images for part in parts_of(self.task))

    def messages(self, example: Example) -> Messages:
        """The conversation of an example."""
        return example.messages() if self.model is None else self.model.messages(example)

    def row(self, index: int) -> Row:
        """The row of an index.

        Raises:
            UserError: if a text of it cannot be exported.
        """
        example = self.task.example(index)
        return self.target.row(example, index, self.messages(example), self.shows_images)

    def measured(self, index: int) -> tuple[Row, dict[str, Longest]]:
        """The row of an index, and how long its prompt is.

        Raises:
            UserError: if a text of it cannot be exported.
        """
        example = self.task.example(index)
        messages = self.messages(example)
        row = self.target.row(example, index, messages, self.shows_images)
        lengths = {"pieces": count_pieces(example.text)}
        if self.shows_images:
            lengths["images"] = len(example.images)
        if self.model is not None:
            lengths["tokens"] = len(self.model.prompt_ids(messages))
        return row, {unit: Longest(length=length, id=row["id"]) for unit, length in lengths.items()}


def export(
    task: AnyTask,
    to: str,
    count: int | None,
    output: Path,
    *,
    model: str | None = None,
    online: bool = False,
    say: Say = lambda _: None,
) -> Manifest:
    """Writes the first ``count`` examples of a task for a trainer, with their scorer; continues a stopped export.

    The same recipe gives the same bytes. ``online`` leaves the rows out: verl then builds them as it uses them.

    Raises:
        UserError: if the task cannot be exported so, or ``output`` holds something else. Nothing is left of an export
            that cannot be completed.
    """
    target = find_target(to)
    check_request(target, task, count, online)
    files = None
    if model is not None:
        from ssl4rl.inference.model import ModelFiles

        files = ModelFiles(model)
    source = RowSource(task, target, files)
    if files is not None:
        check_model(files, source)
    about_model = None if files is None else {"path": files.name, "fingerprint": files.fingerprint}
    recipe = ExportRecipe.of(task, to, count, online, about_model)
    planned = Manifest(recipe=recipe, scorer=WrittenScorer(path=scorer_path(target, output), sha256=scorer_sha256()))
    folder = ExportFolder(output)
    try:
        manifest = folder.begun(planned)
        if folder.finished:
            say(f"{output} is complete already")
            return manifest
        return _write(source, folder, manifest, say)
    except OSError as error:
        where = error.filename or output
        raise UserError(
            f"cannot write {where}: {error.strerror}; repeat the command to continue, or choose another --output"
        ) from error


def check_request(target: Target, task: AnyTask, count: int | None, online: bool) -> None:
    """Refuses what a trainer cannot be given, and options that say nothing to it.

    Raises:
        UserError: naming the option.
    """
    target.check(task)
    if online and not target.online:
        raise UserError(f"--online is for verl; {target.name} reads files")
    if target.is_package and count is not None:
        raise UserError(f"-n: the examples of {target.name} never end; limit them there, with --select.limit")
    if not target.is_package and count is None:
        raise UserError("say how many examples: -n 10000")


def check_model(files: ModelFiles, source: RowSource) -> None:
    """Refuses a model whose replies would earn nothing.

    Raises:
        UserError: saying why.
    """
    if source.shows_images:
        files.check_reads_images()
    if files.special_tags and any(part.knobs.reasoning for part in parts_of(source.task)):
        raise UserError(
            f"{', '.join(files.special_tags)} are special tokens of model {files.name!r}, and other trainers leave "
            "those out of replies: every reward would be 0; ask for the answer alone with --set task.reasoning=false"
        )


def scorer_path(target: Target, output: Path) -> str:
    """Where the scorer is, below the folder."""
    return f"{package_name(output)}/{SCORER}" if target.is_package else SCORER


def package_name(output: Path) -> str:
    """The name of the module that a package in this folder has.

    Raises:
        UserError: if the folder's name is none.
    """
    name = output.absolute().name.lower().replace("-", "_")
    if not name.isidentifier():
        raise UserError(f"--output {output}: the package is named after the folder; use letters, digits and hyphens")
    return name


def _write(source: RowSource, folder: ExportFolder, manifest: Manifest, say: Say) -> Manifest:
    recipe = manifest.recipe
    written = [file.path for file in manifest.files]
    try:
        folder.note(manifest)
        folder.write(manifest.scorer.path, scorer_source())
        written.append(manifest.scorer.path)
        if recipe.online:
            manifest = manifest.model_copy(update={"longest": _longest_of_first(source, recipe.count)})
        elif not source.target.is_package:
            for file in _write_shards(source, folder, manifest):
                written.append(file.path)
                manifest = manifest.with_file(file)
                folder.note(manifest)
                say(f"{manifest.rows:,} of {recipe.count:,} rows")
        for name, text in guide_files(source.target, folder.path, manifest, source.shows_images).items():
            folder.write(name, text)
            written.append(name)
    except UserError:
        folder.discard(written)
        raise
    folder.finish(manifest)
    return manifest


def _longest_of_first(source: RowSource, count: int) -> dict[str, Longest]:
    """The longest prompt of as many examples as are looked at where none is written."""
    longest: dict[str, Longest] = {}
    for index in range(min(count, LOOKED_AT)):
        longest = longer(longest, source.measured(index)[1])
    return longest


def _write_shards(source: RowSource, folder: ExportFolder, begun: Manifest) -> Iterator[WrittenFile]:
    """Writes the files that are missing, one by one."""
    recipe, target, shows_images = begun.recipe, source.target, source.shows_images
    size, group = ROWS_PER_FILE[shows_images], ROWS_PER_GROUP[shows_images]
    num_files = -(-recipe.count // size)
    (folder.path / DATA).mkdir(parents=True, exist_ok=True)
    for number in range(len(begun.files), num_files):
        indices = range(number * size, min((number + 1) * size, recipe.count))
        name = f"{DATA}/{recipe.split}-{number:05d}-of-{num_files:05d}.{target.suffix}"
        longest: dict[str, Longest] = {}
        with open_shard(folder.path / name, target.suffix, target.features(shows_images)) as shard:
            for start in range(indices.start, indices.stop, group):
                rows = []
                for index in range(start, min(start + group, indices.stop)):
                    row, lengths = source.measured(index)
                    rows.append(row)
                    longest = longer(longest, lengths)
                shard.write(rows)
        path = folder.path / name
        yield WrittenFile(
            path=name, rows=len(indices), bytes=path.stat().st_size, sha256=file_sha256(path), longest=longest
        )
