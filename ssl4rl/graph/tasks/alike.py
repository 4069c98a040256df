"""Questions of which any option could have been the right one: what is offered is drawn first, then which is right.

So nothing about an option tells: no word, no length, no degree, and not how often it was right elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ssl4rl.drafts import Redraw, inserted
from ssl4rl.errors import NotApplicable
from ssl4rl.graph.adjacency import Indices, IntArray
from ssl4rl.graph.kinds import node_groups
from ssl4rl.graph.splits import text_split
from ssl4rl.graph.tasks.candidates import CandidateTask, CandK

TRIES = 40
"""Draws for each alternative before the example is drawn again."""
NEAR_SHARE = 0.75
"""The share of them that look near the first alternative, where near ones are wanted."""

T = TypeVar("T")

Group = tuple[int, list[int]]
"""A node, and some of its neighbours."""


def drawn_apart(
    draw: Callable[[Sequence[T]], T | None], are_apart: Callable[[T, T], bool], count: int, tries: int
) -> list[T]:
    """That many alternatives, none of which is right where another is asked for.

    ``draw`` is given those found so far, and may give None.

    Raises:
        Redraw: if they are not found.
    """
    found: list[T] = []
    for _ in range(tries):
        thing = draw(found)
        if thing is not None and all(are_apart(thing, other) for other in found):
            found.append(thing)
        if len(found) == count:
            return found
    raise Redraw("too few alternatives apart from each other")


def one_of(things: Sequence[T], slot: int, rng: np.random.Generator) -> tuple[T, list[T]]:
    """Any of the things as the right one, and all of them in random order, with that one at ``slot``."""
    right, *others = (things[i] for i in rng.permutation(len(things)))
    return right, inserted(right, others, slot)


class AlikeTask(CandidateTask[CandK]):
    """Base of the tasks that draw nodes of one part of the text split, alike in kind and degree, and ask about any."""

    def set_pool(self, find: Callable[[], IntArray], meaning: str) -> None:
        """The nodes that may be asked about, as ``find`` finds them; ``meaning`` says in a message what they are.

        Raises:
            NotApplicable: if there are fewer than a question takes.
        """
        self.pool, self._in_pool = self.kept_nodes("pool", find)
        if len(self.pool) < self.knobs.num_candidates:
            raise NotApplicable(
                f"graph {self.source.name} has {len(self.pool)} {self.split} nodes {meaning}; "
                f"task.num_candidates={self.knobs.num_candidates} needs more"
            )

    def text_neighbors(self, node: int) -> Indices:
        """The visible neighbours of a node that have a text."""
        around = self.view.visible.around(node)
        return around[self.source.has_text[around]]

    def set_pool_with_neighbors(self, count: int) -> None:
        """The nodes of the split that have so many visible neighbours with a text may be asked about."""

        def find() -> IntArray:
            own = self.own_nodes[self.view.visible.degrees[self.own_nodes] >= count]
            enough = [len(self.text_neighbors(node)) >= count for node in own.tolist()]
            chosen: IntArray = own[np.array(enough, dtype=bool)]
            return chosen

        self.set_pool(find, f"with {count} visible neighbours")
        self._group_size = count

    def draw_group(self, like: int | None, rng: np.random.Generator) -> Group:
        """A node as :meth:`draw_like` draws it, and some of its neighbours."""
        node = self.draw_like(like, rng)
        around = self.text_neighbors(node)
        return node, rng.choice(around, self._group_size, replace=False).tolist()

    @property
    def own_nodes(self) -> IntArray:
        """The nodes of the split."""
        return text_split(self.source)[self.split]

    def weights(self) -> NDArray[np.bool_]:
        return self._in_pool

    def draw_like(self, like: int | None, rng: np.random.Generator) -> int:
        """Any node of the pool; or one like that, two steps away where ``num_near`` says so and one is found."""
        if like is None:
            return int(rng.choice(self.pool))
        if self.knobs.num_near and rng.random() < NEAR_SHARE:
            groups = node_groups(self.source)
            near = self.steps_from(like, rng, 2)
            if near is not None and self._in_pool[near] and (groups is None or groups[near] == groups[like]):
                return near
        return self.population.draw(like, rng)
