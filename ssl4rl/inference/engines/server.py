"""Any server that speaks OpenAI's chat completions: ``vllm serve``, llama.cpp, a hosted model."""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ssl4rl.errors import UserError
from ssl4rl.inference.engines import Reply, Sampling
from ssl4rl.inference.engines.chat import reply_text, retry_after, with_data_urls
from ssl4rl.inference.engines.draws import draw_seeds
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.tokens import common_length
from ssl4rl.progress import EVERY_SECONDS, is_quiet
from ssl4rl.records import parse_json

T = TypeVar("T")

# Seconds before each retry. A random half to all of it is waited, so that retries do not all arrive at once.
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
LONGEST_PAUSE = 120.0
"""Seconds; if a server asks for a longer pause, the request fails."""
GIVE_UP_AFTER = 900.0
"""Seconds since a request's first try, after which it is not retried."""

RETRIED = {408, 409, 425, 429}
"""HTTP statuses that are retried, besides all from 500 on."""

NO_LIKELIHOODS = (
    "likelihoods need the log-probabilities of a prompt, which only vLLM's server gives; use --scoring generate, or "
    "--engine vllm or transformers"
)


class _Refused(UserError):
    """The server refused the request as such; a retry would be refused too."""


class ServerEngine:
    """A server at ``url`` (``http://host:port/v1``) that gets ``concurrency`` requests at a time.

    A key in ``OPENAI_API_KEY`` is sent along. Temporary failures (too many requests, an error of the server, no
    connection) are retried. Settings that vLLM's server would take from the model's own generation settings are sent
    explicitly, so that it samples as the other engines do. Reasoning that a server sends apart from the answer is put
    before it in ``<think>`` tags. Texts are sent as they are: what the server reads as a
    control token in them is its own affair.

    Args:
        model: the model's name there; None is the server's only one.
        timeout: seconds that one reply may take.

    Raises:
        UserError: if the server cannot be reached, or has several models and none is named.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        concurrency: int = 16,
        timeout: float = 600.0,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.files = None
        self._template = {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else {}
        self.url = url.rstrip("/")
        self.concurrency = concurrency
        self.timeout = timeout
        # What the server calls the most tokens of a reply; some take only the newer name, and say so.
        self._limit = "max_tokens"
        # A proxy cannot reach this machine's loopback.
        local = urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._said = -EVERY_SECONDS
        self._opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))
        models = self._models(required=model is None)
        if model is None and len(models) != 1:
            names = ", ".join(str(one["id"]) for one in models)
            raise UserError(f"the server at {self.url} has {len(models)} models; name one with --model: {names}")
        self.model = model or str(models[0]["id"])
        listed: dict[str, Any] = next((one for one in models if one["id"] == self.model), {})
        self._is_vllm = listed.get("owned_by") == "vllm"
        self._root = listed.get("root")

    @property
    def identity(self) -> dict[str, Any]:
        """The server, the model's name there, and for vLLM's server the folder it was loaded from; not the content."""
        return {"engine": self.url, "model": self.model, "root": self._root, **self._template}

    def stream(
        self, conversations: Sequence[Messages], sampling: Sampling, draws: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Reply]]:
        """Each conversation's index and reply, as soon as it is finished.

        ``num_tokens`` is 0 if the server does not count them.
        """
        messages = [with_data_urls(conversation) for conversation in conversations]
        settings: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if self._is_vllm:
            settings |= {"top_k": sampling.top_k, "min_p": 0.0, "repetition_penalty": 1.0}
        elif sampling.top_k:
            settings["top_k"] = sampling.top_k
        seeds = draw_seeds(conversations, sampling.seed, draws) if sampling.temperature > 0 else []

        def ask(index: int) -> Reply:
            seed = {"seed": seeds[index]} if sampling.temperature > 0 else {}
            completion = self._complete(messages[index], sampling.max_new_tokens, **settings, **seed)
            try:
                choice = completion["choices"][0]
                text, usage = reply_text(choice["message"]), completion.get("usage") or {}
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise UserError(f"the server at {self.url} sent no chat completion: {completion}") from error
            truncated = choice.get("finish_reason") == "length"
            return Reply(text, usage.get("completion_tokens") or 0, truncated, usage.get("prompt_tokens"))

        yield from _counted(self._all(ask, len(messages)), len(messages))

    def likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        """Each conversation's index and its choices' log-probabilities, from vLLM's ``prompt_logprobs``."""
        yield from _counted(self._likelihoods(conversations, choices), len(conversations))

    def _likelihoods(
        self, conversations: Sequence[Messages], choices: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        messages = [with_data_urls(conversation) for conversation in conversations]
        pairs = [(index, position) for index, several in enumerate(choices) for position in range(len(several))]
        if pairs:
            self._check_template(messages[0], choices[0][0])

        def ask(number: int) -> list[_Token]:
            index, position = pairs[number]
            return self._scored(messages[index], choices[index][position])

        scored: list[dict[int, list[_Token]]] = [{} for _ in messages]
        for number, tokens in self._all(ask, len(pairs)):
            index, position = pairs[number]
            scored[index][position] = tokens
            if len(scored[index]) == len(choices[index]):
                yield index, _tail_log_probabilities([scored[index][place] for place in range(len(choices[index]))])
                scored[index].clear()

    def _models(self, *, required: bool) -> list[dict[str, Any]]:
        try:
            listed = self._request("/models", tries=1)
            models: list[dict[str, Any]] = listed["data"] if isinstance(listed, dict) else listed
            if not all(isinstance(one["id"], str) for one in models):
                raise TypeError("an id is not a string")
            return models
        except _Refused as error:
            if not required:
                # Not every server lists its models.
                return []
            raise UserError(f"{error}; is the address http://HOST:PORT/v1?") from error
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self.url}/models is not a list of models; is the address http://HOST:PORT/v1?"
            ) from error

    def _complete(self, messages: Messages, max_tokens: int, **settings: Any) -> dict[str, Any]:
        body = {"model": self.model, "messages": messages, **self._template, **settings}
        limit = self._limit
        completion: dict[str, Any]
        try:
            completion = self._request("/chat/completions", {**body, limit: max_tokens})
        except _Refused as error:
            if limit != "max_tokens" or "max_completion_tokens" not in str(error):
                raise
            self._limit = "max_completion_tokens"
            completion = self._request("/chat/completions", {**body, self._limit: max_tokens})
        return completion

    def _scored(self, messages: Messages, choice: str | None = None) -> list[_Token]:
        """The tokens of a prompt with the reply ``choice``, from the second on (the first has no log-probability)."""
        settings: dict[str, Any] = {"temperature": 0.0, "prompt_logprobs": 0}
        if choice is not None:
            messages = [*messages, {"role": "assistant", "content": choice}]
            settings |= {"add_generation_prompt": False, "continue_final_message": True}
        try:
            rows = self._complete(messages, 1, **settings).get("prompt_logprobs")
        except _Refused as error:
            raise UserError(f"{error}; {NO_LIKELIHOODS}") from error
        if not rows:
            raise UserError(f"the server at {self.url} gives no prompt_logprobs; {NO_LIKELIHOODS}")
        return [_Token.of(row) for row in rows[1:]]

    def _check_template(self, messages: Messages, choice: str) -> None:
        """Refuses a chat template that writes text of its own between the prompt and the answer."""
        prompt = "".join(token.text for token in self._scored(messages))
        answered = "".join(token.text for token in self._scored(messages, choice))
        if answered != f"{prompt}{choice}":
            raise UserError(
                f"the chat template at {self.url} ends a prompt with {prompt[-40:]!r} but an answered one with "
                f"{answered[-80:]!r}, so likelihoods would differ from other engines'; use --scoring generate, or "
                "--engine vllm or transformers"
            )

    def _all(self, ask: Callable[[int], T], n: int) -> Iterator[tuple[int, T]]:
        """Calls ``ask`` for each of 0 to n-1, ``concurrency`` at a time; after an error no further call is made."""
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(n):
            todo.put(number)
        finished: queue.SimpleQueue[tuple[int, T] | Exception | None] = queue.SimpleQueue()
        stop = threading.Event()

        def work() -> None:
            try:
                while not stop.is_set():
                    number = todo.get_nowait()
                    try:
                        finished.put((number, ask(number)))
                    except Exception as error:
                        stop.set()
                        finished.put(error)
            except queue.Empty:
                pass
            finally:
                finished.put(None)

        working = min(self.concurrency, n)
        for _ in range(working):
            # No thread pool: when the user interrupts, Python would wait for its threads.
            threading.Thread(target=work, daemon=True).start()
        failure = None
        try:
            while working:
                result = finished.get()
                if result is None:
                    working -= 1
                elif isinstance(result, Exception):
                    failure = failure or result
                else:
                    yield result
        finally:
            stop.set()
        if failure is not None:
            raise failure

    def _request(self, path: str, body: Mapping[str, Any] | None = None, *, tries: int = len(DELAYS) + 1) -> Any:
        """The server's reply as JSON; temporary failures are retried.

        Raises:
            _Refused: if the server refuses the request as such.
            UserError: if it does not reply.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url + path, data, headers)
        started = time.monotonic()
        for delay in (*DELAYS[: tries - 1], None):
            pause = 0.0
            try:
                with self._opener.open(request, timeout=self.timeout) as response:
                    return parse_json(response.read())
            except urllib.error.HTTPError as error:
                reason = f"the server at {self.url} answered {error.code} ({_message(error)})"
                if error.code < 500 and error.code not in RETRIED:
                    raise _Refused(reason) from error
                pause = retry_after(error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException, ValueError) as error:
                # No connection, a timeout, or a reply that breaks off.
                reason = f"the server at {self.url} does not answer ({getattr(error, 'reason', None) or repr(error)})"
            late = time.monotonic() - started > GIVE_UP_AFTER or pause > LONGEST_PAUSE
            if delay is None or late:
                break
            pause = max(pause, delay * random.uniform(0.5, 1))
            self._say_trouble(f"{reason}; asking again in {pause:.0f} s")
            time.sleep(pause)
        raise UserError(reason)

    def _say_trouble(self, line: str) -> None:
        """Says what a retry is for, every half minute at most: all requests at a time have the same trouble."""
        if not is_quiet() and time.monotonic() - self._said >= EVERY_SECONDS:
            self._said = time.monotonic()
            sys.stderr.write(f"{line}\n")


@dataclass(frozen=True)
class _Token:
    """A token of a prompt, and its log-probability given those before it."""

    id: str
    logprob: float
    text: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> _Token:
        """From a row of vLLM's, {id: log-probability and text}, whose first entry is the prompt's own token."""
        token, entry = next(iter(row.items()))
        return cls(token, entry["logprob"], entry["decoded_token"])


def _tail_log_probabilities(continued: Sequence[Sequence[_Token]]) -> list[float]:
    """The sums over the tokens after those that all texts begin with."""
    common = common_length([[token.id for token in tokens] for tokens in continued])
    return [sum(token.logprob for token in tokens[common:]) for tokens in continued]


def _counted(replies: Iterator[T], n: int) -> Iterator[T]:
    """The replies; an error message says how many came before it."""
    done = 0
    try:
        for reply in replies:
            done += 1
            yield reply
    except UserError as error:
        if not done:
            raise
        kept = f"{done} of {n} questions were answered before that and are kept; --resume continues"
        raise UserError(f"{error}; {kept}") from error


def _message(error: urllib.error.HTTPError) -> str:
    """The server's own error message, in one line."""
    try:
        text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return str(error.reason)
    try:
        content = parse_json(text)
        content = content.get("error", content)
        text = str(content.get("message", content) if isinstance(content, dict) else content)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:500] or str(error.reason)
