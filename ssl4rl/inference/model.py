"""A model's files: where they are, what its configuration and tokenizer say, and how to save them again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.hub_names import check_hub_name
from ssl4rl.inference import adapters, checks
from ssl4rl.inference.messages import TAGS, Messages, images_of, with_scaled_images
from ssl4rl.inference.processor import load_processor
from ssl4rl.inference.tokens import Encoder
from ssl4rl.models import EMBEDDED, TINY_VISION, embedded_path
from ssl4rl.runs import Run
from ssl4rl.source import SourceKind


def resolve(path: str) -> str:
    """The folder or hub name that transformers loads for a recipe's ``model.path``; of a run, its trained model.

    Raises:
        UserError: for a folder that does not exist or holds no model.
    """
    if path in EMBEDDED:
        return str(embedded_path(path))
    folder = Path(path).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file() or adapters.is_adapter(folder):
            return str(folder)
        if not (folder / "config.yaml").is_file():
            raise UserError(f"model folder {path} has no config.json; give a folder as transformers saves it")
        if not (folder / "model" / "config.json").is_file():
            run = Run(folder)
            if run.is_evaluation:
                raise UserError(f"{path} is an evaluation and has no model; it asked {run.config.get('model')}")
            raise UserError(f"run {path} has no trained model (no {folder / 'model'}); finish it with --resume")
        return str(folder / "model")
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise UserError(f"model folder {path} does not exist")
    return path


def unfamiliar(model: str | None, sources: Iterable[tuple[SourceKind[Any], str]]) -> str | None:
    """A line for a model that came with the package and is given other data than it was made on; None if it fits.

    ``sources`` are their kinds and names.
    """
    if model not in EMBEDDED:
        return None
    side = "vision" if model == TINY_VISION else "graph"
    known = "drawn scenes" if model == TINY_VISION else "the embedded graph"
    others = [name for kind, name in sources if (kind.side, name) != (side, kind.default)]
    if not others:
        return None
    return (
        f"the embedded model {model} knows {known} only and will make little of {', '.join(dict.fromkeys(others))}; "
        "give a real model with --model"
    )


class ModelFiles:
    """Configuration and tokenizer (or processor, for a vision-language model) of a model, without its weights.

    Images with fewer pixels than ``min_pixels`` or more than ``max_pixels`` are scaled before the processor gets them,
    whatever bounds it has of its own. ``chat_template_kwargs`` are variables of the chat template.

    ``path`` is where configuration and weights are, ``adapter`` the folder of a LoRA adapter on top of them;
    ``notes`` are lines to tell the user.

    Raises:
        UserError: if they cannot be read, or are not what conversations and replies need.
    """

    def __init__(
        self,
        path: str,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = path
        self.path = resolve(path)
        self.notes: list[str] = []
        if self.path == str(Path(path).expanduser() / "model"):
            self.notes.append(f"{path} is a run; its trained model is {self.path}")
        self.adapter: Path | None = None
        if adapters.is_adapter(Path(self.path)):
            self.adapter = Path(self.path)
            self.path = adapters.base_of(self.adapter)
            self.notes.append(f"{path} is an adapter of {self.path}")
        self._load()
        self.bound_images(min_pixels, max_pixels)
        if not self.processor.chat_template:
            raise UserError(
                f"model {path!r} has no chat template; use an instruct model, or save its tokenizer with one"
            )
        if self.tokenizer.eos_token_id is None:
            raise UserError(f"the tokenizer of model {path!r} has no end-of-sequence token; replies could not end")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.encoder = Encoder(self.processor, chat_template_kwargs)
        checks.check_form(self)
        self.eos_token_ids = self._eos_token_ids()
        self._tag_ids = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.content in TAGS}

    def _load(self) -> None:
        check_hub_name(self.path, "model")
        from transformers import AutoConfig, AutoTokenizer
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        with checks.one_line(self.name):
            # Code that comes with a model is never run.
            self.config: Any = AutoConfig.from_pretrained(self.path, trust_remote_code=False)
            self.reads_images = self.config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            self.tokenizer: Any
            self.processor: Any
            if self.reads_images:
                self.processor = load_processor(self.path, self.config.model_type)
                self.tokenizer = self.processor.tokenizer
            else:
                # An adapter may bring a tokenizer of its own, with another chat template.
                own = self.adapter is not None and (self.adapter / "tokenizer_config.json").is_file()
                self.processor = self.tokenizer = AutoTokenizer.from_pretrained(
                    self.adapter if own else self.path, padding_side="left", trust_remote_code=False
                )

    def bound_images(self, min_pixels: int | None, max_pixels: int | None) -> None:
        """Sets the bounds on the pixels of an image.

        Raises:
            UserError: for a bound where the model reads no images.
        """
        self.min_pixels, self.max_pixels = min_pixels, max_pixels
        for name, bound in (("min_pixels", min_pixels), ("max_pixels", max_pixels)):
            if bound is not None and not self.reads_images:
                raise UserError(f"model.{name}: model {self.name!r} reads no images")

    def _eos_token_ids(self) -> list[int]:
        """The tokens that end a reply: the tokenizer's, the declared ones, and what the template ends a turn with."""
        from transformers import GenerationConfig

        try:
            declared = GenerationConfig.from_pretrained(self.path).eos_token_id
        except OSError:
            declared = self.config.get_text_config().eos_token_id
        ids = [declared] if isinstance(declared, int) else list(declared or [])
        turn = checks.end_of_turn(self.encoder)
        return list(dict.fromkeys([self.tokenizer.eos_token_id, *ids, *([] if turn is None else [turn])]))

    @property
    def _special_tokens(self) -> set[int]:
        special = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        # Not every tokenizer calls what stands for an image special.
        named = (getattr(self.config, f"{kind}_token_id", None) for kind in ("image", "video"))
        return special | set(self.tokenizer.all_special_ids) | {token for token in named if token is not None}

    @property
    def suppressed_tokens(self) -> list[int]:
        """Special tokens that no reply may hold (chat control, image placeholders), as they would break the step.

        Those that end it and the tags of its form are not among them.
        """
        return sorted(self._special_tokens - set(self.eos_token_ids) - self._tag_ids)

    @property
    def special_tags(self) -> list[str]:
        """The tags of a reply that are special tokens to its tokenizer, and so are left out by most programs."""
        special = self._special_tokens & self._tag_ids
        return [tag for tag in TAGS if self.tokenizer.convert_tokens_to_ids(tag) in special]

    @cached_property
    def _hidden_tokens(self) -> frozenset[int]:
        return frozenset(self._special_tokens - self._tag_ids)

    def decode(self, ids: Sequence[int]) -> str:
        """A reply as text: without special tokens, but with the tags of its form, also where those are special."""
        shown = [token for token in ids if token not in self._hidden_tokens]
        return str(self.tokenizer.decode(shown, skip_special_tokens=False))

    def context_length(self, configured: int | None = None) -> int:
        """Most tokens of prompt and reply together."""
        limits = [configured, getattr(self.config.get_text_config(), "max_position_embeddings", None)]
        return min(limit for limit in [*limits, 1 << 30] if limit)

    def messages(self, example: Example) -> Messages:
        """The example in chat form: no control tokens in its texts, its images scaled into the bounds on their pixels.

        (What the encoder does to texts is done here already for TRL, which applies the template to images itself.)
        """
        return with_scaled_images(self.encoder.plain(example.messages()), self.min_pixels, self.max_pixels)

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
        return self.encoder.encode([messages]).ids[0]

    @cached_property
    def weights(self) -> str:
        """Where to load the whole model from: ``path``, or a temporary folder with the adapter merged into it.

        Raises:
            UserError: if the adapter does not fit the model.
        """
        if self.adapter is None:
            return self.path
        self._merged = TemporaryDirectory(prefix="ssl4rl-merged-")
        folder = Path(self._merged.name)
        # In bfloat16, much of what an adapter adds would be rounded away.
        adapters.merged(self, "float32").save_pretrained(folder)
        self.save(folder)
        return str(folder)

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
    def template_identity(self) -> dict[str, Any]:
        """What replies depend on besides the model and the conversation: the template's variables, if any are set."""
        settings = self.encoder.settings
        return {"chat_template_kwargs": settings} if settings else {}

    @property
    def fingerprint(self) -> str:
        """Identifies the model by content: the hub's commit, or a hash of the folder's files; with that of adapters."""
        commit = getattr(self.config, "_commit_hash", None)
        base = f"{self.path if self.adapter else self.name}@{commit}" if commit else content_of(Path(self.path))
        return base if self.adapter is None else f"{base}+{content_of(self.adapter)}"


def content_of(folder: Path) -> str:
    """A hash of the files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            with file.open("rb") as content:
                digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
