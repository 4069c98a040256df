"""Decoding images of every format and mode, and splits that follow from their bytes."""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, ImageOps

from ssl4rl.errors import UserError
from ssl4rl.source import SPLITS
from ssl4rl.vision.decode import EXIF_ORIENTATION, FORMATS, decode, has_more_frames
from ssl4rl.vision.image_set import ImageSet, IntArray


def header_only_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(quarters, encoded, orientation, kind):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = encoded(quarters, kind, exif=exif)
    decoded = decode(content, f"a.{kind.lower()}")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(quarters, "PNG", exif=exif))))
    assert decoded.size == expected.size
    assert np.abs(np.asarray(decoded, dtype=float) - np.asarray(expected.convert("RGB"), dtype=float)).mean() < 12
    assert (expected.tobytes() != quarters.tobytes()) == (orientation != 1)
    assert not decoded.info and EXIF_ORIENTATION not in decoded.getexif()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(quarters, encoded, mode):
    if mode in ("I;16", "I", "F"):
        values = np.asarray(quarters.convert("L")).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        image = Image.fromarray(values * (1 if mode == "F" else 257))
    else:
        image = quarters.convert("L").convert("LA") if mode in ("LA", "PA") else quarters.convert(mode)
    decoded = decode(encoded(image, "TIFF"), "a.tif")
    grey = mode not in ("P", "RGB", "RGBA", "CMYK", "YCbCr")
    expected = quarters.convert("L").convert("RGB") if grey else quarters
    if mode == "1":
        expected = image.convert("RGB")
    elif mode == "F":  # stretched: the darkest becomes black
        expected = Image.fromarray(np.rint((values - values.min()) / np.ptp(values) * 255).astype(np.uint8)).convert(
            "RGB"
        )
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(expected)).max() <= 2


def test_what_is_transparent_is_white(quarters, encoded):
    clear = quarters.convert("RGBA")
    clear.putalpha(0)
    assert decode(encoded(clear), "a.png").getcolors() == [(24 * 16, (255, 255, 255))]
    palette = quarters.convert("P", palette=Image.Palette.ADAPTIVE)
    red = palette.getpixel((0, 0))
    assert decode(encoded(palette, "GIF", transparency=red), "a.gif").getpixel((0, 0)) == (255, 255, 255)
    assert decode(encoded(quarters, "PNG", transparency=(255, 0, 0)), "a.png").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("low", "high", "dark", "bright"),
    [
        (0, 255, 0, 255),
        (0, 65535, 0, 255),
        (0, 65280, 0, 254),
        (0, 2_000_000, 0, 255),
        (-500, 500, 0, 255),
        (70_000, 80_000, 0, 255),
    ],
)
def test_whole_numbers_of_32_bits(encoded, low, high, dark, bright):
    """Those that 8 or 16 bits can hold are taken for such; others are stretched from the least to the most."""
    values = np.linspace(low, high, 60).astype(np.int32)[None].repeat(4, 0)
    shown = np.asarray(decode(encoded(Image.fromarray(values), "TIFF"), "a.tif"))[0, :, 0]
    assert (shown[0], shown[-1]) == (dark, bright) and len(np.unique(shown)) > 50


