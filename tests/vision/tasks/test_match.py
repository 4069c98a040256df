"""Match: the right piece is found in the view, and no other is."""

import numpy as np
import pytest
from PIL import Image

from ssl4rl.audit.shortcuts import Noise, noise, sharpness
from ssl4rl.errors import NotApplicable, UserError
from ssl4rl.vision.image_set import ImageSet
from ssl4rl.vision.tasks.match import Match

SOURCE = noise(40)


def best_match(view: Image.Image, piece: Image.Image, zoom: float) -> float:
    """The least difference of a piece from any part of the view."""
    grey = np.asarray(view.convert("L").resize((96, 96)), dtype=np.float32)
    small = np.asarray(piece.convert("L").resize((round(96 / zoom),) * 2), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(grey, small.shape)
    return float(np.abs(windows - small).mean(axis=(2, 3)).min())


@pytest.mark.parametrize("level", Match.levels)
def test_the_right_piece_is_the_one_that_is_found_in_the_view(level):
    task = Match(SOURCE, level=level)
    for example in map(task.example, range(8)):
        view, *pieces = example.images
        found = [best_match(view, piece, task.knobs.zoom) for piece in pieces]
        assert "ABCDEF"[int(np.argmin(found))] == example.gold
        assert len(example.meta["images"]) == (1 if task.knobs.same_image else 4)


def test_views_of_one_image_do_not_overlap():
    for example in map(Match(SOURCE).example, range(8)):
        boxes = np.array(example.meta["boxes"])
        far = np.abs(boxes[:, None, :2] - boxes[None, :, :2]).max(axis=2) >= boxes[0, 2] - boxes[0, 0]
        assert far[np.triu_indices(len(boxes), 1)].all()


def test_pieces_are_about_equally_detailed_unless_they_need_not_be():
    def spread(knobs):
        """How far the logarithms of the pieces' contrasts are apart, in the mean over examples."""
        drawn = [Match(SOURCE, knobs=knobs).example(index).images[1:] for index in range(12)]
        return np.mean([np.ptp([np.log(sharpness(piece)[1] + 1) for piece in pieces]) for pieces in drawn])

    assert spread({}) < 0.5 * spread({"matched": False})


def test_sets_and_knobs_that_give_no_wrong_pieces_are_refused():
    with pytest.raises(NotApplicable, match=r"holds 2 images, and with task\.same_image=false .*=4 are needed"):
        Match(ImageSet("two", Noise(2), ["a" * 64, "b" * 64]), level="easy")
    with pytest.raises(UserError, match=r"4 views of view=0\.6 cover 144% of an image, over 42%"):
        Match(SOURCE, knobs={"view": 0.6})
