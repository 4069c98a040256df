"""Images with classes, each of which has one name or several."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ssl4rl.tally import Tally
from ssl4rl.vision.image_set import ImageSet, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class ClassifiedImages:
    """Images and the names of their classes; a class may have no image here."""

    images: ImageSet
    names: Sequence[Sequence[str]]
    """Of each class; the first one is shown, all are right."""
    classes: IntArray
    """[N], each image's class, −1 where unknown."""
    of_names: Sequence[Tally] = ()
    """What the loader found and read of the names of the classes."""

    @property
    def name(self) -> str:
        return self.images.name

    @property
    def skipped(self) -> Sequence[str]:
        """What was wrong with each broken image that was left out, one line each."""
        return self.images.skipped

    @property
    def reading(self) -> Sequence[Tally]:
        """What the loader found and read."""
        return [*self.images.reading, *self.of_names]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ClassifiedImages({self.name!r}, {len(self.images):,} images, {len(self.names):,} classes)"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the images and the classes' names."""
        content = repr((self.images.fingerprint, [list(names) for names in self.names], self.classes.tolist()))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
