"""Attention maps: the right token looks, the right patch lights up, and it is what the model computes."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssl4rl.attention import mean_row
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.vision.attention import (
    AttentionMap,
    attention_map,
    build_query,
    patch_grid,
    seen_box,
)
from ssl4rl.vision.overlay import draw_overlay
from tests.training.qwen_vl import build_llava, build_qwen_vl

QUESTION = "Is the zebra, or a second Zebra-crossing, left of the zebras?"


@pytest.fixture(scope="module", params=[build_llava, build_qwen_vl], ids=["llava", "qwen2.5-vl"])
def files(request, tmp_path_factory) -> ModelFiles:
    return ModelFiles(str(request.param(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def model(files):
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(files.path).eval()


@pytest.fixture
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (56, 112, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def planted(layers: int, heads: int, tokens: int, weights: dict[tuple[int, int, int], float]) -> list[torch.Tensor]:
    """Attention of the last of ``tokens`` tokens: zero but for {(layer, head, token): weight}."""
    found = [torch.zeros(1, heads, 1, tokens) for _ in range(layers)]
    for (layer, head, token), weight in weights.items():
        found[layer][0, head, 0, token] = weight
    return found


def test_the_patch_lights_up_in_which_attention_was_planted():
    places = list(range(5, 17))  # three rows of four, after five other tokens
    weights = planted(3, 2, 30, {(0, 0, 5 + 6): 0.8, (0, 1, 5 + 6): 0.4, (2, 1, 5 + 9): 0.6, (1, 0, 2): 1.0})
    mean = mean_row(weights)[places].reshape(3, 4)
    expected = np.zeros((3, 4))
    expected[1, 2], expected[2, 1] = 1.2 / 6, 0.6 / 6
    assert mean == pytest.approx(expected)
    assert mean_row(weights, layer=3)[places].argmax() == 9
    assert mean_row(weights, layer=2)[places].sum() == 0

    drawn = draw_overlay(Image.new("RGB", (80, 60), "grey"), [AttentionMap(mean, "word")], ["model"])
    panel = np.asarray(drawn, dtype=int)[40 : 40 + 384, 8 : 8 + 512]  # the image, 512 pixels wide
    patches = panel.reshape(3, 128, 4, 128, 3).transpose(0, 2, 1, 3, 4).reshape(3, 4, -1, 3)
    assert (np.ptp(patches, axis=2) == 0).all()  # one colour each
    brightness = patches.mean(axis=(2, 3))
    dark = sorted(set(brightness.ravel()))[0]
    assert brightness.argmax() == 6 and brightness[2, 1] > dark
    assert (brightness == dark).sum() == 10


def test_maps_side_by_side_share_one_scale():
    weak, strong = (AttentionMap(np.array([[value, 0.0]]), "word") for value in (0.1, 0.4))
    image = Image.new("RGB", (512, 256), "grey")
    drawn = draw_overlay(image, [weak, strong], ["a", "b"])
    colors = [drawn.getpixel((8 + number * 520 + 100, 40 + 100)) for number in (0, 1)]
    alone = draw_overlay(image, [weak], ["a"]).getpixel((108, 140))
    assert colors[0] != colors[1] and alone == colors[1]


def test_what_a_model_does_not_see_is_dark():
    seen = AttentionMap(np.ones((2, 2)), "word", box=(0.25, 0.0, 0.75, 1.0))
    drawn = draw_overlay(Image.new("RGB", (512, 256), "grey"), [seen], ["a"])
    assert drawn.getpixel((8 + 20, 140)) == drawn.getpixel((8 + 490, 140)) == (26, 26, 26)
    assert drawn.getpixel((8 + 256, 140)) != (26, 26, 26)


@pytest.mark.parametrize(
    ("word", "ends"),
    [
        ("zebra", "Is the zebra"),
        ("Zebra", "Is the zebra, or a second Zebra"),
        ("ZEBRAS", "left of the zebras"),
        ("second Zebra-crossing", "second Zebra-crossing"),
    ],
)
def test_the_last_token_of_the_word_looks(files, image, word, ends):
    query = build_query(files.config, files.processor, image, QUESTION, word)
    ids = query.inputs["input_ids"][0].tolist()
    assert files.tokenizer.decode(ids[: query.position + 1]).endswith(ends)
    assert not files.tokenizer.decode(ids[: query.position]).endswith(ends)


def test_every_patch_is_one_place(files, image):
    query = build_query(files.config, files.processor, image, QUESTION)
    ids = query.inputs["input_ids"][0].tolist()
    assert query.grid == ((2, 4) if "qwen" in files.config.model_type else (2, 2))
    assert [ids[place] for place in query.image_positions] == [files.config.image_token_id] * len(query.image_positions)
    assert len(query.image_positions) == query.grid[0] * query.grid[1] and query.position == len(ids)


@pytest.mark.parametrize("layer", [None, 2])
@pytest.mark.parametrize("word", ["zebras", None])
def test_the_map_is_a_row_of_what_the_model_computes_at_once(files, model, image, word, layer):
    query = build_query(files.config, files.processor, image, QUESTION, word)
    found = attention_map(model, files.tokenizer, query, layer)

    inputs = dict(query.inputs)
    with torch.no_grad():
        if word is None:
            logits = model(**inputs).logits[0, -1]
            logits[files.tokenizer.all_special_ids] = -torch.inf
            further = logits.argmax()[None, None]
            assert found.token == files.tokenizer.decode(further[0])
            shape = inputs["input_ids"].shape
            inputs = {
                name: torch.cat([value, further if name == "input_ids" else value[:, -1:]], 1)
                if value.shape == shape
                else value
                for name, value in inputs.items()
            }
            inputs["attention_mask"][:] = 1
        whole = model(**inputs, output_attentions=True).attentions
    rows = torch.stack([weights[0, :, query.position, query.image_positions].mean(0) for weights in whole])
    expected = rows.mean(0) if layer is None else rows[layer - 1]
    assert found.values.ravel() == pytest.approx(expected.numpy(), abs=1e-6)
    assert 0 < found.values.sum() < 1


def test_another_image_gives_another_map(files, model, image):
    maps = [
        attention_map(model, files.tokenizer, build_query(files.config, files.processor, shown, QUESTION, "zebra"))
        for shown in (image, image.transpose(Image.Transpose.ROTATE_180))
    ]
    assert np.abs(maps[0].values - maps[1].values).max() > 1e-6


def test_what_cannot_be_read_is_refused(files, model, image):
    for word in ("zebr", "horse", " "):
        with pytest.raises(UserError, match="is not in the question"):
            build_query(files.config, files.processor, image, QUESTION, word)
    query = build_query(files.config, files.processor, image, QUESTION, "zebra")
    with pytest.raises(UserError, match="--layer 3: the model has layers 1 to 2"):
        attention_map(model, files.tokenizer, query, layer=3)
    with pytest.raises(UserError, match="no attention weights"):
        mean_row([])
    with pytest.raises(UserError, match=r"the LLaVA and Qwen2\.5-VL families are supported"):
        patch_grid(files.config, query.inputs, 7)


def test_the_middle_that_a_processor_cuts_out():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    crop = {"height": 30, "width": 30}
    wide = Image.new("RGB", (400, 200))
    shortest = CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size=crop)
    assert seen_box(wide, shortest) == pytest.approx((0.3125, 0.125, 0.6875, 0.875))
    whole = CLIPImageProcessorPil(size={"height": 30, "width": 30}, crop_size=crop, do_center_crop=False)
    assert seen_box(wide, whole) == (0, 0, 1, 1)
