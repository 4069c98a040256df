"""Count: as many copies are there as the answer says, and as many places are pasted over whatever it is."""

from collections import Counter

import numpy as np
import pytest
from PIL import ImageOps

from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.tasks.count import Count

SOURCE = noise(40)


@pytest.mark.parametrize("level", Count.levels)
def test_the_answer_is_the_number_of_copies(level):
    task = Count(SOURCE, level=level)
    for example in map(task.example, range(10)):
        shown, piece = example.images
        margin = (example.meta["boxes"][0][2] - example.meta["boxes"][0][0] - piece.width) // 2
        places = [
            shown.crop((left + margin, top + margin, right - margin, bottom - margin)).tobytes()
            for left, top, right, bottom in example.meta["boxes"]
        ]
        assert len(places) == task.knobs.num_places
        assert places.count(piece.tobytes()) == int(example.gold)
        assert len(set(places)) <= task.knobs.num_pieces
        # What is copied is seen at no other place.
        whole = task.whole(example.meta["images"][0]).image
        rest = np.asarray(whole) != np.asarray(shown)
        for left, top, right, bottom in example.meta["boxes"]:
            rest[top:bottom, left:right] = False
        assert not rest.any()


def test_every_number_comes_equally_often():
    counts = Counter(Count(SOURCE, knobs={"size": 128}).example(index).gold for index in range(50))
    assert counts == dict.fromkeys("12345", 10)


def test_mirrored_pieces_distract_at_the_level_that_says_so():
    plain, hard = Count(SOURCE), Count(SOURCE, level="hard")
    assert "irrored" not in plain.example(0).text and "Mirrored copies do not count" in hard.example(0).text
    mirrored = 0
    for example in map(hard.example, range(10)):
        shown, piece = example.images
        mirrored += 1 in example.meta["pasted"]
        for (left, top, *_), each in zip(example.meta["boxes"], example.meta["pasted"], strict=True):
            if each == 1:
                x, y = (60 - piece.width) // 2 + left, (60 - piece.height) // 2 + top
                assert (
                    shown.crop((x, y, x + piece.width, y + piece.height)).tobytes() == ImageOps.mirror(piece).tobytes()
                )
    assert mirrored


def test_impossible_knobs_are_refused():
    with pytest.raises(UserError, match=r"num_places=10 of place=0\.2 cover 40% of the image, over 32%"):
        Count(SOURCE, knobs={"num_places": 10})
    with pytest.raises(UserError, match="num_pieces=6 cannot come from num_places=4"):
        Count(SOURCE, knobs={"num_pieces": 6, "num_places": 4})
