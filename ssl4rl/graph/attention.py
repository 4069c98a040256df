"""Attention maps of graphs: how much of a token's attention goes to each node and each edge that a prompt shows?

A node's is what goes to its line, number and text; an edge's what goes to the place or places where it is written. What
goes to the question and its options, and to everything else, is kept apart, so that all of it adds up to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ssl4rl.attention import Query, attention_row, word_token
from ssl4rl.errors import UserError
from ssl4rl.graph.read_graph import Mention, mentions

Edge: TypeAlias = tuple[int, int]
"""Local numbers; in a graph without directions the smaller one comes first."""


@dataclass(frozen=True)
class Share:
    """What goes to a part of the prompt."""

    share: float
    """Of all that the token attends to."""
    tokens: int
    """How many tokens the part has: a long text gets more than a short one that is looked at as closely."""


@dataclass(frozen=True)
class GraphAttention:
    """Where a token looks."""

    nodes: Mapping[int, Share]
    edges: Mapping[Edge, Share]
    question: Share
    """What comes after the graph: the question, its options, the form of the reply."""
    rest: Share
    """The introduction, titles, the chat template, and the reply as far as it goes."""
    token: str
    """The token that looks, as text."""


@dataclass(frozen=True)
class GraphQuery(Query):
    """A prompt about a graph as a model's inputs, and which of its tokens show what."""

    parts: Sequence[int | Edge | str]
    """Of each token: a node, an edge, ``question`` or ``rest``."""


def build_query(
    tokenizer: Any, rendered: str, prompt: str, *, directed: bool, word: str | None = None, opening: str = ""
) -> GraphQuery:
    """The prompt, to read attention from the last token of ``word``, or from the first one after ``opening``.

    Args:
        tokenizer: a fast one, which knows where its tokens are in a text.
        rendered: the whole conversation as the chat template writes it, up to where the reply begins.
        prompt: the part of it that was the user's turn.
        directed: whether an edge and its reverse are two.
        word: a word or phrase after the graph; None for the reply.
        opening: how the reply begins.

    Raises:
        UserError: for a prompt that shows no graph or that the template changes, or a word that is not in the question.
    """
    import torch

    found = list(mentions(prompt))
    start = rendered.find(prompt)
    if not found:
        raise UserError("the prompt shows no graph; attention to nodes and edges needs one")
    if start < 0:
        raise UserError("the model's chat template changes the prompt, so its nodes cannot be found among the tokens")
    end = max(mention.end for mention in found)
    text = rendered if word is not None else rendered + opening
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    position = len(ids)
    if word is not None:
        position = word_token(tokenizer, rendered, ids, prompt[end:].strip(), word)
    places = [(low - start, high - start) for low, high in encoded["offset_mapping"]]
    parts = list(_parts(places, found, len(prompt), directed))
    return GraphQuery({"input_ids": torch.tensor([ids])}, position, parts)


def _parts(
    places: Sequence[tuple[int, int]], found: Sequence[Mention], length: int, directed: bool
) -> Iterator[int | Edge | str]:
    """Which part of a prompt each token shows: the one that it overlaps most."""
    after = max(mention.end for mention in found)
    spans = sorted(found)
    for low, high in places:
        while spans and spans[0].end <= low:
            spans.pop(0)
        overlaps = [(min(high, span.end) - max(low, span.start), -place) for place, span in enumerate(spans[:3])]
        most, place = max(overlaps, default=(0, 0))
        if most > 0:
            yield _part(spans[-place], directed)
        else:
            yield "question" if after <= low < length else "rest"


def _part(mention: Mention, directed: bool) -> int | Edge:
    if mention.edge is None:
        return int(mention.node or 0)
    first, second = mention.edge
    return (first, second) if directed or first < second else (second, first)


def graph_attention(model: Any, tokenizer: Any, query: GraphQuery, layer: int | None = None) -> GraphAttention:
    """The attention from the query's token to the parts of the prompt; see :func:`ssl4rl.attention.attention_row`."""
    row = attention_row(model, tokenizer, query, layer)
    parts = [*query.parts, "rest"][: len(row.shares)]  # the last of them is the token itself
    sums: dict[int | Edge | str, list[float]] = {part: [] for part in (*query.parts, "question", "rest")}
    for part, share in zip(parts, row.shares.tolist(), strict=True):
        sums[part].append(share)
    shares = {part: Share(sum(each), len(each)) for part, each in sums.items()}
    return GraphAttention(
        nodes={part: share for part, share in shares.items() if isinstance(part, int)},
        edges={part: share for part, share in shares.items() if isinstance(part, tuple)},
        question=shares["question"],
        rest=shares["rest"],
        token=row.token,
    )
