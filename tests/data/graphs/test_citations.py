"""The embedded graph, and the accuracy that is possible on it."""

import itertools

import numpy as np
import pytest

from ssl4rl.data.graphs.citations import (
    SUBJECTS,
    citation_graph,
    default_graph,
    link_posterior,
    subject_pairs,
    text_likelihood,
    word_probabilities,
)
from ssl4rl.graph.tasks.link import Link


def test_the_same_arguments_give_the_same_graph():
    assert citation_graph(200, seed=1).fingerprint == citation_graph(200, seed=1).fingerprint
    assert citation_graph(200, seed=1).fingerprint != citation_graph(200, seed=2).fingerprint
    # Any change of the default graph changes every prompt and needs a new embedded model.
    assert default_graph().fingerprint.startswith("c3776ca27c54")


def test_no_text_names_a_subject():
    words = {word for text in default_graph().texts for word in text.split()}
    assert not words & set(SUBJECTS)


def test_it_follows_its_own_model():
    graph = citation_graph(20_000)
    assert word_probabilities().sum(axis=1) == pytest.approx(1)
    same = (graph.labels[graph.edge_index[0]] == graph.labels[graph.edge_index[1]]).mean()
    assert same == pytest.approx(0.9, abs=0.01)
    guessed = [int(text_likelihood(text).argmax()) for text in graph.texts[:4000]]
    assert 0.7 < (np.array(guessed) == graph.labels[:4000]).mean() < 0.95


def test_the_posterior_equals_brute_force():
    graph = citation_graph(100)
    pair, others = (3, 5), (7, 9)
    texts = {node: graph.texts[node] for node in (*pair, *others)}
    edges = [(3, 7), (7, 9), (9, 5), (3, 9)]
    linked, unlinked = subject_pairs()
    likelihood = {node: text_likelihood(text) for node, text in texts.items()}
    totals = np.zeros(2)
    for drawn in itertools.product(range(len(SUBJECTS)), repeat=4):
        subject = dict(zip(texts, drawn, strict=True))
        weight = np.prod([likelihood[node][subject[node]] for node in texts])
        weight *= np.prod([(linked / unlinked)[subject[a], subject[b]] for a, b in edges])
        totals += weight * np.array([table[subject[3], subject[5]] for table in (linked, unlinked)])
    assert link_posterior(pair, texts, edges) == pytest.approx(totals[0] / totals.sum())


def test_an_oracle_that_sees_the_graph_beats_one_that_sees_two_texts_by_five_points():
    graph = default_graph()
    task = Link(graph)
    right = {"graph": 0, "texts": 0}
    for index in range(2000):
        example = task.example(index)
        pair = example.meta["asked"]
        texts = {node: graph.texts[node] for node in example.meta["nodes"].values()}
        with_graph = link_posterior(pair, texts, example.meta["edges"])
        without = link_posterior(pair, {node: texts[node] for node in pair}, [])
        right["graph"] += (with_graph > 0.5) == (example.gold == "yes")
        right["texts"] += (without > 0.5) == (example.gold == "yes")
    assert right["graph"] - right["texts"] > 0.05 * 2000
    assert 0.84 < right["graph"] / 2000 < 0.91
