"""Attention maps as ``ssl4rl graph|vision attend`` records and draws them, and as a report shows them.

With ``--run`` the record goes into the run's folder, as ``attention/NAME.json``, and the drawing beside it. Of an image
a report shows that drawing; a graph is drawn from the record alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ssl4rl.errors import UserError
from ssl4rl.graph.attention import GraphAttention, Share
from ssl4rl.report.blocks import Picture, Table
from ssl4rl.report.figures import drawn_svg
from ssl4rl.report.shown import Drawing
from ssl4rl.report.words import short_names, shortened
from ssl4rl.runs import Run
from ssl4rl.settings import first_invalid

FOLDER = "attention"
"""In a run's folder: what ``ssl4rl graph|vision attend --run`` wrote."""
PANEL, LINE = 4.2, 0.2
"""Inches: the side of a drawn subgraph, and the height of a line of text below it."""
MOST_TEXTS = 20
"""Nodes whose texts stand below a drawing: those that get most."""
NODES, EDGES = "Blues", "Oranges"
"""matplotlib's colours of the shares; both begin near white, which is black on a dark page."""


class _Map(BaseModel):
    """Where one model looks."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    model: str
    token: str
    """The token whose attention it is, as text."""
    layer: int | None = None
    """Counted from 1; null is the mean of all."""


class GraphMap(_Map):
    """Shares of the attention, by local numbers; with what goes to the question and to the rest they add up to 1."""

    nodes: Mapping[str, Share]
    edges: Mapping[str, Share]
    """By ``source-target``."""
    question: Share
    rest: Share

    @classmethod
    def of(cls, model: str, layer: int | None, found: GraphAttention) -> GraphMap:
        """A model's attention to a graph."""
        return cls(
            model=model,
            token=found.token,
            layer=layer,
            nodes={str(node): share for node, share in sorted(found.nodes.items())},
            edges={f"{first}-{second}": share for (first, second), share in sorted(found.edges.items())},
            question=found.question,
            rest=found.rest,
        )

    @property
    def in_words(self) -> str:
        """Where most of it goes."""
        parts = []
        for name, shares, written in (("nodes", self.nodes, "[{}]"), ("edges", self.edges, "{}")):
            total = sum(each.share for each in shares.values())
            most = max(shares, key=lambda key: shares[key].share, default=None)
            where = "" if most is None else f", most to {written.format(most)} ({shares[most].share:.1%})"
            parts.append(f"{total:.1%} to {name}{where}")
        return (
            f"{self.model}: of the attention from {self.token!r}, {'; '.join(parts)}; "
            f"{self.question.share:.1%} to the question"
        )


class ImageMap(_Map):
    """Shares of the attention, one list for each row of the image's patches."""

    box: tuple[float, float, float, float]
    """The part of the image that the model saw, as fractions of its width and height."""
    attention: Sequence[Sequence[float]]

    @property
    def in_words(self) -> str:
        """How much the image gets, and where most of it goes."""
        cells = [(value, row, column) for row, line in enumerate(self.attention) for column, value in enumerate(line)]
        _, row, column = max(cells)
        return (
            f"{self.model}: {sum(value for value, _, _ in cells):.1%} of the attention from {self.token!r} goes to the "
            f"image, the most of it to row {row + 1} of {len(self.attention)}, column {column + 1} of "
            f"{len(self.attention[0])}"
        )


class GraphRecord(BaseModel):
    """The subgraph of an example, and where models look in it."""

    kind: Literal["graph"] = "graph"
    id: str
    """The example's."""
    texts: Mapping[str, str]
    """What is shown of each node, by local number."""
    drawing: Drawing
    maps: Annotated[Sequence[GraphMap], Field(min_length=1)]

    @property
    def about(self) -> str:
        """What the drawing shows, in words."""
        return f"{self.id}: {'. '.join(each.in_words for each in self.maps)}"

    @property
    def _names(self) -> list[str]:
        """What the models are called where there is little room."""
        return short_names([each.model for each in self.maps])

    @property
    def table(self) -> Table:
        """Everything, in numbers: a row for each node and each edge."""
        rows = []
        for part, written in (("nodes", "[{}]"), ("edges", "{}")):
            for key in getattr(self.maps[0], part):
                text = shortened(self.texts.get(key, "")) if part == "nodes" else ""
                rows.append(_row(written.format(key), [getattr(each, part)[key] for each in self.maps], text))
        for part, name in (("question", "question and options"), ("rest", "everything else")):
            rows.append(_row(name, [getattr(each, part) for each in self.maps]))
        named = zip(self._names, self.maps, strict=True)
        head = ["", *(f"{name}, from {each.token!r}" for name, each in named), "tokens", "text"]
        return Table("Shares of the attention", head, rows)

    def svg(self) -> bytes:
        """The subgraph once for each model, side by side: nodes and edges coloured by what they get, on one scale."""
        texts = min(len(self.texts), MOST_TEXTS)
        width = PANEL * max(len(self.maps), 2)
        return drawn_svg(self.id, (width, PANEL + 1.2 + LINE * texts), self._draw)

    def _draw(self, canvas: Any) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        count = len(self.maps)
        texts = self._texts_below(75 * max(count, 2))
        ratios = [PANEL, 0.12, LINE * len(texts) + 0.1]
        grid = canvas.add_gridspec(3, 2 * count, height_ratios=ratios)
        scales = []
        for colors, part in ((NODES, "nodes"), (EDGES, "edges")):
            top = max((each.share for one in self.maps for each in getattr(one, part).values()), default=0.0)
            scales.append(ScalarMappable(Normalize(0, top or 1.0), colors))
        for place, (name, each) in enumerate(zip(self._names, self.maps, strict=True)):
            axes = canvas.add_subplot(grid[0, 2 * place : 2 * place + 2])
            axes.set_title(f"{name}\nfrom {each.token!r}", fontsize=10)
            _draw_map(axes, self.drawing, each, *scales)
        for place, (scale, name) in enumerate(zip(scales, ("node", "edge"), strict=True)):
            axes = canvas.add_subplot(grid[1, place * count : (place + 1) * count])
            bar = canvas.colorbar(scale, cax=axes, orientation="horizontal")
            bar.set_label(f"of the attention to one {name}", fontsize=9)
            bar.ax.xaxis.set_major_locator(MaxNLocator(4))
            bar.ax.xaxis.set_major_formatter(PercentFormatter(1))
            bar.ax.tick_params(labelsize=8)
        below = canvas.add_subplot(grid[2, :])
        below.axis("off")
        below.text(0, 1, "\n".join(texts), va="top", fontsize=8, linespacing=1.5)

    def _texts_below(self, letters: int) -> list[str]:
        """The texts of the nodes that get most, in the order of their numbers."""
        most = {node: max(each.nodes[node].share for each in self.maps if node in each.nodes) for node in self.texts}
        chosen = sorted(sorted(most, key=lambda node: -most[node])[:MOST_TEXTS], key=int)
        lines = [f"[{node}] {shortened(self.texts[node])}" for node in chosen]
        return [line if len(line) <= letters else f"{line[: letters - 1]}…" for line in lines]


