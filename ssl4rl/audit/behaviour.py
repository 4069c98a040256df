"""What a model's replies rest on: its memory of the data, the names in it, the order of options, the title alone.

Every line is reported and none is a failure: a model may know a text, and what follows from that is for whoever reads
its scores. Answers are asked for without reasoning, and greedily.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4rl import answers
from ssl4rl.answers import Scoring, words
from ssl4rl.audit.offers import list_options, read_offers
from ssl4rl.benchmarks import Benchmark
from ssl4rl.example import Example
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.read_graph import read_node
from ssl4rl.intervals import wilson
from ssl4rl.prompts import OF_OTHERS
from ssl4rl.rng import seeded_rng
from ssl4rl.statistics import PairedDifference
from ssl4rl.tasks import AnyTask
from ssl4rl.vision.transforms import greyed

if TYPE_CHECKING:
    from ssl4rl.inference.engines import Engine

SAMPLE = 100
"""Examples that a model is asked, and texts that it is to continue."""
ANSWER_TOKENS, CONTINUED_TOKENS = 24, 64
OPENING, CONTINUED = 12, 12
"""Words of a text that are given where it has no title, and words that have to follow one by one."""
TITLE_ALONE = {"num_hops": 0, "text_budget": 16}
"""Knobs of a benchmark on nodes that leave the first words of the asked text alone."""
NAME = re.compile(r"(?<=[a-z,;] )[A-Z]\w+(?: [A-Z]\w+)*")
"""Capitalised words that do not begin a sentence."""

Changed = Callable[[Example], Example | None]


def behaviour(task: AnyTask, engine: Engine) -> Iterator[str]:
    """One line for each way in which the replies were tried, on at most ``SAMPLE`` examples."""
    asked = _with_knobs(task, {"reasoning": False})
    size = min(SAMPLE, asked.size) if isinstance(asked, Benchmark) else SAMPLE
    examples = [asked.example(index) for index in range(size)]
    if examples[0].scoring.function != "score_text":
        before = _scores(engine, examples)
        changes: dict[str, Changed] = {
            "names replaced by placeholders": without_names,
            "options reordered": reordered,
            "blank image": without_images,
        }
        for name, change in changes.items():
            yield from _compared(name, engine, examples, [change(example) for example in examples], before)
        if isinstance(asked, Benchmark) and asked.knobs_type.model_fields.keys() >= TITLE_ALONE.keys():
            alone = _with_knobs(asked, TITLE_ALONE)
            yield from _compared("first words alone", engine, examples, [alone.example(i) for i in range(size)], before)
    if isinstance(task.source, TextAttributedGraph):
        yield from _continued(engine, task.source)


def _with_knobs(task: AnyTask, knobs: dict[str, Any]) -> AnyTask:
    changed = {**task.overrides, **knobs}
    return type(task)(task.source, split=task.split, level=task.level, knobs=changed, seed=task.seed)


def _replies(engine: Engine, conversations: Sequence[Any], tokens: int) -> list[str]:
    from ssl4rl.inference.engines import Sampling, generate

    return [reply.text for reply in generate(engine, conversations, Sampling(tokens))]


def _scores(engine: Engine, examples: Sequence[Example]) -> list[float]:
    files = engine.files
    conversations = [example.messages() if files is None else files.messages(example) for example in examples]
    replies = _replies(engine, conversations, ANSWER_TOKENS)
    return [answers.score(reply, each.scoring).value for reply, each in zip(replies, examples, strict=True)]


def _compared(
    name: str, engine: Engine, examples: Sequence[Example], changed: Sequence[Example | None], before: Sequence[float]
) -> Iterator[str]:
    """How much the score changes where the change can be made."""
    places = [place for place, example in enumerate(changed) if example is not None]
    if not places:
        return
    after = _scores(engine, [example for example in changed if example is not None])
    first = [before[place] for place in places]
    paired = PairedDifference.of(first, after, [examples[place].source_items for place in places])
    yield (
        f"{name}: {np.mean(first):.3f} becomes {np.mean(after):.3f} on {len(places)} examples "
        f"(difference {paired.difference:+.3f}, 95 % {paired.low:+.3f} to {paired.high:+.3f})"
    )


def without_names(example: Example) -> Example | None:
    """The example with each name in its nodes' texts replaced by a placeholder, the same wherever it stands."""
    if len(example.parts) != 1:
        return None
    [offer] = read_offers([example])
    placeholders: dict[str, str] = {}

    def hide(text: str) -> str:
        return NAME.sub(lambda name: placeholders.setdefault(name[0], f"Name{len(placeholders) + 1}"), text)

    options = {f"{label}: {text}" for label, text in zip(offer.labels, offer.texts, strict=True) if offer.nodes}
    lines = [hide(line) if line in options or read_node(line) else line for line in example.text.splitlines()]
    return replace(example, parts=("\n".join(lines),)) if placeholders else None


