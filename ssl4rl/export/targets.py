"""What each trainer reads: the form of its prompts and images, and the files that go with them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ssl4rl.errors import UserError, unknown
from ssl4rl.example import Example
from ssl4rl.export import rows
from ssl4rl.export.rows import Row
from ssl4rl.inference.messages import Messages, images_of
from ssl4rl.mixture import parts_of
from ssl4rl.tasks import AnyTask, Task

STRING: dict[str, Any] = {"dtype": "string", "_type": "Value"}
INTEGER: dict[str, Any] = {"dtype": "int64", "_type": "Value"}
TEXT_TURNS: list[dict[str, Any]] = [{"role": STRING, "content": STRING}]
PART_TURNS: list[dict[str, Any]] = [{"role": STRING, "content": [{"type": STRING, "text": STRING}]}]
"""Types of columns as huggingface's datasets library writes them: a list has one entry, which is the type of all."""


def one_turn(messages: Messages) -> list[dict[str, Any]]:
    """A user's turn with placeholders."""
    return [{"role": "user", "content": rows.with_placeholders(messages)}]


def turn_of_parts(messages: Messages) -> list[dict[str, Any]]:
    """A user's turn of typed parts. Of a plain text TRL puts all images in front."""
    return [{"role": "user", "content": rows.in_parts(messages)}]


def image_files(messages: Messages) -> list[dict[str, Any]]:
    """Images as the files that huggingface's datasets library decodes."""
    return [{"bytes": png, "path": None} for png in rows.pngs(messages)]


def data_uris(messages: Messages) -> list[str]:
    """Images as texts."""
    return ["data:image/png;base64," + base64.b64encode(png).decode() for png in rows.pngs(messages)]


def chat_turn(messages: Messages) -> list[dict[str, Any]]:
    """A user's turn as chat completion servers read it."""
    if not images_of(messages):
        return one_turn(messages)
    urls = iter(data_uris(messages))
    content = [
        part if part["type"] == "text" else {"type": "image_url", "image_url": {"url": next(urls)}}
        for part in rows.in_parts(messages)
    ]
    return [{"role": "user", "content": content}]


class PromptForm(NamedTuple):
    """How prompts are written: the column's value of a conversation, and its type (None for a format without types)."""

    write: Callable[[Messages], Any]
    type: Any


TURN = PromptForm(one_turn, TEXT_TURNS)


@dataclass(frozen=True)
class Target:
    """One trainer."""

    name: str
    suffix: str = "parquet"
    """The format of its shards."""
    prompt: PromptForm = TURN
    image_prompt: PromptForm | None = None
    """The same where the task shows images, if that differs."""
    images: Callable[[Messages], list[Any]] | None = image_files
    """The column of images; None if they are in the prompt."""
    mixes: bool = True
    """Whether some prompts of a dataset may have images and others none."""
    scripts: tuple[str, ...] = ()
    """The templates of what launches it."""
    online: bool = False
    """Whether it can build examples as it uses them."""
    is_package: bool = False
    """Whether it gets a package that builds examples, and no rows."""

    def check(self, task: AnyTask) -> None:
        """Refuses tasks that this trainer cannot be given.

        Raises:
            UserError: saying why, and what to do instead.
        """
        parts = parts_of(task)
        if not self.mixes and len({part.source_kind.shows_images for part in parts}) > 1:
            raise UserError(
                f"{self.name} wants images in all prompts or in none, and {task.label} has both; export its tasks one "
                "by one, or for another trainer"
            )
        for part in parts:
            if type(part).score is not Task.score:
                raise UserError(
                    f"task {part.name} scores replies with code of its own, which another trainer does not have; its "
                    "scoring has to be a function of ssl4rl.answers"
                )

    def form(self, shows_images: bool) -> PromptForm:
        """How its prompts are written."""
        return self.image_prompt if shows_images and self.image_prompt is not None else self.prompt

    def features(self, shows_images: bool) -> dict[str, Any]:
        """The types of the columns, in order."""
        columns: dict[str, Any] = {"id": STRING, "data_source": STRING, "prompt": self.form(shows_images).type}
        if shows_images:
            columns["images"] = [{"_type": "Image"}]
        return columns | {
            "ability": STRING,
            "reward_model": {"style": STRING, "ground_truth": STRING},
            "ground_truth": STRING,
            "extra_info": {"split": STRING, "index": INTEGER, "id": STRING, "gold_reply": STRING},
        }

    def row(self, example: Example, index: int, messages: Messages, shows_images: bool) -> Row:
        """An example as a row; ``shows_images`` says whether any example of the dataset has images.

        Raises:
            UserError: if a text holds what stands for an image.
        """
        row = rows.row_of(example, index, messages)
        row["prompt"] = self.form(shows_images).write(messages)
        if shows_images and self.images is not None:
            row["images"] = self.images(messages)
        return row


TARGETS = {
    target.name: target
    for target in (
        Target("verl", scripts=("verl.sh", "verl_nodes.sh"), online=True),
        Target("openrlhf", scripts=("openrlhf.sh",)),
        Target("easyr1", prompt=PromptForm(rows.with_placeholders, STRING), mixes=False),
        Target("trl", image_prompt=PromptForm(turn_of_parts, PART_TURNS), scripts=("trl.sh",)),
        Target("jsonl", suffix="jsonl", images=data_uris),
        Target("verifiers", prompt=PromptForm(chat_turn, None), images=None, is_package=True),
    )
}


def find_target(name: str) -> Target:
    """The trainer of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in TARGETS:
        raise unknown("target of an export", name, [*TARGETS, "vlmevalkit"])
    return TARGETS[name]
