"""Finding a model and its tokenizer, and what must hold before anything is trained with them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.engines.base import Messages
from ssl4rl.inference.processor import load_processor, pictures, scaled
from ssl4rl.inference.tokens import encode

TINY = "tiny"
TINY_VISION = "tiny-vision"
"""The names of the small models that come with the package: a language model and a vision-language model."""

# Knobs that decide how long a prompt is, the most direct first.
SIZE_KNOBS = ("text_budget", "max_nodes", "num_hops", "size")


def resolve(path: str) -> str:
    """The folder or hub name that transformers loads for a recipe's ``model.path``.

    Raises:
        UserError: for a folder that does not exist or holds no model.
    """
    if path == TINY:
        from ssl4rl.models.tiny import model_path

        return str(model_path())
    if path == TINY_VISION:
        from ssl4rl.models import tiny_vision

        return str(tiny_vision.model_path())
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"model folder {path} has no config.json; give a folder as transformers saves it")
        return str(folder)
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise UserError(f"model folder {path} does not exist")
    return path


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


@dataclass(frozen=True)
class Measured:
    """How long a prompt is for a model."""

    example: str
    tokens: int
    pictures: int
    picture_tokens: int
    """How many of the tokens stand for its pictures."""

    def __str__(self) -> str:
        shown = f", {self.picture_tokens} of them for {self.pictures} picture(s)" if self.pictures else ""
        return f"{self.tokens} tokens{shown} ({self.example})"


class ModelFiles:
    """Configuration and tokenizer (and processor, of a vision-language model) of a model, without its weights.

    Pictures with fewer pixels than ``min_pixels`` or more than ``max_pixels`` are scaled before the processor sees
    them, whatever bounds it has of its own.

    Raises:
        UserError: if they cannot be read, or the tokenizer has no chat template.
    """

    def __init__(self, path: str, *, min_pixels: int | None = None, max_pixels: int | None = None) -> None:
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        self.name = path
        self.path = resolve(path)
        self.min_pixels, self.max_pixels = min_pixels, max_pixels
        try:
            self.config: Any = AutoConfig.from_pretrained(self.path)
            self.reads_images = self.config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            self.tokenizer: Any
            self.processor: Any
            if self.reads_images:
                self.processor = load_processor(self.path, self.config.model_type)
                self.tokenizer = self.processor.tokenizer
            else:
                self.processor = self.tokenizer = AutoTokenizer.from_pretrained(self.path, padding_side="left")
        except (OSError, ValueError, ImportError) as error:
            raise UserError(f"cannot load model {path!r}: {_first_line(error)}") from error
        if not self.processor.chat_template:
            raise UserError(
                f"model {path!r} has no chat template; take an instruct model, or save its tokenizer with one"
            )
        if self.tokenizer.eos_token_id is None:
            raise UserError(f"the tokenizer of model {path!r} has no end-of-sequence token; replies could not end")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        try:
            declared = GenerationConfig.from_pretrained(self.path).eos_token_id
        except OSError:
            declared = self.config.get_text_config().eos_token_id
        ids = [declared] if isinstance(declared, int) else list(declared or [])
        self.eos_token_ids: list[int] = list(dict.fromkeys([self.tokenizer.eos_token_id, *ids]))

    @property
    def suppressed_tokens(self) -> list[int]:
        """Special tokens that end no reply (chat control, image placeholders): a sampled one would break the step."""
        special = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        return sorted((special | set(self.tokenizer.all_special_ids)) - set(self.eos_token_ids))

    def context_length(self, configured: int | None = None) -> int:
        """Most tokens of prompt and reply together."""
        limits = [configured, getattr(self.config.get_text_config(), "max_position_embeddings", None)]
        return min(limit for limit in [*limits, 1 << 30] if limit)

    def messages(self, example: Example) -> Messages:
        """The example's chat form, its pictures scaled into the bounds on their pixels."""
        return [
            {**turn, "content": [self._scaled(part) for part in turn["content"]]} if pictures([turn]) else turn
            for turn in example.messages()
        ]

    def _scaled(self, part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "image": scaled(part["image"], self.min_pixels, self.max_pixels)} if "image" in part else part

    def check_reads_pictures(self) -> None:
        """Refuses a language model where pictures are shown.

        Raises:
            UserError: if it reads none.
        """
        if not self.reads_images:
            raise UserError(
                f"model {self.name!r} reads no pictures; take a vision-language model, such as {TINY_VISION}"
            )

    def prompt_ids(self, messages: Messages) -> list[int]:
        """A conversation as token ids, ending where the reply begins.

        Raises:
            UserError: if it has pictures and the model reads none.
        """
        if pictures(messages):
            self.check_reads_pictures()
        return encode(self.processor, [messages]).ids[0]

    def check_length(
        self,
        example: Example,
        length: int,
        max_completion_length: int,
        context_length: int,
        reply_setting: str = "grpo.max_completion_length",
    ) -> None:
        """Refuses a prompt of ``length`` tokens that leaves no room for the reply: nothing is ever cut silently.

        ``reply_setting`` is what sets the reply's length.

        Raises:
            UserError: naming the example and the knob to lower.
        """
        if length + max_completion_length > context_length:
            raise UserError(
                f"the prompt of example {example.id} has {length} tokens; with {max_completion_length} for the "
                f"reply that is more than the {context_length} of model {self.name!r}; lower "
                f"{_size_knob(example.task)} or {reply_setting}"
            )

    def check_lengths(
        self,
        examples: Iterable[Example],
        max_completion_length: int,
        context_length: int,
        *,
        before: Sequence[dict[str, Any]] = (),
        reply_setting: str = "grpo.max_completion_length",
    ) -> Measured | None:
        """Measures prompts, with the turns of ``before`` in front of each, and returns the longest of them.

        Raises:
            UserError: for one that leaves no room for the reply.
        """
        longest = None
        image_token: int = getattr(self.processor, "image_token_id", -1)
        for example in examples:
            ids = self.prompt_ids([*before, *self.messages(example)])
            self.check_length(example, len(ids), max_completion_length, context_length, reply_setting)
            if longest is None or len(ids) > longest.tokens:
                longest = Measured(example.id, len(ids), len(example.images), ids.count(image_token))
        return longest

    def save(self, folder: Path) -> None:
        """Writes tokenizer and processor beside a model's weights."""
        from transformers.utils import cached_file

        self.processor.save_pretrained(folder)
        if self.reads_images:
            # As they were: what was not read here (how videos are processed) another program may need.
            for name in ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"):
                found = cached_file(self.path, name, _raise_exceptions_for_missing_entries=False)
                (folder / name).unlink(missing_ok=True)
                if found is not None:
                    shutil.copyfile(found, folder / name)

    @property
    def fingerprint(self) -> str:
        """Names the model by content: the hub's commit, or a hash of the folder's files."""
        commit = getattr(self.config, "_commit_hash", None)
        if commit:
            return f"{self.name}@{commit}"
        digest = hashlib.sha256()
        for file in sorted(Path(self.path).iterdir()):
            if file.is_file() and not file.name.startswith("."):
                with file.open("rb") as content:
                    digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()


def _size_knob(name: str) -> str:
    from ssl4rl.registry import BENCHMARKS, TASKS

    for registry in (TASKS, BENCHMARKS):
        if name in registry.names():
            fields = registry.get(name).knobs_type.model_fields
            return next((f"task.{knob}" for knob in SIZE_KNOBS if knob in fields), "the task's level")
    return "the task's level"
