"""Relations between two nodes from a knowledge graph's triples alone: an embedding model.

This module imports torch and torch_geometric; import it only where the model is fitted.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import ComplEx

from ssl4rl.evaluation.baselines.classical import Scores
from ssl4rl.evaluation.baselines.networks import agreement, quiet, seeded
from ssl4rl.graph.adjacency import IntArray

WIDTH = 50
"""Complex numbers per node and relation (Trouillon et al. 2016 choose among 10 to 200)."""
LEARNING_RATE, MAX_BATCH, MIN_STEPS = 0.3, 1000, 20
"""Of AdaGrad; most triples in a batch, of which a pass has at least so many."""
N3_WEIGHT = 0.1
"""Of the nuclear 3-norm of the embeddings in a batch (Lacroix et al. 2018, who choose among 0.001 to 0.1)."""
EPOCHS, MAX_STEPS, PATIENCE = 30, 3000, 3
"""Most passes over the triples, most steps, and the passes without a better result on val after which training ends."""
MAX_VAL = 10_000
"""Triples of val that the epoch is chosen on."""


class RelationComplEx(ComplEx):  # type: ignore[misc]
    """PyG's ComplEx (Trouillon et al. 2016, "Complex Embeddings for Simple Link Prediction"), for asking relations."""

    def relations(self, head: Tensor, tail: Tensor) -> Tensor:
        """The scores of all relations between the nodes ``head`` [n] and ``tail`` [n], as one product: [n, R]."""
        head_re, head_im = self.node_emb(head), self.node_emb_im(head)
        tail_re, tail_im = self.node_emb(tail), self.node_emb_im(tail)
        real = (head_re * tail_re + head_im * tail_im) @ self.rel_emb.weight.T
        imaginary = (head_re * tail_im - head_im * tail_re) @ self.rel_emb_im.weight.T
        return torch.as_tensor(real + imaginary)

    def size(self, head: Tensor, kinds: Tensor, tail: Tensor) -> Tensor:
        """The cubes of the absolute values of a triple's three embeddings, summed; the mean over the triples."""
        nodes, relations = (self.node_emb, self.node_emb_im), (self.rel_emb, self.rel_emb_im)
        squares = [re(row) ** 2 + im(row) ** 2 for (re, im), row in ((nodes, head), (relations, kinds), (nodes, tail))]
        # The root has no derivative at 0.
        return torch.stack([(square + 1e-12).pow(1.5).sum(dim=1).mean() for square in squares]).sum()


def embed_relations(
    train: tuple[IntArray, IntArray],
    val: tuple[IntArray, IntArray],
    pairs: IntArray,
    sizes: tuple[int, int],
    seed: int = 0,
) -> Scores:
    """Scores of each relation for every one of ``pairs`` [2, n], [n, count].

    ``train`` and ``val`` are triples, the nodes [2, n] (head, tail) and the relations [n]; ``sizes`` are the numbers of
    nodes and of relations. The loss is PyG's, over triples with another head or tail, plus the cross-entropy of the
    relation (Chen et al. 2021, "Relation Prediction as an Auxiliary Training Objective") and the regularisation of
    Lacroix et al. 2018 ("Canonical Tensor Decomposition for Knowledge Base Completion"). The epoch is chosen on val.
    """
    (head, tail), kinds = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    val_ends, gold = torch.from_numpy(val[0][:, :MAX_VAL]), torch.from_numpy(val[1][:MAX_VAL])
    asked = torch.from_numpy(np.ascontiguousarray(pairs))
    best, best_epoch, kept = -np.inf, 0, torch.empty(0)
    with seeded(seed), quiet():
        model = RelationComplEx(*sizes, WIDTH, sparse=True)
        optimiser = torch.optim.Adagrad(model.parameters(), lr=LEARNING_RATE)
        batch = min(MAX_BATCH, -(-len(kinds) // MIN_STEPS))
        for epoch in range(min(EPOCHS, max(1, MAX_STEPS * batch // len(kinds)))):
            for rows in torch.split(torch.randperm(len(kinds)), batch):
                triples = head[rows], kinds[rows], tail[rows]
                loss = model.loss(*triples) + N3_WEIGHT * model.size(*triples)
                loss = loss + functional.cross_entropy(model.relations(head[rows], tail[rows]), kinds[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            with torch.no_grad():
                value = agreement(model.relations(*val_ends), gold)
                if value >= best:
                    best, best_epoch, kept = value, epoch, model.relations(*asked)
            if epoch - best_epoch >= PATIENCE:
                break
    return kept.numpy()
