"""The things in a drawn scene: each function draws one that stands upright.

It draws in the thing's own coordinates, which a :class:`Brush` turns into pixels: (0, 0) is where it stands, up is
positive, and it is 1 tall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL import ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

PAINTS: tuple[Color, ...] = (
    (196, 60, 48),
    (224, 160, 60),
    (240, 232, 214),
    (90, 120, 170),
    (120, 84, 58),
    (70, 140, 120),
    (160, 90, 140),
    (230, 200, 90),
    (70, 74, 84),
    (205, 120, 90),
    (150, 170, 190),
)
LEAVES: tuple[Color, ...] = ((52, 110, 56), (88, 140, 50), (176, 110, 40), (150, 54, 44), (44, 84, 72), (214, 150, 170))
HIDES: tuple[Color, ...] = ((120, 80, 50), (88, 72, 66), (230, 226, 218), (180, 130, 80), (140, 140, 146))
SKINS: tuple[Color, ...] = ((240, 200, 170), (200, 150, 110), (120, 80, 56))
HAIRS: tuple[Color, ...] = ((44, 42, 48), (92, 64, 44), (200, 160, 80), (180, 70, 50))
WALLS: tuple[Color, ...] = ((244, 240, 226), (236, 236, 236), (210, 190, 160))
WOOD: Color = (92, 64, 44)
DARK: Color = (44, 42, 48)
PALE: Color = (244, 240, 226)
LAMP: Color = (255, 214, 110)
GLASS: Color = (176, 206, 220)
STEM: Color = (70, 130, 60)
SMOKE: Color = (190, 190, 194)


def mix(first: Color, second: Color, share: float) -> Color:
    """``first`` with that share of ``second`` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


@dataclass
class Dice:
    """Random choices while drawing."""

    rng: np.random.Generator

    def between(self, low: float, high: float) -> float:
        """A number drawn from that range."""
        return low + (high - low) * float(self.rng.random())

    def one_of(self, colors: Sequence[Color]) -> Color:
        return colors[int(self.rng.integers(len(colors)))]

    def happens(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


@dataclass
class Brush(Dice):
    """Draws in the coordinates of a thing that stands on the pixel (x, base), tinted by the light of the scene."""

    draw: ImageDraw.ImageDraw
    light: Color
    """The colour of the light: dark at night, reddish at dusk."""
    strength: float
    """The light's share in every colour."""
    x: float
    base: float
    height: float
    """In pixels."""
    mirror: int = 1
    """−1 for a thing that faces left."""

    def _pixel(self, point: Point) -> Point:
        return self.x + self.mirror * point[0] * self.height, self.base - point[1] * self.height

    def _lit(self, color: Color) -> Color:
        return mix(color, self.light, self.strength)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        self.draw.polygon([self._pixel(point) for point in points], fill=self._lit(color))

    def upright(self, outline: Sequence[Point], color: Color) -> None:
        """A polygon that is its own mirror image; ``outline`` is its right half."""
        self.polygon([*outline, *((-across, up) for across, up in reversed(outline))], color)

    def box(self, left: float, bottom: float, right: float, top: float, color: Color) -> None:
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], color)

    def disc(self, center: Point, across: float, up: float, color: Color) -> None:
        """An ellipse with those radii."""
        x, y = self._pixel(center)
        across, up = across * self.height, up * self.height
        self.draw.ellipse((x - across, y - up, x + across, y + up), fill=self._lit(color))

    def line(self, points: Sequence[Point], width: float, color: Color) -> None:
        pixels = [self._pixel(point) for point in points]
        self.draw.line(pixels, fill=self._lit(color), width=max(1, round(width * self.height)), joint="curve")


