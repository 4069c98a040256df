"""Baselines without a network: linear models on TF-IDF, label propagation, and scores of node pairs.

Each function takes arrays and returns scores, and knows nothing of benchmarks. scipy and scikit-learn are imported
where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ssl4rl.evaluation.baselines.base import LeftOut
from ssl4rl.graph.adjacency import IntArray

MAX_WORDS = 5000
"""Words in the vocabulary of TF-IDF: the most frequent ones of all texts."""
MAX_TRIPLES = 50_000
"""Most training triples that the text classifier of relations is fitted to."""
PROPAGATION_STEPS, PROPAGATION_SHARE = 50, 0.9
"""Steps, and the share of a node's label that comes from its neighbours in each (α; Zhou et al. 2004 use 0.99)."""

Scores: TypeAlias = NDArray[np.floating[Any]]
SparseMatrix: TypeAlias = Any
"""A scipy CSR matrix."""
FeatureMatrix: TypeAlias = Any
"""One row per node, [N, F] and float32: a scipy CSR matrix or an array."""


def tfidf(texts: Sequence[str]) -> SparseMatrix:
    """TF-IDF rows of length 1 (0 for a text without known words), [N, at most ``MAX_WORDS``], no English stop words.

    Document frequencies are over all texts: prompts show those of test nodes too, and no label is involved.

    Raises:
        LeftOut: if the texts contain no words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        return TfidfVectorizer(
            max_features=MAX_WORDS, sublinear_tf=True, stop_words="english", dtype=np.float32
        ).fit_transform(texts)
    except ValueError as error:
        if "empty vocabulary" in str(error):
            raise LeftOut("the texts hold no words") from error
        raise


def joined(num_nodes: int, ends: IntArray) -> SparseMatrix:
    """The symmetric 0/1 matrix [N, N] of nodes joined by the edges ``ends`` [2, E]; parallel edges count once."""
    from scipy.sparse import csr_matrix

    source, target = np.concatenate([ends, ends[::-1]], axis=1)
    matrix = csr_matrix((np.ones(len(source), dtype=np.float32), (source, target)), shape=(num_nodes, num_nodes))
    matrix.data[:] = 1  # the constructor added up parallel edges
    return matrix


def _in_all_classes(scores: Scores, known: IntArray, count: int) -> Scores:
    """A model's columns for the classes it knows, spread over all ``count``; classes it never saw score lowest."""
    spread = np.full((len(scores), count), -np.inf)
    spread[:, known] = scores
    return spread


