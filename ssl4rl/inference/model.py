"""A model's files: where they are, what its configuration and tokenizer say, and how to save them again."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.messages import Messages, images_of
from ssl4rl.inference.processor import load_processor, scaled
from ssl4rl.inference.tokens import encode
from ssl4rl.models import EMBEDDED, TINY_VISION, embedded_path


def resolve(path: str) -> str:
    """The folder or hub name that transformers loads for a recipe's ``model.path``.

    Raises:
        UserError: for a folder that does not exist or holds no model.
    """
    if path in EMBEDDED:
        return str(embedded_path(path))
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


class ModelFiles:
    """Configuration and tokenizer (or processor, for a vision-language model) of a model, without its weights.

    Images with fewer pixels than ``min_pixels`` or more than ``max_pixels`` are scaled before the processor gets them,
    whatever bounds it has of its own.

    Raises:
        UserError: if they cannot be read, or the tokenizer has no chat template.
    """

    def __init__(self, path: str, *, min_pixels: int | None = None, max_pixels: int | None = None) -> None:
        from transformers import AutoConfig, AutoTokenizer
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
                f"model {path!r} has no chat template; use an instruct model, or save its tokenizer with one"
            )
        if self.tokenizer.eos_token_id is None:
            raise UserError(f"the tokenizer of model {path!r} has no end-of-sequence token; replies could not end")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.eos_token_ids = self._eos_token_ids()

    def _eos_token_ids(self) -> list[int]:
        """The tokens that end a reply: the tokenizer's, and those that the generation settings declare."""
        from transformers import GenerationConfig

        try:
            declared = GenerationConfig.from_pretrained(self.path).eos_token_id
        except OSError:
            declared = self.config.get_text_config().eos_token_id
        ids = [declared] if isinstance(declared, int) else list(declared or [])
        return list(dict.fromkeys([self.tokenizer.eos_token_id, *ids]))

    @property
    def suppressed_tokens(self) -> list[int]:
        """Special tokens that end no reply (chat control, image placeholders); sampling one would break the step."""
        special = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        return sorted((special | set(self.tokenizer.all_special_ids)) - set(self.eos_token_ids))

    def context_length(self, configured: int | None = None) -> int:
        """Most tokens of prompt and reply together."""
        limits = [configured, getattr(self.config.get_text_config(), "max_position_embeddings", None)]
        return min(limit for limit in [*limits, 1 << 30] if limit)

    def messages(self, example: Example) -> Messages:
        """The example in chat form, its images scaled into the bounds on their pixels."""
        return [
            {**turn, "content": [self._scaled(part) for part in turn["content"]]} if images_of([turn]) else turn
            for turn in example.messages()
        ]

    def _scaled(self, part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "image": scaled(part["image"], self.min_pixels, self.max_pixels)} if "image" in part else part

    def check_reads_images(self) -> None:
        """Refuses a language model where prompts show images.

        Raises:
            UserError: if the model reads no images.
        """
        if not self.reads_images:
            raise UserError(f"model {self.name!r} reads no images; use a vision-language model, such as {TINY_VISION}")

    def prompt_ids(self, messages: Messages) -> list[int]:
        """A conversation as token ids, up to where the reply begins.

        Raises:
            UserError: if it has images and the model reads none.
        """
        if images_of(messages):
            self.check_reads_images()
        return encode(self.processor, [messages]).ids[0]

    def save(self, folder: Path) -> None:
        """Writes the tokenizer or processor into a folder with the model's weights."""
        from transformers.utils import cached_file

        self.processor.save_pretrained(folder)
        if self.reads_images:
            # Copied unchanged: other programs may need settings that were not loaded here, such as those for videos.
            for name in ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"):
                original = cached_file(self.path, name, _raise_exceptions_for_missing_entries=False)
                (folder / name).unlink(missing_ok=True)
                if original is not None:
                    shutil.copyfile(original, folder / name)

    @property
    def fingerprint(self) -> str:
        """Identifies the model by content: the hub's commit, or a hash of the folder's files."""
        commit = getattr(self.config, "_commit_hash", None)
        if commit:
            return f"{self.name}@{commit}"
        digest = hashlib.sha256()
        for file in sorted(Path(self.path).iterdir()):
            if file.is_file() and not file.name.startswith("."):
                with file.open("rb") as content:
                    digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()
