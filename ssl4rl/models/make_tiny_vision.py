"""Make the embedded vision-language model: a tokenizer, a small LLaVA, and a warm start that names what is seen.

    python -m ssl4rl.models.make_tiny_vision --output FOLDER

First the vision tower alone learns which side of an image is up and what its main object is (with two linear heads
that are thrown away afterwards). Then the whole model learns to write replies to the tasks' prompts whose reasoning
names what the images show, in stages (see ``STAGES``): mostly `position`, as matching a piece with an image is learned
last; then mostly `rotation`; then the other tasks and the levels with other forms of answers. In these last stages two
thirds of the answers to `position` and `rotation` are mirrored, left for right and clockwise for counter-clockwise:
what is seen is learned, and which answer follows is left to GRPO.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration, LlavaProcessor, set_seed

from ssl4rl.answers import Outcome
from ssl4rl.data.images.scenes import drawn_scenes
from ssl4rl.example import Example
from ssl4rl.models.llava import IMAGE, PATCHES, SIDE, WIDTH, make_model, make_processor, make_tokenizer, pixels
from ssl4rl.vision.drawing.scenes import KINDS, draw_scene
from ssl4rl.vision.image_set import ImageSet, IntArray
from ssl4rl.vision.task import VisionTask
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.jigsaw import Jigsaw
from ssl4rl.vision.tasks.position import QUADRANTS, Position
from ssl4rl.vision.tasks.rotation import Rotation

TASKS: tuple[type[VisionTask[Any]], ...] = (Rotation, Position, Jigsaw, Contrastive)
MIXTURE: tuple[tuple[type[VisionTask[Any]], str, int], ...] = (
    (Rotation, "medium", 24_000),
    (Position, "medium", 16_000),
    (Position, "easy", 16_000),
    (Contrastive, "medium", 3_000),
    (Jigsaw, "medium", 3_000),
    (Rotation, "hard", 1_000),
    (Position, "hard", 1_000),
    (Jigsaw, "hard", 1_000),
)
"""Task, level, and examples that are prepared."""


@dataclass(frozen=True)
class Stage:
    """Steps on one mixture of tasks."""

    steps: int
    rate: float
    fall_steps: int
    """The learning rate falls as if there were that many steps."""
    shares: tuple[float, ...]
    """Of the steps, by entry of ``MIXTURE``."""
    mirrored: float = 0.0
    """Share of the answers to `position` and `rotation` that are mirrored."""


TOWER = Stage(2000, 1.5e-3, 5000, (1,))
STAGES = (
    Stage(800, 1e-3, 1500, (0.1, 0.4, 0.5, 0, 0, 0, 0, 0)),
    Stage(100, 9e-4, 300, (0.55, 0.22, 0.13, 0.05, 0.05, 0, 0, 0)),
    Stage(150, 6e-4, 150, (0.06, 0.36, 0.11, 0.15, 0.16, 0.03, 0.05, 0.08), mirrored=0.65),
    Stage(300, 1.2e-3, 300, (0.06, 0.14, 0.02, 0.25, 0.33, 0.02, 0.12, 0.06), mirrored=0.65),
)
SCENES = 12_000
"""More than the embedded set has; an image that is held out there is held out here."""
TOWER_BATCH, BATCH = 128, 64
DIRECT_EVERY = 10
"""One prompt of so many asks for the answer alone (`reasoning=false`)."""
SIDES = ("above", "left", "below", "right")
"""Where the sky is after a turn counter-clockwise by 0, 90, 180 and 270 degrees."""


class KeptScenes:
    """The scenes, each drawn once and kept."""

    def __init__(self) -> None:
        self.kept: dict[int, Image.Image] = {}

    def open(self, index: int, side: int | None) -> Image.Image:
        if index not in self.kept:
            self.kept[index] = draw_scene(index)
        return self.kept[index]

    def describe(self, index: int) -> str:
        return f"scene {index}"

    def take(self, indices: IntArray) -> KeptScenes:
        raise NotImplementedError("the scenes are used as a whole")


def scenes(count: int) -> ImageSet:
    """As the tasks see them by default, but quicker."""
    drawn = drawn_scenes(count)
    return ImageSet(drawn.name, KeptScenes(), drawn.hashes, drawn.labels, drawn.label_names)


def phrases(source: ImageSet) -> list[str]:
    """The sentences and parts of sentences, up to a number or a tag, that the tasks' prompts have at any level."""
    split = re.compile(r"[0-9][0-9.,×]*|</?[a-z]+>|(?<=[.:?;]) ")
    distinct: dict[str, None] = {}
    for kind in TASKS:
        for level in kind.levels:
            task = kind(source, level=level)
            direct = kind(source, level=level, knobs={"reasoning": False})
            for example in (*map(task.example, range(3)), direct.example(0)):
                for part in example.parts:
                    if isinstance(part, str):
                        distinct |= dict.fromkeys(split.split(part))
    return [phrase for phrase in distinct if len(phrase.strip()) > 5]


