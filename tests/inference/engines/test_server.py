"""A server is asked until it has answered, and what it answers is what the engines in process do."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ssl4rl.errors import UserError
from ssl4rl.inference.engines import Sampling, generate, open_engine, server
from ssl4rl.inference.engines.server import ServerEngine
from ssl4rl.inference.messages import Messages

READY_WITHIN = 300.0
"""Seconds."""


@pytest.fixture(scope="module", autouse=True)
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes], Path] | None]:
    """vLLM's server with the embedded model, which takes its time to start while the other tests run."""
    if find_spec("vllm") is None:
        yield None
        return
    from ssl4rl.models import TINY, embedded_path

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    arguments = f"--dtype float32 --max-model-len 1024 --host 127.0.0.1 --port {port} --enforce-eager"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(embedded_path(TINY))]
    # One process less to start; its small compiled functions would need a C++ compiler.
    command += ["--served-model-name", "tiny", "--distributed-executor-backend", "uni", *arguments.split()]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield f"http://127.0.0.1:{port}/v1", process, log
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


Answer = Callable[[int, dict[str, Any]], "tuple[int, dict[str, str], Any]"]
"""From the number of the request (from 1 on) and its body to the status, headers and JSON of the answer."""


class FakeServer:
    """A server on loopback; ``received`` holds the bodies and ``headers`` the headers of all requests to it."""

    def __init__(self, answer: Answer, models: tuple[str, ...] = ("m",)) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        lock, fake = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(200, {}, {"data": [{"id": name} for name in models]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    fake.received.append(body)
                    fake.headers.append(dict(self.headers))
                    number = len(fake.received)
                self.reply(*answer(number, body))

            def reply(self, status: int, headers: dict[str, str], value: Any) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                for name, text in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """The client has hung up."""

        self.http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    servers = []

    def start(*arguments: Any, **settings: Any) -> FakeServer:
        servers.append(FakeServer(*arguments, **settings))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DELAYS", (0.01,) * 6)


def completion(text: str) -> tuple[int, dict[str, str], Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return 200, {}, {"choices": [choice], "usage": {"completion_tokens": 3}}


def echo(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    return completion("re: " + body["messages"][-1]["content"])


def questions(n: int) -> list[Messages]:
    return [[{"role": "user", "content": f"question {index}"}] for index in range(n)]


def test_whatever_goes_wrong_for_a_while_no_reply_is_lost_and_none_comes_twice(serve: Any) -> None:
    def often_fails(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        kind = number % 20
        if kind == 5:
            return 500, {}, {"error": {"message": "overloaded"}}
        if kind == 10:
            return 429, {"Retry-After": "0"}, {}
        if kind == 15:
            time.sleep(1.0)  # Longer than is waited for.
        status, _, value = echo(number, body)
        # At the end the promised length never comes: the connection breaks off.
        return status, {"Content-Length": "5000"} if kind == 0 else {}, value

    fake = serve(often_fails)
    engine = ServerEngine(fake.url, concurrency=8, timeout=0.5)
    found = list(engine.stream(questions(100), Sampling()))
    assert Counter(index for index, _ in found) == Counter(range(100))
    assert all(reply.text == f"re: question {index}" for index, reply in found)
    assert {(reply.num_tokens, reply.truncated) for _, reply in found} == {(3, False)}
    assert len(fake.received) > 115


def test_a_server_that_dies_leaves_what_it_answered(serve: Any) -> None:
    def dies(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if number == 30:
            threading.Thread(target=fake.stop).start()
        return echo(number, body) if number <= 25 else (503, {}, {})

    fake = serve(dies)
    replies, found = ServerEngine(fake.url, concurrency=4).stream(questions(60), Sampling()), {}
    with pytest.raises(UserError) as caught:
        for index, reply in replies:
            found[index] = reply.text
    assert found == {index: f"re: question {index}" for index in found} and len(found) == 25
    assert "does not answer" in str(caught.value) or "answered 503" in str(caught.value)
    assert str(caught.value).endswith("25 of 60 questions were answered before that and are kept; --resume continues")


def test_a_refusal_is_not_repeated(serve: Any) -> None:
    fake = serve(lambda number, body: (400, {}, {"error": {"message": "the prompt is too long"}}))
    with pytest.raises(UserError, match=r"answered 400 \(the prompt is too long\)"):
        generate(ServerEngine(fake.url), questions(1), Sampling())
    assert len(fake.received) == 1


def test_what_is_under_way_when_one_is_refused_is_kept(serve: Any) -> None:
    all_asked, refused = threading.Barrier(4), threading.Event()

    def answer(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if not refused.is_set():
            all_asked.wait(timeout=30)
        if body["messages"][0]["content"] == "question 2":
            refused.set()
            return 400, {}, {"error": {"message": "no"}}
        refused.wait(timeout=30)
        time.sleep(0.3)
        return echo(number, body)

    fake = serve(answer)
    with pytest.raises(UserError, match="3 of 50 questions were answered"):
        generate(ServerEngine(fake.url, concurrency=4), questions(50), Sampling())
    assert len(fake.received) == 4


def test_the_pause_that_the_server_asks_for_is_made(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter(["7", "Wed, 21 Oct 2015 07:28:00 GMT", "", "3600"])
    pauses: list[float] = []
    monkeypatch.setattr(server.time, "sleep", pauses.append)
    fake = serve(lambda number, body: (429, {"Retry-After": next(waits)}, {"error": {"message": "slowly"}}))
    with pytest.raises(UserError, match=r"answered 429 \(slowly\)"):
        generate(ServerEngine(fake.url), questions(1), Sampling())
    # An hour is too long; a date that has passed is no pause.
    assert len(pauses) == 3 and pauses[0] == 7 and max(pauses[1:]) <= 0.01


def test_what_is_sent(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    fake = serve(lambda number, body: completion("ok"))
    engine = ServerEngine(fake.url)
    image = Image.new("RGB", (3, 2), (255, 0, 0))
    parts: Messages = [
        {"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image", "image": image}]}
    ]
    generate(engine, [parts], Sampling(9))
    generate(engine, questions(1), Sampling(9, temperature=0.7, top_p=0.5, top_k=4))
    greedy, drawn = fake.received
    assert {name: greedy[name] for name in ("model", "max_tokens", "temperature")} == {
        "model": "m",
        "max_tokens": 9,
        "temperature": 0.0,
    }
    assert not {"top_k", "seed"} & set(greedy) and (drawn["top_p"], drawn["top_k"]) == (0.5, 4) and "seed" in drawn
    text, url = greedy["messages"][0]["content"]
    header, _, data = url["image_url"]["url"].partition(",")
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert text == {"type": "text", "text": "what?"} and header == "data:image/png;base64"
    assert (sent.size, sent.getpixel((0, 0))) == ((3, 2), (255, 0, 0))
    assert all(headers["Authorization"] == "Bearer secret" for headers in fake.headers)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "B", "reasoning_content": "Why?"}, "<think>Why?</think>B"),
        ({"content": "B", "reasoning": "Why?"}, "<think>Why?</think>B"),
        ({"content": "B", "reasoning_content": None}, "B"),
        ({"content": None, "reasoning_content": "Why"}, "<think>Why"),
        ({"content": None}, ""),
        ({"content": [{"type": "text", "text": "The answer "}, {"type": "text", "text": "is B."}]}, "The answer is B."),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Why?"}]},
                    {"type": "text", "text": "B"},
                ]
            },
            "<think>Why?</think>B",
        ),
    ],
)
def test_replies_of_reasoning_servers_are_read(serve: Any, message: dict[str, Any], text: str) -> None:
    fake = serve(lambda number, body: (200, {}, {"choices": [{"message": message, "finish_reason": "stop"}]}))
    assert generate(ServerEngine(fake.url), questions(1), Sampling())[0].text == text