def text_to_class(features: FeatureMatrix, train: IntArray, classes: IntArray, count: int) -> Scores:
    """Scores of each class for every node [N, count], from its own text, fitted to the nodes ``train``.

    Multinomial logistic regression with scikit-learn's default regularisation.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.unique(classes)
    if len(known) == 1:  # which LogisticRegression refuses
        return _in_all_classes(np.zeros((features.shape[0], 1)), known, count)
    model = LogisticRegression(max_iter=1000).fit(features[train], classes)
    return _in_all_classes(model.predict_log_proba(features), model.classes_, count)


def text_to_relation(
    features: FeatureMatrix, train: IntArray, relations: IntArray, pairs: IntArray, count: int
) -> Scores:
    """Scores of each relation for every pair [n, count], from the words of head and of tail.

    ``train`` and ``pairs`` are [2, n] (head, tail). One logistic regression per relation against the rest, fitted by
    seeded stochastic gradient descent to at most ``MAX_TRIPLES`` of train: as good as a multinomial one here, and
    several times faster with hundreds of relations.
    """
    from scipy.sparse import hstack
    from sklearn.linear_model import SGDClassifier

    def both(ends: IntArray) -> FeatureMatrix:
        rows = [features[ends[0]], features[ends[1]]]
        return np.hstack(rows) if isinstance(features, np.ndarray) else hstack(rows, format="csr")

    order = np.random.default_rng(0).permutation(train.shape[1])[:MAX_TRIPLES]
    known = np.unique(relations[order])
    if len(known) == 1:  # which SGDClassifier refuses
        return _in_all_classes(np.zeros((pairs.shape[1], 1)), known, count)
    model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=5, tol=None, random_state=0)
    scores = model.fit(both(train[:, order]), relations[order]).decision_function(both(pairs))
    if len(known) == 2:  # one column, of the second
        scores = np.stack([-scores, scores], axis=1)
    return _in_all_classes(scores, known, count)


def label_propagation(matrix: SparseMatrix, train: IntArray, classes: IntArray, count: int) -> Scores:
    """Scores of each class for every node [N, count], spread from ``train`` along the edges.

    F ← α D^-½ A D^-½ F + (1 − α) Y, with Y the one-hot labels of train (Zhou et al. 2004, "Learning with Local and
    Global Consistency", as in PyG's ``LabelPropagation``). A node that no label reaches gets the class frequencies.
    """
    from scipy.sparse import diags

    scale = diags(1 / np.sqrt(np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1)))
    spread = scale @ matrix @ scale
    given = np.zeros((matrix.shape[0], count))
    given[train, classes] = 1
    scores = given
    for _ in range(PROPAGATION_STEPS):
        scores = PROPAGATION_SHARE * (spread @ scores) + (1 - PROPAGATION_SHARE) * given
    unreached = scores.sum(axis=1) == 0
    scores[unreached] = given.sum(axis=0)
    return scores


def cosine(features: FeatureMatrix, pairs: IntArray) -> Scores:
    """Cosine similarity of the two rows of each pair [n]; ``features`` has rows of length 1."""
    return _dot(features, pairs)


def common_neighbours(matrix: SparseMatrix, pairs: IntArray) -> Scores:
    """How many neighbours the two nodes of each pair share, [n] (Liben-Nowell & Kleinberg 2007, §3)."""
    return _dot(matrix, pairs)


def _dot(rows: FeatureMatrix, pairs: IntArray) -> Scores:
    if isinstance(rows, np.ndarray):
        return np.asarray(np.einsum("ij,ij->i", rows[pairs[0]], rows[pairs[1]]))
    return np.asarray(rows[pairs[0]].multiply(rows[pairs[1]]).sum(axis=1), dtype=np.float64).ravel()


def degree_product(matrix: SparseMatrix, pairs: IntArray) -> Scores:
    """Preferential attachment: the product of the two degrees, [n] (Liben-Nowell & Kleinberg 2007, §3).

    An edge between the two themselves is not counted, so that a training pair does not give itself away.
    """
    degrees = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    joined = np.asarray(matrix[pairs[0], pairs[1]], dtype=np.float64).ravel()
    return np.asarray((degrees[pairs[0]] - joined) * (degrees[pairs[1]] - joined))


def adamic_adar(matrix: SparseMatrix, pairs: IntArray) -> Scores:
    """Common neighbours, each divided by the logarithm of its degree, [n] (Adamic & Adar 2003)."""
    degrees = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    # A neighbour of two nodes has a degree of 2 at least.
    weighted = matrix.multiply(1 / np.log(np.maximum(degrees, 2))).tocsr()
    return np.asarray(weighted[pairs[0]].multiply(matrix[pairs[1]]).sum(axis=1), dtype=np.float64).ravel()


def frequency_at_ends(train: IntArray, relations: IntArray, pairs: IntArray, num_nodes: int, count: int) -> Scores:
    """The log-probability of each relation for every pair [n, count], given its head and given its tail.

    Naive Bayes: log P(r | head) + log P(r | tail) − log P(r), from how often the head is a head, and the tail a tail,
    of each relation in ``train`` [2, n] (head, tail); P(r) counts as one more triple of each node.
    """
    from scipy.sparse import csr_matrix

    frequency = np.bincount(relations, minlength=count) + 1 / count
    frequency = frequency / frequency.sum()
    scores = np.tile(-np.log(frequency), (pairs.shape[1], 1))
    for nodes, asked in zip(train, pairs, strict=True):
        counts = csr_matrix((np.ones(len(nodes)), (nodes, relations)), shape=(num_nodes, count))[asked].toarray()
        scores += np.log((counts + frequency) / (counts.sum(axis=1, keepdims=True) + 1))
    return scores


PAIR_SCORES = {"common neighbours": common_neighbours, "adamic-adar": adamic_adar, "degree product": degree_product}
"""Scores of pairs that read edges alone, by name: functions of the adjacency matrix and the pairs."""
