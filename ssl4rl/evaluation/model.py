"""A model behind an engine, and the replies that it gave before."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ssl4rl.errors import UserError
from ssl4rl.evaluation.cache import ReplyCache
from ssl4rl.evaluation.recipe import MODEL_SETTINGS, EvalRecipe
from ssl4rl.inference.engines import Engine
from ssl4rl.inference.environment import slow_in_16_bits
from ssl4rl.inference.messages import Messages, with_scaled_images
from ssl4rl.runs import CONFIG, open_run

Answers = Mapping[str, str]
"""The whole reply that gives each of the possible answers, by label."""


class ReplyFields(TypedDict):
    """The fields of a prediction that come from the model; what the cache keeps."""

    reply: str
    tokens: int
    truncated: bool
    prompt_tokens: NotRequired[int]
    logprobs: NotRequired[dict[str, float]]


@dataclass
class Model:
    """A model to evaluate."""

    engine: Engine
    cache: ReplyCache

    @classmethod
    def open(cls, recipe: EvalRecipe) -> Model:
        """Starts the recipe's engine with its model.

        Raises:
            UserError: if the model or the engine is not available.
        """
        from ssl4rl.inference.engines import open_engine

        engine = open_engine(
            recipe.engine, recipe.model, dtype=recipe.dtype, chat_template_kwargs=recipe.chat_template_kwargs
        )
        if engine.files is not None:  # prompts are measured with them
            engine.files.bound_images(recipe.min_pixels, recipe.max_pixels)
        return cls(engine, ReplyCache(engine.identity if engine.files is not None else None))

    @property
    def name(self) -> str:
        """What the model is called: its folder, or its name on the hub or the server."""
        return self.engine.files.name if self.engine.files is not None else self.fingerprint

    @property
    def notes(self) -> list[str]:
        """Lines to tell the user about where the model was found, and that its dtype is slow here."""
        if self.engine.files is None:
            return []
        dtype = self.engine.identity.get("dtype")
        slow = dtype in ("bfloat16", "float16") and slow_in_16_bits()
        line = f"dtype={dtype}: without AVX-512, this processor is several times faster with --dtype float32"
        return [*self.engine.files.notes, *([line] if slow else [])]

    @property
    def fingerprint(self) -> str:
        """The model by content, as far as it is known (for a server, its name there)."""
        return str(self.engine.identity["model"])

    def check_likelihoods(self) -> None:
        """Asks a server for one likelihood, so that one that gives none is refused before anything is written.

        Raises:
            UserError: if the engine gives no likelihoods.
        """
        if self.engine.files is None:
            list(self.engine.likelihoods([[{"role": "user", "content": "Yes or no?"}]], [["yes", "no"]]))

    def reply(
        self,
        conversations: Sequence[Messages],
        answers: Sequence[Answers],
        recipe: EvalRecipe,
        draws: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, ReplyFields]]:
        """Each conversation's index and reply, in any order; first those in the cache.

        ``draws`` says which of the replies to its conversation each is; None is the first for all.
        """
        conversations = [with_scaled_images(one, recipe.min_pixels, recipe.max_pixels) for one in conversations]
        settings: list[dict[str, Any]]
        if recipe.scoring == "likelihood":
            settings = [{"answers": list(replies.values())} for replies in answers]
        else:
            numbers = draws or [0] * len(conversations)
            settings = [{**vars(recipe.sampling), **({"draw": draw} if draw else {})} for draw in numbers]
        keys = [self.cache.key(conversation, how) for conversation, how in zip(conversations, settings, strict=True)]
        missing = []
        for index, key in enumerate(keys):
            cached = self.cache.get(key)
            if cached is None:
                missing.append(index)
            else:
                yield index, ReplyFields(**cached)  # type: ignore[typeddict-item]
        asked = [conversations[index] for index in missing]
        drawn = None if draws is None else [draws[index] for index in missing]
        for place, fields in self._ask(asked, [answers[index] for index in missing], recipe, drawn):
            index = missing[place]
            self.cache.put(keys[index], fields)
            yield index, fields

    def _ask(
        self, conversations: list[Messages], answers: list[Answers], recipe: EvalRecipe, draws: list[int] | None
    ) -> Iterator[tuple[int, ReplyFields]]:
        if recipe.scoring == "likelihood":
            replies = [list(labelled.values()) for labelled in answers]
            for some in replies:
                _check_comparable(some)
            for index, values in self.engine.likelihoods(conversations, replies):
                logprobs = dict(zip(answers[index], values, strict=True))
                best = answers[index][max(logprobs, key=logprobs.__getitem__)]
                yield index, {"reply": best, "tokens": 0, "truncated": False, "logprobs": logprobs}
            return
        # An engine that numbers no draws can still give one reply each.
        numbered = {} if draws is None else {"draws": draws}
        for index, reply in self.engine.stream(conversations, recipe.sampling, **numbered):
            fields: ReplyFields = {"reply": reply.text, "tokens": reply.num_tokens, "truncated": reply.truncated}
            if reply.prompt_tokens is not None:
                fields["prompt_tokens"] = reply.prompt_tokens
            yield index, fields


def unlike_training(recipe: EvalRecipe) -> str | None:
    """That a run's model is asked in another way than it was trained to be, a line if so."""
    if recipe.model is None:
        return None
    path = Path(recipe.model).expanduser()
    run = next((folder for folder in (path, path.parent) if (folder / CONFIG).is_file()), None)
    trained: Any = None
    with suppress(UserError):  # another program's config.yaml
        trained = None if run is None else open_run(run).config.get("model")
    if not isinstance(trained, Mapping):  # an evaluation names its model
        return None
    values = {name: (trained.get(name) or None, getattr(recipe, name) or None) for name in MODEL_SETTINGS}
    differ = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    was, now = (
        ", ".join(f"model.{name}={json.dumps(pair[place], default=str)}" for name, pair in differ.items())
        for place in (0, 1)
    )
    return f"{run} was trained with {was}, and is asked with {now}; --set makes them the same" if differ else None


def _check_comparable(replies: Sequence[str]) -> None:
    """Refuses a reply that begins another one, as without tags around it, it could only be likelier.

    Raises:
        UserError: naming both.
    """
    in_order = sorted(replies)
    for shorter, longer in itertools.pairwise(in_order):
        if longer.startswith(shorter):
            raise UserError(
                f"the answer {shorter!r} begins the answer {longer!r}, so their likelihoods do not compare; use "
                "--scoring generate, or the knob reasoning=true"
            )
