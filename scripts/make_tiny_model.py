"""Make the embedded model: a tokenizer, a small Qwen3, and a supervised warm start on gold replies.

    python scripts/make_tiny_model.py --output FOLDER [--minutes 30]

The replies are those of the embedded graph's training split, and their reasoning names what a prompt shows: the
subject that each text is about. Bare yes and no taught the same model nothing in as many steps. Training stops as
soon as greedy `link` answers on the val split reach --stop-at, which leaves GRPO something to do.
"""

import argparse
import json
import pydoc_data.topics
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AddedToken, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

from ssl4rl.answers import OPTION_LETTERS
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.example import Example, Outcome
from ssl4rl.graph.task import GraphTask
from ssl4rl.graph.tasks.attribute import Attribute
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor

VOCABULARY = 2048
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part.get('text', '') }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MIXTURE: list[tuple[type[GraphTask], str, float]] = [
    (Link, "medium", 0.4),
    (Neighbor, "easy", 0.15),
    (Neighbor, "medium", 0.15),
    (Attribute, "easy", 0.15),
    (Attribute, "medium", 0.15),
]
ANSWER_WEIGHT = 6.0
"""Of an answer's tokens in the loss, once --name-steps are over: they are few, and comparing names is learned last."""
FIRST_STEPS = 150
"""Steps on link and neighbor prompts that show no context: shorter, and naming a text's subject is learned first."""


def make_tokenizer(prompts: list[str]) -> PreTrainedTokenizerFast:
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


def gold_reply(task: GraphTask, example: Example) -> str:
    """The gold answer after reasoning that names subjects: of the asked node first, then of those it is compared with.

    Lines begin as the prompt's do, so that a small model finds what follows by looking it up, and say where a subject
    is the first one's again.
    """
    graph, meta = task.source, example.meta
    number = {node: local for local, node in meta["nodes"].items()}
    asked = meta.get("asked") or meta.get("masked") or [meta["target"]]
    labelled = [(f"[{number[node]}]", node) for node in asked]
    labelled += [(f"{letter}:", node) for letter, node in zip(OPTION_LETTERS, meta.get("candidates", []), strict=False)]
    subjects = [str(graph.label_names[int(graph.labels[node])]) for _, node in labelled]
    same = ["", *(" same" if subject == subjects[0] else "" for subject in subjects[1:])]
    lines = [f"{label} {subject}{mark}" for (label, _), subject, mark in zip(labelled, subjects, same, strict=True)]
    return "<think>\n" + "\n".join(lines) + f"</think><answer>{task.gold(example)}</answer>"


def encode(tokenizer, example: Example, reply: str) -> tuple[list[int], list[int]]:
    prompt = tokenizer.apply_chat_template(example.messages(), add_generation_prompt=True, return_dict=False)
    return prompt, tokenizer.encode(reply + "<|im_end|>")


def reply_loss(model, tokenizer, rows: list[tuple[list[int], list[int]]], answer_weight: float) -> torch.Tensor:
    """Mean cross-entropy of the reply tokens; rows are padded on the left, so only the last logits are computed."""
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


@torch.inference_mode()
def evaluate(model, tokenizer, task: GraphTask, count: int = 200, max_new_tokens: int = 48) -> dict[str, float]:
    model.eval()
    examples = [task.example(i) for i in range(count)]
    texts = [tokenizer.apply_chat_template(e.messages(), add_generation_prompt=True, tokenize=False) for e in examples]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
    output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    replies = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    scores = [task.score(reply, example) for reply, example in zip(replies, examples, strict=True)]
    model.train()
    return {
        "score": float(np.mean([score.value for score in scores])),
        "parsed": float(np.mean([score.outcome is not Outcome.UNPARSED for score in scores])),
        "chance": float(np.mean([task.chance(example) for example in examples])),
        "reply": replies[0],
        "prompt_tokens": int(inputs["attention_mask"].sum(1).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--stop-at", type=float, default=0.62)
    parser.add_argument("--name-steps", type=int, default=300, help="steps in which all reply tokens count alike")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)
    graph = default_graph()
    tasks = [(kind(graph, level=level), weight) for kind, level, weight in MIXTURE]
    first = [kind(graph, level="medium", knobs={"num_hops": 0}) for kind in (Link, Neighbor)]
    held_out = [kind(graph, split="val", level=level) for kind, level, _ in MIXTURE]
    prompts = [task.example(i).text + gold_reply(task, task.example(i)) for task, _ in tasks for i in range(400)]
    tokenizer = make_tokenizer(prompts)
    model = make_model(tokenizer)
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    rng = np.random.default_rng(options.seed)
    weights = np.array([weight for _, weight in tasks])
    start, next_index, log = time.time(), 0, []
    for step in range(1, 100_000):
        rate = options.lr * min(1.0, step / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # One task a batch: rows of one length pad little.
        task = first[step % 2] if step <= FIRST_STEPS else tasks[rng.choice(len(tasks), p=weights)][0]
        rows = []
        for _ in range(options.batch):
            example = task.example(next_index)
            rows.append(encode(tokenizer, example, gold_reply(task, example)))
            next_index += 1
        loss = reply_loss(model, tokenizer, rows, ANSWER_WEIGHT if step > options.name_steps else 1.0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            print(f"step {step} {time.time() - start:.0f}s {task.label} loss {loss.item():.3f}", flush=True)
        if step % 100 == 0 or (step > options.name_steps and step % 50 == 0):
            scores = {task.label: evaluate(model, tokenizer, task) for task in held_out[: 5 if step % 300 == 0 else 2]}
            for label, score in scores.items():
                print(f"   {label}: {score}", flush=True)
            log.append({"step": step, "seconds": round(time.time() - start), "scores": scores})
            model.save_pretrained(options.output / f"step-{step}")
            tokenizer.save_pretrained(options.output / f"step-{step}")
            (options.output / "log.json").write_text(json.dumps(log, indent=1))
            link = scores[held_out[0].label]
            good = link["score"] >= options.stop_at and link["parsed"] >= 0.95
            if good or time.time() - start > options.minutes * 60:
                break
    # bfloat16 halves the file; the recipe loads it as float32.
    model.to(torch.bfloat16).save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)


if __name__ == "__main__":
    main()