def house(brush: Brush) -> None:
    """Walls, a pitched roof, some with a chimney, a door, one or two rows of windows."""
    wall, roof = brush.one_of(PAINTS), mix(brush.one_of(PAINTS), DARK, 0.35)
    half, eaves = brush.between(0.34, 0.62), brush.between(0.5, 0.66)
    ridge = half * brush.between(0.0, 0.6)
    if brush.happens(0.6):
        chimney = half * brush.between(0.35, 0.6)
        brush.box(chimney - half * 0.1, eaves, chimney + half * 0.1, 1.0, mix(roof, DARK, 0.4))
    brush.upright([(half * brush.between(1.05, 1.25), eaves), (ridge, 0.96)], roof)
    brush.upright([(half, 0.0), (half, eaves)], wall)
    glass = LAMP if brush.happens(0.4) else mix(wall, DARK, 0.65)
    rows, columns = 2 if eaves > 0.56 else 1, 3 if half > 0.45 else 2
    pane = eaves * 0.26 / rows + half * 0.03
    door = int(brush.rng.integers(columns))
    for row in range(rows):
        for column in range(columns):
            middle = half * 0.86 * (2 * (column + 0.5) / columns - 1)
            up = eaves * (row + 0.58) / rows
            if row == 0 and column == door:
                brush.box(middle - pane * 0.75, 0.0, middle + pane * 0.75, up + pane * 0.4, mix(roof, WOOD, 0.5))
            else:
                brush.box(middle - pane * 0.8, up - pane, middle + pane * 0.8, up + pane, glass)


def tree(brush: Brush) -> None:
    """A broad-leaved tree, a conifer or a palm."""
    leaf, trunk, kind = brush.one_of(LEAVES), brush.between(0.035, 0.06), brush.rng.random()
    if kind < 0.45:
        brush.upright([(trunk * 1.4, 0.0), (trunk, 0.6)], WOOD)
        wide = brush.between(0.24, 0.36)
        for puff in range(6):
            shade = mix(leaf, PALE if puff > 3 else DARK, 0.16)
            center = (brush.between(-0.4, 0.4) * wide, 0.46 + 0.08 * puff)
            brush.disc(center, wide * (1 - abs(puff - 2) * 0.17), 0.13, shade)
    elif kind < 0.8:
        brush.upright([(trunk, 0.0), (trunk, 0.2)], WOOD)
        wide, tiers = brush.between(0.2, 0.32), int(brush.rng.integers(3, 5))
        for tier in range(tiers):
            low = 0.12 + 0.72 * tier / tiers
            peak = 1.0 if tier == tiers - 1 else min(low + 0.42, 1.0)
            brush.upright([(wide * (1 - 0.7 * tier / tiers), low), (0.0, peak)], mix(leaf, DARK, 0.25 - 0.07 * tier))
    else:
        lean = brush.between(0.0, 0.2)
        brush.line([(0.0, 0.0), (lean * 0.3, 0.4), (lean, 0.8)], trunk * 1.5, WOOD)
        for side in (-1.0, -0.55, 0.1, 0.6, 1.0):
            tip = (lean + side * 0.34, 0.86 - 0.16 * abs(side))
            brush.polygon([(lean, 0.8), (lean + side * 0.18, 0.99), tip, (lean + side * 0.18, 0.92)], leaf)


def boat(brush: Brush) -> None:
    """A sailing boat or a steamer; its hull is widest at the top."""
    hull = mix(brush.one_of(PAINTS), DARK, 0.2)
    half, deck = brush.between(0.42, 0.62), brush.between(0.2, 0.28)
    if brush.happens(0.6):
        sail, foot = brush.one_of((PALE, *PAINTS)), deck + 0.06
        brush.box(-0.015, deck, 0.015, 1.0, DARK)
        brush.polygon([(0.04, 1.0), (half * 0.85, foot), (0.04, foot)], sail)
        brush.polygon([(-0.04, 0.9), (-half * 0.6, foot), (-0.04, foot)], mix(sail, DARK, 0.2))
    else:
        brush.box(-half * 0.5, deck, half * 0.45, deck + 0.24, PALE)
        for place in (-0.35, -0.05, 0.25):
            brush.disc((half * place, deck + 0.12), 0.045, 0.045, DARK)
        funnel = half * brush.between(-0.1, 0.2)
        brush.box(funnel - half * 0.1, deck + 0.2, funnel + half * 0.1, 0.86, hull)
        for puff in range(3):
            center = (funnel - half * (0.15 + 0.25 * puff), 0.9 + 0.06 * puff)
            brush.disc(center, 0.05 + 0.02 * puff, 0.04 + 0.015 * puff, SMOKE)
    brush.polygon([(-half, deck), (half, deck), (half * 0.7, 0.0), (-half * 0.75, 0.0)], hull)
    brush.line([(-half * 0.96, deck - 0.05), (half * 0.94, deck - 0.05)], 0.025, PALE)