def reordered(example: Example) -> Example | None:
    """The example with each option under the label before its own, and the first under the last."""
    [offer] = read_offers([example])
    function, arguments = example.scoring
    key = {"score_any_of": "accepted", "score_subset": "hidden", "score_matching": "gold"}.get(function)
    texts = [part for part in example.parts if isinstance(part, str) and list_options(part, offer.labels)[1]]
    in_order = not offer.nodes and any(map(OF_OTHERS.search, offer.texts))  # a node's text speaks of no option
    if key is None or not offer.has_texts or not texts or in_order:
        return None
    above, options, below = list_options(texts[-1], offer.labels)
    labels = list(options)
    new_label = dict(zip(labels, [labels[-1], *labels[:-1]], strict=True))
    moved = [f"{label}: {options[old]}" for label, old in zip(labels, [*labels[1:], labels[0]], strict=True)]
    text = "\n".join([*above, *moved, *below])
    old = arguments[key]
    new = (
        {item: new_label[label] for item, label in old.items()}
        if key == "gold"
        else [new_label[label] for label in old]
    )
    return replace(
        example,
        parts=tuple(text if part is texts[-1] else part for part in example.parts),
        scoring=Scoring(function, {**arguments, key: new}),
    )


def without_images(example: Example) -> Example | None:
    """The example with a grey image of the same size in each image's place."""
    if not example.images:
        return None
    parts = tuple(part if isinstance(part, str) else greyed(part) for part in example.parts)
    return replace(example, parts=parts)


def _continued(engine: Engine, graph: TextAttributedGraph) -> Iterator[str]:
    """Of how many texts the model knows how they go on, word for word."""
    openings: list[str] = []
    endings: list[list[str]] = []
    for node in seeded_rng("continued", graph.fingerprint).permutation(np.flatnonzero(graph.has_text)).tolist():
        parts = opening_of(graph.texts[node])
        if parts is not None and len(openings) < SAMPLE:
            openings.append(f"Continue this text word for word, as it stands in the original:\n{parts[0]}")
            endings.append(words(parts[1])[:CONTINUED])
    if not openings:
        return
    replies = _replies(engine, [[{"role": "user", "content": text}] for text in openings], CONTINUED_TOKENS)
    told = sum(
        f" {' '.join(ending)} " in f" {' '.join(words(reply))} " for ending, reply in zip(endings, replies, strict=True)
    )
    low, high = wilson(told, len(openings))
    yield (
        f"texts continued word for word from their title or first words: {told} of {len(openings)} "
        f"(95 % {low:.3f} to {high:.3f})"
    )


def opening_of(text: str) -> tuple[str, str] | None:
    """A text's title, or its first words, and what follows; None where too little does.

    >>> opening_of("Learning to walk. " + "We teach a robot how to walk over uneven ground in one day.")[0]
    'Learning to walk.'
    """
    title, dot, rest = text.partition(". ")
    if dot and 3 <= len(title.split()) <= 2 * OPENING and len(words(rest)) >= CONTINUED:
        return f"{title}.", rest
    used = text.split()
    rest = " ".join(used[OPENING:])
    return None if len(words(rest)) < CONTINUED else (" ".join(used[:OPENING]), rest)
