"""verl's dataset, with examples built as they are used instead of read from files.

``data.custom_cls.path=pkg://ssl4rl.export.online data.custom_cls.name=OnlineDataset``, and an export's manifest.json as
``data.train_files``: `ssl4rl export --to verl --online` writes it, with a script that says so. Checked with verl 0.9.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Dataset
from verl.utils.dataset.rl_dataset import RLHFDataset

from ssl4rl.export.examples import Examples


class OnlineRows(Dataset[Any]):
    """The rows of one manifest."""

    def __init__(self, manifest: str) -> None:
        self._examples = Examples(Path(manifest).parent)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Any:
        return self._examples.row(index)


class OnlineDataset(RLHFDataset):  # type: ignore[misc]
    """verl's dataset over such rows. It filters nothing: a prompt that is too long stops verl with an error."""

    def _download(self, use_origin_parquet: bool = False) -> None:
        self.data_files = list(self.original_data_files)

    def _read_files_and_tokenize(self) -> None:
        self.dataframe: Dataset[Any] = ConcatDataset([OnlineRows(manifest) for manifest in self.data_files])

    def __len__(self) -> int:
        rows = len(self.dataframe)  # type: ignore[arg-type]
        return rows if self.max_samples <= 0 else min(self.max_samples, rows)
