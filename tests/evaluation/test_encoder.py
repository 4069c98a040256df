"""Baselines on the embeddings of a local encoder."""

import json

import numpy as np
import pytest

import ssl4rl
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import UserError
from ssl4rl.evaluation.baselines.encoder import TextEncoder
from ssl4rl.evaluation.baselines.graph import predict
from ssl4rl.graph.benchmarks.link import LinkPrediction
from ssl4rl.models import embedded_path


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    """No answer or embedding of another test is found."""
    monkeypatch.setenv("SSL4RL_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT with random weights, whose words are letters."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("models") / "bert"
    folder.mkdir()
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_an_embedding_is_the_mean_over_a_texts_own_tokens(bert):
    import torch

    encoder = TextEncoder(str(bert))
    texts = ["moss", "a text that is longer than the other ones, and than forty tokens", ""]
    rows = encoder.embed(texts, print)
    assert rows.shape == (3, 16) and np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 0])
    vectors = []
    for text in texts[:2]:
        batch = encoder._tokenizer(text, return_tensors="pt", truncation=True, max_length=40)
        with torch.no_grad():
            vectors.append(encoder._model(**batch).last_hidden_state[0].mean(dim=0).numpy())
    centred = np.stack(vectors) - np.mean(vectors, axis=0)
    assert np.allclose(rows[:2], centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-5)
    assert not rows[2].any()  # of no text nothing is known


def test_embeddings_are_kept_by_the_content_of_texts_and_encoder(bert, tmp_path):
    lines = []
    first = TextEncoder(str(bert)).embed(["one", "two"], lines.append)
    assert np.array_equal(TextEncoder(str(bert)).embed(["one", "two"], lines.append), first) and len(lines) == 1
    TextEncoder(str(bert)).embed(["on", "etwo"], lines.append)
    assert len(lines) == 2
    assert len(list((tmp_path / "home" / "embeddings").glob("*.npy"))) == 2


def test_what_reads_texts_is_fitted_to_embeddings_too(bert):
    benchmark = LinkPrediction(default_graph(), split="test")
    found = predict(benchmark, [benchmark.example(i) for i in range(6)], encoder=TextEncoder(str(bert)))
    assert {f"{name} on embeddings" for name in ("text only", "gcn", "graphsage", "gat")} < found.answers.keys()
    assert "common neighbours on embeddings" not in found.answers


def test_the_embedded_decoder_can_embed():
    assert TextEncoder(str(embedded_path("tiny"))).embed(["one text", "another"], print).shape[0] == 2


def test_an_encoder_is_checked_before_anything_is_asked(bert, tmp_path):
    def refusal(folder, **settings):
        with pytest.raises(UserError) as raised:
            ssl4rl.evaluate("link", encoder=str(folder), limit=2, output=tmp_path / "run", **settings)
        assert not (tmp_path / "run").exists()
        return str(raised.value)

    assert "no config.json there" in refusal(tmp_path / "nowhere")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert f"cannot load model '{broken}'" in refusal(broken)
    assert "--no-baselines leaves them out" in refusal(bert, baselines=False)
    with pytest.raises(UserError, match="benchmark choice has no baselines that would use it"):
        ssl4rl.evaluate("choice", encoder=str(bert))