def car(brush: Brush) -> None:
    """A car from the side: cabin above, wheels below, lights in front."""
    paint, wheel = brush.one_of(PAINTS), 0.21
    roof = mix(paint, DARK, 0.1)
    half, front = brush.between(0.85, 1.1), brush.between(0.3, 0.5)
    brush.polygon([(-half * 0.75, 0.58), (-half * 0.5, 1.0), (half * 0.2, 1.0), (half * front, 0.58)], roof)
    screen = half * (front - 0.1)
    brush.polygon([(-half * 0.62, 0.58), (-half * 0.44, 0.92), (half * 0.15, 0.92), (screen, 0.58)], GLASS)
    brush.box(-half * 0.16, 0.58, -half * 0.1, 1.0, roof)
    brush.polygon(
        [(-half, 0.52), (-half * 0.9, 0.58), (half * 0.9, 0.58), (half, 0.48), (half, 0.17), (-half, 0.17)], paint
    )
    brush.disc((half * 0.93, 0.42), 0.06, 0.06, LAMP)
    for place in (-0.55, 0.58):
        brush.disc((half * place, wheel), wheel, wheel, DARK)
        brush.disc((half * place, wheel), wheel * 0.45, wheel * 0.45, SMOKE)


def animal(brush: Brush) -> None:
    """A four-legged animal from the side, with a longer or a shorter neck, some with spots."""
    hide, half = brush.one_of(HIDES), brush.between(0.45, 0.62)
    back = brush.between(0.5, 0.8)
    belly = back - brush.between(0.26, 0.34)
    middle = (back + belly) / 2
    for place, shade in ((-0.52, 0.35), (0.5, 0.35), (-0.78, 0.1), (0.76, 0.1)):
        brush.box(half * place - 0.055, 0.0, half * place + 0.055, belly + 0.1, mix(hide, DARK, shade))
    brush.disc((0.0, middle), half, (back - belly) * 0.62, hide)
    if brush.happens(0.4):
        spot = brush.one_of(HIDES)
        for _ in range(4):
            brush.disc((half * brush.between(-0.6, 0.6), middle + brush.between(-0.06, 0.08)), 0.06, 0.05, spot)
    head = half * 1.12
    brush.line([(half * 0.72, middle), (head, 0.88)], 0.15, hide)
    brush.disc((head + 0.07, 0.86), 0.14, 0.085, hide)
    brush.polygon([(head - 0.06, 0.88), (head - 0.04, 1.0), (head + 0.03, 0.92)], mix(hide, DARK, 0.4))
    brush.disc((head + 0.07, 0.89), 0.018, 0.018, (16, 16, 16))
    brush.line([(-half * 0.95, back - 0.06), (-half * 1.2, belly)], 0.04, mix(hide, DARK, 0.3))


