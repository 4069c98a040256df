"""Attention to nodes and edges is what the model gives to the tokens that write them, whatever the format."""

import json
from typing import get_args

import numpy as np
import pytest
import torch

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.graph.attention import build_query, graph_attention
from ssl4rl.graph.formats import GraphFormat
from ssl4rl.graph.read_graph import shown_texts
from ssl4rl.inference.engines import open_engine
from ssl4rl.inference.model import ModelFiles
from tests.training.odd_models import change_json, copy_tiny


@pytest.fixture(scope="module")
def files():
    return ModelFiles("tiny")


@pytest.fixture(scope="module")
def model(files):
    return open_engine("transformers", files).model


def query_of(files, example, **how):
    conversation = files.messages(example)
    rendered = files.encoder.text(conversation)
    return rendered, build_query(files.tokenizer, rendered, conversation[-1]["content"], directed=False, **how)


@pytest.mark.parametrize("graph_format", get_args(GraphFormat))
def test_shares_are_those_of_a_full_pass_at_the_tokens_that_write_a_part(files, model, graph_format):
    example = ssl4rl.task("link", "citations", graph_format=graph_format).example(0)
    rendered, query = query_of(files, example, opening="<answer>")
    found = graph_attention(model, files.tokenizer, query)
    parts = [*found.nodes.values(), *found.edges.values(), found.question, found.rest]
    assert sum(part.share for part in parts) == pytest.approx(1, abs=1e-5)
    assert sum(part.tokens for part in parts) == len(query.parts) + 1
    assert {str(node) for node in found.nodes} == example.meta["nodes"].keys()
    numbers = {node: int(number) for number, node in example.meta["nodes"].items()}
    pairs = {tuple(sorted((numbers[a], numbers[b]))) for a, b in example.meta["edges"]}
    assert found.edges.keys() == pairs

    ids = [*query.inputs["input_ids"][0].tolist(), *files.tokenizer.encode(found.token, add_special_tokens=False)]
    with torch.no_grad():
        whole = model(torch.tensor([ids]), output_attentions=True).attentions
    row = torch.stack([weights[0, :, -1].mean(0) for weights in whole]).mean(0).numpy()
    encoded = files.tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]

    def given_to(text):
        start = rendered.index(text)
        inside = [min(high, start + len(text)) > max(low, start) for low, high in encoded]
        return row[: len(inside)][np.array(inside)].sum()

    for node, text in shown_texts(example.text).items():
        written = f"[{node}] {text}"
        if graph_format == "json":
            written = f'{{"id": {node}, "text": "{text}"}}' + ("]," if int(node) == len(found.nodes) else ",")
        assert found.nodes[int(node)].share == pytest.approx(given_to(written), abs=1e-5)
    for first, second in pairs if graph_format in ("edge_list", "json") else ():
        written = f"[{first}, {second}]" if graph_format == "json" else f"{first}-{second}"
        assert found.edges[first, second].share == pytest.approx(given_to(written), abs=1e-5)
    question = rendered[rendered.index("Not every edge") : rendered.index("<|im_end|>", 10)]
    assert found.question.share == pytest.approx(given_to(question), abs=0.02)


def test_a_word_of_the_question_looks(files):
    example = ssl4rl.task("link", "citations").example(0)
    _, query = query_of(files, example, word="edge between")
    ids = query.inputs["input_ids"][0].tolist()
    assert files.tokenizer.decode(ids[: query.position + 1]).endswith("Is there an edge between")
    with pytest.raises(UserError, match="is not in the question"):
        query_of(files, example, word=shown_texts(example.text)["1"])


def test_what_cannot_be_read_is_refused(files):
    with pytest.raises(UserError, match="shows no graph"):
        build_query(files.tokenizer, "a question", "a question", directed=False)
    example = ssl4rl.task("link", "citations").example(0)
    with pytest.raises(UserError, match="template changes the prompt"):
        build_query(files.tokenizer, example.text.upper(), example.text, directed=False)


def test_a_layer_that_sees_only_a_part_of_the_prompt_is_refused(tmp_path):
    folder = copy_tiny(tmp_path)
    layers = len(json.loads((folder / "config.json").read_text())["layer_types"])
    kinds = ["full_attention", *["sliding_attention"] * (layers - 1)]
    change_json(folder / "config.json", layer_types=kinds, sliding_window=16, use_sliding_window=True)
    windowed = ModelFiles(str(folder))
    model = open_engine("transformers", windowed).model
    _, query = query_of(windowed, ssl4rl.task("link", "citations").example(0))
    with pytest.raises(UserError, match=r"layer 2 of the model sees its last \d+ tokens only, and the prompt has \d+"):
        graph_attention(model, windowed.tokenizer, query)
    found = graph_attention(model, windowed.tokenizer, query, layer=1)
    assert sum(part.share for part in found.nodes.values()) > 0
