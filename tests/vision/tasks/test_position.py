"""Position: looking for the piece everywhere in the image finds it in the cell that is the answer."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ssl4rl.answers import score_cell
from ssl4rl.audit.shortcuts import noise
from ssl4rl.errors import UserError
from ssl4rl.vision.tasks.position import QUADRANTS, Position

SOURCE = noise(40)


def best_match(image: Image.Image, piece: Image.Image) -> tuple[float, float]:
    """The centre of the best match of ``piece``, as shares of the image's sides."""
    grey, wanted = (np.asarray(part.convert("L"), dtype=np.float32) for part in (image, piece))
    windows = np.lib.stride_tricks.sliding_window_view(grey, wanted.shape)[:, :, ::3, ::3]
    error = np.square(windows - wanted[::3, ::3]).mean(axis=(2, 3))
    top, left = np.unravel_index(error.argmin(), error.shape)
    return (left + piece.width / 2) / image.width, (top + piece.height / 2) / image.height


@pytest.mark.parametrize("level", Position.levels)
def test_the_piece_is_found_in_its_cell(level):
    task = Position(SOURCE, level=level, knobs={"augment": 0.0})
    n = task.knobs.n
    for example in map(task.example, range(4)):
        image, piece = example.images
        left, top, right, bottom = example.meta["box"]
        # Of a fine grid, a piece has to keep enough pixels to be told from others.
        side = 160 if n < 4 else 320
        small = image.resize((image.width * side // max(image.size), image.height * side // max(image.size)))
        size = max(3, round((right - left) * small.width)), max(3, round((bottom - top) * small.height))
        x, y = best_match(small, piece.resize(size))
        row, column = int(y * n), int(x * n)
        gold = QUADRANTS[row][column] if task.knobs.named else f"{row + 1}, {column + 1}"
        assert example.gold == gold
        assert row / n - 1e-9 <= top and bottom <= (row + 1) / n + 1e-9
        assert column / n - 1e-9 <= left and right <= (column + 1) / n + 1e-9


@pytest.mark.parametrize("n", [2, 3])
def test_every_cell_is_as_likely_and_every_piece_has_one_size(n):
    task = Position(SOURCE, knobs={"n": n, "size": 48})
    examples = [task.example(i) for i in range(900)]
    counts = Counter(tuple(example.meta["cell"]) for example in examples)
    assert len(counts) == n * n
    assert max(abs(count - 900 / n**2) for count in counts.values()) < 5 * (900 / n**2) ** 0.5
    assert {example.images[1].size for example in examples} == {(48 // n, 48 // n)}


def test_the_prompt_says_whether_the_piece_was_changed():
    plain, changed = (Position(SOURCE, level=level).example(0).text for level in ("medium", "augmented"))
    assert "mirrored" in changed and "mirrored" not in plain
    assert "row" in Position(SOURCE, knobs={"row_column": True}).example(0).text and "row" not in plain


def test_cells_may_be_given_in_words():
    for answer in ("2, 3", "(2,3)", "row 2, column 3", "Row 2 and column 3", "row: 2; col: 3", "2 3"):
        assert score_cell(f"<answer>{answer}</answer>", [2, 3]).value == 1, answer
    for answer in ("3, 2", "23", "2, 3, 1", "column 2, row 3", "2", "", "1" * 9999):
        assert score_cell(f"<answer>{answer}</answer>", [2, 3]).value == 0, answer
    task = Position(SOURCE, knobs={"size": 32})
    example = task.example(0)
    assert task.score(f"<answer>{example.gold.replace(' ', '-').title()}</answer>", example).value == 1
    assert task.score(f"<answer>{example.gold.split()[0]}</answer>", example).value == 0


def test_impossible_knobs_are_refused():
    with pytest.raises(UserError, match=r"patch_min=0\.9 must be at most patch_max=0\.8"):
        Position(SOURCE, knobs={"patch_min": 0.9})
    with pytest.raises(UserError, match="pixels, and 400 a side are needed"):
        Position(SOURCE, knobs={"n": 5, "patch_min": 0.1}).example(0)
