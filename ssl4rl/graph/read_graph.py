"""Reads back what a prompt shows of a graph, in each of the formats of :mod:`ssl4rl.graph.formats`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import dropwhile, takewhile
from typing import Any, NamedTuple

ARROW = r"(?><?--(?:.*?--)??>? (?=\[\d+\]))"
"""With a relation's name or without; up to the first node, as its text may hold an arrow, too."""
NODE_LINE = re.compile(rf" *(?:{ARROW})?\[(\d+)\] (.*)")
NODE_OBJECT = re.compile(r'(\{"id": (\d+), "text": ".*"\})\]?,')
EDGE_LINE = re.compile(rf"\[(\d+)\] {ARROW}\[(\d+)\]")
SHORT_EDGES = re.compile(r"(?:Other edges|Edges): (.*)\.")
SHORT_EDGE = re.compile(r"(\d+)(?:->|-)(\d+)")
ADJACENT = re.compile(rf"  ({ARROW})(\[\d+\](?:: .*|(?:, \[\d+\])*))")
REFERENCE = re.compile(r"\[(\d+)\]")
BRANCH = re.compile(rf"( *)({ARROW})?\[(\d+)\] ")
EDGE_TEXT = re.compile(r" *\(edge to \[(\d+)\]: .*\)")
HEADS = {"\nNodes:\n": "edge_list", "\nNodes, each": "adjacency_list", "\nOutline": "outline", '\n{"nodes": [': "json"}
OPENINGS = {name: head for head, name in HEADS.items()}


def graph_format(prompt: str) -> str | None:
    """The format that a prompt writes its graph in; None if it shows none."""
    places = {prompt.find(head): name for head, name in HEADS.items() if head in prompt}
    return places[min(places)] if places else None


def read_node(line: str) -> tuple[int, str] | None:
    """The number and the text of the node that a line shows; None if it shows none."""
    if found := NODE_OBJECT.fullmatch(line):
        return int(found[2]), json.loads(found[1])["text"]
    found = NODE_LINE.fullmatch(line)
    if found is None or EDGE_LINE.match(line) or ADJACENT.fullmatch(line):
        return None
    return int(found[1]), found[2]


def shown_texts(prompt: str) -> dict[str, str]:
    """What a prompt shows of each node, by its local number, written as it is in an example's ``meta``."""
    lines = (read_node(prompt[mention.start : mention.end]) for mention in mentions(prompt) if mention.edge is None)
    return {str(line[0]): line[1] for line in lines if line is not None}


class Mention(NamedTuple):
    """A node or an edge where a prompt shows it: ``prompt[start:end]``."""

    start: int
    end: int
    node: int | None = None
    edge: tuple[int, int] | None = None
    """Its ends, in local numbers, the first being where it starts."""
    repeated: bool = False
    """Whether the edge stands elsewhere too, as many formats show it at both its ends."""


class _Line(NamedTuple):
    start: int
    text: str

    def mention(self, span: tuple[int, int], **what: Any) -> Mention:
        """What a part of the line shows."""
        return Mention(self.start + span[0], self.start + span[1], **what)


def shown_edges(prompt: str) -> Iterator[tuple[int, int]]:
    """The edges that a prompt shows, in local numbers, read from its text; each once."""
    for mention in mentions(prompt):
        if mention.edge is not None and not mention.repeated:
            yield mention.edge


def mentions(prompt: str) -> Iterator[Mention]:
    """Where a prompt shows nodes, with their texts, and edges; none of its question and options."""
    head = graph_format(prompt)
    if head is None:
        return
    # Texts are on one line each, so that a line of the graph is one of ours.
    lines = (_Line(line.start(), line[0]) for line in re.finditer(r"^.*$", prompt, re.MULTILINE))
    inside = dropwhile(lambda line: not f"\n{line.text}\n".startswith(OPENINGS[head]), lines)
    next(inside)
    yield from READERS[head](list(inside))


