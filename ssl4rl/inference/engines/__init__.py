"""Engines: whatever runs a model and replies to conversations.

An engine takes all conversations at once and yields each reply as soon as it is finished, so that the caller can
record it immediately. It is free to batch and to reorder: every reply comes with its conversation's index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from ssl4rl.errors import UserError, unknown
from ssl4rl.inference.environment import prepare_environment, quieten
from ssl4rl.inference.messages import Messages
from ssl4rl.redact import check_address
from ssl4rl.registry import ENGINES

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Sampling:
    """How replies are sampled; a temperature of 0 is greedy decoding."""

    max_new_tokens: int = 512
    """Most tokens of a reply."""
    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Sample only from the likeliest tokens that make up this share of the probability."""
    top_k: int = 0
    """Sample only from this many of the likeliest tokens; 0 is all of them."""
    seed: int = 0
    """Seed of the draws, where the engine takes one."""

    @property
    def greedy(self) -> bool:
        """Whether the same prompt has the same reply every time."""
        return self.temperature == 0 or self.top_k == 1


@dataclass(frozen=True)
class Reply:
    """What a model wrote, without special tokens; ``truncated`` if it was cut off at ``max_new_tokens``."""

    text: str
    num_tokens: int
    truncated: bool
    prompt_tokens: int | None = field(default=None, compare=False)
    """Tokens of the prompt; None if a server does not count them."""


class Engine(Protocol):
    """Replies to conversations."""

    @property
    def files(self) -> ModelFiles | None:
        """The model's configuration and tokenizer; None if a server holds them."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What its replies depend on besides the prompt: ``model`` (by content if known), ``engine``, and more JSON."""
        ...

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, as soon as it is finished, in any order.

        A conversation may occur several times; ``draws`` then says which of its draws each is, and a sampled reply
        depends on its conversation, ``sampling`` and that number alone. None numbers them as they come.

        Raises:
            UserError: if the engine cannot continue; what was yielded before stays valid.
        """
        ...

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and the log-probability (nats) of every one of its choices, in any order.

        A choice is a whole reply, and its log-probability the sum over its tokens after the prompt. Prompt and choice
        are tokenised together; the tokens that all choices of a conversation begin with are left out of the sums.

        Raises:
            UserError: if the engine cannot continue, or does not give the log-probabilities of a prompt.
        """
        ...


class EngineFactory(Protocol):
    """Opens an engine with a model loaded; what the registry of engines holds.

    ``dtype`` is the name of a torch dtype; ``context_length`` the most tokens of prompt and reply (None: the model's);
    ``batch_size`` how many conversations to run at once, for engines that do not decide that themselves.
    """

    def __call__(self, files: ModelFiles, *, dtype: str, context_length: int | None, batch_size: int) -> Engine: ...


def generate(
    engine: Engine,
    conversations: Sequence[Messages],
    sampling: Sampling,
    advance: Callable[[int], None] = lambda more: None,
) -> list[Reply]:
    """The reply to each conversation, in their order; ``advance`` is called with 1 after each."""
    replies: dict[int, Reply] = {}
    for index, reply in engine.stream(conversations, sampling):
        replies[index] = reply
        advance(1)
    return [replies[index] for index in range(len(conversations))]


def is_address(name: str) -> bool:
    """Whether an engine's name is the address of a server."""
    return name.startswith(("http://", "https://"))


def check_engine_name(name: str) -> None:
    """Refuses a name that is neither ``auto``, nor a registered engine, nor the address of a server.

    Raises:
        UserError: naming the nearest ones; or for an address that has a key in it.
    """
    if is_address(name):
        check_address(name)
    if name != "auto" and not is_address(name) and name not in ENGINES.names():
        raise unknown("engine", name, ["auto", *ENGINES.names(), "http://HOST:PORT/v1"])


def resolve_engine(name: str) -> str:
    """The engine to use: ``auto`` is vLLM if there is a GPU and vLLM is installed, else transformers.

    Raises:
        UserError: for an unknown engine, or for vllm if it is not installed.
    """
    check_engine_name(name)
    has_vllm = find_spec("vllm") is not None
    if name == "vllm" and not has_vllm:
        raise UserError("engine vllm: vllm is not installed; pip install 'ssl4rl[vllm]', or use engine transformers")
    if name != "auto":
        return name
    prepare_environment()
    import torch

    return "vllm" if has_vllm and torch.cuda.is_available() else "transformers"


def open_engine(
    name: str,
    model: ModelFiles | str | None,
    *,
    dtype: str = "auto",
    context_length: int | None = None,
    batch_size: int = 16,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Engine:
    """The engine ``name`` with the model loaded.

    Args:
        name: ``auto``, a registered engine (``transformers``, ``vllm``), or a server's address,
            ``http://HOST:PORT/v1``.
        model: a folder, a hub name or ``tiny``; for a server the model's name there (None: its only one).
        dtype: of the weights; ``auto`` is float32 on the CPU and the checkpoint's on a GPU.
        context_length: most tokens of prompt and reply; None is the model's.
        batch_size: conversations that transformers runs at once, or requests that a server gets at once.
        chat_template_kwargs: variables of the chat template; ``model`` has its own if it is given as files.

    Raises:
        UserError: for an unknown engine or dtype, or a model that cannot be loaded.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    from ssl4rl.inference.checks import check_weights
    from ssl4rl.inference.model import ModelFiles

    name = resolve_engine(name)
    if is_address(name):
        from ssl4rl.inference.engines.server import ServerEngine

        served = model.name if isinstance(model, ModelFiles) else model
        return ServerEngine(name, served, concurrency=batch_size, chat_template_kwargs=chat_template_kwargs)

    quieten()
    if model is None:
        raise UserError(f"engine {name} needs a model: a folder, a hub name or tiny")
    files = model if isinstance(model, ModelFiles) else ModelFiles(model, chat_template_kwargs=chat_template_kwargs)
    factory = ENGINES.get(name)
    if name in ("transformers", "vllm"):  # others may keep weights in their own way
        check_weights(files, by_transformers=name == "transformers")
    return factory(files, dtype=_weight_dtype(files, dtype), context_length=context_length, batch_size=batch_size)


def _weight_dtype(files: ModelFiles, dtype: str) -> str:
    import torch

    if dtype != "auto":
        return dtype
    if not torch.cuda.is_available():
        return "float32"
    return str(files.config.dtype or torch.bfloat16).removeprefix("torch.")
