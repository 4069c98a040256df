"""Choosing an engine, and the one over transformers: what it answers depends on the question only."""

from typing import Any

import pytest
import torch
from PIL import Image

from ssl4rl.errors import UserError
from ssl4rl.inference import engines
from ssl4rl.inference.engines import Sampling, generate, open_engine, resolve_engine
from ssl4rl.inference.engines.draws import DrawnTokens, draw_seeds
from ssl4rl.inference.engines.transformers import load
from ssl4rl.inference.messages import Messages
from ssl4rl.inference.model import ModelFiles
from ssl4rl.inference.tokens import Encoder
from ssl4rl.registry import ENGINES


def test_a_reply_does_not_depend_on_its_batch(reference: Any, conversations: list[Messages]) -> None:
    together = generate(reference, conversations, Sampling(max_new_tokens=24))
    alone = [generate(reference, [conversation], Sampling(max_new_tokens=24))[0] for conversation in conversations]
    assert together == alone and len({reply.text for reply in together}) > 4
    assert generate(reference, [], Sampling()) == []


def test_tokens_are_counted_up_to_the_end_token(reference: Any, conversations: list[Messages]) -> None:
    whole = generate(reference, conversations, Sampling(max_new_tokens=48))
    cut = generate(reference, conversations, Sampling(max_new_tokens=2))
    tokenizer = reference.files.tokenizer
    assert not any(reply.truncated for reply in whole) and all(reply.truncated for reply in cut)
    assert {reply.num_tokens for reply in cut} == {2}
    # The end token is counted, and not in the text.
    assert [len(tokenizer(reply.text)["input_ids"]) + 1 for reply in whole] == [reply.num_tokens for reply in whole]


