"""Names of tasks, benchmarks and datasets. Nothing is imported until its name is asked for.

Third parties add their own under the entry-point groups ``ssl4rl.tasks``, ``ssl4rl.benchmarks`` and
``ssl4rl.graphs``, or at run time::

    from ssl4rl.registry import GRAPHS

    @GRAPHS.register("my-papers")
    def my_papers() -> TextAttributedGraph: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ssl4rl.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl4rl.graph.graph import TextAttributedGraph
    from ssl4rl.tasks import Benchmark, Task


T = TypeVar("T")


class Registry(Generic[T]):
    """A lazy mapping from names to objects.

    ``builtin`` maps a name to ``module:attribute``; ``group`` is the entry-point group that third parties use.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self._kind = kind
        self._group = group
        self._where: dict[str, str] = dict(builtin)
        self._loaded: dict[str, T] = {}
        self._scanned = False

    def names(self) -> list[str]:
        """All names, the built-in ones first."""
        if not self._scanned:
            for entry in entry_points(group=self._group):
                self._add(entry.name, entry.value)
            self._scanned = True
        return [*self._where, *(name for name in self._loaded if name not in self._where)]

    def _add(self, name: str, where: str) -> None:
        if self._where.get(name, where) != where:
            raise UserError(f"{self._kind} {name!r} is defined twice: {self._where[name]} and {where}")
        self._where[name] = where

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that registers its object under ``name``.

        Raises:
            UserError: if the name is taken.
        """

        def add(item: T) -> T:
            if name in self.names():
                raise UserError(f"{self._kind} {name!r} exists already; choose another name")
            self._loaded[name] = item
            return item

        return add

    def get(self, name: str) -> T:
        """The object of that name, imported now if it was not before.

        Raises:
            UserError: if there is none; the message names the nearest ones.
        """
        if name not in self._loaded:
            if name not in self.names():
                raise unknown(self._kind, name, self.names())
            module, _, attribute = self._where[name].partition(":")
            self._loaded[name] = cast(T, getattr(import_module(module), attribute))
        return self._loaded[name]


TASKS: Registry[type[Task[Any, Any]]] = Registry(
    "task",
    "ssl4rl.tasks",
    {
        "attribute": "ssl4rl.graph.tasks.attribute:Attribute",
        "neighbor": "ssl4rl.graph.tasks.neighbor:Neighbor",
        "link": "ssl4rl.graph.tasks.link:Link",
        "rotation": "ssl4rl.vision.tasks.rotation:Rotation",
        "jigsaw": "ssl4rl.vision.tasks.jigsaw:Jigsaw",
        "contrastive": "ssl4rl.vision.tasks.contrastive:Contrastive",
        "position": "ssl4rl.vision.tasks.position:Position",
    },
)
BENCHMARKS: Registry[type[Benchmark[Any, Any]]] = Registry(
    "benchmark",
    "ssl4rl.benchmarks",
    {
        "node": "ssl4rl.graph.benchmarks:NodeClassification",
        "link": "ssl4rl.graph.benchmarks:LinkPrediction",
        "relation": "ssl4rl.graph.benchmarks:RelationPrediction",
        "choice": "ssl4rl.vision.benchmarks.multiple_choice:MultipleChoice",
        "mmbench": "ssl4rl.vision.benchmarks.multiple_choice:MMBench",
        "seedbench": "ssl4rl.vision.benchmarks.multiple_choice:SeedBench",
        "imagenet": "ssl4rl.vision.benchmarks.imagenet:ImageNet",
    },
)
GRAPHS: Registry[Callable[[], TextAttributedGraph]] = Registry(
    "dataset",
    "ssl4rl.graphs",
    {
        "citations": "ssl4rl.data.graphs.citations:default_graph",
        **{
            name: f"ssl4rl.data.graphs.taglas:{name}"
            for name in ("cora", "pubmed", "wikics", "products", "fb15k237", "wn18rr")
        },
    },
)
