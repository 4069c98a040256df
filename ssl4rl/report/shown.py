"""What an example shows besides its text: its images, and its subgraph as a drawing with the asked nodes marked."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ssl4rl.build import rebuild
from ssl4rl.errors import UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.runs import Run

if TYPE_CHECKING:
    from PIL.Image import Image

    from ssl4rl.tasks import AnyTask

SIDE = 320
"""Longest side of an image on the page, in pixels."""
QUALITY = 80


@dataclass(frozen=True)
class Drawing:
    """A subgraph in the unit square: ``nodes`` are number, x, y and whether it is asked about; ``edges`` pairs of
    places among them.
    """

    nodes: Sequence[tuple[str, float, float, bool]]
    edges: Sequence[tuple[int, int]]
    directed: bool


class Rebuilt:
    """The examples of a run's ids, built again; tasks are kept, and each image is kept once."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[Run, ExampleId], AnyTask | UserError] = {}
        self.refused: Counter[str] = Counter()
        """How many examples could not be rebuilt, by the reason."""
        self.images: list[str] = []
        """Data URLs."""
        self._places: dict[bytes, int] = {}

    def example(self, run: Run, example_id: ExampleId) -> tuple[AnyTask, Example] | None:
        """The task and the example; None, and a reason in ``refused``, where the data are gone or have changed."""
        family = run, replace(example_id, index=0, hash="")
        try:
            known = self._tasks.get(family)
            if isinstance(known, UserError):
                raise known
            if known is not None:
                example = known.example(example_id.index)
                if example.id == example_id:
                    return known, example
            task, example = rebuild(example_id, run=run)
        except UserError as error:
            # An example of its own that has changed says nothing of the others.
            if family not in self._tasks:
                self._tasks[family] = error
            self.refused[str(error)] += 1
            return None
        self._tasks[family] = task
        return task, example

    def images_of(self, example: Example) -> list[int]:
        """The places of its images among ``images``."""
        return [self._place(image) for image in example.images]

    def _place(self, image: Image) -> int:
        key = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).digest()
        if key not in self._places:
            self._places[key] = len(self.images)
            self.images.append(_data_url(image))
        return self._places[key]


def drawing_of(task: AnyTask, example: Example) -> Drawing | None:
    """The shown subgraph, laid out by forces (Fruchterman and Reingold 1991); None for other kinds of examples."""
    numbers, edges = example.meta.get("nodes"), example.meta.get("edges")
    if not isinstance(numbers, Mapping) or edges is None or not numbers:
        return None
    from networkx import Graph, spring_layout

    places = {node: place for place, node in enumerate(numbers.values())}
    pairs = [(places[a], places[b]) for a, b in edges if a in places and b in places]
    graph = Graph(pairs)
    graph.add_nodes_from(range(len(places)))
    layout = spring_layout(graph, seed=0, iterations=60)
    asked = _asked(example)
    at: list[Any] = [layout[place] for place in range(len(places))]
    low, high = (tuple(end(point[axis] for point in at) for axis in (0, 1)) for end in (min, max))
    span = [max(high[axis] - low[axis], 1e-9) for axis in (0, 1)]
    nodes = [
        (str(number), *(round(float((point[axis] - low[axis]) / span[axis]), 3) for axis in (0, 1)), node in asked)
        for (number, node), point in zip(numbers.items(), at, strict=True)
    ]
    return Drawing(nodes, pairs, bool(getattr(task.source, "directed", False)))  # type: ignore[arg-type]


def _asked(example: Example) -> set[int]:
    """The nodes that its ``source_items`` name: ``node:3``, ``pair:3-8``."""
    named = [item.partition(":")[2].split("-") for item in example.source_items if item.startswith(("node:", "pair:"))]
    return {int(node) for nodes in named for node in nodes if node.isdecimal()}


def _data_url(image: Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    small.save(written, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
