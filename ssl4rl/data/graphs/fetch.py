"""Fetches a TAGLAS dataset from the Hugging Face hub or a folder, converts it, and keeps it under SSL4RL_HOME."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4rl.data.graphs.store import FORMAT, graph_folder, read_manifest, write_graph
from ssl4rl.data.graphs.taglas_raw import RAW, REPOSITORY, Raw
from ssl4rl.errors import UserError, unknown
from ssl4rl.registry import GRAPHS

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

    from ssl4rl.graph.graph import TextAttributedGraph

TIMEOUT = 10.0
"""Seconds after which the hub counts as unreachable."""


def fetch_state(name: str) -> dict[str, Any]:
    """Where a dataset is fetched ``from``, whether it is ``here``, and if so, in which ``folder``."""
    manifest = read_manifest(name)
    here = manifest is not None and manifest.get("format") == FORMAT
    state = {"from": f"{REPOSITORY}/{RAW[name].folder}", "here": here}
    return {**state, "folder": str(graph_folder(name))} if here else state


def fetch(name: str, source: Path | None = None, revision: str | None = None) -> TextAttributedGraph:
    """Converts a dataset and stores it, replacing an earlier copy.

    ``source`` is a folder laid out like the hub repository (``source/Cora/cora.pt``). Without it, the files of
    ``revision`` (by default the latest) are downloaded and compared with the hub's checksums. The revision and the
    SHA-256 of each raw file are stored with the graph.

    Raises:
        UserError: for an unknown name, missing or malformed files, or a hub that cannot be reached.
    """
    if name not in RAW:
        if name in GRAPHS.names():
            raise UserError(f"dataset {name} needs no fetching: the package that registers it brings it along")
        raise unknown("dataset", name, RAW)
    raw = RAW[name]
    origin: dict[str, Any]
    if source is None:
        root, revision = download(raw, revision)
        origin = {"repository": REPOSITORY, "revision": revision}
    else:
        root, origin = source, {"folder": str(source.resolve())}
        _check_layout(raw, source)
    folder = root / raw.folder
    origin["sha256"] = {file: _digest(folder / file, "sha256") for file in raw.files}
    try:
        graph = raw.parse(folder)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the files in {folder} are not in the format of TAGLAS's {name} ({type(error).__name__}: {error})"
        ) from error
    write_graph(graph, origin)
    return graph


def _check_layout(raw: Raw, source: Path) -> None:
    for file in raw.files:
        path = source / raw.folder / file
        if not path.is_file():
            expected = ", ".join(f"{raw.folder}/{each}" for each in raw.files)
            hint = f"; did you mean --from {source.resolve().parent}?" if (source / file).is_file() else ""
            raise UserError(f"{path} is missing; the folder must hold {expected}{hint}")
        if not path.stat().st_size:
            raise UserError(f"{path} is empty")


def download(raw: Raw, revision: str | None) -> tuple[Path, str]:
    """Downloads the raw files into the hub client's cache; returns the snapshot's folder and its commit hash.

    One request without retries comes first, for the commit and the checksums, so that an offline machine gets its
    error at once.
    """
    import httpx
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(REPOSITORY, revision=revision, files_metadata=True, timeout=TIMEOUT)
        commit = str(info.sha)
        siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        paths = {}
        for file in raw.files:
            name = f"{raw.folder}/{file}"
            if name not in siblings:
                raise UserError(f"{REPOSITORY} has no file {name} at revision {commit}")
            paths[name] = Path(hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=commit))
    except RevisionNotFoundError as error:
        raise UserError(f"{REPOSITORY} has no revision {revision}") from error
    except (OSError, httpx.HTTPError) as error:
        reason = "it does not exist" if isinstance(error, RepositoryNotFoundError) else str(error).split("\n")[0]
        raise UserError(
            f"cannot download from the Hugging Face hub ({REPOSITORY}: {reason}); "
            "if you have its files, give their folder with --from FOLDER"
        ) from error
    for name, path in paths.items():
        _check_sum(path, siblings[name])
    return path.parents[1], commit


def _check_sum(path: Path, stated: RepoSibling) -> None:
    """Compares a file with the hub's checksum: SHA-256 for large files, git's blob hash for the others."""
    if stated.lfs is not None:
        intact = _digest(path, "sha256") == stated.lfs.sha256
    else:
        header = f"blob {path.stat().st_size}\0".encode()
        intact = stated.blob_id is None or _digest(path, "sha1", header) == stated.blob_id
    if not intact:
        raise UserError(f"{path} does not match the hub's checksum; delete it and fetch again")


def _digest(path: Path, algorithm: str, header: bytes = b"") -> str:
    digest = hashlib.new(algorithm, header)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
