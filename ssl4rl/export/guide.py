"""What goes with the rows: a README, the scripts that launch a trainer, and the files of a package."""

from __future__ import annotations

from pathlib import Path

from ssl4rl.example import task_label
from ssl4rl.export.manifest import MANIFEST, Manifest
from ssl4rl.export.targets import Target

TEMPLATES = Path(__file__).parents[1] / "templates" / "export"

FEWEST_TOKENS = 1024
"""The paper's limit on prompts, which no script goes below."""
TOKENS_PER_PIECE = 1.5
"""A generous guess of a prompt's tokens where no model has counted them."""

FILES_OF = """printf '[%s]' "$(find "$1/data" -name '*.parquet' | sort | sed "s/.*/'&'/" | paste -sd, -)\""""
MANIFEST_OF = """printf "'%s'" "$1/manifest.json\""""
CUSTOM = """    data.custom_cls.path=pkg://ssl4rl.export.online \\
    data.custom_cls.name=OnlineDataset \\
"""

WHAT = {
    "verl.sh": "starts training",
    "verl_nodes.sh": "starts it on several nodes",
    "openrlhf.sh": "starts training",
    "trl.sh": "starts training",
    "pyproject.toml": "makes this folder a package",
    "__init__.py": "its module",
    "taskset.py": "the taskset",
}


def guide_files(target: Target, folder: Path, manifest: Manifest, shows_images: bool) -> dict[str, str]:
    """The texts of the files, by name; ``shows_images`` says whether prompts have any."""
    slots = {
        "NAME": folder.absolute().name,
        "PACKAGE": Path(manifest.scorer.path).parent.name,
        "TARGET": target.name,
        "VERSION": manifest.recipe.versions["ssl4rl"],
        "TASK": task_names(manifest),
        "MAX_PROMPT": str(max_prompt(manifest)),
        "MAX_IMAGES": str(manifest.longest["images"].length if "images" in manifest.longest else 0),
        "DATA": MANIFEST_OF if manifest.recipe.online else FILES_OF,
        "CUSTOM": CUSTOM if manifest.recipe.online else "",
    }
    files = {name: name for name in target.scripts} if manifest.recipe.split == "train" else {}
    if target.is_package:
        package = slots["PACKAGE"]
        files = {"pyproject.toml": "verifiers/pyproject.toml.txt"}
        files |= {f"{package}/{name}": f"verifiers/{name}.txt" for name in ("__init__.py", "taskset.py")}
    texts = {name: _filled(template, slots) for name, template in files.items()}
    if target.is_package:  # what is installed is the module's folder alone
        texts[f"{slots['PACKAGE']}/{MANIFEST}"] = manifest.text()
    slots["ABOUT"] = _about(manifest, shows_images)
    slots["FILES"] = "\n".join(f"| `{name}` | {what} |" for name, what in _contents(manifest, files))
    for_evaluation = manifest.recipe.split == "val" and target.scripts
    slots["USE"] = _filled(f"use/{'val' if for_evaluation else target.name}.md", slots).rstrip()
    texts["README.md"] = _filled("README.md", slots)
    return texts


def task_names(manifest: Manifest) -> str:
    """The tasks in words: ``link@medium on cora``."""
    tasks = manifest.recipe.tasks
    return ", ".join(f"{task_label(each.name, each.level, each.knobs)} on {each.source}" for each in tasks)


def max_prompt(manifest: Manifest) -> int:
    """How many tokens a script allows a prompt, in steps of 128."""
    if "tokens" in manifest.longest:
        tokens = manifest.longest["tokens"].length
    else:
        tokens = round(TOKENS_PER_PIECE * manifest.longest["pieces"].length) if manifest.longest else 0
    return max(FEWEST_TOKENS, -(-tokens // 128) * 128)


def _about(manifest: Manifest, shows_images: bool) -> str:
    recipe = manifest.recipe
    count = "Examples without end" if recipe.indices is None else f"{recipe.count:,} examples"
    lines = [f"{count} of {task_names(manifest)}, split `{recipe.split}`, seed {recipe.seed}."]
    if recipe.online:
        lines.append("They are built as they are used, from the dataset at the same place on every machine.")
    if "tokens" in manifest.longest and recipe.model is not None:
        lines.append(f"The longest prompt has {manifest.longest['tokens'].length:,} tokens of {recipe.model['path']}.")
    elif manifest.longest:
        apart = "; its images come on top, and `--model` counts them" if shows_images else ""
        lines.append(f"The longest prompt has {manifest.longest['pieces'].length:,} pieces, about its tokens{apart}.")
    return "\n".join(lines)


def _contents(manifest: Manifest, files: dict[str, str]) -> list[tuple[str, str]]:
    rows = [("manifest.json", "what was exported and from what, with hashes of the rows and the scorer")]
    if manifest.files:
        rows.append((f"data/*{Path(manifest.files[0].path).suffix}", f"{manifest.rows:,} rows"))
    rows.append((manifest.scorer.path, "scores a reply"))
    return rows + [(name, WHAT[Path(name).name]) for name in files]


def _filled(template: str, slots: dict[str, str]) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in slots.items():
        text = text.replace(f"@{name}@", value)
    return text
