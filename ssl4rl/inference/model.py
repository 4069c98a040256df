"""Finding a model and its tokenizer, and what must hold before anything is trained with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ssl4rl.errors import UserError
from ssl4rl.example import Example
from ssl4rl.inference.engine import Messages
from ssl4rl.inference.tokens import prompt_ids

TINY = "tiny"
"""The name of the small model that comes with the package."""

# Knobs that decide how long a prompt is, the most direct first.
SIZE_KNOBS = ("text_budget", "max_nodes", "num_hops")


def resolve(path: str) -> str:
    """The folder or hub name that transformers loads for a recipe's ``model.path``.

    Raises:
        UserError: for a folder that does not exist or holds no model.
    """
    if path == TINY:
        from ssl4rl.data.tiny import model_path

        return str(model_path())
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
    """Configuration and tokenizer of a model, without its weights.

    Raises:
        UserError: if they cannot be read, or the tokenizer has no chat template.
    """

    def __init__(self, path: str) -> None:
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        self.name = path
        self.path = resolve(path)
        try:
            self.config: Any = AutoConfig.from_pretrained(self.path)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(self.path, padding_side="left")
        except (OSError, ValueError) as error:
            raise UserError(f"cannot load model {path!r}: {_first_line(error)}") from error
        if not self.tokenizer.chat_template:
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

    def prompt_ids(self, messages: Messages) -> list[int]:
        """A conversation as token ids, ending where the reply begins."""
        return prompt_ids(self.tokenizer, [messages])[0]

    def check_lengths(
        self,
        examples: Iterable[Example],
        max_completion_length: int,
        context_length: int,
        *,
        before: Sequence[dict[str, Any]] = (),
        reply_setting: str = "grpo.max_completion_length",
    ) -> None:
        """Refuses a prompt that leaves no room for the reply: nothing is ever cut silently.

        ``before`` are turns that stand in front of every prompt; ``reply_setting`` is what sets the reply's length.

        Raises:
            UserError: naming the example and the knob to lower.
        """
        for example in examples:
            length = len(self.prompt_ids([*before, *example.messages()]))
            if length + max_completion_length > context_length:
                raise UserError(
                    f"the prompt of example {example.id} has {length} tokens; with {max_completion_length} for the "
                    f"reply that is more than the {context_length} of model {self.name!r}; lower "
                    f"{_size_knob(example.task)} or {reply_setting}"
                )

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
