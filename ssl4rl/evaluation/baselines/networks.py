"""Neural networks on the nodes of a graph: a perceptron, GCN, GraphSAGE and GAT.

One encoder of two of PyG's layers serves all of them, and three decoders: classes of nodes, edges between two nodes,
and relations from one node to another. This module imports torch and torch_geometric; import it only where a network
is fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from ssl4rl.evaluation.baselines.classical import FeatureMatrix, Scores, SparseMatrix, joined
from ssl4rl.graph.adjacency import IntArray

EPOCHS, EVALUATE_EVERY = 200, 5
"""Epochs (Kipf & Welling 2017, §5.2), and those between two evaluations on val."""
PATIENCE = 100
"""Epochs without a better result on val after which training ends (Veličković et al. 2018, §3.3)."""
PAIR_WIDTHS, PAIR_HEADS, PAIR_LEARNING_RATE = (32, 16), 4, 0.01
"""Hidden and output units where pairs are scored, whatever the layers (Kipf & Welling 2016, "Variational Graph
Auto-Encoders", §3); GAT splits the hidden ones into heads."""
RELATION_WIDTH = 64
"""Units for classifying relations (our choice: 16 are few for 237 relations)."""
SUPERVISED_TRIPLES = 10_000
"""Most triples that one step of relation training predicts, and whose edges it hides."""


@dataclass(frozen=True)
class Settings:
    """How a network that classifies nodes is built and trained."""

    hidden: int
    """Hidden units, those of all heads together."""
    heads: int = 1
    dropout: float = 0.5
    """Before each layer; of GAT also on the attention."""
    learning_rate: float = 0.01
    decay_second: bool = True
    """Whether the weight decay is the second layer's too."""


WEIGHT_DECAY = 5e-4
SETTINGS = {
    "mlp": Settings(16, decay_second=False),
    "gcn": Settings(16, decay_second=False),
    "graphsage": Settings(64),
    "gat": Settings(64, heads=8, dropout=0.6, learning_rate=0.005),
}
"""``gcn``: Kipf & Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks", §5.2, and ``mlp``
the same without edges. ``gat``: Veličković et al. 2018, "Graph Attention Networks", §3.3. ``graphsage``: the mean
aggregator of Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs", over all neighbours instead of
sampled ones; width, dropout and weight decay, of which the paper has none for so few labels, are our choice."""


class NoEdges(torch.nn.Module):
    """A linear layer in the place of a convolution."""

    def __init__(self, num_features: int, out: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(num_features, out)

    def forward(self, x: Tensor, _edges: Tensor) -> Tensor:
        """[N, out] from ``x`` [N, in]."""
        found: Tensor = self.linear(x)
        return found


class MeanSAGEConv(SAGEConv):  # type: ignore[misc]
    """PyG's GraphSAGE layer with the mean taken after the product with the weights.

    The two commute, and the product has far fewer columns than features.
    """

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """[N, out] from ``x`` [N, in] and the adjacency ``edges`` [N, N] with rows that sum to 1 (0 without edges)."""
        neighbours, root = functional.linear(x, torch.cat([self.lin_l.weight, self.lin_r.weight])).chunk(2, dim=1)
        found: Tensor = edges @ neighbours + self.lin_l.bias + root
        return found


class Encoder(torch.nn.Module):
    """Two layers with a non-linearity between, and dropout before each.

    ``kind`` is a key of ``SETTINGS``; ``edges`` of :meth:`forward` is what :func:`edges_for` makes of the graph for it.
    """

    def __init__(self, kind: str, num_features: int, hidden: int, out: int, *, heads: int = 1, dropout: float = 0.0):
        super().__init__()
        first: Any
        second: Any
        match kind:
            case "mlp":
                first, second = NoEdges(num_features, hidden), NoEdges(hidden, out)
            case "gcn":
                first, second = (GCNConv(*size, normalize=False) for size in ((num_features, hidden), (hidden, out)))
            case "graphsage":
                first, second = MeanSAGEConv(num_features, hidden), MeanSAGEConv(hidden, out)
            case "gat":
                rest = {"dropout": dropout, "add_self_loops": False}
                first = GATConv(num_features, hidden // heads, heads=heads, **rest)
                second = GATConv(hidden, out, **rest)
            case _:
                raise ValueError(f"no network is called {kind}")
        self.first, self.second, self.dropout = first, second, dropout
        self.activation = functional.elu if kind == "gat" else functional.relu

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """[N, out] from ``features`` [N, F], sparse or dense."""
        hidden = self.activation(self.first(self._dropped(features), edges))
        encoded: Tensor = self.second(self._dropped(hidden), edges)
        return encoded

    def _dropped(self, rows: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return rows
        if rows.layout != torch.sparse_csr:
            return functional.dropout(rows, self.dropout)
        # Zeros stay zero, and there are a hundred times as many of them: dropout draws for the other values only.
        kept = functional.dropout(rows.values(), self.dropout)
        return torch.sparse_csr_tensor(
            rows.crow_indices(), rows.col_indices(), kept, rows.shape, check_invariants=False
        )


def normalised(matrix: SparseMatrix) -> SparseMatrix:
    """D^-½ (A + I) D^-½ of a symmetric 0/1 matrix, D being the degrees of A + I (Kipf & Welling 2017, eq. 2)."""
    from scipy.sparse import diags, identity

    looped = matrix + identity(matrix.shape[0], dtype=np.float32, format="csr")
    scale = diags(1 / np.sqrt(np.asarray(looped.sum(axis=1), dtype=np.float32).ravel()))
    return (scale @ looped @ scale).tocsr()


def edges_for(kind: str, matrix: SparseMatrix) -> Tensor:
    """A symmetric 0/1 matrix [N, N] as the layers of ``kind`` take it.

    For ``gcn`` the normalised matrix, and for ``graphsage`` the one that averages over neighbours, with which a layer
    is a product instead of a gather and scatter; for ``gat`` the pairs [2, E] with a loop at each node.
    """
    match kind:
        case "gcn":
            return tensor(normalised(matrix))
        case "graphsage":
            from sklearn.preprocessing import normalize

            return tensor(normalize(matrix, norm="l1"))
        case "gat":
            loops = np.tile(np.arange(matrix.shape[0]), (2, 1))
            return torch.from_numpy(np.concatenate([np.stack(matrix.nonzero()), loops], axis=1).astype(np.int64))
    return torch.empty(0)


def tensor(features: FeatureMatrix) -> Tensor:
    """A scipy matrix as a sparse tensor; an array as a dense one."""
    if isinstance(features, np.ndarray):
        return torch.from_numpy(features)
    with quiet():
        return torch.sparse_csr_tensor(
            torch.from_numpy(features.indptr.astype(np.int64)),
            torch.from_numpy(features.indices.astype(np.int64)),
            torch.from_numpy(features.data),
            size=features.shape,
            check_invariants=False,
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says once of its sparse tensors: that they are in beta, and not checked."""
    with warnings.catch_warnings():
        for message in ("Sparse CSR tensor support", "Sparse invariant checks"):
            warnings.filterwarnings("ignore", message=message)
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws on the CPU from ``seed``, and leaves everybody else's random numbers as they were.

    (Layers and dropout take no generator, and ``torch.manual_seed`` would also seed the GPUs, for good.)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _fit(
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[], Tensor],
    output: Callable[[], Tensor],
    quality: Callable[[Tensor], float],
) -> Scores:
    """Trains, and returns the output of the epoch with the best ``quality`` (the latest of equally good ones)."""
    best, best_epoch, kept = -np.inf, 0, torch.empty(0)
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
            best, best_epoch, kept = value, epoch, scores
        elif epoch - best_epoch >= PATIENCE:
            break
    return kept.numpy()


def agreement(scores: Tensor, gold: Tensor) -> float:
    """Share of rows whose highest score is the gold one; 0 without rows, so that the last epoch is kept."""
    return float((scores.argmax(dim=1) == gold).float().mean()) if len(gold) else 0.0


def classify_nodes(
    kind: str,
    features: FeatureMatrix,
    matrix: SparseMatrix,
    labels: IntArray,
    parts: tuple[IntArray, IntArray],
    count: int,
    seed: int = 0,
) -> Scores:
    """Scores of each class for every node, [N, count], by the network ``kind`` (a key of ``SETTINGS``).

    ``parts`` are the nodes of train and val: ``labels`` [N] are read at train and, to choose the epoch, at val. The
    edges are the nonzeros of ``matrix`` [N, N].
    """
    settings = SETTINGS[kind]
    x, edges, y = tensor(features), edges_for(kind, matrix), torch.tensor(labels)
    train, val = (torch.tensor(part) for part in parts)
    with seeded(seed):
        model = Encoder(kind, features.shape[1], settings.hidden, count, heads=settings.heads, dropout=settings.dropout)
        decays = {model.first: WEIGHT_DECAY, model.second: WEIGHT_DECAY if settings.decay_second else 0.0}
        groups = [{"params": layer.parameters(), "weight_decay": decay} for layer, decay in decays.items()]
        return _fit(
            model,
            torch.optim.Adam(groups, lr=settings.learning_rate),
            lambda: functional.cross_entropy(model(x, edges)[train], y[train]),
            lambda: model(x, edges),
            lambda scores: agreement(scores[val], y[val]),
        )


def score_pairs(
    kind: str,
    features: FeatureMatrix,
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

    x, edges = tensor(features), edges_for(kind, matrix)
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

    with seeded(seed):
        model = Encoder(kind, features.shape[1], *PAIR_WIDTHS, heads=PAIR_HEADS)
        optimiser = torch.optim.Adam(model.parameters(), lr=PAIR_LEARNING_RATE)
        encoded = _fit(model, optimiser, loss, lambda: model(x, edges), quality)
    return np.asarray((encoded[pairs[0]] * encoded[pairs[1]]).sum(axis=1))


def classify_pairs(
    features: FeatureMatrix,
    train: tuple[IntArray, IntArray],
    val: tuple[IntArray, IntArray],
    pairs: IntArray,
    count: int,
    seed: int = 0,
) -> Scores:
    """Scores of each relation for every one of ``pairs``, [n, count], by a GCN.

    ``train`` and ``val`` are triples, the nodes [2, n] (head, tail) and the relations [n]; ``pairs`` is [2, n]. The
    training triples are the graph that is convolved, without their relations; each step hides the edges that it asks
    about, because those of test are not there either. The epoch is chosen on at most ``SUPERVISED_TRIPLES`` of val.
    """
    triples, kinds = (torch.from_numpy(part) for part in train)
    num_asked = min(SUPERVISED_TRIPLES, max(1, triples.shape[1] // 5))
    asked = torch.from_numpy(np.concatenate([val[0][:, :SUPERVISED_TRIPLES], pairs], axis=1))
    gold = torch.from_numpy(val[1][:SUPERVISED_TRIPLES])
    num_nodes, num_features = features.shape
    x, edges = tensor(features), edges_for("gcn", joined(num_nodes, train[0]))

    def judge(encoded: Tensor, ends: Tensor) -> Tensor:
        head, tail = encoded[ends[0]], encoded[ends[1]]
        scores: Tensor = model["relation"](torch.cat([head, tail, head * tail], dim=1))
        return scores

    def loss() -> Tensor:
        order = torch.randperm(triples.shape[1])
        hidden, shown = order[:num_asked], order[num_asked:].numpy()
        encoded = model["encoder"](x, edges_for("gcn", joined(num_nodes, train[0][:, shown])))
        return functional.cross_entropy(judge(encoded, triples[:, hidden]), kinds[hidden])

    with seeded(seed):
        encoder = Encoder("gcn", num_features, RELATION_WIDTH, RELATION_WIDTH)
        model = torch.nn.ModuleDict({"encoder": encoder, "relation": torch.nn.Linear(3 * RELATION_WIDTH, count)})
        scores = _fit(
            model,
            torch.optim.Adam(model.parameters(), lr=PAIR_LEARNING_RATE),
            loss,
            lambda: judge(model["encoder"](x, edges), asked),
            lambda scores: agreement(scores[: len(gold)], gold),
        )
    return scores[len(gold) :]
