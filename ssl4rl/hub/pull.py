"""A model or exported examples from the hub."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.hub.errors import check_name, check_reachable, one_line

DATASETS = "datasets/"
"""What the names of datasets begin with in the hub's addresses."""

CACHE = Path(".cache") / "huggingface"
"""Where the hub's client keeps notes of a download; in a home folder, all that was ever downloaded and the token."""
NOTES = {"download", "trees", ".gitignore", "CACHEDIR.TAG"}
"""What is there of a download alone."""

SECONDS = 10.0

OF_MODELS = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")
"""Files of a model that are taken. Pickles and code could run something."""


@dataclass(frozen=True)
class Download:
    """What came from a repository."""

    repo: str
    kind: str
    """``model`` or ``dataset``."""
    revision: str
    """The commit."""
    folder: Path
    files: list[str]
    left_out: list[str]
    """Files of a model that could hold code."""

    @property
    def is_model(self) -> bool:
        return self.kind == "model"


def pull(repo: str, output: Path | None = None, revision: str | None = None) -> Download:
    """Downloads a repository; a download that was stopped is continued.

    ``datasets/OWNER/NAME`` is a dataset; OWNER/NAME is a model, or a dataset if there is no such model.

    Raises:
        UserError: if there is no such repository or revision, ``output`` holds something else, or there is no network.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    name = repo.removeprefix(DATASETS)
    check_name(name)
    folder = output or Path(name.rpartition("/")[2])
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _is_unfinished(folder))):
        raise UserError(f"{folder} exists already; choose another --output")
    check_reachable()
    api = HfApi(library_name="ssl4rl")
    kind = "dataset" if repo.startswith(DATASETS) else "model"
    with one_line(repo):
        try:
            info: Any = api.repo_info(name, repo_type=kind, revision=revision, timeout=SECONDS)
        except RepositoryNotFoundError:
            if kind == "dataset":
                raise
            kind = "dataset"
            info = api.repo_info(name, repo_type=kind, revision=revision, timeout=SECONDS)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        taken = [file for file in files if kind == "dataset" or file.endswith(OF_MODELS)]
        snapshot_download(
            name,
            repo_type=kind,
            revision=info.sha,
            local_dir=folder,
            allow_patterns=[f"*{ending}" for ending in OF_MODELS] if kind == "model" else None,
        )
    _remove_notes(folder)
    left_out = [file for file in files if file not in taken and file != ".gitattributes"]
    return Download(name, kind, str(info.sha), folder, [file for file in taken if file != ".gitattributes"], left_out)


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder holds notes of a download, and no cache of the hub's client."""
    return (folder / CACHE).is_dir() and {path.name for path in (folder / CACHE).iterdir()} <= NOTES


def _remove_notes(folder: Path) -> None:
    """Removes what the hub's client noted of a download, unless somebody keeps something else there."""
    if _is_unfinished(folder):
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        with suppress(OSError):
            (folder / CACHE).parent.rmdir()
