"""Images and the shared prompt: one pass of the vision tower per distinct image, and TRL's numbers."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from qwen_vl import build_llava, build_qwen_vl
from toys import Letters, make_trainer, toy_recipe, toy_tasks
from transformers import AutoModelForImageTextToText
from trl import GRPOConfig, GRPOTrainer

from ssl4rl.answers import Scoring
from ssl4rl.drafts import Draft, ShownImage
from ssl4rl.inference.model import ModelFiles
from ssl4rl.training import shared_prompt
from ssl4rl.training.rollout import Sampling, sample_groups
from ssl4rl.training.shared_images import Images

BUILDERS = {"qwen2_5_vl": build_qwen_vl, "llava": build_llava}


@pytest.fixture(scope="module", params=list(BUILDERS))
def folder(request, tmp_path_factory):
    return BUILDERS[request.param](tmp_path_factory.mktemp("vlm") / request.param)


def image(seed, width=84, height=56):
    generator = torch.Generator().manual_seed(seed)
    return Image.fromarray(torch.randint(0, 255, (height, width, 3), generator=generator, dtype=torch.uint8).numpy())


def ask(images, words):
    return [
        {"role": "user", "content": [*({"type": "image", "image": i} for i in images), {"type": "text", "text": words}]}
    ]


def micro_batch(processor, prompts, counts, longest=5, seed=0):
    """Each prompt with its number of completions of unequal lengths, in shuffled order, as TRL would pass it."""
    generator = torch.Generator().manual_seed(seed)
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    rows = [rows[i] for i in torch.randperm(len(rows), generator=generator)]
    conversations = [ask(*prompts[row]) for row in rows]
    text = processor.apply_chat_template(conversations, add_generation_prompt=True, tokenize=False)
    images = [prompts[row][0] for row in rows]
    some = [several for several in images if several]
    encoded = processor(images=some or None, text=text, padding=True, padding_side="left", return_tensors="pt")
    size = torch.randint(1, longest + 1, (len(rows), 1), generator=generator)
    completion_mask = (torch.arange(longest) < size).long()
    completions = torch.randint(10, 290, completion_mask.shape, generator=generator) * completion_mask
    more = {key: value for key, value in encoded.items() if key not in ("input_ids", "attention_mask")}
    if "mm_token_type_ids" in more:
        more["mm_token_type_ids"] = torch.cat([more["mm_token_type_ids"], torch.zeros_like(completions)], 1)
    if some:
        more["num_images"] = [len(several) for several in images]
    ids = torch.cat([encoded["input_ids"], completions], 1)
    mask = torch.cat([encoded["attention_mask"], completion_mask], 1)
    return ids, mask, longest, more


def stock_trainer(folder, output):
    from datasets import Dataset

    arguments = GRPOConfig(output_dir=str(output), bf16=False, use_cpu=True, report_to="none", temperature=0.7)
    rows = Dataset.from_dict({"prompt": [ask([], "?")]})
    return GRPOTrainer(
        str(folder), lambda **_: [0.0], arguments, rows, processing_class=ModelFiles(str(folder)).processor
    )


def numbers(model, logps, entropies, mask, keep):
    present = mask[:, -keep:]
    weights = torch.linspace(-1, 1, present.numel()).view(present.shape)
    model.zero_grad()
    (logps * present * weights).sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return logps.detach() * present, entropies.detach() * present, gradient


CASES = {
    "several prompts, unequal groups and images": (
        [
            ([image(0), image(1)], "how is it turned?"),
            ([image(2, 56, 56)], "which?"),
            ([image(0)], "what is it"),
        ],
        (3, 1, 2),
    ),
    "the same words with other images": ([([image(0)], "what?"), ([image(1)], "what?")], (2, 2)),
    "an image shown twice": ([([image(0), image(0)], "equal?"), ([image(0), image(1)], "equal?")], (2, 2)),
    "one image, other ways up": ([([image(0, 84, 56)], "what?"), ([image(0, 56, 84)], "what?")], (2, 2)),
    "words alone": ([([], "how many degrees?"), ([], "which piece")], (3, 2)),
    "words alone beside images": ([([], "how many degrees?"), ([image(0)], "which piece")], (3, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_trl_on_the_same_micro_batch(folder: Path, tmp_path: Path, case: str) -> None:
    trainer = stock_trainer(folder, tmp_path)
    model = trainer.model
    assert shared_prompt.unsupported(model) is None
    ids, mask, keep, more = micro_batch(trainer.processing_class, *CASES[case])
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        model, ids, mask, keep, compute_entropy=True, **more
    )
    theirs = numbers(model, logps, entropies, mask, keep)
    shared_prompt.prepare(model)
    images = None
    if "num_images" in more:
        images = Images.of(more["pixel_values"], more["num_images"], more.get("image_grid_thw"))
    for size in (None, 2):
        logps, entropies = shared_prompt.logps_and_entropies(
            model, ids, mask, keep, temperature=0.7, images=images, batch_size=size
        )
        for mine, their in zip(numbers(model, logps, entropies, mask, keep), theirs, strict=True):
            torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)


def test_the_vision_tower_runs_once_per_distinct_image(folder: Path, tmp_path: Path) -> None:
    trainer = stock_trainer(folder, tmp_path)
    model = trainer.model
    a, b, c = image(0), image(1), image(2)
    prompts = [([a, b], "which?"), ([a, c], "which?"), ([a, a], "which?")]
    ids, mask, keep, more = micro_batch(trainer.processing_class, prompts, (4, 4, 4))
    images = Images.of(more["pixel_values"], more["num_images"], more.get("image_grid_thw"))
    assert len(images.pixels) == 3
    assert len(set(images.rows)) == 3
    tower = model.model.visual if hasattr(model.model, "visual") else model.model.vision_tower
    seen = []
    tower.register_forward_hook(lambda module, arguments, output: seen.append(len(arguments[0])))
    shared_prompt.logps_and_entropies(model, ids, mask, keep, temperature=1.0, images=images)
    assert seen == [sum(len(image) for image in images.pixels)]


def test_swapped_images_change_the_log_probabilities(folder: Path, tmp_path: Path) -> None:
    trainer = stock_trainer(folder, tmp_path)
    found = []
    for order in ([image(0), image(1)], [image(1), image(0)]):
        ids, mask, keep, more = micro_batch(trainer.processing_class, [(order, "which?")], (2,))
        images = Images.of(more["pixel_values"], more["num_images"], more.get("image_grid_thw"))
        logps, _ = shared_prompt.logps_and_entropies(trainer.model, ids, mask, keep, temperature=1.0, images=images)
        found.append(logps)
    assert (found[0] - found[1]).abs().max() > 1e-3


class ShowsImages(Letters):
    """The same words every time, one or two images."""

    def draft(self, index, rng):
        seeds = [int(rng.integers(1000)) for _ in range(1 + index % 2)]
        images = [ShownImage(image(seed), seed) for seed in seeds]
        return Draft((*images, "which?"), Scoring("score_letters", {}), "yes", 0.5, ())


def test_micro_batches_keep_groups_and_their_images(folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(folder, grpo__per_device_train_batch_size=4, grpo__gradient_accumulation_steps=4)
    trainer = make_trainer(recipe, tmp_path / "run", toy_tasks(ShowsImages))
    assert trainer.sharing is None
    model = trainer.model.train()
    rows = [{"index": index} for index in (0, 1, 2, 3) for _ in range(4)]
    seen = set()
    for step in range(4):
        trainer._step = step
        part = trainer._prepare_inputs(rows)
        images = Images.of(part["pixel_values"], part["num_images"], part.get("image_grid_thw"))
        assert len(set(images.rows)) == 1 and len(images.pixels) == part["num_images"][0]
        assert len(part["num_images"]) == 4 == len(part["prompt_ids"])
        seen.add(images.pixels[0].sum().item())
        part["advantages"] = torch.tensor([1.0, -1.0, 0.5, -0.5])
        gradients = []
        for share in (True, False):
            trainer._share = share
            model.zero_grad()
            trainer.current_gradient_accumulation_steps = 4
            trainer.compute_loss(model, part).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        trainer._share = True
        assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()
    assert len(seen) == 4


def test_says_why_a_vision_model_is_not_supported() -> None:
    from transformers import LlavaConfig

    for text, vision, reason in (("gemma", "clip_vision_model", "gemma"), ("llama", "pixtral", "Pixtral")):
        config = LlavaConfig(text_config={"model_type": text}, vision_config={"model_type": vision})
        assert reason in (shared_prompt.unsupported(SimpleNamespace(config=config)) or "")


def test_the_most_likely_tokens_are_those_of_generate(folder: Path) -> None:
    files = ModelFiles(str(folder))
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    prompts = [([image(0), image(1)], "how is it turned?"), ([image(2, 56, 56)], "which?"), ([], "what")]
    expected, ids, pixels, grids = [], [], [], []
    with torch.no_grad():
        for images, words in prompts:
            encoded = files.processor.apply_chat_template(
                [ask(images, words)], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
            found = model.generate(**encoded, do_sample=False, max_new_tokens=8, eos_token_id=[2], pad_token_id=0)
            ids.append(encoded["input_ids"][0].tolist())
            expected.append(found[0, len(ids[-1]) :].tolist())
            if images:
                pixels.append(encoded["pixel_values"])
                grids.append(encoded.get("image_grid_thw"))
        shown = Images.of(torch.cat(pixels), [2, 1, 0], None if grids[0] is None else torch.cat(grids))
        shared_prompt.prepare(model)
        sampling = Sampling(max_new_tokens=8, eos_token_ids=[2], top_k=1)
        assert sample_groups(model, ids, 2, sampling, shown) == [[tokens] * 2 for tokens in expected]
