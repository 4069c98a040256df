"""Reads back what a prompt shows of a graph, in each of the formats of :mod:`ssl4rl.graph.formats`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

ARROW = r"<?--(?:[^\[]*?--)??>? "
"""With a relation's name or without; a name with a bracket is not read."""
NODE_LINE = re.compile(rf" *(?:{ARROW})?\[(\d+)\] (.*)")
NODE_OBJECT = re.compile(r'(\{"id": (\d+), "text": ".*"\})\]?,')
EDGE_LINE = re.compile(r"\[(\d+)\] --.*?-*>? ?\[(\d+)\]")
SHORT_EDGES = re.compile(r"(?:Other edges|Edges): (.*)\.")
SHORT_EDGE = re.compile(r"(\d+)(?:->|-)(\d+)")
ADJACENT = re.compile(rf"  ({ARROW})(\[\d+\](?:: .*|(?:, \[\d+\])*))")
REFERENCE = re.compile(r"\[(\d+)\]")
BRANCH = re.compile(rf"( *)({ARROW})?\[(\d+)\] ")
HEADS = {"\nNodes:\n": "edge_list", "\nNodes, each": "adjacency_list", "\nOutline": "outline", '\n{"nodes": [': "json"}


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


def shown_edges(prompt: str) -> Iterator[tuple[int, int]]:
    """The edges that a prompt shows, in local numbers, read from its text."""
    match graph_format(prompt):
        case "edge_list":
            yield from _listed("".join(prompt.partition("\nEdges:")[1:]).strip("\n").splitlines())
        case "adjacency_list":
            yield from _adjacent(prompt.splitlines())
        case "outline":
            yield from _branches(prompt.splitlines())
        case "json":
            written, _ = json.JSONDecoder().raw_decode(prompt[prompt.index('\n{"nodes": [') + 1 :])
            for edge in written["edges"]:
                yield (edge[0], edge[1]) if isinstance(edge, list) else (edge["source"], edge["target"])


def _listed(lines: list[str]) -> Iterator[tuple[int, int]]:
    if lines and (short := SHORT_EDGES.match(lines[0])):
        for pair in short[1].split(", "):
            if edge := SHORT_EDGE.fullmatch(pair):
                yield int(edge[1]), int(edge[2])
    for line in lines[1:]:
        if edge := EDGE_LINE.match(line):
            yield int(edge[1]), int(edge[2])


def _adjacent(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Each edge once: where its arrow leads away, or, without arrows, where the other end has no smaller number."""
    number = 0
    for line in lines:
        if edges := ADJACENT.fullmatch(line):
            arrow, rest = edges.groups()
            for other in map(int, REFERENCE.findall(rest.partition(": ")[0])):
                if not arrow.startswith("<") and (arrow.endswith("> ") or other >= number):
                    yield number, other
        elif node := read_node(line):
            number = node[0]


def _branches(lines: list[str]) -> Iterator[tuple[int, int]]:
    above: list[int] = []
    for place, line in enumerate(lines):
        if branch := BRANCH.match(line):
            depth, arrow, number = len(branch[1]) // 2, branch[2] or "", int(branch[3])
            del above[depth:]
            if arrow and above:
                yield (number, above[-1]) if arrow.startswith("<") else (above[-1], number)
            above.append(number)
        elif line.startswith("Other edges:"):
            yield from _listed(lines[place:])
            return
