"""Replies come back in the order of the questions, whatever the batches."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from toys import Letters, ToySource, build_model

from ssl4rl.inference.engine import TransformersEngine
from ssl4rl.inference.model import ModelFiles


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    from transformers import AutoModelForCausalLM

    folder = build_model(tmp_path_factory.mktemp("model"))
    files = ModelFiles(str(folder))
    return TransformersEngine(
        AutoModelForCausalLM.from_pretrained(folder),
        files.tokenizer,
        max_new_tokens=6,
        batch_size=3,
        eos_token_ids=files.eos_token_ids,
        suppress_tokens=files.suppressed_tokens,
    )


def test_a_reply_does_not_depend_on_its_batch(engine: TransformersEngine) -> None:
    conversations = [Letters(ToySource(), knobs={"words": 3 + 5 * (i % 3)}).example(i).messages() for i in range(8)]
    together = engine.generate(conversations)
    assert together == [engine.generate([conversation])[0] for conversation in conversations]
    assert len(set(together)) > 1 and engine.generate([]) == []


def test_the_model_is_left_in_its_mode(engine: TransformersEngine) -> None:
    engine.model.train()
    engine.generate([Letters(ToySource()).example(0).messages()])
    assert engine.model.training
