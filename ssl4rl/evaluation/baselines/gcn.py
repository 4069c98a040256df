"""The graph neural network that a user would otherwise train: a two-layer GCN on TF-IDF features.

PyG's convolutions, in the encoder and with the optimiser of Kipf & Welling 2017 ("Semi-Supervised Classification with
Graph Convolutional Networks", §5.2). This module imports torch and torch_geometric; import it only where a network is
fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import GCNConv

from ssl4rl.evaluation.baselines.classical import Scores, SparseMatrix, joined
from ssl4rl.graph.adjacency import IntArray

EPOCHS, LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 200, 0.01, 5e-4, 0.5
"""Kipf & Welling 2017, §5.2; the weight decay is the first layer's."""
NODE_WIDTH = 16
"""Hidden units for node classification, from the same section."""
PAIR_WIDTHS = (32, 16)
"""Hidden and output units where pairs are scored (Kipf & Welling 2016, "Variational Graph Auto-Encoders", §3)."""
RELATION_WIDTH = 64
"""Units for classifying relations (our choice: 16 are few for 237 relations)."""
SUPERVISED_TRIPLES = 10_000
"""Most triples that one step of relation training predicts, and whose edges it hides."""
EVALUATE_EVERY = 5
"""Epochs between two evaluations on val."""


def normalised(matrix: SparseMatrix) -> SparseMatrix:
    """D^-½ (A + I) D^-½ of a symmetric 0/1 matrix, D being the degrees of A + I (Kipf & Welling 2017, eq. 2)."""
    from scipy.sparse import diags, identity

    looped = matrix + identity(matrix.shape[0], dtype=np.float32, format="csr")
    scale = diags(1 / np.sqrt(np.asarray(looped.sum(axis=1), dtype=np.float32).ravel()))
    return (scale @ looped @ scale).tocsr()


def tensor(matrix: SparseMatrix) -> Tensor:
    """A scipy matrix as a sparse tensor, with which PyG's convolution is a product instead of a gather and scatter."""
    with warnings.catch_warnings():
        # torch warns once that its sparse tensors are in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        )


class Encoder(torch.nn.Module):
    """Two of PyG's graph convolutions with a ReLU between, and dropout before each."""

    def __init__(self, num_features: int, hidden: int, out: int, dropout: float) -> None:
        super().__init__()
        self.first = GCNConv(num_features, hidden, normalize=False)
        self.second = GCNConv(hidden, out, normalize=False)
        self.dropout = dropout

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """[N, out] from ``features`` [N, F] and the normalised adjacency ``edges`` [N, N], both sparse."""
        if self.training and self.dropout:
            # Zeros stay zero, and there are a hundred times as many of them: dropout draws for the other values only.
            kept = functional.dropout(features.values(), self.dropout)
            features = torch.sparse_csr_tensor(
                features.crow_indices(), features.col_indices(), kept, features.shape, check_invariants=False
            )
        hidden = functional.dropout(self.first(features, edges).relu(), self.dropout, self.training)
        encoded: Tensor = self.second(hidden, edges)
        return encoded


