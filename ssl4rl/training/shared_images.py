"""The images of a batch of prompts, so that the vision tower runs once per distinct image.

A trainer's batch repeats the images of a prompt for each of its completions, and prompts with the same words may show
different images. So images are compared by their pixels, as the processor made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl4rl.inference.tokens import Encoded

SAMPLED = 32
"""Values of an image that are compared first."""


def bare(model: Any) -> Any:
    """The transformers model inside what accelerate and PEFT have wrapped around it."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True)
class Images:
    """The images of B prompts, equal ones kept once; ``none(B)`` for prompts of text only."""

    pixels: list[Tensor]
    """What the vision tower takes, one entry per distinct image: (patches, values) for Qwen, (1, 3, H, W) for LLaVA."""
    grids: Tensor | None
    """(distinct images, 3): Qwen's number of patches in time, height and width."""
    rows: list[tuple[int, ...]]
    """For each prompt, its images in order, counted among the distinct ones."""

    @classmethod
    def none(cls, prompts: int) -> Images:
        """For prompts without images."""
        return cls([], None, [()] * prompts)

    def of_prompts(self, chosen: Sequence[int]) -> Images:
        """The images of some of the prompts."""
        return Images(self.pixels, self.grids, [self.rows[prompt] for prompt in chosen])

    def to(self, device: torch.device) -> Images:
        """The same on that device."""
        grids = None if self.grids is None else self.grids.to(device)
        return Images([image.to(device) for image in self.pixels], grids, self.rows)

    @classmethod
    def of(cls, pixel_values: Tensor, num_images: Sequence[int], image_grid_thw: Tensor | None = None) -> Images:
        """From the tensors that a processor makes of a batch; ``num_images`` is how many each prompt has."""
        sizes = [1] * len(pixel_values) if image_grid_thw is None else image_grid_thw.prod(-1).tolist()
        shapes = [()] * len(sizes) if image_grid_thw is None else [tuple(grid) for grid in image_grid_thw.tolist()]
        images = torch.split(pixel_values, sizes)
        distinct: list[int] = []
        alike: dict[Any, list[int]] = {}
        places = []
        for index, image in enumerate(images):
            # A few values distinguish most images; only those that agree in them are compared whole.
            some = image.flatten()[:: max(1, image.numel() // SAMPLED)].tolist()
            candidates = alike.setdefault((shapes[index], *some), [])
            place = next((each for each in candidates if torch.equal(images[distinct[each]], image)), None)
            if place is None:
                place = len(distinct)
                candidates.append(place)
                distinct.append(index)
            places.append(place)
        rows = [tuple(places[sum(num_images[:row]) :][:count]) for row, count in enumerate(num_images)]
        grids = None if image_grid_thw is None else image_grid_thw[distinct]
        return cls([images[index] for index in distinct], grids, rows)

    def places(self, prompts: Sequence[int]) -> list[int]:
        """The images of some prompts in order, each as its index among the distinct ones."""
        return [image for prompt in prompts for image in self.rows[prompt]]

    @contextmanager
    def inputs(self, model: Any, prompts: Sequence[int]) -> Iterator[dict[str, Tensor]]:
        """The inputs of a forward pass of ``model`` over these prompts that stand for their images.

        Inside the context, the vision tower's features of each distinct image are copied to every place that shows it.
        """
        places = self.places(prompts)
        used = list(dict.fromkeys(places))
        if not used:
            yield {}
            return
        inputs = {"pixel_values": torch.cat([self.pixels[image] for image in used])}
        if self.grids is not None:
            inputs["image_grid_thw"] = self.grids[used]
        if len(used) == len(places):
            yield inputs
            return
        backbone = bare(model).model
        once = backbone.get_image_features

        def repeated(*arguments: Any, **settings: Any) -> Any:
            output = once(*arguments, **settings)
            output.pooler_output = [output.pooler_output[used.index(image)] for image in places]
            return output

        backbone.get_image_features = repeated
        try:
            yield inputs
        finally:
            del backbone.get_image_features

    def positions(self, model: Any, prompts: Sequence[int], tokens: Tensor, present: Tensor) -> Tensor:
        """Positions of the tokens of these prompts: (R, P), or (3, R, P) for a model with three axes of positions.

        ``tokens`` and ``present`` are (R, P), padded on either side.
        """
        places = self.places(prompts)
        if self.grids is None or not places:
            return text_positions(present)
        model = bare(model)
        kinds = (tokens == model.config.image_token_id) & present
        positions: Tensor = model.model.get_rope_index(
            tokens, mm_token_type_ids=kinds.long(), image_grid_thw=self.grids[places], attention_mask=present.long()
        )[0]
        return positions


def text_positions(present: Tensor) -> Tensor:
    """Positions of the tokens of (R, P) padded prompts, 0 in padding on the left."""
    return (present.long().cumsum(1) - 1).clamp(min=0)


def image_fields(rows: Sequence[Encoded]) -> dict[str, Any]:
    """The further inputs of a vision-language model for a batch of prompts, some of which may have no image."""
    fields: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row.marks):
        fields[name] = [row.marks[name][0] if name in row.marks else [0] * len(row.ids[0]) for row in rows]
    for name in dict.fromkeys(name for row in rows for name in row.pixels):
        fields[name] = torch.cat([torch.as_tensor(np.asarray(row.pixels[name])) for row in rows if name in row.pixels])
    return fields
