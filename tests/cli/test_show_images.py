"""``vision show``: images that cannot be shown are named in one line, and sheets are drawn of the others."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ssl4rl.registry import TASKS

VISION_TASKS = [name for name in TASKS.names() if TASKS.get(name).source_kind.side == "vision"]


@pytest.fixture
def images(tmp_path):
    here = tmp_path / "images"
    here.mkdir()
    return here


def save(path, side: int = 64) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


def huge(path) -> None:
    """A PNG whose header says 20,000×20,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


@pytest.mark.parametrize("task", VISION_TASKS)
def test_bad_images_are_named(refused, images, task):
    def shown() -> str:
        return refused("vision", "show", "--task", task, "--dataset", images)

    for number in (1, 2):
        save(images / f"{number}.jpg", side=1)
        (images / f"{number}.jpg").write_bytes((images / f"{number}.jpg").read_bytes() + bytes(number))
    assert "1×1 pixels, and" in shown()
    for number in (1, 2):
        save(images / f"{number}.jpg")
        (images / f"{number}.jpg").write_bytes((images / f"{number}.jpg").read_bytes()[: -400 * number])
    assert ".jpg is broken" in shown()
    for number in (1, 2):
        huge(images / f"{number}.jpg")
        (images / f"{number}.jpg").write_bytes((images / f"{number}.jpg").read_bytes() + bytes(number))
    assert ".jpg has too many pixels (at most 89,478,485): scale it down" in shown()


def test_a_sheet_wraps_what_does_not_fit_into_a_line(run, refused, tmp_path):
    png = tmp_path / "sheet.png"
    code, _, err = run("vision", "show", "--task", "jigsaw", "--level", "5x5", "-n", "2", "--png", png)
    assert code == 0, err
    sheet = Image.open(png)
    assert sheet.width <= 1600 and sheet.height > 2 * 2 * 100
    assert "cannot be written" in refused("vision", "show", "--task", "jigsaw", "--png", tmp_path / "no" / "sheet.png")
