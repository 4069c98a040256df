"""Draws scenes with a natural up, each from a number that seeds everything in it.

Every scene has a sky, a ground and things that stand on it; the largest of these is its main object. The colours of sky
and ground are drawn as a pair, and the toss of a coin says which is which (a blue sky over a green meadow, or green
polar light over blue water). Some pairs look alike, so neither colour nor brightness shows which way is up: only the
houses, trees and animals do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from ssl4rl.rng import seeded_rng
from ssl4rl.vision.drawing.objects import OBJECTS, Brush, Color, Dice, mix

VERSION = 1
"""Raised when scenes change; their content hashes are made of it and their numbers, not of pixels."""

SIZES = ((224, 224), (288, 216), (216, 288), (320, 208))
SIZE_SHARES = (0.7, 0.12, 0.12, 0.06)
"""Width and height in pixels, and how often each is drawn."""

OVERSAMPLING = 2
"""Scenes are drawn this much larger and reduced, for smooth edges."""

GRAINS = 6
"""Strengths of the noise: its standard deviation is 2 to 7 of 255."""
GRAIN_SIDE = 512

KINDS = tuple(OBJECTS)

# Two colours each, with what the ground is made of if that colour becomes the ground's.
PAIRS: tuple[tuple[tuple[Color, str], tuple[Color, str]], ...] = (
    (((120, 178, 224), "water"), ((106, 158, 84), "grass")),
    (((206, 212, 216), "snow"), ((128, 116, 104), "earth")),
    (((238, 160, 96), "sand"), ((104, 78, 122), "grass")),
    (((38, 46, 84), "water"), ((206, 218, 234), "snow")),
    (((234, 212, 158), "sand"), ((222, 192, 140), "sand")),
    (((150, 158, 162), "earth"), ((158, 160, 158), "snow")),
    (((236, 174, 184), "sand"), ((78, 150, 160), "water")),
    (((104, 150, 196), "water"), ((88, 140, 190), "water")),
    (((52, 78, 66), "grass"), ((78, 60, 74), "earth")),
    (((170, 208, 196), "snow"), ((70, 92, 70), "grass")),
)
WHITE: Color = (250, 250, 246)
BLACK: Color = (18, 18, 26)
SUNS: tuple[Color, ...] = ((252, 240, 190), (255, 205, 90), (240, 110, 70))
MOONS: tuple[Color, ...] = ((252, 240, 190), (236, 238, 244))
ROADS: tuple[Color, ...] = ((90, 90, 94), (200, 184, 150))
WAVE = ((-1.6, 0.0), (-0.5, 0.2), (0.5, 0.0), (1.6, 0.2))
SHORES: tuple[Color, ...] = ((214, 190, 140), (110, 130, 80), (120, 112, 104))

FLOATING = ("boat",)
LOW = {"car": 0.6, "animal": 0.85}
"""Heights of the lower things, as a share of the height drawn for the others."""
REACH = {"house": 0.75, "boat": 0.65, "car": 1.1, "animal": 0.85}
"""How far things reach to either side, as a multiple of their height, where that is more than a half."""


@dataclass(frozen=True)
class Land:
    """A scene's dimensions, in pixels of the enlarged drawing, and its colours."""

    width: int
    height: int
    horizon: float
    sky: Color
    ground: Color
    ground_kind: str
    dark: bool


def draw_scene(number: int) -> Image.Image:
    """The scene of that number, RGB; its main object is ``KINDS[number % len(KINDS)]``."""
    rng = seeded_rng("scene", VERSION, number)
    kind = KINDS[number % len(KINDS)]
    size = SIZES[int(rng.choice(len(SIZES), p=SIZE_SHARES))]
    land = _land(size[0] * OVERSAMPLING, size[1] * OVERSAMPLING, kind, rng)
    painter = Painter(_background(land, rng), land, rng)
    painter.sky()
    painter.distance()
    painter.marks()
    painter.things(kind)
    return _grain(painter.image.reduce(OVERSAMPLING), rng)


def _land(width: int, height: int, kind: str, rng: np.random.Generator) -> Land:
    pair = PAIRS[int(rng.integers(len(PAIRS)))]
    (sky, _), (ground, ground_kind) = pair if rng.random() < 0.5 else pair[::-1]
    if kind in FLOATING:
        ground_kind = "water"
    sky, ground = (_varied(color, rng) for color in (sky, ground))
    return Land(
        width, height, height * float(rng.uniform(0.36, 0.66)), sky, ground, ground_kind, dark=sum(sky) < 3 * 90
    )


