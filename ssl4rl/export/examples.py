"""The rows of an export, built as they are asked for."""

from __future__ import annotations

from pathlib import Path

from ssl4rl.export.manifest import Manifest, read_manifest
from ssl4rl.export.rows import Row
from ssl4rl.export.run import RowSource
from ssl4rl.export.targets import find_target


class Examples:
    """The examples that the manifest in a folder describes: row ``i`` is what the file of rows would have there.

    Raises:
        UserError: if the dataset is not here, or if it or a task has changed since.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest: Manifest = read_manifest(folder)
        recipe = self.manifest.recipe
        model = None
        if recipe.model is not None:
            from ssl4rl.inference.model import ModelFiles

            model = ModelFiles(recipe.model["path"])
        self._source = RowSource(recipe.task(), find_target(recipe.to), model)

    def __len__(self) -> int:
        return self.manifest.recipe.count

    def row(self, index: int) -> Row:
        """The row of that index."""
        return self._source.row(index)