def person(brush: Brush) -> None:
    """A standing person, some with a hat, some with an arm raised."""
    coat, trousers, skin = brush.one_of(PAINTS), mix(brush.one_of(PAINTS), DARK, 0.4), brush.one_of(SKINS)
    for side in (-1, 1):
        brush.polygon([(0.0, 0.47), (side * 0.11, 0.47), (side * 0.13, 0.0), (side * 0.05, 0.0)], trousers)
    raised = brush.happens(0.4)
    for side in (-1, 1):
        hand = (side * 0.24, 0.94 if raised and side == 1 else 0.44)
        brush.line([(side * 0.09, 0.74), hand], 0.07, mix(coat, DARK, 0.2))
        brush.disc(hand, 0.035, 0.035, skin)
    brush.upright([(0.13, 0.44), (0.12, 0.78)], coat)
    hair = brush.one_of(HAIRS)
    if brush.happens(0.4):
        brush.disc((0.0, 0.885), 0.08, 0.095, skin)
        brush.box(-0.125, 0.91, 0.125, 0.935, hair)
        brush.box(-0.07, 0.92, 0.07, 1.0, hair)
    else:
        brush.disc((0.0, 0.905), 0.09, 0.09, hair)
        brush.disc((0.0, 0.87), 0.08, 0.08, skin)


def tower(brush: Brush) -> None:
    """A lighthouse with bands, or a windmill."""
    wall, band = brush.one_of(WALLS), brush.one_of(PAINTS)
    foot, neck, rim = brush.between(0.13, 0.18), 0.085, 0.78
    cap = mix(band, DARK, 0.3)
    bands = int(brush.rng.integers(3, 7))
    for number in range(bands):
        low, high = number / bands, (number + 1) / bands
        ends = [(foot + (neck - foot) * share, rim * share) for share in (low, high)]
        brush.upright(ends, band if number % 2 else wall)
    brush.box(-foot * 0.3, 0.0, foot * 0.3, 0.11, WOOD)
    if brush.happens(0.6):
        brush.box(-neck * 1.4, rim - 0.01, neck * 1.4, rim + 0.02, DARK)
        brush.box(-neck * 0.75, rim + 0.02, neck * 0.75, rim + 0.12, LAMP)
        brush.upright([(neck * 1.05, rim + 0.12), (0.0, 1.0)], cap)
        return
    brush.upright([(neck * 1.1, rim), (0.0, rim + 0.14)], cap)
    turn = brush.between(0, pi / 2)
    for blade in range(4):
        along, across = cos(turn + blade * pi / 2), sin(turn + blade * pi / 2)
        corners = ((0.06, -0.042), (0.3, -0.042), (0.3, 0.042), (0.06, 0.042))
        brush.polygon([(a * along - b * across, rim + a * across + b * along) for a, b in corners], PALE)


def flower(brush: Brush) -> None:
    """A tall flower on a stem with two leaves, round or a tulip."""
    petal, heart = brush.one_of(PAINTS), brush.one_of((LAMP, WOOD, (120, 40, 60)))
    sway, up, reach = brush.between(0.0, 0.06), 0.78, 0.2
    brush.line([(0.0, 0.0), (sway * 0.2, 0.4), (sway, up)], 0.04, STEM)
    for side in (-1, 1):
        low, high = 0.12 + 0.05 * side, 0.36 + 0.08 * side
        brush.polygon([(0.0, low), (side * 0.17, low + 0.1), (side * 0.24, high), (side * 0.06, high - 0.12)], STEM)
    if brush.happens(0.35):
        cup = (
            (-0.12, 0.7),
            (-0.16, 0.98),
            (-0.08, 0.86),
            (0.0, 1.0),
            (0.08, 0.86),
            (0.16, 0.98),
            (0.12, 0.7),
            (0, 0.64),
        )
        brush.polygon([(sway + across, top) for across, top in cup], petal)
        return
    petals = int(brush.rng.integers(5, 9))
    for number in range(petals):
        angle = 2 * pi * number / petals
        center = (sway + cos(angle) * reach * 0.62, up + sin(angle) * reach * 0.62)
        brush.disc(center, reach * 0.42, reach * 0.42, petal)
    brush.disc((sway, up), reach * 0.42, reach * 0.42, heart)


OBJECTS: dict[str, Callable[[Brush], None]] = {
    "house": house,
    "tree": tree,
    "boat": boat,
    "car": car,
    "animal": animal,
    "person": person,
    "tower": tower,
    "flower": flower,
}
"""The possible main objects of a scene: their labels, and how they are drawn."""