def reply_words() -> list[str]:
    """What replies are made of, each as it stands between tags, spaces and commas."""
    angles = [str(angle) for angle in range(0, 360, 45)]
    numbers = [str(number) for number in range(10)]
    quarters = [quarter for row in QUADRANTS for quarter in row]
    seen = [f"sky {side}" for side in SIDES] + [f"{row} {side}" for row in ("high", "low") for side in SIDES]
    lists = [", ".join(numbers), ", ".join(KINDS), "high, low, high"]
    return [*angles, *numbers, *quarters, *seen, *KINDS, *lists, "yes", "no"]


def shrink(images: Sequence[Image.Image]) -> torch.Tensor:
    """The images at the model's size, as bytes."""
    return torch.from_numpy(
        np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images])
    )


def name_content(task: VisionTask[Any], example: Example) -> str:
    """What is to be seen that the question is about."""
    meta = example.meta
    if isinstance(task, Rotation):
        return f"sky {SIDES[round(meta['angle'] / 90) % 4]}"
    if isinstance(task, Position):
        left, top, right, bottom = meta["box"]
        return f"{'high' if top + bottom < 1 else 'low'} {'left' if left + right < 1 else 'right'}"
    if isinstance(task, Jigsaw):
        n = task.knobs.n
        return ", ".join("high" if (place - 1) // n < n / 2 else "low" for place in meta["order"])
    return ", ".join(str(task.source.label_of(image)) for image in meta["images"])


def mirror(task: VisionTask[Any], answer: str) -> str:
    """The answer with left for right, or clockwise for counter-clockwise; of other tasks as it is."""
    if isinstance(task, Rotation):
        return str(-int(answer) % 360)
    if not isinstance(task, Position):
        return answer
    if task.knobs.named:
        row, column = answer.split()
        return f"{row} {'right' if column == 'left' else 'left'}"
    row, column = answer.split(", ")
    return f"{row}, {task.knobs.n + 1 - int(column)}"


@dataclass
class Rows:
    """Prepared examples of one task."""

    images: torch.Tensor
    """[N, images of an example, SIDE, SIDE, 3], bytes."""
    prompts: list[list[int]]
    replies: list[list[int]]
    mirrored: list[list[int]]
    """The replies with mirrored answers, where there are such."""
    angles: torch.Tensor
    kinds: torch.Tensor


def prepare(task: VisionTask[Any], processor: LlavaProcessor, count: int) -> Rows:
    """The first ``count`` examples of a task, shrunk and tokenised; some ask for the answer alone."""
    direct = type(task)(task.source, level=task.level, knobs={"reasoning": False})
    rows = Rows(torch.empty(0), [], [], [], torch.empty(0), torch.empty(0))
    images, angles, kinds = [], [], []
    for index in range(count):
        thinks = index % DIRECT_EVERY > 0
        example = (task if thinks else direct).example(index)
        text = processor.apply_chat_template(example.messages(), add_generation_prompt=True, tokenize=False)
        rows.prompts.append(processor.tokenizer.encode(text.replace(IMAGE, IMAGE * PATCHES)))
        for replies, answer in ((rows.replies, example.gold), (rows.mirrored, mirror(task, example.gold))):
            reply = f"<think>{name_content(task, example)}</think><answer>{answer}</answer>" if thinks else answer
            replies.append(processor.tokenizer.encode(f"{reply}<|im_end|>"))
        images.append(shrink(example.images))
        angles.append(example.meta.get("angle", 0))
        kinds.append(KINDS.index(str(task.source.label_of(example.meta["images"][0]))))
    rows.images, rows.angles, rows.kinds = torch.stack(images), torch.tensor(angles), torch.tensor(kinds)
    return rows


class Descent:
    """AdamW with clipped gradients and a rate that rises over 100 steps and falls from then on."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], stage: Stage) -> None:
        self.parameters, self.stage, self.done = list(parameters), stage, 0
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.98), weight_decay=0.02)

    def step(self, loss: torch.Tensor) -> None:
        """One step down a loss."""
        self.done += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.rate * min(1, self.done / 100, 1.02 - self.done / self.stage.fall_steps)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def train_tower(model: LlavaForConditionalGeneration, rows: Rows) -> None:
    """Which side is up, and what is the main object? Of turned views, turned and mirrored once more at random."""
    tower = model.model.vision_tower
    up, kind = torch.nn.Linear(WIDTH, 4), torch.nn.Linear(WIDTH, len(KINDS))
    descent = Descent([*tower.parameters(), *up.parameters(), *kind.parameters()], TOWER)
    sides, start = rows.angles // 90, time.time()
    for step in range(1, TOWER.steps + 1):
        chosen, more = torch.randint(len(sides), (TOWER_BATCH,)), int(torch.randint(4, ()))
        views, side = rows.images[chosen, 1].rot90(more, (1, 2)), (sides[chosen] + more) % 4
        if torch.rand(()) < 0.5:
            views, side = views.flip(2), -side % 4
        with torch.autocast("cpu", torch.bfloat16):
            seen = tower(pixels(views), output_hidden_states=True).hidden_states[-1][:, 1:].mean(1)
            loss = cross_entropy(up(seen).float(), side) + cross_entropy(kind(seen).float(), rows.kinds[chosen]) / 2
        descent.step(loss)
        if step % 200 == 0:
            print(f"tower {step} {time.time() - start:.0f}s loss {loss.item():.3f}", flush=True)


def reply_loss(
    model: LlavaForConditionalGeneration, rows: Rows, replies: Sequence[list[int]], chosen: list[int]
) -> torch.Tensor:
    """Mean cross-entropy of the reply tokens; prompts are padded on the left, replies on the right."""
    pad = model.config.pad_token_id
    before = max(len(rows.prompts[i]) for i in chosen)
    keep = max(map(len, replies))
    ids, mask = torch.full((len(chosen), before + keep), pad), torch.zeros(len(chosen), before + keep, dtype=torch.long)
    for row, (i, reply) in enumerate(zip(chosen, replies, strict=True)):
        text, start = rows.prompts[i] + reply, before - len(rows.prompts[i])
        ids[row, start : start + len(text)] = torch.tensor(text)
        mask[row, start : start + len(text)] = 1
    labels = torch.where(mask == 1, ids, -100)[:, before:]
    with torch.autocast("cpu", torch.bfloat16):
        seen = pixels(rows.images[chosen].flatten(0, 1))
        logits = model(input_ids=ids, attention_mask=mask, pixel_values=seen, logits_to_keep=keep + 1).logits[:, :-1]
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)


def evaluate(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    task: VisionTask[Any],
    count: int = 500,
    max_new_tokens: int = 48,
) -> dict[str, Any]:
    """Score and readable share of greedy replies, and how often what they name is what is to be seen."""
    model.eval()
    scores, named = [], 0
    for start in range(0, count, 100):
        examples = [task.example(i) for i in range(start, min(start + 100, count))]
        inputs = processor.apply_chat_template(
            [example.messages() for example in examples],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        replies = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for reply, example in zip(replies, examples, strict=True):
            scores.append(task.score(reply, example))
            named += reply.startswith(f"<think>{name_content(task, example)}</think>")
    model.train()
    return {
        "score": float(np.mean([score.value for score in scores])),
        "parsed": float(np.mean([score.outcome is not Outcome.UNPARSED for score in scores])),
        "named": named / count,
        "reply": replies[0],
    }


def train_stage(model: LlavaForConditionalGeneration, prepared: Sequence[Rows], stage: Stage, seed: int) -> None:
    """The steps of one stage, each on a batch of one task."""
    rng, start = np.random.default_rng(seed), time.time()
    next_row, descent = [0] * len(MIXTURE), Descent(model.parameters(), stage)
    for step in range(1, stage.steps + 1):
        drawn = int(rng.choice(len(MIXTURE), p=stage.shares))
        rows = prepared[drawn]
        chosen = [i % len(rows.replies) for i in range(next_row[drawn], next_row[drawn] + BATCH)]
        next_row[drawn] += BATCH
        replies = [(rows.mirrored if rng.random() < stage.mirrored else rows.replies)[i] for i in chosen]
        loss = reply_loss(model, rows, replies, chosen)
        descent.step(loss)
        if step % 50 == 0:
            kind, level, _ = MIXTURE[drawn]
            print(f"step {step} {time.time() - start:.0f}s {kind.name}@{level} {loss.item():.3f}", flush=True)


def main() -> None:
    """Reads the options and makes the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)
    source, start = scenes(SCENES), time.time()
    tokenizer = make_tokenizer(phrases(source), reply_words())
    processor, model = make_processor(tokenizer), make_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    tasks = [kind(source, level=level) for kind, level, _ in MIXTURE]
    held_out = [kind(source, level=level, split="val") for kind, level, _ in MIXTURE]
    prepared = [prepare(task, processor, count) for task, (_, _, count) in zip(tasks, MIXTURE, strict=True)]
    print(f"examples prepared in {time.time() - start:.0f}s", flush=True)
    train_tower(model, prepared[0])
    for stage in STAGES:
        train_stage(model, prepared, stage, options.seed)
        # bfloat16 halves the file; the recipe loads it as float32.
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(options.output)
        processor.save_pretrained(options.output)
        scores = {task.label: evaluate(model, processor, task) for task in held_out}
        print(json.dumps(scores, indent=1), flush=True)


if __name__ == "__main__":
    main()