def test_a_message_of_another_form_is_no_chat_completion(serve: Any) -> None:
    for message in (["B"], {"role": "assistant"}, {"content": [3]}):
        fake = serve(lambda number, body, message=message: (200, {}, {"choices": [{"message": message}]}))
        with pytest.raises(UserError, match="sent no chat completion"):
            generate(ServerEngine(fake.url), questions(1), Sampling())


def test_a_server_that_refuses_max_tokens_gets_max_completion_tokens(serve: Any) -> None:
    def answer(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if "max_tokens" in body:
            text = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return 400, {}, {"error": {"message": text}}
        return echo(number, body)

    fake = serve(answer)
    replies = generate(ServerEngine(fake.url, concurrency=1), questions(3), Sampling(9))
    assert [reply.text for reply in replies] == [f"re: question {index}" for index in range(3)]
    # It is asked once which of the two it takes.
    assert [body.get("max_completion_tokens") for body in fake.received] == [None, 9, 9, 9]


def test_the_only_model_is_taken_and_of_several_one_must_be_named(serve: Any) -> None:
    assert open_engine(serve(echo).url, None).model == "m"  # type: ignore[attr-defined]
    several = serve(echo, models=("one", "two"))
    with pytest.raises(UserError, match=r"has 2 models; name one with --model: one, two"):
        open_engine(several.url, None)
    assert open_engine(several.url, "two").identity["model"] == "two"
    several.stop()
    with pytest.raises(UserError, match="Connection refused"):
        open_engine(several.url, "two")


def tagged(*answers: str) -> list[str]:
    return [f"<answer>{answer}</answer>" for answer in answers]


def scored(words: list[str]) -> tuple[int, dict[str, str], Any]:
    rows = [None, *({word: {"logprob": -1.0, "decoded_token": word}} for word in words)]
    return 200, {}, {"choices": [{"message": {"content": ""}}], "prompt_logprobs": rows}


@pytest.mark.parametrize("status", [200, 400])
def test_a_server_without_prompt_logprobs_cannot_score(serve: Any, status: int) -> None:
    def answer(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        return completion("x") if status == 200 else (400, {}, {"error": {"message": "unknown: prompt_logprobs"}})

    with pytest.raises(UserError, match=r"prompt_logprobs.*; use --scoring generate, or --engine"):
        list(ServerEngine(serve(answer).url).likelihoods(questions(1), [["yes", "no"]]))


@pytest.mark.parametrize("extra", [[], ["<think></think>"]])
def test_a_template_that_writes_into_the_answer_is_refused(serve: Any, extra: list[str]) -> None:
    def answer(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        said = body["messages"][-1]
        if said["role"] == "user":
            return scored(["Q", "A:"])
        words = said["content"].removeprefix("<answer>").removesuffix("</answer>").split("-")
        return scored(["Q", "A:", *extra, "<answer>", *"-|".join(words).split("|"), "</answer>"])

    engine = ServerEngine(serve(answer).url)
    if extra:
        with pytest.raises(UserError, match=r"chat template .*<think>.*--scoring generate"):
            list(engine.likelihoods(questions(2), [tagged("yes", "no")] * 2))
        return
    # "not-" and what follows it is left out of the sums where all choices begin with it.
    found = dict(engine.likelihoods(questions(2), [tagged("yes", "no"), tagged("not-so-good", "not-bad")]))
    assert found == {0: [-2.0, -2.0], 1: [-3.0, -2.0]}


@pytest.mark.slow
def test_vllms_server_answers_and_scores_as_transformers_does(
    starting: Any, reference: Any, conversations: list[Messages], choices: list[list[str]]
) -> None:
    if starting is None:
        pytest.skip("vllm is not installed")
    url, process, log = starting
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + READY_WITHIN
    while True:
        try:
            direct.open(f"{url}/models", timeout=5).close()
            break
        except OSError:
            ended = process.poll() is not None or time.monotonic() > until
            assert not ended, log.read_text(errors="replace")[-3000:]
            time.sleep(0.5)
    engine = open_engine(url, None)
    assert generate(engine, conversations, Sampling(48)) == generate(reference, conversations, Sampling(48))
    cut = generate(engine, conversations[:3], Sampling(5))
    assert cut == generate(reference, conversations[:3], Sampling(5)) and cut[0].truncated
    hot = Sampling(24, temperature=1.5)
    first = generate(engine, conversations, hot)
    assert generate(engine, conversations[3:], hot) == first[3:] != generate(engine, conversations, Sampling(24))[3:]
    found, expected = dict(engine.likelihoods(conversations, choices)), reference.likelihoods(conversations, choices)
    for index, values in expected:
        assert found[index] == pytest.approx(values, abs=1e-3)