def _edge_list(lines: Sequence[_Line]) -> Iterator[Mention]:
    for place, line in enumerate(lines):
        if line.text.startswith("Edges:"):
            yield from _listed(lines[place:])
            return
        if node := read_node(line.text):
            yield line.mention((0, len(line.text)), node=node[0])


def _listed(lines: Sequence[_Line]) -> Iterator[Mention]:
    """Edges in one line after a title, or below it one a line."""
    if short := SHORT_EDGES.match(lines[0].text):
        for pair in re.finditer(r"[^, ]+", short[1]):
            if edge := SHORT_EDGE.fullmatch(pair[0]):
                span = (pair.start() + short.start(1), pair.end() + short.start(1))
                yield lines[0].mention(span, edge=(int(edge[1]), int(edge[2])))
        return
    for line in lines[1:]:
        if (edge := EDGE_LINE.match(line.text)) is None:
            return
        yield line.mention((0, len(line.text)), edge=(int(edge[1]), int(edge[2])))


def _adjacency_list(lines: Sequence[_Line]) -> Iterator[Mention]:
    """Each edge stands at both ends. The first is where its arrow leads away, or, without one, the smaller number."""
    number = 0
    for line in lines:
        if edges := ADJACENT.fullmatch(line.text):
            arrow, rest = edges.groups()
            backwards = arrow.startswith("<")
            ends = list(REFERENCE.finditer(rest.partition(": ")[0]))
            for end in ends:
                other = int(end[1])
                # An edge with a relation or a text has the line for itself.
                whole = arrow.strip(" <>") != "--" or ": " in rest
                at = edges.start(2)
                span = (0, len(line.text)) if whole else (at + end.start(), at + end.end())
                edge = (other, number) if backwards else (number, other)
                yield line.mention(span, edge=edge, repeated=backwards or (not arrow.endswith("> ") and other < number))
        elif node := read_node(line.text):
            number = node[0]
            yield line.mention((0, len(line.text)), node=number)
        else:
            return


def _outline(lines: Sequence[_Line]) -> Iterator[Mention]:
    above: list[int] = []
    texts: dict[int, tuple[_Line, tuple[int, int]]] = {}
    for place, line in enumerate(lines):
        if branch := BRANCH.match(line.text):
            depth, arrow, number = len(branch[1]) // 2, branch[2] or "", int(branch[3])
            del above[depth:]
            at = branch.start(3) - 1
            if arrow and above:
                edge = (number, above[-1]) if arrow.startswith("<") else (above[-1], number)
                yield line.mention((branch.start(2), at - 1), edge=edge)
                if number in texts:
                    of, span = texts.pop(number)
                    yield of.mention(span, edge=edge, repeated=True)
            yield line.mention((at, len(line.text)), node=number)
            above.append(number)
        elif found := EDGE_TEXT.fullmatch(line.text):
            texts[int(found[1])] = line, (0, len(line.text))
        else:
            if line.text.startswith("Other edges:"):
                yield from _listed(lines[place:])
            return


def _json(lines: Sequence[_Line]) -> Iterator[Mention]:
    decoder = json.JSONDecoder()
    for place, line in enumerate(lines):
        if node := read_node(line.text):
            yield line.mention((0, len(line.text)), node=node[0])
            continue
        for pair in re.finditer(r"\[(\d+), (\d+)\]", line.text):
            yield line.mention(pair.span(), edge=(int(pair[1]), int(pair[2])))
        for below in takewhile(lambda line: line.text.startswith("{"), lines[place + 1 :]):
            edge, end = decoder.raw_decode(below.text)
            yield below.mention((0, end), edge=(edge["source"], edge["target"]))
        return


READERS: Mapping[str, Callable[[Sequence[_Line]], Iterator[Mention]]] = {
    "edge_list": _edge_list,
    "adjacency_list": _adjacency_list,
    "outline": _outline,
    "json": _json,
}
