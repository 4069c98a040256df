"""Make the embedded model: a tokenizer, a small Qwen3, and a supervised warm start on gold replies.

    python -m ssl4rl.models.make_tiny --output FOLDER [--minutes 60]

The replies are those of other graphs of the embedded one's generator, and their reasoning names what a prompt shows:
the subject of each text. On a bare yes or no the same model learned nothing in as many steps, so few prompts ask for
the answer alone. First the names alone count, then the answers of tasks with options, too, and at last those of `link`.
Training stops at the first evaluation in which the score of 500 greedy `link` answers on the embedded graph's val split
reaches --stop-at, which leaves GRPO something to do.
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AddedToken, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

from ssl4rl.answers import Outcome
from ssl4rl.data.graphs.citations import citation_graph, default_graph
from ssl4rl.example import Example
from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.graph.task import GraphTask
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.prompts import OPTION_LETTERS

VOCABULARY = 2048
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part.get('text', '') }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MIXTURE: tuple[tuple[type[GraphTask[Any]], str, float], ...] = (
    (Link, "medium", 0.4),
    (Neighbor, "easy", 0.15),
    (Neighbor, "medium", 0.15),
    (Attribute, "easy", 0.15),
    (Attribute, "medium", 0.15),
)
"""Task, level, and share of the batches."""
DIRECT_SHARE = 0.1
"""Of the prompts: they ask for the answer alone (`reasoning=false`)."""
ANSWER_WEIGHT = 6.0
"""Of an answer's tokens in the loss once they count, for they are few."""
GRAPHS = 8
"""Other graphs, of seeds 1 to 8; so no text, label or edge of the embedded one is known before GRPO begins."""
FIRST_STEPS, NAME_STEPS, OPTION_STEPS = 400, 1200, 1500
"""Last steps without context, on link and neighbor; of names alone; and of names and the answers with options."""
LOG_EVERY, EVALUATE_EVERY, EVALUATE_LAST_EVERY = 25, 300, 2
"""Steps; the last while the answers of `link` count, which the model learns in some fifty steps."""
LEAST_PARSED = 0.95
"""Share of `link` replies that must be readable before training stops."""

Row = tuple[list[int], list[int]]
"""The tokens of a prompt, and of its reply."""


def make_tokenizer(prompts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any UTF-8 round-trips; trained on our prompts and on Python's own English help pages."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    roles = ["<|im_start|>user\n<|im_start|>assistant\n"] * 500
    tokenizer.train_from_iterator([*prompts, *roles, *pydoc_data.topics.topics.values()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=4096,
        padding_side="left",
    )
    fast.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """The model with random weights."""
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        intermediate_size=384,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def gold_reply(graph: TextAttributedGraph, example: Example) -> str:
    """The gold answer after reasoning that names subjects: of the asked node first, then of those it is compared with.

    Lines begin as the prompt's do, so that a small model finds what follows by looking it up, and say where a subject
    is the first one's again.
    """
    meta = example.meta
    if example.is_bare:
        return example.gold
    if graph.labels is None:
        raise ValueError(f"graph {graph.name} has no labels to name subjects by")
    number = {node: local for local, node in meta["nodes"].items()}
    asked = meta.get("asked") or meta.get("masked") or [meta["target"]]
    labelled = [(f"[{number[node]}]", node) for node in asked]
    labelled += [(f"{letter}:", node) for letter, node in zip(OPTION_LETTERS, meta.get("candidates", []), strict=False)]
    subjects = [str(graph.label_names[int(graph.labels[node])]) for _, node in labelled]
    same = ["", *(" same" if subject == subjects[0] else "" for subject in subjects[1:])]
    lines = [f"{label} {subject}{mark}" for (label, _), subject, mark in zip(labelled, subjects, same, strict=True)]
    return "<think>\n" + "\n".join(lines) + f"</think><answer>{example.gold}</answer>"


def encode(tokenizer: PreTrainedTokenizerFast, example: Example, reply: str) -> Row:
    """Prompt and reply as tokens."""
    prompt = tokenizer.apply_chat_template(example.messages(), add_generation_prompt=True, return_dict=False)
    return prompt, tokenizer.encode(reply + "<|im_end|>")


def reply_loss(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], answer_weight: float
) -> torch.Tensor:
    """Mean cross-entropy of the reply tokens; rows are padded on the left, so only the last logits are computed.

    ``answer_weight`` is the weight of what follows the reasoning; that of the reasoning, and of bare answers, is 1.
    """
    end_of_thought = tokenizer.convert_tokens_to_ids("</think>")
    longest = max(len(prompt) + len(reply) for prompt, reply in rows)
    keep = max(len(reply) for _, reply in rows)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full((len(rows), keep), -100)
    for i, (prompt, reply) in enumerate(rows):
        ids[i, longest - len(prompt) - len(reply) :] = torch.tensor(prompt + reply)
        mask[i, longest - len(prompt) - len(reply) :] = 1
        labels[i, keep - len(reply) :] = torch.tensor(reply)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=keep + 1).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    answers = (labels == end_of_thought).cumsum(1) > 0
    weights = (labels != -100) * torch.where(answers, answer_weight, 1.0)
    return (losses * weights.flatten()).sum() / weights.sum()