def _varied(color: Color, rng: np.random.Generator) -> Color:
    shift = rng.integers(-18, 19) + rng.integers(-12, 13, size=3)
    red, green, blue = np.clip(np.array(color) + shift, 0, 255).tolist()
    return red, green, blue


def _background(land: Land, rng: np.random.Generator) -> Image.Image:
    """Sky and ground, each a little brighter towards a random corner."""
    image = Image.new("RGB", (land.width, land.height))
    horizon = round(land.horizon)
    for color, top, bottom in ((land.sky, 0, horizon), (land.ground, horizon, land.height)):
        corners = np.clip(np.array(color) + rng.integers(-24, 25, size=(2, 2, 1)), 0, 255).astype(np.uint8)
        area = Image.fromarray(corners, "RGB").resize((land.width, bottom - top), Image.Resampling.BILINEAR)
        image.paste(area, (0, top))
    return image


@lru_cache(maxsize=GRAINS)
def _grain_tile(strength: int) -> Image.Image:
    """Noise around 128, 512×512: fine grain over soft blotches, each of that standard deviation."""
    rng = seeded_rng("scene grain", VERSION)
    blotches = Image.fromarray(rng.normal(size=(32, 32)).astype(np.float32)).resize(
        (GRAIN_SIDE, GRAIN_SIDE), Image.Resampling.BICUBIC
    )
    tile = (rng.normal(size=(GRAIN_SIDE, GRAIN_SIDE)) + np.asarray(blotches)) * strength + 128
    return Image.fromarray(np.clip(np.rint(tile), 0, 255).astype(np.uint8), "L").convert("RGB")


