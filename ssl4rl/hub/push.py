"""A run's model, or exported examples, to the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.export.manifest import MANIFEST, read_manifest
from ssl4rl.export.verify import mismatch
from ssl4rl.hub.cards import export_card, model_card
from ssl4rl.hub.errors import LOG_IN, check_name, check_reachable, one_line
from ssl4rl.inference.model import content_of
from ssl4rl.runs import CONFIG, Run
from ssl4rl.training.saving import MODEL

CARD = "README.md"


@dataclass(frozen=True)
class Upload:
    """What goes to a repository."""

    repo: str
    kind: str
    """``model`` or ``dataset``, as the hub calls them."""
    card: str
    files: dict[str, Path]
    """By their names in the repository, without the card."""
    remarks: list[str]
    """Lines to tell the user before it is sent."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.card.encode()) + sum(path.stat().st_size for path in self.files.values())


def prepare(
    folder: Path,
    repo: str,
    *,
    licence: str | None = None,
    data_licence: str | None = None,
    evaluations: Sequence[Path] = (),
) -> Upload:
    """What would be sent: a run's trained model or an export, with its card. Nothing is asked of the hub.

    Raises:
        UserError: if the folder is neither, the run is not finished, or an evaluation is not of its model.
    """
    check_name(repo)
    if (folder / CONFIG).is_file():
        return _of_run(Run.open(folder), repo, licence, data_licence, [Run.open(path) for path in evaluations])
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist; give a run or an export")
    if not any(folder.glob("manifest*.json")):
        raise UserError(
            f"{folder} is neither a run (no {CONFIG}) nor an export (no {MANIFEST}); to send any other folder: "
            f"hf upload {repo} {folder}"
        )
    if evaluations:
        raise UserError("--eval belongs to a model, not to an export")
    manifest = read_manifest(folder)
    written = {manifest.scorer.path: manifest.scorer.sha256, **{file.path: file.sha256 for file in manifest.files}}
    for name, sha256 in written.items():
        path = folder / name
        if mismatch(path, sha256):
            raise UserError(f"{path} is not the file of {MANIFEST} (ssl4rl export --verify {folder}); export again")
    card = export_card(manifest, folder, repo, licence=licence, data_licence=data_licence)
    places = {each.dataset for each in manifest.recipe.tasks if each.dataset and Path(each.dataset).is_absolute()}
    remarks = [f"{MANIFEST} names {place}, where the data is on this machine" for place in sorted(places)]
    if data_licence is None and "not stated" in card:
        remarks.append("the licence of the data is not stated in the card; --data-license states it")
    return Upload(repo, "dataset", card, _files(folder), remarks)


def _of_run(run: Run, repo: str, licence: str | None, data_licence: str | None, evaluations: Sequence[Run]) -> Upload:
    if run.is_evaluation:
        raise UserError(f"{run.path} is an evaluation and has no model; push the training run, with --eval {run.path}")
    if run.summary is None or not (run.path / MODEL / "config.json").is_file():
        raise UserError(f"{run.path} has no trained model yet; finish it with --resume")
    for evaluation in evaluations:
        _check_evaluation(evaluation, run)
    card = model_card(run, repo, licence=licence, data_licence=data_licence, evaluations=evaluations)
    remarks = []
    if data_licence is None and "not stated" in card:
        remarks.append("the licence of the data is not stated in the card; --data-license states it")
    return Upload(repo, "model", card, _files(run.path / MODEL), remarks)


def _check_evaluation(evaluation: Run, run: Run) -> None:
    if not evaluation.is_evaluation or evaluation.scores is None:
        raise UserError(f"--eval {evaluation.path}: it is no finished evaluation")
    asked = Path(str(evaluation.config.get("model"))).expanduser().resolve()
    if asked not in (run.path.resolve(), (run.path / MODEL).resolve()):
        raise UserError(
            f"--eval {evaluation.path}: it asked {evaluation.config.get('model')}, not the model of {run.path}"
        )
    if evaluation.environment.get("model") != content_of(run.path / MODEL):
        raise UserError(f"--eval {evaluation.path}: the model of {run.path} is another one since; evaluate it again")


def _files(folder: Path) -> dict[str, Path]:
    """Everything in a folder but hidden files, bytecode and an older card."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    shown = {
        name: path
        for name, path in found.items()
        if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    }
    return {name.as_posix(): path for name, path in shown.items() if name.as_posix() != CARD}


def push(upload: Upload, *, public: bool = False) -> str:
    """Sends it in one commit, to a repository that is made if there is none; returns its address.

    Raises:
        UserError: without a token, a network, or the right to do so.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if get_token() is None:
        raise UserError(f"the hub takes nothing without a token: {LOG_IN}")
    check_reachable()
    api = HfApi(library_name="ssl4rl")
    with one_line(upload.repo):
        api.whoami()  # a wrong token shows before anything is made
        made = api.create_repo(upload.repo, repo_type=upload.kind, private=not public, exist_ok=True)
        operations = [CommitOperationAdd(CARD, upload.card.encode())]
        operations += [CommitOperationAdd(name, path) for name, path in upload.files.items()]
        api.create_commit(upload.repo, operations, commit_message="Written by ssl4rl push", repo_type=upload.kind)
    return str(made)