def test_sampling_is_as_asked_and_nothing_comes_from_the_models_own_settings(
    reference: Any, conversations: list[Messages], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = conversations[:6]
    greedy = generate(reference, asked, Sampling(24))
    for name, value in {"repetition_penalty": 5.0, "temperature": 3.0, "top_k": 2, "no_repeat_ngram_size": 2}.items():
        monkeypatch.setattr(reference.model.generation_config, name, value)
    assert generate(reference, asked, Sampling(24)) == greedy
    hot = Sampling(24, temperature=2.0)
    assert generate(reference, asked, Sampling(24, temperature=2.0, top_k=1)) == greedy
    assert generate(reference, asked, Sampling(24, temperature=2.0, top_p=1e-6)) == greedy
    first, torch_state = generate(reference, asked, hot), torch.get_rng_state()
    assert first != greedy and generate(reference, asked, hot) == first
    assert generate(reference, asked, Sampling(24, temperature=2.0, seed=1)) != first
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_likelihoods_are_the_sums_over_what_the_choices_do_not_share(
    reference: Any, conversations: list[Messages], choices: list[list[str]]
) -> None:
    found = dict(reference.likelihoods(conversations, choices))
    assert sorted(found) == list(range(len(conversations)))
    for index in (0, 1, 4, 7):
        asked = reference.files.encoder.choice_ids(conversations[index], choices[index])
        for ids, value in zip(asked.continued, found[index], strict=True):
            with torch.no_grad():
                logps = reference.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            expected = sum(logps[at - 1, ids[at]].item() for at in range(asked.common, len(ids)))
            assert value == pytest.approx(expected, abs=1e-3)


def test_choices_are_tokenised_with_their_prompt(reference: Any, conversations: list[Messages]) -> None:
    tokenizer = reference.files.tokenizer
    encoder = Encoder(tokenizer)
    asked = encoder.choice_ids(conversations[0], ["<answer>yes</answer>", "<answer>no</answer>"])
    prompt = tokenizer.apply_chat_template(conversations[0], add_generation_prompt=True, tokenize=False)
    assert [tokenizer.decode(ids) for ids in asked.continued] == [
        f"{prompt}<answer>{x}</answer>" for x in ("yes", "no")
    ]
    # A single choice has nothing to be compared with, and a choice that begins another keeps a token of its own.
    assert encoder.choice_ids(conversations[0], ["<answer>yes</answer>"]).common == len(asked.continued[0]) - 1


def test_the_model_is_left_in_its_mode(reference: Any, conversations: list[Messages]) -> None:
    reference.model.train()
    generate(reference, conversations[:1], Sampling(2))
    next(reference.likelihoods(conversations[:2], [["yes", "no"]] * 2))
    assert reference.model.training
    reference.model.eval()


def test_a_prompt_that_is_too_long_is_named(reference: Any, conversations: list[Messages]) -> None:
    long = [{"role": "user", "content": "orbit " * 4090}]
    with pytest.raises(UserError, match=r"conversation 1 has 41\d\d tokens; with 32 for the reply"):
        generate(reference, [conversations[0], long], Sampling(32))


def test_seeds_follow_the_prompt_and_the_number_of_its_draw_and_not_its_place() -> None:
    a, b = ([{"role": "user", "content": text}] for text in "ab")
    assert draw_seeds([a, b, a], 0) == [*draw_seeds([a, b], 0), draw_seeds([a, a], 0)[1]]
    assert len({*draw_seeds([a, b, a], 0), *draw_seeds([a, b, a], 1)}) == 6
    assert draw_seeds([a, a], 0, [3, 1]) == [draw_seeds([a] * 4, 0)[3], draw_seeds([a] * 2, 0)[1]]
    dark, light = ({"type": "image", "image": Image.new("RGB", (4, 4), colour)} for colour in ("black", "white"))
    assert len(set(draw_seeds([[{"role": "user", "content": [image]}] for image in (dark, light)], 0))) == 2


def test_a_drawn_reply_depends_on_its_prompt_and_number_alone(reference: Any, conversations: list[Messages]) -> None:
    hot = Sampling(24, temperature=1.5)
    asked = [conversation for conversation in conversations[:4] for _ in range(5)]
    numbers = list(range(5)) * 4
    together = dict(reference.stream(asked, hot, numbers))
    assert [together[index] for index in range(20)] == generate(reference, asked, hot)
    assert len({reply.text for reply in together.values()}) > 10
    for index in (0, 3, 7, 19):
        [(_, alone)] = reference.stream([asked[index]], hot, [numbers[index]])
        assert alone == together[index]


def test_a_prompt_is_run_once_for_all_its_draws(
    reference: Any, conversations: list[Messages], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[int] = []
    forward = reference.model.forward
    monkeypatch.setattr(
        reference.model, "forward", lambda *a, **kw: (run.append(kw["input_ids"].numel()), forward(*a, **kw))[1]
    )
    [one] = generate(reference, conversations[2:3], Sampling(1, temperature=1.0))
    assert sum(run) == one.prompt_tokens
    run.clear()
    generate(reference, conversations[2:3] * 6, Sampling(1, temperature=1.0))
    assert sum(run) == one.prompt_tokens - 1 + 6


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    likely = torch.tensor([0.5, 0.3, 0.15, 0.05])
    scores = likely.log().expand(4000, 4)
    drawn = DrawnTokens(range(4000), Sampling(temperature=1.0), "cpu")(None, scores).argmax(-1)
    assert torch.allclose(drawn.bincount(minlength=4) / 4000, likely, atol=0.025)
    cut = DrawnTokens(range(4000), Sampling(temperature=0.5, top_k=3, top_p=0.8), "cpu")(None, scores).argmax(-1)
    squares = likely[:2] ** 2
    assert torch.allclose(cut.bincount(minlength=2) / 4000, squares / squares.sum(), atol=0.025)


@pytest.mark.parametrize(("has_gpu", "has_vllm"), [(True, True), (True, False), (False, True)])
def test_auto_is_vllm_where_it_runs_on_a_gpu(has_gpu: bool, has_vllm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(engines, "find_spec", lambda name: has_vllm or None)
    assert resolve_engine("auto") == ("vllm" if has_gpu and has_vllm else "transformers")
    if not has_vllm:
        with pytest.raises(UserError, match=r"pip install 'ssl4rl\[vllm\]'"):
            resolve_engine("vllm")


def test_what_cannot_be_opened_is_said() -> None:
    with pytest.raises(UserError, match="did you mean transformers"):
        open_engine("transformer", "tiny")
    with pytest.raises(UserError, match="unknown engine 'vlm'; did you mean vllm"):
        resolve_engine("vlm")
    with pytest.raises(UserError, match="unknown dtype 'float'; did you mean"):
        open_engine("transformers", "tiny", dtype="float")
    with pytest.raises(UserError, match="needs a model"):
        open_engine("transformers", None)


def test_a_registered_engine_is_opened_with_the_models_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(files: Any, **settings: Any) -> Any:
        return files.name, settings

    monkeypatch.setitem(ENGINES._loaded, "mine", factory)
    assert resolve_engine("mine") == "mine"
    opened = open_engine("mine", "tiny", dtype="bfloat16", batch_size=3)
    assert opened == ("tiny", {"dtype": "bfloat16", "context_length": None, "batch_size": 3})


def test_a_model_goes_to_whatever_accelerator_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # The device meta stands for a GPU, also Apple's; one that torch was only built for does not count.
    there = {True: torch.device("meta"), False: torch.device("cuda")}
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: there[check_available])
    monkeypatch.setattr("ssl4rl.inference.checks.check_output", lambda *_: None)
    assert load(ModelFiles("tiny"), "float32").device.type == "meta"
    there[True] = None
    assert load(ModelFiles("tiny"), "float32").device.type == "cpu"
