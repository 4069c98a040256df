"""Tasks with one fault each, on small graphs and on noise, and the same tasks without it."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from PIL import ImageFilter

from ssl4rl.answers import Scoring
from ssl4rl.audit.offers import read_offers
from ssl4rl.drafts import Draft, inserted
from ssl4rl.example import Example, ExampleId
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.task import ContextKnobs, GraphTask
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.direction import Direction
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.prompts import write_options
from ssl4rl.vision.task import VisionKnobs, VisionTask, derive

NODES = 300
SYLLABLES = ("ba", "do", "ki", "lu", "me", "no", "pa", "ri", "so", "tu")
WORDS = [first + second + third for first in SYLLABLES for second in SYLLABLES for third in SYLLABLES[:5]]
LETTERS = "ABCD"


def new_text(rng) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(15, 41)))


def small_graph(*, two_sides: bool = False, relations: bool = False) -> TextAttributedGraph:
    """A random graph with texts of random words, 15 to 40 of each."""
    rng = np.random.default_rng(7)
    texts = [new_text(rng) for _ in range(NODES)]
    # Most edges end at few nodes, so that degrees differ.
    weights = rng.pareto(1.5, NODES) + 0.3
    ends = rng.choice(NODES, (2, 4 * NODES), p=weights / weights.sum())
    if two_sides:
        ends[0], ends[1] = ends[0] // 2 * 2, ends[1] // 2 * 2 + 1
    named = {}
    if relations:
        named = {"relations": rng.integers(6, size=ends.shape[1]), "directed": True}
        named["relation_names"] = [f"relation {word}" for word in WORDS[:6]]
    return TextAttributedGraph.from_edges("small", texts, ends, **named)


def even_graph(*, directed: bool) -> TextAttributedGraph:
    """A random graph with texts of random words; two edges start at every node, and two end there."""
    rng, nodes = np.random.default_rng(3), 5 * NODES
    ends = np.concatenate([np.stack([np.arange(nodes), rng.permutation(nodes)]) for _ in range(2)], axis=1)
    texts = [new_text(rng) for _ in range(nodes)]
    return TextAttributedGraph.from_edges("even", texts, ends[:, ends[0] != ends[1]], directed=directed)


class UnsparedLink(Link):
    """Hides what an unlinked pair shares, and as many edges of no linked one."""

    def ask_edge(self, pair, negatives, rng, other=None):
        return super().ask_edge(pair, negatives, rng)


class UnsparedDirection(Direction):
    """Hides the asked edge alone: its source lacks an edge out, its target one in."""

    def _spare_pairs_of(self, source, target, rng):
        return iter(())


class Pick(GraphTask[ContextKnobs]):
    """Asks nothing: any of four nodes is right, unless there is a fault."""

    name: ClassVar[str] = "pick"
    knobs_type = ContextKnobs
    levels: ClassVar = {"medium": {}}
    fault: ClassVar[str] = "none"

    def draft(self, index, rng):
        asked = int(rng.integers(NODES))
        right, wrong = self.draw(asked, rng)
        slot = 0 if self.fault == "position" and rng.random() < 0.5 else self.slot(index, 4)
        candidates = inserted(right, wrong, slot)
        texts = [self.source.texts[node] for node in candidates]
        if self.fault == "surface":
            # The second longest: no rule takes it, and neither does a rule's reverse.
            *shorter, second, longest = sorted((new_text(rng) for _ in range(4)), key=len)
            texts = inserted(second, [*shorter, longest], slot)
        prompt = self.prompt("Which one?", write_options(texts))
        items, meta = (f"example:{index}",), {"candidates": candidates, "asked": [asked]}
        return Draft.any_of((*prompt, self.form("one letter")), [LETTERS[slot]], list(LETTERS), items, meta)

    def draw(self, asked, rng):
        """The right node and three wrong ones."""
        nodes = rng.permutation(NODES)
        pools = {
            "memorised": nodes < 40,
            "reversed prior": (nodes < 40) == (self.split == "train"),
            "degree": self.view.full.degrees[nodes] >= 12,
        }
        if self.fault in ("kind", "side"):
            groups = node_groups(self.source)
            pools[self.fault] = groups[nodes] != groups[asked]
        if self.fault in pools:
            fits = pools[self.fault]
            return int(nodes[fits][0]), nodes[~fits][:3].tolist()
        if self.fault == "popularity":
            right = int(NODES * rng.random() ** 4)
            return right, nodes[nodes != right][:3].tolist()
        four = sorted(nodes[:4].tolist(), key=lambda node: len(self.source.texts[node]))
        if self.fault == "length":
            return four[-1], four[:-1]
        return int(nodes[0]), nodes[1:4].tolist()


def picks(fault: str) -> Pick:
    """The task with a fault of its rules."""
    graph = small_graph(two_sides=fault == "side")
    if fault == "kind":
        kinds = np.arange(NODES) % 3
        graph = replace(graph, kinds=kinds, kind_names=("one", "two", "three"))
    return type("Planted", (Pick,), {"fault": fault})(graph)


def changed(kind, change, level="easy", **graph):
    """A task of the package whose drafts are changed before they are shown."""

    class Changed(kind):
        name = f"changed-{kind.name}"

        def draft(self, index, rng):
            return change(self, super().draft(index, rng))

    return Changed(small_graph(**graph), level=level)


def unchanged(task, draft):
    return draft


def with_line(draft, line, edge):
    """The draft with an edge more, by that line."""
    [text] = draft.parts
    head, _, tail = text.partition("\nEdges:")
    meta = {**draft.meta, "edges": [*draft.meta["edges"], edge]}
    return replace(draft, parts=(f"{head}\nEdges:\n{line}{tail}",), meta=meta)


def shows_asked_edge(task, draft):
    number = {node: key for key, node in draft.meta["nodes"].items()}
    one, other = draft.meta["asked"]
    return with_line(draft, f"[{number[one]}] -- [{number[other]}]", [one, other])


def shows_inverse_relation(task, draft):
    number = {node: key for key, node in draft.meta["nodes"].items()}
    head, tail = draft.meta["asked"]
    return with_line(draft, f"[{number[tail]}] --relation of old--> [{number[head]}]", [tail, head])


def offer_of(task, draft):
    identity = ExampleId("small", task.split, task.name, task.level, {}, 0, 0, "0" * 8)
    example = Example(identity, draft.parts, draft.scoring, draft.gold, draft.chance, draft.source_items, draft.meta)
    return read_offers([example])[0]


def right_text(task, draft):
    offer = offer_of(task, draft)
    return next(text for label, text in zip(offer.labels, offer.texts, strict=True) if label in offer.right)


def shows_right_option(task, draft):
    return replace(draft, parts=(f"Remember: {right_text(task, draft)}\n{draft.parts[0]}",))


def quotes_masked_text(task, draft):
    """A shown node has eight words out of the middle of the masked text."""
    [masked] = draft.meta["masked"]
    number = next(key for key, node in draft.meta["nodes"].items() if node != masked)
    quoted = " ".join(right_text(task, draft).split()[3:11])
    return replace(draft, parts=(draft.parts[0].replace(f"[{number}] ", f"[{number}] {quoted} ", 1),))


def offers_linked_node(task, draft):
    target, candidates = draft.meta["target"], list(draft.meta["candidates"])
    linked = [int(node) for node in task.view.full.around(target) if node not in candidates]
    place = next(i for i, letter in enumerate(LETTERS) if letter not in draft.gold)
    candidates[place] = linked[0] if linked else candidates[place]
    return replace(draft, meta={**draft.meta, "candidates": candidates})


def offers_twin(task, draft):
    """A wrong option with all neighbours of the masked node that are shown."""
    [masked], candidates = draft.meta["masked"], list(draft.meta["candidates"])
    around = {end for edge in draft.meta["edges"] if masked in edge for end in edge} - {masked}
    twins = set.intersection(*({*task.view.full.around(end).tolist()} for end in around)) - {masked, *candidates}
    place = next(i for i, node in enumerate(candidates) if node != masked)
    candidates[place] = min(twins, default=candidates[place])
    return replace(draft, meta={**draft.meta, "candidates": candidates})


def repeats_option(task, draft):
    offer = offer_of(task, draft)
    right = right_text(task, draft)
    wrong = next(text for label, text in zip(offer.labels, offer.texts, strict=True) if label not in offer.right)
    return replace(draft, parts=(draft.parts[0].replace(f": {wrong}", f": {right}"),))


def denies_edge(task, draft):
    return replace(draft, gold="no", scoring=Scoring("score_any_of", {"accepted": ["no"], "choices": ["yes", "no"]}))


class Spying(Link):
    """Prompts are cut from all edges, those of val and test as well."""

    name: ClassVar[str] = "spying"

    def prepare(self):
        super().prepare()
        self.view = replace(self.view, visible=self.view.full)


LEAKS = {
    "shows the asked edge": lambda: changed(Link, shows_asked_edge),
    "shows an inverse relation of the asked edge": lambda: changed(
        Link, shows_inverse_relation, "relation", relations=True
    ),
    "shows an edge of val or test": lambda: Spying(small_graph(), level="easy"),
    "shows a masked text": lambda: changed(Attribute, quotes_masked_text),
    "shows the right option's text outside the options": lambda: changed(Neighbor, shows_right_option),
}
AMBIGUOUS = {
    "a wrong option is linked to the target as well": lambda: changed(Neighbor, offers_linked_node),
    "a wrong option reads like a right one": lambda: changed(Neighbor, repeats_option),
    "the answer is no, and an edge joins the asked nodes": lambda: changed(Link, denies_edge),
    "all that is shown of a hidden node holds of another option as well": lambda: changed(Attribute, offers_twin),
}
UNCHANGED = [
    lambda: changed(Link, unchanged),
    lambda: changed(Link, unchanged, "relation", relations=True),
    lambda: changed(Attribute, unchanged),
    lambda: changed(Neighbor, unchanged),
]


class View(VisionTask[VisionKnobs]):
    """Shows a part of an image and asks nothing: half of the answers are yes."""

    name: ClassVar[str] = "view"
    knobs_type = VisionKnobs
    levels: ClassVar = {"medium": {}}
    fault: ClassVar[str] = "none"

    def draft(self, index, rng):
        yes = self.slot(index, 2) == 0
        image = self.pick(rng)
        opened = self.open(image, 64)
        left, top = (8 * int(place) for place in rng.integers(10, size=2))
        if self.fault == "grid" and yes:
            left += 3
        view = opened.image.crop((left, top, left + 96, top + 96))
        if self.fault != "grid":
            # Scaled, so that nothing is left of the blocks' grid.
            view = view.resize((84 if self.fault == "size" and yes else 80, 80))
        if self.fault == "sharpness" and yes:
            view = view.filter(ImageFilter.GaussianBlur(1))
        shown = derive(opened, view, box=[left, top], fault=yes)
        if self.fault == "file traits" and yes:
            view.info["comment"] = "yes"
        return Draft.any_of(
            parts=(shown, "Is it?", self.form("yes or no")),
            accepted=["yes" if yes else "no"],
            choices=["yes", "no"],
            source_items=self.items([image]),
            meta=self.meta([image]),
        )