def _grain(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    tile = _grain_tile(int(rng.integers(2, 2 + GRAINS)))
    left, top = (int(rng.integers(0, GRAIN_SIDE - side)) for side in image.size)
    return ImageChops.add(image, tile.crop((left, top, left + image.width, top + image.height)), offset=-128)


class Painter(Dice):
    """Draws the contents of a scene onto its background."""

    def __init__(self, image: Image.Image, land: Land, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.image, self.land, self.draw = image, land, ImageDraw.Draw(image)
        self.light = mix(land.sky, BLACK, 0.5) if land.dark else land.sky
        self.strength = 0.3 if land.dark else self.between(0.08, 0.24)

    def disc(self, x: float, y: float, across: float, up: float, color: Color) -> None:
        self.draw.ellipse((x - across, y - up, x + across, y + up), fill=color)

    def sky(self) -> None:
        """Sun or moon, stars, clouds, birds, each in some scenes only."""
        land = self.land
        if self.happens(0.5):
            radius = land.height * self.between(0.035, 0.08)
            x, y = self.between(0.08, 0.92) * land.width, self.between(0.1, 0.8) * land.horizon
            color = self.one_of(MOONS if land.dark else SUNS)
            for ring, share in ((1.7, 0.2), (1.35, 0.35), (1.0, 1.0)):
                self.disc(x, y, radius * ring, radius * ring, mix(land.sky, color, share))
        if land.dark:
            for _ in range(int(self.rng.integers(10, 30))):
                x, y = self.between(0, land.width), self.between(0, land.horizon * 0.9)
                self.disc(x, y, 1.5, 1.5, mix(land.sky, WHITE, self.between(0.4, 1)))
        for _ in range(int(self.rng.integers(0, 5))):
            self._cloud()
        if self.happens(0.3):
            x, y = self.between(0.1, 0.8) * land.width, self.between(0.1, 0.6) * land.horizon
            color = mix(land.sky, WHITE if land.dark else BLACK, 0.7)
            for _ in range(int(self.rng.integers(2, 5))):
                left, top = x + self.between(-0.1, 0.1) * land.height, y + self.between(-0.06, 0.06) * land.height
                wing = land.height * self.between(0.012, 0.024)
                wings = [(left, top), (left + wing, top + wing * 0.6), (left + wing * 2, top)]
                self.draw.line(wings, fill=color, width=3)

    def _cloud(self) -> None:
        """Puffs on a flat base."""
        land = self.land
        x, y = self.between(0.0, 1.0) * land.width, self.between(0.12, 0.85) * land.horizon
        size = land.height * self.between(0.03, 0.06)
        color = mix(land.sky, WHITE if self.happens(0.6) else BLACK, self.between(0.14, 0.6))
        for place in (-1.5, -0.6, 0.4, 1.3):
            puff, middle = size * self.between(0.6, 1.1), x + place * size
            self.draw.pieslice((middle - puff, y - puff, middle + puff, y + puff), 180, 360, fill=color)
        self.draw.rectangle((x - size * 2.1, y - size * 0.16, x + size * 2.0, y), fill=color)

    def distance(self) -> None:
        """Peaks, hills or a line of woods behind the horizon, or nothing."""
        land, kind = self.land, self.rng.random()
        if kind < 0.4:
            return
        color = mix(mix(land.sky, land.ground, self.between(0.3, 0.7)), BLACK, self.between(0.0, 0.3))
        steps = np.linspace(0, 1, 9 if kind < 0.7 else 17)
        if kind < 0.7:
            rise = self.rng.uniform(0.02, 0.2, size=len(steps)) * np.where(np.arange(len(steps)) % 2, 1, 0.4)
        elif kind < 0.85:
            turns = self.rng.uniform(0, 2 * np.pi, size=2)
            rise = 0.06 + 0.03 * np.sin(steps * 7 + turns[0]) + 0.025 * np.sin(steps * 17 + turns[1])
        else:
            rise = self.rng.uniform(0.02, 0.06, size=len(steps))
        ridge = zip((steps * land.width).tolist(), (land.horizon - rise * land.height).tolist(), strict=True)
        self.draw.polygon([(0, land.horizon + 1), *ridge, (land.width, land.horizon + 1)], fill=color)

    def marks(self) -> None:
        """Waves, tufts, stones or drifts by what the ground is made of, and in some scenes a road to the horizon."""
        land = self.land
        top, bottom = land.horizon, land.height
        if land.ground_kind != "water" and self.happens(0.35):
            far, near = self.between(0.2, 0.8) * land.width, self.between(0.0, 1.0) * land.width
            edge, half = land.width * 0.012, land.width * self.between(0.08, 0.2)
            road = [(far - edge, top), (far + edge, top), (near + half, bottom), (near - half, bottom)]
            self.draw.polygon(road, fill=mix(land.ground, self.one_of(ROADS), 0.6))
        for _ in range(int(self.rng.integers(14, 30))):
            near = float(self.rng.random()) ** 1.3  # how far down; what is near is larger
            x, y = self.between(0, land.width), top + (bottom - top) * near
            size = land.height * (0.012 + 0.03 * near)
            color = mix(land.ground, WHITE if self.happens(0.5) else BLACK, self.between(0.1, 0.34))
            if land.ground_kind == "water":
                wave = [(x + place * size, y - lift * size) for place, lift in WAVE]
                self.draw.line(wave, fill=color, width=2 + round(3 * near))
            elif land.ground_kind == "grass":
                for lean in (-0.5, 0.0, 0.5):
                    self.draw.line([(x, y), (x + lean * size, y - size)], fill=color, width=2)
            elif land.ground_kind == "earth":
                self.disc(x, y, size * 0.7, size * 0.4, color)
            else:
                self.draw.arc((x - size * 3, y - size * 0.6, x + size * 3, y + size), 190, 350, fill=color, width=2)

    def things(self, kind: str) -> None:
        """The main object, and up to three smaller ones behind it on either side."""
        main_x = self.between(0.2, 0.8)
        others = [name for name in KINDS if name not in FLOATING or self.land.ground_kind == "water"]
        things = []
        for _ in range(int(self.rng.integers(0, 4))):
            x, near, height = self.between(0.06, 0.94), self.between(0.02, 0.35), self.between(0.1, 0.2)
            if abs(x - main_x) > 0.2:
                things.append((near, x, others[int(self.rng.integers(len(others)))], height + near * 0.15))
        near = max([self.between(0.18, 0.7), *(thing[0] for thing in things)])
        things.append((near, main_x, kind, self.between(0.38, 0.62)))
        for near, x, name, height in sorted(things):  # from far to near
            self._thing(name, x, near, height * LOW.get(name, 1.0))

    def _thing(self, name: str, x: float, near: float, height: float) -> None:
        """Draws a thing at that share of the width, of the way from the horizon down, and of the scene's height."""
        land, reach = self.land, REACH.get(name, 0.5)
        base = land.horizon + near * (land.height - land.horizon)
        tall = min(height * land.height, base - land.height * 0.03, land.width * 0.45 / reach)
        foot = min(max(x * land.width, tall * reach), land.width - tall * reach)
        if land.ground_kind == "water" and name not in FLOATING:  # it stands on an islet
            self.disc(
                foot, base + tall * 0.02, tall * (reach + 0.3), tall * 0.1, mix(land.ground, self.one_of(SHORES), 0.75)
            )
        self.disc(foot, base, tall * reach * 0.9, tall * 0.045, mix(land.ground, BLACK, 0.28))
        facing = 1 if self.happens(0.5) else -1
        OBJECTS[name](Brush(self.rng, self.draw, self.light, self.strength, foot, base, tall, facing))