class ImageRecord(BaseModel):
    """A question about an image, and where models look in it."""

    kind: Literal["image"] = "image"
    image: str
    """The name of its file."""
    question: str
    maps: Annotated[Sequence[ImageMap], Field(min_length=1)]

    @property
    def about(self) -> str:
        """What the image with its maps shows, in words."""
        return f"{self.image}, {self.question!r}: {'. '.join(each.in_words for each in self.maps)}"


Record = Annotated[GraphRecord | ImageRecord, Field(discriminator="kind")]


def _row(name: str, shares: Sequence[Share], text: str = "") -> list[str]:
    # Models with one tokenizer have as many tokens there.
    tokens = " / ".join(dict.fromkeys(str(each.tokens) for each in shares))
    return [name, *(f"{each.share:.2%}" for each in shares), tokens, text]


def _draw_map(axes: Any, drawing: Drawing, found: GraphMap, nodes: Any, edges: Any) -> None:
    """A subgraph, its nodes and edges in the colours that the two scales give their shares."""
    axes.set(xlim=(-0.08, 1.08), ylim=(1.08, -0.08), aspect="equal")  # as on a page, y grows downwards
    axes.axis("off")
    at = {number: (x, y) for number, x, y, _ in drawing.nodes}
    places = [number for number, *_ in drawing.nodes]
    for first, second in drawing.edges:
        share = found.edges[_key(places[first], places[second], drawing.directed)].share
        axes.annotate(
            "",
            xy=at[places[second]],
            xytext=at[places[first]],
            arrowprops={
                "arrowstyle": "-|>" if drawing.directed else "-",
                "color": edges.to_rgba(share),
                "linewidth": 1.5 + 3.5 * share / edges.norm.vmax,
                "shrinkA": 9,
                "shrinkB": 9,
            },
        )
    for number, x, y, asked in drawing.nodes:
        share = found.nodes[number].share
        dark = share > 0.55 * nodes.norm.vmax
        axes.plot(x, y, "o", ms=19, mfc=nodes.to_rgba(share), mec="black", mew=2.6 if asked else 0.7)
        axes.text(x, y, number, ha="center", va="center", color="white" if dark else "black", fontsize=9)


def _key(first: str, second: str, directed: bool) -> str:
    return f"{first}-{second}" if directed or int(first) < int(second) else f"{second}-{first}"


def graph_record(example_id: str, texts: Mapping[str, str], drawing: Drawing, maps: Sequence[GraphMap]) -> GraphRecord:
    """The record of an example.

    Raises:
        UserError: if a node or an edge that it shows was not found in its prompt.
    """
    places = [number for number, *_ in drawing.nodes]
    shown = {f"[{number}]" for number in places}
    shown |= {_key(places[first], places[second], drawing.directed) for first, second in drawing.edges}
    found = {*(f"[{number}]" for number in maps[0].nodes), *maps[0].edges}
    if missing := sorted(shown - found):
        raise UserError(
            f"{', '.join(missing)} cannot be found in the prompt of {example_id}, so what goes there is not known; "
            "take an example with task.graph_format=edge_list"
        )
    return GraphRecord(id=example_id, texts=texts, drawing=drawing, maps=maps)


def pictures_of(run: Run) -> Iterator[Picture]:
    """The attention maps in a run's folder, by the names of their files.

    Raises:
        UserError: for a record that cannot be read, or whose image is missing.
    """
    for path in sorted((run.path / FOLDER).glob("*.json")):
        record = read_record(path)
        if isinstance(record, GraphRecord):
            yield Picture(path.stem, record.about, record.svg(), "svg", record.table)
        else:
            yield Picture(path.stem, record.about, _read_png(path.with_suffix(".png")), "png")


def read_record(path: Path) -> GraphRecord | ImageRecord:
    """A record.

    Raises:
        UserError: if it cannot be read.
    """
    kind: TypeAdapter[GraphRecord | ImageRecord] = TypeAdapter(Record)
    try:
        return kind.validate_json(path.read_bytes())
    except ValidationError as error:
        where, _, why = first_invalid(error)
        raise UserError(
            f"{path} is not what `ssl4rl graph|vision attend --run` writes ({where or 'all of it'}: {why}); remove it"
        ) from error


def _read_png(path: Path) -> bytes:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a PNG ({error}); remove it and its .json, or run attend again") from error