def evaluate(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    task: GraphTask[Any],
    count: int = 200,
    max_new_tokens: int = 48,
) -> dict[str, Any]:
    """Score and readable share of greedy replies."""
    model.eval()
    examples = [task.example(i) for i in range(count)]
    texts = [tokenizer.apply_chat_template(e.messages(), add_generation_prompt=True, tokenize=False) for e in examples]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    replies = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    scores = [task.score(reply, example) for reply, example in zip(replies, examples, strict=True)]
    model.train()
    return {
        "score": float(np.mean([score.value for score in scores])),
        "parsed": float(np.mean([score.outcome is not Outcome.UNPARSED for score in scores])),
        "chance": float(np.mean([example.chance for example in examples])),
        "reply": replies[0],
        "prompt_tokens": int(inputs["attention_mask"].sum(1).max()),
    }


def rate(step: int) -> float:
    """What the learning rate is multiplied by: less while answers count, so that training can stop on the way."""
    if step <= NAME_STEPS:
        return min(1.0, step / 50)
    return 0.5 if step <= OPTION_STEPS else 0.1


class WarmStart:
    """The supervised training, until it is good enough or its time is over."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.graph = default_graph()
        graphs = [citation_graph(seed=seed) for seed in range(1, GRAPHS + 1)]
        self.tasks = [[kind(graph, level=level) for graph in graphs] for kind, level, _ in MIXTURE]
        self.direct = [
            [kind(graph, level=level, knobs={"reasoning": False}) for graph in graphs] for kind, level, _ in MIXTURE
        ]
        self.first: list[list[GraphTask[Any]]] = [
            [kind(graph, level="medium", knobs={"num_hops": 0}) for graph in graphs] for kind in (Link, Neighbor)
        ]
        self.held_out = [kind(self.graph, split="val", level=level) for kind, level, _ in MIXTURE]
        self.tokenizer = make_tokenizer(
            [
                task.example(i).text + gold_reply(task.source, task.example(i))
                for task, *_ in (*self.tasks, *self.direct)
                for i in range(400)
            ]
        )
        self.model = make_model(self.tokenizer)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
        self.rng = np.random.default_rng(options.seed)
        self.weights = np.array([weight for _, _, weight in MIXTURE])
        self.start, self.next_index = time.time(), 0
        self.log: list[dict[str, Any]] = []

    def run(self) -> None:
        """Trains, and writes the model."""
        output: Path = self.options.output
        output.mkdir(parents=True, exist_ok=True)
        print(f"{self.model.num_parameters():,} parameters, {len(self.tokenizer)} tokens", flush=True)
        step, done = 0, False
        while not done:
            step += 1
            self._train(step)
            if step % (EVALUATE_EVERY if step <= OPTION_STEPS else EVALUATE_LAST_EVERY) == 0:
                done = self._is_good_enough(step) or time.time() - self.start > self.options.minutes * 60
        # bfloat16 halves the file; the recipe loads it as float32.
        self.model.to(torch.bfloat16).save_pretrained(output)
        self.tokenizer.save_pretrained(output)

    def _train(self, step: int) -> None:
        """One step, on one task of one graph: rows of one length need little padding."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * rate(step)
        if step <= FIRST_STEPS:
            tasks = direct = self.first[step % 2]
        else:
            drawn = self.rng.choice(len(self.tasks), p=self.weights)
            tasks, direct = self.tasks[drawn], self.direct[drawn]
        rows = []
        for _ in range(self.options.batch):
            task = (direct if self.rng.random() < DIRECT_SHARE else tasks)[step % GRAPHS]
            example = task.example(self.next_index)
            rows.append(encode(self.tokenizer, example, gold_reply(task.source, example)))
            self.next_index += 1
        counts = step > (OPTION_STEPS if isinstance(tasks[0], Link) else NAME_STEPS)
        loss = reply_loss(self.model, self.tokenizer, rows, ANSWER_WEIGHT if counts else 0.0)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if step % LOG_EVERY == 0:
            print(f"step {step} {time.time() - self.start:.0f}s {tasks[0].label} loss {loss.item():.3f}", flush=True)

    def _is_good_enough(self, step: int) -> bool:
        """Evaluates on the val split and keeps a checkpoint."""
        output: Path = self.options.output
        asked = self.held_out if step <= OPTION_STEPS else self.held_out[:1]
        scores = {
            task.label: evaluate(self.model, self.tokenizer, task, 500 if task is asked[0] else 200) for task in asked
        }
        for label, score in scores.items():
            print(f"   {label}: {score}", flush=True)
        self.log.append({"step": step, "seconds": round(time.time() - self.start), "scores": scores})
        self.model.save_pretrained(output / f"step-{step}")
        self.tokenizer.save_pretrained(output / f"step-{step}")
        (output / "log.json").write_text(json.dumps(self.log, indent=1), encoding="utf-8")
        link = scores[self.held_out[0].label]
        return bool(link["score"] >= self.options.stop_at and link["parsed"] >= LEAST_PARSED)


def main() -> None:
    """Reads the options and makes the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--stop-at", type=float, default=0.64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)
    WarmStart(options).run()


if __name__ == "__main__":
    main()
