"""What GraphML and GEXF say that NetworkX passes over, overwrites or makes up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ssl4rl.errors import UserError, quoted

_TYPES: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text.strip().lower() in ("true", "1"),
    **dict.fromkeys(("int", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
}
"""How NetworkX reads the values of an attribute by its type; those of all other types are texts."""


class Declared:
    """The attributes that a file declares, and what NetworkX does not hand on of them."""

    def __init__(self) -> None:
        self.defaults: dict[str, dict[str, Any]] = {"node": {}, "edge": {}}
        """The default of each attribute of nodes and of edges, by name."""
        self.labels: dict[str, Any] = {}
        """By the id of a node in GEXF, its value of an attribute that is called ``label``; NetworkX puts a node's name
        in its place."""


def read_declared(path: Path) -> Declared:
    """Reads a GraphML or GEXF file that NetworkX has read, and refuses what was lost or made up.

    Raises:
        UserError: for several graphs, of which NetworkX reads one; for edges of nodes that are not there, which it
            adds; for a node, an edge or a value that is there twice, of which it keeps the last.
    """
    scan = _Scan(path)
    for event, element in ElementTree.iterparse(path, events=("start", "end")):
        tag = element.tag.rpartition("}")[2]
        if event == "start":
            scan.start(tag, element)
        else:
            scan.end(tag, element)
            element.clear()
    scan.check()
    return scan.declared


class _Scan:
    def __init__(self, path: Path) -> None:
        self.path, self.declared = path, Declared()
        self._graphs, self._directed = 0, False
        self._nodes, self._ends, self._edges = set[str](), set[str](), set[tuple[str, ...]]()
        self._about: dict[str, tuple[str, Callable[[str], Any]]] = {}
        """By kind and the id that values refer to, an attribute's name and how its values are read."""
        self._class, self._dynamic = "", False
        self._default: str | None = None
        self._within: list[tuple[str, str, set[str]]] = []
        """The nodes and edges around the place: what each is, its id, and the attributes that it has a value of."""

    def error(self, message: str) -> UserError:
        return UserError(f"{self.path}: {message}")

    def start(self, tag: str, element: ElementTree.Element) -> None:
        match tag:
            case "graph":
                self._graphs += 1
                self._directed = "directed" in (element.get("edgedefault"), element.get("defaultedgetype"))
            case "attributes":
                self._class, self._dynamic = element.get("class", ""), element.get("mode") == "dynamic"
            case "node":
                name = str(element.get("id"))
                if name in self._nodes:
                    raise self.error(f"two nodes have the id {quoted(name)}; keep one of them, or rename it")
                self._nodes.add(name)
                self._within.append(("node", name, set()))
            case "edge":
                name, *ends = (str(element.get(key)) for key in ("id", "source", "target"))
                self._ends.update(ends)
                edge = (name, *(ends if self._directed else sorted(ends)))
                if edge in self._edges:
                    raise self.error(
                        f"two edges from {quoted(ends[0])} to {quoted(ends[1])} have the id {quoted(name)}; rename one"
                    )
                if element.get("id") is not None:
                    self._edges.add(edge)
                self._within.append(("edge", name, set()))
            case "port":
                self._within.append(("port", "", set()))
            case "data" | "attvalue" if self._within:
                self._value(element)

    def _value(self, element: ElementTree.Element) -> None:
        kind, owner, given = self._within[-1]
        reference = str(element.get("key", element.get("for")))
        name, read = self._about.get(f"{kind} {reference}", (reference, str))
        # Values that hold for a time each are a list.
        if name in given and element.get("start") is None and element.get("end") is None:
            raise self.error(f"the {kind} {quoted(owner)} has two values of {quoted(name)}; keep one of them")
        given.add(name)
        if kind == "node" and name == "label" and element.get("value") is not None:
            self.declared.labels[owner] = read(str(element.get("value")))

    def end(self, tag: str, element: ElementTree.Element) -> None:
        match tag:
            case "node" | "edge" | "port":
                self._within.pop()
            case "default":
                self._default = element.text or ""
            case "key":
                about = element.get("for", "all")
                kinds = [about] if about in ("node", "edge") else ["node", "edge"] if about == "all" else []
                self._declare(element, kinds, element.get("attr.name"), element.get("attr.type"))
            case "attribute":
                self._declare(element, [self._class], element.get("title"), element.get("type"))

    def _declare(self, element: ElementTree.Element, kinds: list[str], name: str | None, kind_of: str | None) -> None:
        read = _TYPES.get(str(kind_of), str)
        for kind in kinds if name is not None else ():
            self._about[f"{kind} {element.get('id')}"] = (str(name), read)
            if self._default:
                self.declared.defaults.setdefault(kind, {})[str(name)] = read(self._default)
        self._default = None

    def check(self) -> None:
        if self._graphs > 1:
            raise UserError(
                f"{self.path} holds {self._graphs:,} graphs, one beside or within another; keep one in a file"
            )
        if unknown := sorted(self._ends - self._nodes):
            raise self.error(f"an edge joins {quoted(unknown[0])}, and no node has that id")
