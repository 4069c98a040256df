"""Embeddings of texts by an encoder on this machine, kept by content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.errors import UserError
from ssl4rl.files import whole
from ssl4rl.graph.arrays import encode
from ssl4rl.home import home
from ssl4rl.inference import checks
from ssl4rl.inference.environment import quieten
from ssl4rl.inference.model import content_of

MAX_TOKENS = 512
"""Most tokens of a text that are read; fewer where the encoder has fewer positions."""
BATCH = 32
"""Texts that are embedded at once."""


class TextEncoder:
    """A Hugging Face folder that turns texts into vectors: the mean of the last hidden states of a text's tokens.

    Raises:
        UserError: if the folder holds no encoder that transformers can load, or one that gives no hidden states.
    """

    def __init__(self, folder: str) -> None:
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        quieten()
        self.name = folder
        path = Path(folder).expanduser()
        if not (path / "config.json").is_file():
            raise UserError(
                f"--encoder {folder}: no config.json there; give a folder that transformers saved a model in"
            )
        with checks.one_line(folder):
            # Code that comes with a model is never run.
            config = AutoConfig.from_pretrained(path, trust_remote_code=False)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            self._model: Any = AutoModel.from_pretrained(path, trust_remote_code=False, dtype="float32").eval()
        if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
            raise UserError(
                f"--encoder {folder}: a {config.model_type} model has no one hidden state per token; "
                "use an encoder of texts, such as BERT"
            )
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        positions = getattr(config, "max_position_embeddings", None) or MAX_TOKENS
        self._length = min(MAX_TOKENS, self._tokenizer.model_max_length, positions)
        self.fingerprint = content_of(path)
        with checks.one_line(folder):
            vector = self._embed(["a text"])
        if not np.isfinite(vector).all():
            raise UserError(
                f"--encoder {folder}: it embeds a text as numbers that are not finite; its weights are damaged"
            )

    def embed(self, texts: Sequence[str], say: Callable[[str], None]) -> NDArray[np.float32]:
        """One row per text, [N, width]: the columns with a mean of 0, then the rows of length 1.

        (Mean-pooled vectors mostly point in one common direction, which tells texts of one graph from nothing.) The
        rows are kept under ``SSL4RL_HOME/embeddings``, by the content of encoder and texts.
        """
        file = home() / "embeddings" / f"{self.fingerprint[:16]}-{_content(texts)[:16]}.npy"
        if file.is_file():
            vectors = np.load(file)
        else:
            say(f"embedding {len(texts):,} texts with {self.name}")
            vectors = self._embed(texts)
            with suppress(OSError):  # they are computed anew where nothing can be kept
                _write(file, vectors)
        known = np.array([bool(text.strip()) for text in texts])
        centred = vectors - (vectors[known].mean(axis=0) if known.any() else 0)
        centred[~known] = 0  # of no text nothing is known
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        rows: NDArray[np.float32] = centred / np.maximum(lengths, np.finfo(np.float32).tiny)
        return rows

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        lengths = np.array([len(text) for text in texts])
        order = np.argsort(lengths, kind="stable")  # texts of a batch are padded to the longest
        vectors = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = self._tokenizer(
                # Nothing at all is no input for some encoders.
                [texts[row].strip() or " " for row in rows],
                padding=True,
                truncation=True,
                max_length=self._length,
                return_tensors="pt",
            )
            with torch.no_grad():
                states = self._model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
            mask = batch["attention_mask"][:, :, None].to(states.dtype)
            vectors[rows] = ((states * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)).numpy()
        return vectors


def _content(texts: Sequence[str]) -> str:
    content = sha256()
    for text in encode(texts):
        content.update(f"{len(text)}:".encode())
        content.update(text)
    return content.hexdigest()


def _write(file: Path, vectors: NDArray[np.float32]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as path, path.open("wb") as stream:
        np.save(stream, vectors)
