"""Make the embedded vision-language model: a tokenizer, a small LLaVA, and a warm start that names what is seen.

    python scripts/make_tiny_vision_model.py --output FOLDER

First the vision tower alone learns to tell which side of a picture is up and what its main object is (two linear
heads, thrown away afterwards). Then the whole model learns to write replies to the tasks' prompts whose reasoning
names what the pictures show, in parts (see ``PARTS``): mostly `position`, whose matching of a piece with a picture
comes last of all; then mostly `rotation`; then the other tasks and the levels with other forms of answers, with little
`rotation`, so that some of it is forgotten. In these last parts two thirds of the answers to `position` name the wrong
side, left for right: where the piece was seen is learned, and which answer follows is left to GRPO.
"""

import argparse
import copy
import json
import pydoc_data.topics
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    AddedToken,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen3Config,
    set_seed,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from ssl4rl.data.images.scenes import KINDS, draw_scene, drawn_scenes
from ssl4rl.example import Example, Outcome
from ssl4rl.vision.image_set import ImageSet, IntArray
from ssl4rl.vision.task import VisionTask
from ssl4rl.vision.tasks.contrastive import Contrastive
from ssl4rl.vision.tasks.jigsaw import Jigsaw
from ssl4rl.vision.tasks.position import QUADRANTS, Position
from ssl4rl.vision.tasks.rotation import Rotation

VOCABULARY = 1024
SIDE, PATCH, WIDTH = 56, 14, 96
MEAN, SPREAD = 0.5, 0.25
CONTEXT = 2048
IMAGE = "<image>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TASKS: tuple[type[VisionTask], ...] = (Rotation, Position, Jigsaw, Contrastive)
MIXTURE: list[tuple[type[VisionTask], str, int]] = [
    (Rotation, "medium", 24_000),
    (Position, "medium", 16_000),
    (Position, "easy", 16_000),
    (Contrastive, "medium", 3_000),
    (Jigsaw, "medium", 3_000),
    (Rotation, "hard", 1_000),
    (Position, "hard", 1_000),
    (Jigsaw, "hard", 1_000),
]
"""Task, level, and examples that are prepared."""


@dataclass(frozen=True)
class Part:
    """Steps of one kind."""

    steps: int
    rate: float
    falls: int
    """The learning rate falls as if there were that many steps."""
    shares: tuple[float, ...]
    """Of the steps, by entry of ``MIXTURE``."""
    mirrored: float = 0.0
    """Share of the answers to `position` that have left for right."""


TOWER = Part(2000, 1.5e-3, 5000, (1,))
PARTS = (
    Part(800, 1e-3, 1500, (0.1, 0.4, 0.5, 0, 0, 0, 0, 0)),
    Part(100, 9e-4, 300, (0.55, 0.22, 0.13, 0.05, 0.05, 0, 0, 0)),
    Part(150, 6e-4, 150, (0.03, 0.38, 0.12, 0.15, 0.16, 0.03, 0.05, 0.08), mirrored=0.65),
    Part(300, 1.2e-3, 300, (0.02, 0.16, 0.02, 0.26, 0.34, 0.02, 0.12, 0.06), mirrored=0.65),
)
SCENES = 12_000
"""More than the embedded set has; a picture that is held out there is held out here."""
TOWER_BATCH, BATCH = 128, 64
SIDES = ("above", "left", "below", "right")
"""Where the sky is after a turn counter-clockwise by 0, 90, 180 and 270 degrees."""


class Drawn:
    """The scenes, each drawn once and kept."""

    def __init__(self) -> None:
        self.kept: dict[int, Image.Image] = {}

    def open(self, index: int, side: int | None) -> Image.Image:
        if index not in self.kept:
            self.kept[index] = draw_scene(index)
        return self.kept[index]

    def describe(self, index: int) -> str:
        return f"scene {index}"

    def take(self, indices: IntArray) -> "Drawn":
        raise NotImplementedError("the scenes are used as a whole")


def scenes(count: int) -> ImageSet:
    """As the tasks see them by default, but quicker."""
    drawn = drawn_scenes(count)
    return ImageSet(drawn.name, Drawn(), drawn.hashes, drawn.labels, drawn.label_names)


