"""Names of tasks, benchmarks, sources, engines and rewards. Nothing is imported until its name is asked for.

Third parties add their own under the entry-point groups below (``ssl4rl.tasks``, ``ssl4rl.graphs``, …), or at run
time::

    import ssl4rl

    @ssl4rl.register_graph("my-papers")
    def my_papers() -> TextAttributedGraph: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from importlib.metadata import entry_points
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ssl4rl.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl4rl.benchmarks import Benchmark
    from ssl4rl.example import Example
    from ssl4rl.graph.graph import TextAttributedGraph
    from ssl4rl.inference.engines import EngineFactory
    from ssl4rl.source import SourceKind
    from ssl4rl.tasks import Task
    from ssl4rl.vision.classes import ClassifiedImages
    from ssl4rl.vision.image_set import ImageSet
    from ssl4rl.vision.questions import QuestionSet

T = TypeVar("T")

PLUGINS: dict[str, str] = {}
"""The plug-ins whose code was imported: its package, and their name."""


_NAME = re.compile(r"[^\s/@#+:]+")
"""What ids and the names of levels in them can hold."""


class Registry(Generic[T]):
    """A lazy mapping from names to objects.

    ``noun`` is what messages call one of them; ``group`` is the entry-point group that third parties use; ``builtin``
    maps a name to ``module:attribute``; ``contract`` says what each has to be, and all of these have ``attributes``.
    ``reserved`` names mean something else.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        builtin: Mapping[str, str],
        contract: str = "",
        attributes: Sequence[str] = ("__call__",),
        reserved: Sequence[str] = (),
    ) -> None:
        self.noun = noun
        self.contract = contract
        self._group = group
        self._attributes = attributes if contract else ()
        self.reserved = reserved
        self._locations: dict[str, str] = dict(builtin)
        self._plugins: dict[str, str] = {}
        self._clashes: dict[str, str] = {}
        self._loaded: dict[str, T] = {}
        self._scanned = False

    def names(self) -> list[str]:
        """All names, the built-in ones first."""
        if not self._scanned:
            for entry in entry_points(group=self._group):
                self._add(entry.name, entry.value, entry.dist.name if entry.dist else entry.module)
            self._scanned = True
        return [*self._locations, *(name for name in self._loaded if name not in self._locations)]

    def location(self, name: str) -> str:
        """The module that defines it, not imported for that; empty for what was registered at run time."""
        return self._locations.get(name, "").partition(":")[0]

    def _add(self, name: str, location: str, plugin: str) -> None:
        """A plug-in's; of a name that is taken already, it is said when that name is asked for, and no other."""
        if self._locations.setdefault(name, location) == location:
            self._plugins.setdefault(name, plugin)
            return
        other = f"plug-in {self._plugins[name]}" if name in self._plugins else "ssl4rl itself"
        self._clashes[name] = (
            f"{self.noun} {name!r} is defined by plug-in {plugin} ({location}) and by {other} "
            f"({self._locations[name]}); rename it in one of them, or uninstall one"
        )

    def _refuse_others(self, name: str, item: object) -> None:
        """Refuses what cannot be one of these, and what calls itself otherwise.

        Raises:
            UserError: if it is such a thing.
        """
        if name in self.reserved or not _NAME.fullmatch(name):
            why = "means something else" if name in self.reserved else "has a space or one of /@#+:"
            raise UserError(f"{self.noun} {name!r}: the name {why}; choose another")
        if missing := [each for each in self._attributes if not hasattr(item, each)]:
            lacks = "" if missing == ["__call__"] else f" and has no {' and no '.join(missing)}"
            what = f"is {item.__name__}" if hasattr(item, "__name__") else f"is of type {type(item).__name__}"
            raise UserError(f"{self.noun} {name!r} {what}{lacks}; it must be {self.contract}")
        stated = getattr(item, "name", name)
        if stated != name:  # ids name what they were made by, so one that goes by two names cannot be rebuilt
            raise UserError(f"{self.noun} {name!r} calls itself {stated!r}; register it under that name")
        for level in getattr(item, "levels", ()):
            if not _NAME.fullmatch(str(level)):
                raise UserError(f"{self.noun} {name!r}: the name of level {level!r} has a space or one of /@#+:")
        usual = getattr(item, "default_level", None)
        if isinstance(usual, str) and usual not in getattr(item, "levels", ()):
            there = ", ".join(getattr(item, "levels", ())) or "it has none"
            raise UserError(f"{self.noun} {name!r}: default_level is {usual!r}, which is none of its levels ({there})")

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that registers its object under ``name``.

        Raises:
            UserError: if the name is taken, or the object is none of these.
        """

        def add(item: T) -> T:
            self._refuse_others(name, item)
            # An entry point may name what a decorator registers, too.
            itself = f"{getattr(item, '__module__', '')}:{getattr(item, '__qualname__', '')}"
            taken = name in self.names() and self._locations.get(name) != itself
            if taken and not _same_place(self._loaded.get(name), item):
                raise UserError(f"{self.noun} {name!r} exists already; choose another name")
            self._loaded[name] = item
            return item

        return add

    def get(self, name: str) -> T:
        """The object of that name, imported now if it was not before.

        Raises:
            UserError: if there is none (the message names the nearest ones), or if a plug-in's cannot be imported.
        """
        if name not in self._loaded:
            if name not in self.names():
                raise unknown(self.noun, name, self.names())
            if name in self._clashes:
                raise UserError(self._clashes[name])
            module, _, attribute = self._locations[name].partition(":")
            if name in self._plugins:
                PLUGINS[module.partition(".")[0]] = self._plugins[name]
            try:
                if not attribute:
                    raise UserError(f"its entry point is {module!r}; write module:name")
                item = cast(T, reduce(getattr, attribute.split("."), import_module(module)))
                self._refuse_others(name, item)
                self._loaded[name] = item
            except Exception as error:  # a plug-in's module may raise anything when it is imported
                if name not in self._plugins:
                    raise
                place = place_in_plugin(error)
                said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                raise UserError(
                    f"{self.noun} {name!r} of plug-in {self._plugins[name]} cannot be loaded: "
                    f"{said}{f' ({place})' if place else ''}; fix, update or uninstall it"
                ) from error
        return self._loaded[name]

    def all(self) -> tuple[dict[str, T], list[str]]:
        """All that can be imported, by name, and of what a plug-in brings and cannot be, why."""
        found: dict[str, T] = {}
        reasons = []
        for name in self.names():
            try:
                found[name] = self.get(name)
            except UserError as error:
                reasons.append(str(error))
        return found, reasons

    def deferred(self, name: str) -> T:
        """For a class attribute: the object of that name, looked up each time the attribute is read."""
        return cast(T, Deferred(self, name))


def place_in_plugin(error: BaseException) -> str | None:
    """The file and line of a plug-in's code that an error came from last; None if it came from none."""
    place = None
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] in PLUGINS:
            place = f"{frame.f_code.co_filename}:{line}"
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    return place


