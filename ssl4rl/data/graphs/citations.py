"""The embedded graph: papers of a made-up literature, drawn from a known probability model.

Every paper belongs to a subject that its text never names. Some words of its title come from the subject, others from
anywhere, and most of its citations stay within the subject. So texts, classes and links depend on each other, no clue
is certain, and the best possible accuracy of a question can be computed exactly, from the generator's own posterior
(:func:`link_posterior`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import seeded_rng

SUBJECTS: dict[str, str] = {
    "astronomy": "orbit comet lens eclipse nebula crater parallax pulsar meteor telescope halo equinox",
    "botany": "leaf pollen root seed petal moss stem fern bark orchid spore blossom",
    "cooking": "oven dough salt broth flour spice yeast butter knife simmer vinegar crust",
    "geology": "basalt fault quartz glacier sediment magma fossil granite erosion ridge shale cavern",
    "medicine": "fever vaccine artery lung dose tumor nerve wound kidney pulse suture spleen",
    "music": "chord violin rhythm tenor melody drum octave choir tempo flute sonata cadence",
    "sailing": "mast anchor hull rudder harbor keel tide rigging buoy deck sextant mooring",
    "weaving": "loom thread wool fiber silk spindle cotton dye stitch linen yarn tapestry",
}
"""Each subject (the class, never part of a text) and the words that its papers prefer."""

COMMON_WORDS = "history theory survey origin model limit change order measure record pattern cause".split()  # noqa: SIM905

TEMPLATES = (
    "{0} of {1} {2} and {3}",
    "{0} and {1} in {2} {3}",
    "{0} {1} for {2} and {3}",
    "{0} of {1} and {2} {3}",
)
SLOTS = 4

P_SUBJECT_WORD = 0.55
"""Probability that a word of a title comes from the paper's own subject."""
P_OTHER_WORD = 0.30
"""Probability that it comes from any subject, uniformly; otherwise it is one of the common words."""
NODE_SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}
"""Share of the papers in each split."""

P_SAME_SUBJECT = 0.90
"""Probability that a citation stays within the subject; otherwise it goes to any other subject, uniformly."""

_NAMES = list(SUBJECTS)
_SUBJECT_WORDS = [words.split() for words in SUBJECTS.values()]
_WORDS = [word for words in _SUBJECT_WORDS for word in words] + COMMON_WORDS
_VOCABULARY = {word: number for number, word in enumerate(_WORDS)}


def citation_graph(num_papers: int = 3000, mean_degree: float = 6.0, seed: int = 0) -> TextAttributedGraph:
    """Draws a citation graph of any size; the same arguments give the same graph everywhere."""
    rng = seeded_rng("citations", num_papers, mean_degree, seed)
    subject = rng.permutation(num_papers) % len(SUBJECTS)
    emission = word_probabilities()
    # Each slot is drawn by inverting the cumulative distribution of the paper's subject.
    cumulative = emission.cumsum(axis=1)[subject]
    drawn = (rng.random((num_papers, SLOTS, 1)) > cumulative[:, None, :]).sum(axis=2).clip(max=len(_WORDS) - 1)
    template = rng.integers(len(TEMPLATES), size=num_papers)
    texts = [
        TEMPLATES[form].format(*(_WORDS[word] for word in words)) for form, words in zip(template, drawn, strict=True)
    ]
    ends = np.cumsum([round(num_papers * share) for share in NODE_SHARES.values()])[:-1]
    parts = np.split(rng.permutation(num_papers), ends)
    return TextAttributedGraph.from_edges(
        "citations",
        texts,
        _draw_citations(subject, round(num_papers * mean_degree / 2), rng),
        labels=subject.astype(np.int64),
        node_splits={split: np.sort(part) for split, part in zip(NODE_SHARES, parts, strict=True)},
        label_names=_NAMES,
        label_descriptions=[f"papers that are about {name}" for name in _NAMES],
        node_meaning="a paper",
        edge_meaning="a citation",
    )


@lru_cache(maxsize=1)
def default_graph() -> TextAttributedGraph:
    """The graph that is used if no dataset is named."""
    return citation_graph()


def _draw_citations(subject: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[2, count] pairs of papers: the first uniform, the second of the same subject or of another."""
    by_subject = [np.flatnonzero(subject == s) for s in range(len(SUBJECTS))]
    first = rng.integers(len(subject), size=count)
    jump = rng.integers(1, len(SUBJECTS), size=count)
    stays = rng.random(count) < P_SAME_SUBJECT
    other = np.where(stays, subject[first], (subject[first] + jump) % len(SUBJECTS))
    pick = rng.random(count)
    sizes = np.array([len(members) for members in by_subject])
    place = (np.cumsum(sizes) - sizes)[other] + (pick * sizes[other]).astype(np.int64)
    return np.stack([first, np.concatenate(by_subject)[place]]).astype(np.int64)


@lru_cache(maxsize=1)
def word_probabilities() -> NDArray[np.float64]:
    """P(word | subject) for one slot, [subjects, words]."""
    num_subject_words = sum(map(len, _SUBJECT_WORDS))
    table = np.full((len(SUBJECTS), len(_VOCABULARY)), P_OTHER_WORD / num_subject_words)
    for row, words in enumerate(_SUBJECT_WORDS):
        table[row, [_VOCABULARY[word] for word in words]] += P_SUBJECT_WORD / len(words)
    table[:, num_subject_words:] = (1 - P_SUBJECT_WORD - P_OTHER_WORD) / len(COMMON_WORDS)
    return table


def text_likelihood(text: str) -> NDArray[np.float64]:
    """P(the words of ``text`` | subject), [subjects], up to a factor."""
    drawn = [_VOCABULARY[word] for word in text.split() if word in _VOCABULARY]
    return np.asarray(word_probabilities()[:, drawn].prod(axis=1), dtype=np.float64)


def subject_pairs() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(the two subjects | linked) and P(the two subjects | any pair of papers), each [subjects, subjects]."""
    num = len(SUBJECTS)
    linked = np.full((num, num), (1 - P_SAME_SUBJECT) / (num * (num - 1)))
    np.fill_diagonal(linked, P_SAME_SUBJECT / num)
    return linked, np.full((num, num), 1 / num**2)


def link_posterior(pair: Sequence[int], texts: Mapping[int, str], edges: Sequence[Sequence[int]]) -> float:
    """P(linked | context), for a pair that is linked with a prior probability of one half.

    ``texts`` maps nodes to the texts shown, and ``edges`` are the node pairs shown as linked. With the texts of the
    pair alone and no edges, this is an oracle that sees no graph. The sum over all subjects of all nodes is exact, by
    variable elimination. That other pairs are *not* linked is ignored: in a sparse graph it tells almost nothing.
    """
    linked, unlinked = subject_pairs()
    axis = {node: number for number, node in enumerate(texts)}
    factors: list[Any] = []
    for node, text in texts.items():
        likelihood = text_likelihood(text)
        factors += [likelihood / likelihood.sum(), [axis[node]]]
    for first, second in edges:
        factors += [linked / unlinked, [axis[first], axis[second]]]
    ends = [axis[pair[0]], axis[pair[1]]]
    joint = np.einsum(*factors, ends, optimize="greedy")
    yes, no = float((joint * linked).sum()), float((joint * unlinked).sum())
    return yes / (yes + no)
