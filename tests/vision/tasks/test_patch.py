"""Patch: the right patch fills the frame, and neither places nor edges tell which it is."""

from collections import Counter

import numpy as np
import pytest
from PIL import ImageDraw

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.seams import as_pixels, hole_costs, rank_of
from ssl4rl.vision.tasks.patch import Patch
from ssl4rl.vision.transforms import GREY

SOURCE = noise(40)


@pytest.mark.parametrize("level", Patch.levels)
def test_the_right_patch_is_what_was_in_the_frame_and_all_are_missing_from_the_image(level):
    task = Patch(SOURCE, level=level)
    for example in map(task.example, range(6)):
        shown, *patches = example.images
        whole = task.whole(example.meta["images"][0]).image
        hole, places = example.meta["hole"], example.meta["places"]
        right = patches["ABCDEF".index(example.gold)]
        assert right.tobytes() == whole.crop(places[example.meta["asked"]]).tobytes()
        assert {patch.tobytes() for patch in patches} == {whole.crop(place).tobytes() for place in places}
        # Nothing is left of any place, and everything outside the hole is as it was.
        ImageDraw.Draw(shown).rectangle((hole[0], hole[1], hole[2] - 1, hole[3] - 1), fill=GREY)
        ImageDraw.Draw(whole).rectangle((hole[0], hole[1], hole[2] - 1, hole[3] - 1), fill=GREY)
        assert shown.tobytes() == whole.tobytes()
        distance = task.knobs.gap * patches[0].width - 1
        assert all(a - b >= distance for place in places for a, b in zip(place[:2], hole[:2], strict=True))
        assert all(b - a >= distance for place in places for a, b in zip(place[2:], hole[2:], strict=True))


def test_the_right_patch_has_each_rank_equally_often_unless_edges_may_tell():
    task = Patch(SOURCE)
    counts = Counter()
    for example in map(task.example, range(32)):
        whole = task.whole(example.meta["images"][0]).image
        place = tuple(example.meta["places"][example.meta["asked"]])
        [costs] = hole_costs(
            as_pixels(whole), tuple(example.meta["hole"]), [place], [as_pixels(patch) for patch in example.images[1:]]
        )
        counts[rank_of(costs, "ABCD".index(example.gold)), example.gold] += 1
    assert set(counts.values()) == {2} and len(counts) == 16
    unmatched = Patch(SOURCE, level="easy")
    assert len({unmatched.example(index).meta["rank"] for index in range(8)}) == 2
    assert np.mean([unmatched.example(index).gold == "A" for index in range(8)]) == 0.5


def test_too_many_or_too_large_patches_are_refused():
    with pytest.raises(UserError, match=r"no room for so many patches: lower task\.num_candidates"):
        Patch(SOURCE, knobs={"patch": 0.5})