def test_a_value_of_16_bits_that_stands_for_nothing_is_white(encoded):
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    content = encoded(Image.fromarray(values))
    chunk = b"tRNS" + (257).to_bytes(2, "big")
    at = content.index(b"IDAT") - 4
    content = content[:at] + (2).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + content[at:]
    assert np.asarray(decode(content, "a.png"))[0, :, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_read(encoded, kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert has_more_frames(content) and not has_more_frames(encoded(frames[0], kind))
    red, green, blue = decode(content, "a").getpixel((8, 8))
    assert red > 240 and green < 15 and blue < 15


def test_the_preview_in_a_photo_is_no_frame(encoded):
    frame = Image.new("RGB", (16, 16))
    assert not has_more_frames(encoded(frame, "MPO", save_all=True, append_images=[frame]))
    assert not has_more_frames(b"no image")


def test_a_jpeg_is_decoded_small_but_never_too_small(encoded):
    large = encoded(Image.new("RGB", (1200, 803), (200, 100, 50)), "JPEG")
    assert [decode(large, "a.jpg", side).size for side in (None, 500, 300, 224, 60)] == [
        (1200, 803), (1200, 803), (600, 402), (600, 402), (150, 101)
    ]  # fmt: skip
    assert decode(encoded(Image.new("RGB", (40, 30)), "JPEG"), "a.jpg", 224).size == (40, 30)
    assert decode(encoded(Image.new("L", (1, 1))), "a.png", 224).size == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image that can be read"),
        (header_only_png(20_000, 20_000), "too many pixels"),
        (header_only_png(10_000, 10_000), r"10,000×10,000 pixels, more than 89,478,485: scale it down"),
        (header_only_png(50, 50), "is broken"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_bad_file_is_named(content, message):
    with pytest.raises(UserError, match=f"^here/a.jpg .*{message}"):
        decode(content, "here/a.jpg")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("BMP", "PPM", "GIF")])
def test_a_truncated_file_is_broken(encoded, kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"a\.jpg is"):
        decode(encoded(noise, kind)[:-900], "a.jpg", side=16)


@dataclass(frozen=True)
class Nothing:
    def open(self, index: int, side: int | None) -> Image.Image:
        return Image.new("RGB", (1, 1))

    def describe(self, index: int) -> str:
        return str(index)

    def take(self, indices: IntArray) -> "Nothing":
        return self


def images(contents, **fields) -> ImageSet:
    return ImageSet("set", Nothing(), [hashlib.sha256(str(each).encode()).hexdigest() for each in contents], **fields)


def test_splits_follow_the_bytes():
    contents = [*range(4000), *range(500)]
    members = {split: images(contents).members(split) for split in ("train", "val", "test")}
    shares = [len(part) / 4500 for part in members.values()]
    assert shares == pytest.approx([0.85, 0.05, 0.10], abs=0.015)
    assert sorted(np.concatenate(list(members.values()))) == list(range(4500))
    side = {split: {contents[index] for index in part} for split, part in members.items()}
    assert not side["train"] & side["val"] and not side["train"] & side["test"] and not side["val"] & side["test"]

    other = images(range(3999, 1999, -1))  # another set, in another order, with some of the same images
    assert {3999 - index for index in other.members("test")} == {each for each in side["test"] if each >= 2000}


def test_a_small_set_has_every_split():
    assert [len(images(range(3)).members(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    # One image of val would be asked about again and again.
    assert [len(images(range(60)).members(split)) for split in ("train", "val", "test")] == [48, 6, 6]
    assert min(len(images(range(120)).members(split)) for split in ("val", "test")) >= 10
    assert [len(images([1, 1]).members(split)) for split in ("train", "val", "test")] == [2, 0, 0]
    with pytest.raises(UserError, match="unknown split 'valid'; did you mean val"):
        images(range(3)).members("valid")


def test_given_splits_are_kept_but_for_what_they_share():
    sides = np.array([0, 0, 1, 2, -1, 2])
    given = images(["a", "b", "c", "a", "d", "e"], given_splits=sides)
    assert [given.members(split).tolist() for split in ("train", "val", "test")] == [[1], [2], [3, 5]]

    two = images(range(2000), given_splits=np.repeat([0, 2], 1000))  # no val: it comes out of train
    assert len(two.members("test")) == 1000
    assert 20 <= len(two.members("val")) <= 90 and two.members("val").max() < 1000
    assert len(two.members("val")) + len(two.members("train")) == 1000


def test_the_fingerprint_covers_bytes_and_labels():
    labelled = {"labels": np.array([0, 1]), "label_names": ["cat", "dog"]}
    prints = [
        images(["a", "b"]).fingerprint,
        images(["b", "a"]).fingerprint,
        images(["a", "b"], **labelled).fingerprint,
        images(["a", "b"], **{**labelled, "label_names": ["cat", "cow"]}).fingerprint,
        images(["a", "b"], given_splits=np.array([0, 1])).fingerprint,
    ]
    assert len(set(prints)) == 5
    assert images(["a", "b"], skipped=["c.jpg is empty"]).fingerprint == prints[0]
    assert images(["a", "b", "a"], skipped=["x"]).counts == {"images": 3, "duplicates": 1, "skipped": 1}


class Plain:
    """Images that nobody opens."""

    def open(self, index, side):
        return Image.new("RGB", (8, 8))

    def describe(self, index):
        return f"image {index}"


@pytest.mark.parametrize("count", [2, 20, 60])
def test_a_small_set_with_a_test_part_of_its_own_holds_something_out_for_val(count):
    hashes = [f"{number:064x}" for number in range(count + 10)]
    given = np.array([SPLITS.index("train")] * count + [SPLITS.index("test")] * 10)
    images = ImageSet("small", Plain(), hashes, given_splits=given)
    assert len(images.members("val")) and len(images.members("train"))
    assert len(images.members("test")) == 10