def _fit(
    model: torch.nn.Module,
    decayed: torch.nn.Module | None,
    loss: Callable[[], Tensor],
    output: Callable[[], Tensor],
    quality: Callable[[Tensor], float],
) -> Scores:
    """Trains, and returns the output of the epoch with the best ``quality`` (the latest of equally good ones)."""
    first = list(decayed.parameters()) if decayed is not None else []
    rest = [parameter for parameter in model.parameters() if all(parameter is not other for other in first)]
    groups = [{"params": first, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.Adam([group for group in groups if group["params"]], lr=LEARNING_RATE)
    best, kept = -np.inf, torch.empty(0)
    for epoch in range(1, EPOCHS + 1):
        model.train()
        optimiser.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if epoch % EVALUATE_EVERY:
            continue
        model.eval()
        with torch.no_grad():
            scores = output()
        value = quality(scores)
        if value >= best:
            best, kept = value, scores
    return kept.numpy()


def _agreement(scores: Tensor, gold: Tensor) -> float:
    """Share of rows whose highest score is the gold one; 0 without rows, so that the last epoch is kept."""
    return float((scores.argmax(dim=1) == gold).float().mean()) if len(gold) else 0.0


def classify_nodes(
    features: SparseMatrix,
    matrix: SparseMatrix,
    labels: IntArray,
    train: IntArray,
    val: IntArray,
    count: int,
    seed: int = 0,
) -> Scores:
    """Scores of each class for every node, [N, count].

    ``labels`` [N] are read at ``train`` and, to choose the epoch, at ``val``; the edges are the nonzeros of
    ``matrix`` [N, N].
    """
    x, edges = tensor(features), tensor(normalised(matrix))
    y, rows, val_rows = torch.tensor(labels), torch.tensor(train), torch.tensor(val)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Encoder(features.shape[1], NODE_WIDTH, count, DROPOUT)
        return _fit(
            model,
            model.first,
            lambda: functional.cross_entropy(model(x, edges)[rows], y[rows]),
            lambda: model(x, edges),
            lambda scores: _agreement(scores[val_rows], y[val_rows]),
        )


def score_pairs(
    features: SparseMatrix,
    matrix: SparseMatrix,
    val_pairs: IntArray,
    val_linked: NDArray[np.bool_],
    pairs: IntArray,
    seed: int = 0,
) -> Scores:
    """How likely an edge is for each of ``pairs`` [2, n]: the inner product of the nodes' encodings, [n].

    A graph auto-encoder trained on the edges of ``matrix`` against as many other pairs. Those keep one end of an edge
    and take the end of another, so that they have the degrees of edges; by chance they may be edges (leaving out those
    of val and test would reveal them). The epoch is chosen by the area under the ROC curve on ``val_pairs``.
    """
    from sklearn.metrics import roc_auc_score

    x, edges = tensor(features), tensor(normalised(matrix))
    both_ways = torch.from_numpy(np.stack(matrix.nonzero()).astype(np.int64))
    one_way = both_ways[:, both_ways[0] < both_ways[1]]
    ends = torch.from_numpy(val_pairs)

    def inner(encoded: Tensor, nodes: Tensor) -> Tensor:
        return (encoded[nodes[0]] * encoded[nodes[1]]).sum(dim=1)

    def loss() -> Tensor:
        encoded = model(x, edges)
        wrong = torch.stack([one_way[0], one_way[1][torch.randperm(one_way.shape[1])]])
        yes, no = inner(encoded, one_way), inner(encoded, wrong)
        return functional.softplus(-yes).mean() + functional.softplus(no).mean()

    def quality(encoded: Tensor) -> float:
        return float(roc_auc_score(val_linked, inner(encoded, ends).numpy())) if len(set(val_linked)) == 2 else 0.0

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Encoder(features.shape[1], *PAIR_WIDTHS, dropout=0.0)
        encoded = _fit(model, None, loss, lambda: model(x, edges), quality)
    return np.asarray((encoded[pairs[0]] * encoded[pairs[1]]).sum(axis=1))


def classify_pairs(
    features: SparseMatrix,
    train: IntArray,
    relations: IntArray,
    val: IntArray,
    val_relations: IntArray,
    pairs: IntArray,
    count: int,
    seed: int = 0,
) -> Scores:
    """Scores of each relation for every one of ``pairs``, [n, count].

    ``train``, ``val`` and ``pairs`` are [2, n] (head, tail). The training triples are the graph that is convolved,
    without their relations; each step hides the edges that it asks about, because those of test are not there either.
    The epoch is chosen on at most ``SUPERVISED_TRIPLES`` of val.
    """
    triples, kinds = torch.from_numpy(train), torch.from_numpy(relations)
    num_asked = min(SUPERVISED_TRIPLES, max(1, triples.shape[1] // 5))
    asked = torch.from_numpy(np.concatenate([val[:, :SUPERVISED_TRIPLES], pairs], axis=1))
    gold = torch.from_numpy(val_relations[:SUPERVISED_TRIPLES])

    x, edges = tensor(features), tensor(normalised(joined(features.shape[0], train)))

    def encode(shown: IntArray) -> Tensor:
        encoded: Tensor = model["encoder"](x, tensor(normalised(joined(features.shape[0], shown))))
        return encoded

    def judge(encoded: Tensor, ends: Tensor) -> Tensor:
        head, tail = encoded[ends[0]], encoded[ends[1]]
        scores: Tensor = model["relation"](torch.cat([head, tail, head * tail], dim=1))
        return scores

    def loss() -> Tensor:
        order = torch.randperm(triples.shape[1])
        hidden, shown = order[:num_asked], order[num_asked:]
        return functional.cross_entropy(judge(encode(train[:, shown.numpy()]), triples[:, hidden]), kinds[hidden])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = RELATION_WIDTH
        model = torch.nn.ModuleDict(
            {
                "encoder": Encoder(features.shape[1], width, width, dropout=0.0),
                "relation": torch.nn.Linear(3 * width, count),
            }
        )
        scores = _fit(
            model,
            None,
            loss,
            lambda: judge(model["encoder"](x, edges), asked),
            lambda scores: _agreement(scores[: len(gold)], gold),
        )
    return scores[len(gold) :]
