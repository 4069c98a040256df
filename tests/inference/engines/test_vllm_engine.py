"""vLLM in process answers and scores as transformers does, in float32."""

from importlib.util import find_spec
from typing import Any

import pytest

from ssl4rl.errors import UserError
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.messages import Messages

if find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def engine() -> Any:
    return open_engine("vllm", "tiny", dtype="float32", context_length=1024)


def test_greedy_replies_are_those_of_transformers(engine: Any, reference: Any, conversations: list[Messages]) -> None:
    for sampling in (Sampling(48), Sampling(5)):
        assert generate(engine, conversations, sampling) == generate(reference, conversations, sampling)


def test_likelihoods_are_those_of_transformers(
    engine: Any, reference: Any, conversations: list[Messages], choices: list[list[str]]
) -> None:
    expected = dict(reference.likelihoods(conversations, choices))
    # Twice: the second time everything is in the cache.
    for _ in range(2):
        found = dict(engine.likelihoods(conversations, choices))
        assert sorted(found) == sorted(expected)
        for index, values in found.items():
            assert values == pytest.approx(expected[index], abs=1e-3)


def test_the_prompt_is_run_once_for_all_choices(
    engine: Any, conversations: list[Messages], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    step = engine.llm.llm_engine.step

    def counted() -> Any:
        outputs = step()
        computed.extend(len(output.prompt_token_ids) - output.num_cached_tokens for output in outputs)
        return outputs

    monkeypatch.setattr(engine.llm.llm_engine, "step", counted)
    long = [{"role": "user", "content": conversations[0][0]["content"] * 4}]
    list(engine.likelihoods([long], [[f"[{number}]" for number in range(30)]]))
    assert len(computed) == 30 and max(computed) > 400 and sum(computed) < 2 * max(computed) + 30 * 40


def test_sampling_is_as_asked_and_draws_follow_the_prompt(engine: Any, conversations: list[Messages]) -> None:
    greedy = generate(engine, conversations, Sampling(24))
    assert generate(engine, conversations, Sampling(24, temperature=1.5, top_k=1)) == greedy
    hot = Sampling(24, temperature=1.5)
    first = generate(engine, conversations, hot)
    assert first != greedy and generate(engine, conversations[7:], hot) == first[7:]
    assert len({reply.text for reply in generate(engine, conversations[:1] * 8, hot)}) > 1
    assert generate(engine, conversations, Sampling(24, temperature=1.5, seed=1)) != first


def test_who_stops_listening_leaves_no_work_behind(engine: Any, conversations: list[Messages]) -> None:
    replies = engine.stream(conversations, Sampling(48))
    next(replies)
    replies.close()
    assert not engine.llm.llm_engine.has_unfinished_requests()


def test_limits_are_told(engine: Any, conversations: list[Messages]) -> None:
    long = [{"role": "user", "content": "orbit " * 1100}]
    with pytest.raises(UserError, match=r"conversation 1 has 11\d\d tokens; .* more than the 1024"):
        generate(engine, [conversations[0], long], Sampling(32))
    with pytest.raises(UserError, match="conversation 0 has"):
        next(engine.likelihoods([long], [["yes", "no"]]))
    assert engine.identity["dtype"] == "float32" and engine.identity["engine"] == "vllm"
