"""The folder of an export: never half of one. A stopped export is continued, anything else in the way is refused."""

from __future__ import annotations

from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.export.manifest import MANIFEST, PARTIAL, Manifest, changed, file_sha256, read_manifest
from ssl4rl.export.scorer import SCORER, scorer_sha256
from ssl4rl.files import whole

DATA = "data"


class ExportFolder:
    """Where an export is written. Its manifest has another name until everything else is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begun(self, planned: Manifest) -> Manifest:
        """What has been written already of the planned export: nothing, some files, or all of them.

        Raises:
            UserError: if the folder holds something else, or an export of something else.
        """
        if not self.path.exists():
            return planned
        if not self.path.is_dir():
            raise UserError(f"{self.path} is a file; choose another --output")
        names = [name for name in (MANIFEST, PARTIAL) if (self.path / name).is_file()]
        if not names:
            if any(self.path.iterdir()):
                raise UserError(f"{self.path} is not empty and holds no export; choose another --output")
            return planned
        found = read_manifest(self.path, names[0])
        difference = changed(found.recipe, planned.recipe)
        if difference:
            raise UserError(f"{self.path} holds another export: {difference}; choose another --output")
        if found.scorer.sha256 != scorer_sha256():
            raise UserError(f"{self.path} has a scorer of another version of ssl4rl; choose another --output")
        written = {file.path: file.sha256 for file in found.files}
        if self.finished:
            written[found.scorer.path] = found.scorer.sha256
        for name, sha256 in written.items():
            path = self.path / name
            if not path.is_file() or file_sha256(path) != sha256:
                raise UserError(f"{path} is not as it was written; delete {self.path} and export again")
        return found

    @property
    def finished(self) -> bool:
        """Whether there is a complete export."""
        return (self.path / MANIFEST).is_file()

    def write(self, name: str, text: str) -> None:
        """Writes a file, whole."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as path:
            path.write_text(text, encoding="utf-8", newline="\n")  # hashed, and run by shells, whatever the system
            if name.endswith(".sh"):
                path.chmod(0o755)

    def note(self, manifest: Manifest) -> None:
        """Records what has been written so far."""
        self.write(PARTIAL, manifest.text())

    def finish(self, manifest: Manifest) -> None:
        """Gives the manifest its name, as the last file."""
        self.write(MANIFEST, manifest.text())
        (self.path / PARTIAL).unlink(missing_ok=True)

    def discard(self, written: list[str]) -> None:
        """Removes what an export wrote that cannot be completed."""
        for name in [*written, PARTIAL, SCORER]:
            (self.path / name).unlink(missing_ok=True)
        folders = {(self.path / name).parent for name in written} | {self.path / DATA, self.path}
        for folder in sorted(folders, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