def phrases(source: ImageSet) -> list[str]:
    """The sentences and parts of sentences, up to a number or a tag, that the tasks' prompts have at any level."""
    found: dict[str, None] = {}
    for kind in TASKS:
        for level in kind.levels:
            task = kind(source, level=level)
            for part in (part for index in range(3) for part in task.example(index).parts if isinstance(part, str)):
                found |= dict.fromkeys(re.split(r"[0-9][0-9.,×]*|</?[a-z]+>|(?<=[.:?;]) ", part))
    return [phrase for phrase in found if len(phrase.strip()) > 5]


def words() -> list[str]:
    """What replies are made of, each as it stands between tags, spaces and commas."""
    angles = [str(angle) for angle in range(0, 360, 45)]
    numbers = [str(number) for number in range(10)]
    quarters = [quarter for row in QUADRANTS for quarter in row]
    seen = [f"sky {side}" for side in SIDES] + [f"{row} {side}" for row in ("high", "low") for side in SIDES]
    return [
        *angles,
        *numbers,
        ", ".join(numbers),
        *quarters,
        *seen,
        *KINDS,
        ", ".join(KINDS),
        "high, low, high",
        "yes",
        "no",
    ]


def make_tokenizer(phrases: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any UTF-8 round-trips; every phrase of the tasks' prompts is one token besides.

    A prompt is then hardly longer than its pictures, which is what a step costs. The rest of the vocabulary is trained
    on the replies' words and on Python's own English help pages.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS) - len(phrases),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    often = ["<|im_start|>user\n<|im_start|>assistant\n", "Piece 1:", *words()] * 5000
    tokenizer.train_from_iterator([*often, *pydoc_data.topics.topics.values()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", IMAGE],
        model_max_length=CONTEXT,
        padding_side="left",
    )
    fast.add_tokens([AddedToken(text, normalized=False, special=False) for text in (*TAGS, *phrases)])
    return fast


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Every picture is scaled to one size, whatever its shape."""
    square = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessorPil(size=square, crop_size=square, image_mean=[MEAN] * 3, image_std=[SPREAD] * 3)
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    text = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=WIDTH // 32,
        num_key_value_heads=WIDTH // 32,
        head_dim=32,
        intermediate_size=WIDTH * 5 // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=True,
        dtype="float32",
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    # As strong as what a patch shows, and not a twentieth of it: where things are is what all the tasks are about.
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=0.3)
    return model


def pixels(small: torch.Tensor) -> torch.Tensor:
    """[N, SIDE, SIDE, 3] bytes as the processor hands them to the model."""
    return (small.permute(0, 3, 1, 2).float() / 255 - MEAN) / SPREAD


def shrunk(images: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(
        np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images])
    )


def naming(task: VisionTask, example: Example) -> str:
    """What there is to be seen that the question is about."""
    meta = example.meta
    if isinstance(task, Rotation):
        return f"sky {SIDES[round(meta['angle'] / 90) % 4]}"
    if isinstance(task, Position):
        left, top, right, bottom = meta["box"]
        return f"{'high' if top + bottom < 1 else 'low'} {'left' if left + right < 1 else 'right'}"
    if isinstance(task, Jigsaw):
        n = task.knobs.n
        return ", ".join("high" if (place - 1) // n < n / 2 else "low" for place in meta["order"])
    return ", ".join(str(task.source.label_of(picture)) for picture in meta["pictures"])


def mirrored(task: Position, answer: str) -> str:
    """The answer with left for right."""
    if task.knobs.named:
        row, column = answer.split()
        return f"{row} {'right' if column == 'left' else 'left'}"
    row, column = answer.split(", ")
    return f"{row}, {task.knobs.n + 1 - int(column)}"


@dataclass
class Rows:
    """Prepared examples of one task."""

    pictures: torch.Tensor
    """[N, pictures of an example, SIDE, SIDE, 3], bytes."""
    prompts: list[list[int]]
    replies: list[list[int]]
    mirrored: list[list[int]]
    """The replies with mirrored answers; of tasks other than `position`, as they are."""
    angles: torch.Tensor
    kinds: torch.Tensor


def prepare(task: VisionTask, processor: LlavaProcessor, count: int) -> Rows:
    rows = Rows(torch.empty(0), [], [], [], torch.empty(0), torch.empty(0))
    pictures, angles, kinds = [], [], []
    for index in range(count):
        example = task.example(index)
        text = processor.apply_chat_template(example.messages(), add_generation_prompt=True, tokenize=False)
        rows.prompts.append(processor.tokenizer.encode(text.replace(IMAGE, IMAGE * (SIDE // PATCH) ** 2)))
        gold = task.gold(example)
        other = mirrored(task, gold) if isinstance(task, Position) else gold
        for replies, answer in ((rows.replies, gold), (rows.mirrored, other)):
            reply = f"<think>{naming(task, example)}</think><answer>{answer}</answer><|im_end|>"
            replies.append(processor.tokenizer.encode(reply))
        pictures.append(shrunk(example.images))
        angles.append(example.meta.get("angle", 0))
        kinds.append(KINDS.index(str(task.source.label_of(example.meta["pictures"][0]))))
    rows.pictures, rows.angles, rows.kinds = torch.stack(pictures), torch.tensor(angles), torch.tensor(kinds)
    return rows


class Descent:
    """AdamW with clipped gradients and a rate that rises over 100 steps and falls from then on."""

    def __init__(self, parameters: Any, part: Part) -> None:
        self.parameters, self.part, self.done = list(parameters), part, 0
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.98), weight_decay=0.02)

    def step(self, loss: torch.Tensor) -> None:
        self.done += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.part.rate * min(1, self.done / 100, 1.02 - self.done / self.part.falls)
        loss.backward()
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
        views, side = rows.pictures[chosen, 1].rot90(more, (1, 2)), (sides[chosen] + more) % 4
        if torch.rand(()) < 0.5:
            views, side = views.flip(2), -side % 4
        with torch.autocast("cpu", torch.bfloat16):
            seen = tower(pixels(views), output_hidden_states=True).hidden_states[-1][:, 1:].mean(1)
            loss = cross_entropy(up(seen).float(), side) + cross_entropy(kind(seen).float(), rows.kinds[chosen]) / 2
        descent.step(loss)
        if step % 200 == 0:
            print(f"tower {step} {time.time() - start:.0f}s loss {loss.item():.3f}", flush=True)


def reply_loss(
    model: LlavaForConditionalGeneration, rows: Rows, replies: list[list[int]], chosen: list[int]
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
        seen = pixels(rows.pictures[chosen].flatten(0, 1))
        logits = model(input_ids=ids, attention_mask=mask, pixel_values=seen, logits_to_keep=keep + 1).logits[:, :-1]
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)


@torch.inference_mode()
def evaluate(model, processor, task: VisionTask, count: int = 500, max_new_tokens: int = 48) -> dict[str, Any]:
    """Score and readable share of greedy replies, and how often what they name is what there is to be seen."""
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
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        replies = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for reply, example in zip(replies, examples, strict=True):
            scores.append(task.score(reply, example))
            named += reply.startswith(f"<think>{naming(task, example)}</think>")
    model.train()
    return {
        "score": float(np.mean([score.value for score in scores])),
        "parsed": float(np.mean([score.outcome is not Outcome.UNPARSED for score in scores])),
        "named": named / count,
        "reply": replies[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)
    source, start = scenes(SCENES), time.time()
    tokenizer = make_tokenizer(phrases(source))
    processor, model = make_processor(tokenizer), make_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    tasks = [kind(source, level=level) for kind, level, _ in MIXTURE]
    held_out = [kind(source, level=level, split="val") for kind, level, _ in MIXTURE]
    prepared = [prepare(task, processor, count) for task, (_, _, count) in zip(tasks, MIXTURE, strict=True)]
    print(f"examples prepared in {time.time() - start:.0f}s", flush=True)
    train_tower(model, prepared[0])
    for part in PARTS:
        rng = np.random.default_rng(options.seed)
        at, descent = [0] * len(MIXTURE), Descent(model.parameters(), part)
        for step in range(1, part.steps + 1):
            which = int(rng.choice(len(MIXTURE), p=part.shares))
            rows = prepared[which]
            chosen = [i % len(rows.replies) for i in range(at[which], at[which] + BATCH)]
            at[which] += BATCH
            replies = [(rows.mirrored if rng.random() < part.mirrored else rows.replies)[i] for i in chosen]
            loss = reply_loss(model, rows, replies, chosen)
            descent.step(loss)
            if step % 50 == 0:
                print(f"step {step} {time.time() - start:.0f}s {tasks[which].label} {loss.item():.3f}", flush=True)
        # bfloat16 halves the file; the recipe loads it as float32.
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(options.output)
        processor.save_pretrained(options.output)
        scores = {task.label: evaluate(model, processor, task) for task in held_out}
        print(json.dumps(scores, indent=1), flush=True)


if __name__ == "__main__":
    main()