def blame(error: BaseException) -> str | None:
    """One line for an error that is no user's mistake, if plug-ins are in use, whose fault it may be; else None."""
    if not PLUGINS:
        return None
    place, names = place_in_plugin(error), ", ".join(sorted({*PLUGINS.values()}))
    where = f"in a plug-in ({names}), at {place}" if place else f"with a plug-in in use ({names})"
    return f"{type(error).__name__}: {error}, {where}"


def _same_place(old: object, new: object) -> bool:
    """Whether two objects were defined at one place, as when a notebook's cell runs again."""
    places = [(getattr(item, "__module__", None), getattr(item, "__qualname__", None)) for item in (old, new)]
    return places[0] == places[1] and None not in places[0] and "<lambda>" not in str(places[0][1])


class Deferred(Generic[T]):
    """An attribute of a class whose value a registry holds."""

    def __init__(self, registry: Registry[T], name: str) -> None:
        self._registry = registry
        self._name = name

    def __get__(self, instance: object, owner: type) -> T:
        return self._registry.get(self._name)


TASKS: Registry[type[Task[Any, Any]]] = Registry(
    "task",
    "ssl4rl.tasks",
    {
        "attribute": "ssl4rl.graph.tasks.attribute:Attribute",
        "neighbor": "ssl4rl.graph.tasks.neighbor:Neighbor",
        "link": "ssl4rl.graph.tasks.link:Link",
        "direction": "ssl4rl.graph.tasks.direction:Direction",
        "context": "ssl4rl.graph.tasks.context:ContextPrediction",
        "path": "ssl4rl.graph.tasks.path:PathQuery",
        "odd": "ssl4rl.graph.tasks.odd:OddOneOut",
        "cloze": "ssl4rl.graph.tasks.cloze:Cloze",
        "order": "ssl4rl.graph.tasks.order:Order",
        "rotation": "ssl4rl.vision.tasks.rotation:Rotation",
        "jigsaw": "ssl4rl.vision.tasks.jigsaw:Jigsaw",
        "contrastive": "ssl4rl.vision.tasks.contrastive:Contrastive",
        "position": "ssl4rl.vision.tasks.position:Position",
        "patch": "ssl4rl.vision.tasks.patch:Patch",
        "pair": "ssl4rl.vision.tasks.pair:Pair",
        "connections": "ssl4rl.vision.tasks.connections:Connections",
        "match": "ssl4rl.vision.tasks.match:Match",
        "count": "ssl4rl.vision.tasks.count:Count",
    },
    "a subclass of ssl4rl.Task",
    ("knobs_type", "levels", "name", "source_kind"),
)
BENCHMARKS: Registry[type[Benchmark[Any, Any]]] = Registry(
    "benchmark",
    "ssl4rl.benchmarks",
    {
        "node": "ssl4rl.graph.benchmarks.node:NodeClassification",
        "link": "ssl4rl.graph.benchmarks.link:LinkPrediction",
        "relation": "ssl4rl.graph.benchmarks.relation:RelationPrediction",
        "ranking": "ssl4rl.graph.benchmarks.ranking:Ranking",
        "choice": "ssl4rl.vision.benchmarks.multiple_choice:MultipleChoice",
        "mmbench": "ssl4rl.vision.benchmarks.multiple_choice:MMBench",
        "seedbench": "ssl4rl.vision.benchmarks.multiple_choice:SeedBench",
        "imagenet": "ssl4rl.vision.benchmarks.imagenet:ImageNet",
    },
    "a subclass of ssl4rl.Benchmark",
    ("knobs_type", "levels", "name", "source_kind"),
)
SOURCE_KINDS: Registry[SourceKind[Any]] = Registry(
    "kind of source",
    "ssl4rl.source_kinds",
    {
        "graph": "ssl4rl.data.graphs:GRAPH",
        "images": "ssl4rl.data.images:IMAGES",
        "questions": "ssl4rl.data.images:QUESTIONS",
        "classes": "ssl4rl.data.images:CLASSES",
    },
    "a SourceKind of ssl4rl.source",
    ("load", "registry", "side"),
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
    "a function without arguments that returns a TextAttributedGraph (from_networkx and from_pyg make one)",
)
IMAGE_SETS: Registry[Callable[[], ImageSet]] = Registry(
    "image set",
    "ssl4rl.images",
    {"scenes": "ssl4rl.data.images.scenes:default_scenes"},
    "a function without arguments that returns an ImageSet",
)
QUESTION_SETS: Registry[Callable[[], QuestionSet]] = Registry(
    "set of questions",
    "ssl4rl.questions",
    {"scenes": "ssl4rl.data.images.scene_questions:scene_questions"},
    "a function without arguments that returns a QuestionSet",
)
CLASSIFIED_IMAGES: Registry[Callable[[], ClassifiedImages]] = Registry(
    "set of classified images",
    "ssl4rl.classes",
    {"scenes": "ssl4rl.data.images.classes:classified_scenes"},
    "a function without arguments that returns ClassifiedImages",
)
ENGINES: Registry[EngineFactory] = Registry(
    "engine",
    "ssl4rl.engines",
    {
        "transformers": "ssl4rl.inference.engines.transformers:open_transformers",
        "vllm": "ssl4rl.inference.engines.vllm:open_vllm",
    },
    "a function that opens an engine (EngineFactory)",
    reserved=("auto",),
)
REWARDS: Registry[Callable[[str, Example], float]] = Registry(
    "reward",
    "ssl4rl.rewards",
    {"task": "ssl4rl.training.rewards:task_score"},
    "a function of the reply and the example that returns a number",
    reserved=("format", "incorrect", "majority", "random"),  # the controls: see ssl4rl.training.recipe
)
