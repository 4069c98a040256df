"""How should a prompt ask for its reply? Several wordings of the last sentence, on small instruct models.

    python experiments/make_qwen.py --output QWEN
    python experiments/make_smollm2.py --output SMOLLM2
    python -m experiments.reply_form --models Qwen2.5-Coder-0.5B=QWEN SmolLM2-135M=SMOLLM2 [--limit 100] [--runs RUNS]

Every wording ends the same prompts: link prediction, neighbor prediction and node classification on Cora. The best two
with reasoning, the best two for the answer alone and the ones in use also end those of the other tasks and benchmarks,
and the best two with reasoning are asked again on three times as many fresh prompts. Best is, by a rule fixed
beforehand, the mean share of valid replies over those three and all models, then the shorter reply. Replies are greedy,
in bfloat16; they are kept in RUNS as they come, and a second call goes on from there. The models are dequantised (Qwen
from Q4_K_M, SmolLM2 from Q4_1). Data: SSL4RL_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ssl4rl
from ssl4rl.answers import Scoring, score
from ssl4rl.build import AnyTask
from ssl4rl.data.graphs.fetch import fetch
from ssl4rl.data.graphs.store import graph_folder
from ssl4rl.environment import environment
from ssl4rl.example import Example
from ssl4rl.inference.engines import Engine, Sampling, open_engine
from ssl4rl.prompts import reply_form

REASONING, DIRECT = "reasoning", "answer only"
REASONING_TOKENS = 96

MARK = "\x1f"
"""Stands around what a prompt asks for, until a wording is put there."""


@dataclass(frozen=True)
class Wording:
    """A last sentence, and what it calls the answer of a question with lettered options."""

    kind: str
    sentence: str
    letter: str = "one letter"

    def write(self, answer: str, letters: Sequence[str]) -> str:
        """The sentence for an answer that the task calls ``answer``, one of ``letters`` if it is a letter."""
        if answer.startswith("one letter"):
            answer = self.letter.format(last=letters[-1], each="/".join(letters))
        return self.sentence.format(answer=answer)

    @property
    def thought(self) -> str:
        """The form's placeholder for the reasoning, with its tags; empty if it has none."""
        found = re.search("<think>.+</think>", self.sentence)
        return found[0] if found else ""

    @property
    def name(self) -> str:
        return self.write("one letter", "ABCD").replace("\n", " ⏎ ")


LITERAL = "Reply in exactly this form: <think>your reasoning</think><answer>{answer}</answer>"
SENTENCE = "Reply in exactly this form: <think>one sentence of reasoning</think><answer>{answer}</answer>"
RANGE = "one letter from A to {last}"

WORDINGS = (
    Wording(REASONING, "Reason inside <think></think>, then give {answer} inside <answer></answer>."),
    Wording(
        REASONING, "Think it through briefly, then finish with your answer, {answer}, between <answer> and </answer>."
    ),
    Wording(
        REASONING,
        "Reason first, then answer with {answer}. Reply in this form:\n<think>...</think>\n<answer>...</answer>",
    ),
    Wording(REASONING, LITERAL.replace("form: ", "form:\n").replace("><", ">\n<")),
    Wording(REASONING, LITERAL),
    Wording(REASONING, LITERAL, "{each}"),
    Wording(REASONING, LITERAL, RANGE),
    Wording(REASONING, LITERAL.replace("your reasoning", "your reasoning in one sentence"), RANGE),
    Wording(REASONING, SENTENCE),
    Wording(REASONING, SENTENCE, RANGE),
    Wording(DIRECT, "Give {answer} inside <answer></answer> and nothing else."),
    Wording(DIRECT, "Reply in exactly this form: <answer>{answer}</answer>"),
    Wording(DIRECT, "Answer with {answer} only, without an explanation."),
    Wording(DIRECT, "Answer with {answer} and nothing else."),
    Wording(DIRECT, "Answer with {answer} and nothing else.", RANGE),
)


@dataclass(frozen=True)
class Case:
    """A task or benchmark whose prompts are asked."""

    name: str
    dataset: str = "cora"
    level: str | None = None
    is_benchmark: bool = False
    answer_tokens: int = 12
    """Tokens that a reply may have without reasoning."""

    @property
    def label(self) -> str:
        level = f"@{self.level}" if self.level else ""
        return f"{self.name}{level}{' benchmark' if self.is_benchmark else ''}, {self.dataset}"

    def examples(self, first: int, count: int) -> list[tuple[Example, str, str]]:
        """``count`` examples, each with its prompt up to the last sentence and what that asks for."""
        task: AnyTask
        if self.is_benchmark:
            task = ssl4rl.benchmark(self.name, self.dataset, self.level, text_budget=140)
            count = min(count, task.size - first)
        else:
            task = ssl4rl.task(self.name, self.dataset, self.level, "val", text_budget=140)
        # The one place that words the form of a reply.
        task.form = lambda answer: f"{MARK}{answer}{MARK}"  # type: ignore[method-assign]
        found = []
        for index in range(first, first + count):
            example = task.example(index)
            start, answer, _ = example.text.split(MARK)
            found.append((example, start, answer))
        return found


FIRST = (Case("link", level="easy"), Case("neighbor", level="easy"), Case("node", is_benchmark=True))
"""All wordings are tried on these."""
OTHERS = (
    Case("attribute", level="easy"),
    Case("link", is_benchmark=True),
    Case("link", "wn18rr", "relation"),
    Case("relation", "wn18rr", is_benchmark=True),
    Case("relation", "fb15k237", is_benchmark=True),
    Case("neighbor", level="hard", answer_tokens=16),
    Case("attribute", level="hard", answer_tokens=24),
    Case("attribute", level="generate", answer_tokens=64),
)
CONFIRMED = (*FIRST, OTHERS[0])
"""The best two with reasoning are asked again on these, on prompts that had no part in the choice."""


class Replies:
    """Greedy replies of one model, kept in a file."""

    def __init__(self, model: str, path: Path, engine: str) -> None:
        self.model, self.path, self._engine_name = model, path, engine
        self._engine: Engine | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._kept: dict[str, dict[str, Any]] = {line["key"]: line for line in map(json.loads, lines)}

    def to(self, prompts: Sequence[str], max_new_tokens: int) -> list[dict[str, Any]]:
        """The reply to each prompt: ``reply``, ``tokens`` and ``truncated``."""
        keys = [hashlib.sha256(f"{max_new_tokens}\n{prompt}".encode()).hexdigest() for prompt in prompts]
        missing = [place for place, key in enumerate(keys) if key not in self._kept]
        if missing:
            self._engine = self._engine or open_engine(self._engine_name, self.model, dtype="bfloat16")
            conversations = [[{"role": "user", "content": prompts[place]}] for place in missing]
            with self.path.open("a") as file:
                for number, reply in self._engine.stream(conversations, Sampling(max_new_tokens)):
                    key = keys[missing[number]]
                    line = {"key": key, "reply": reply.text, "tokens": reply.num_tokens, "truncated": reply.truncated}
                    self._kept[key] = line
                    file.write(json.dumps(line) + "\n")
                    file.flush()
        return [self._kept[key] for key in keys]


def letters_of(example: Example) -> Sequence[str]:
    """What the example's options are called."""
    arguments = example.scoring.arguments
    letters: Sequence[str] = arguments.get("choices") or arguments.get("candidates") or arguments.get("values") or ()
    return letters


def measure(
    replies: Replies, case: Case, wordings: Sequence[Wording], examples: Sequence[tuple[Example, str, str]]
) -> list[dict[str, Any]]:
    """One row for each wording."""
    rows = []
    for kind, reasoning_tokens in ((REASONING, REASONING_TOKENS), (DIRECT, 0)):
        # All wordings of a prompt in a row: an engine that caches prefixes runs what they share once.
        asked = [
            (wording, example, start + wording.write(answer, letters_of(example)))
            for example, start, answer in examples
            for wording in wordings
            if wording.kind == kind
        ]
        given = replies.to([prompt for *_, prompt in asked], reasoning_tokens + case.answer_tokens)
        answered = [(*each, reply) for each, reply in zip(asked, given, strict=True)]
        for wording in wordings:
            cell = [(example, reply) for each, example, _, reply in answered if each == wording]
            if cell:
                rows.append({"case": case.label, "kind": kind, "wording": wording.name, **summary(cell, wording)})
    return rows


def summary(cell: Sequence[tuple[Example, dict[str, Any]]], wording: Wording) -> dict[str, Any]:
    """Shares of replies that were read, valid, cut off and copied, mean score and length, and the commonest answer.

    A copied reply is one whose reasoning is the form's own placeholder.
    """
    given: Counter[str] = Counter()
    results = []
    for example, reply in cell:
        arguments = {**example.scoring.arguments, "bare": wording.kind == DIRECT}
        result = score(reply["reply"], Scoring(example.scoring.function, arguments))
        results.append(result)
        if result.valid:
            given[str(result.answer).lower()] += 1
    count = len(cell)
    common = given.most_common(1)
    unread = Counter(
        reply["reply"][:60] if result.answer is None else f"<answer>{result.answer[:60]}</answer>"
        for (_, reply), result in zip(cell, results, strict=True)
        if not result.valid
    )
    return {
        "n": count,
        "parsed": sum(result.parsed for result in results) / count,
        "valid": sum(result.valid for result in results) / count,
        "score": sum(result.value for result in results) / count,
        "chance": sum(example.chance for example, _ in cell) / count,
        "tokens": sum(reply["tokens"] for _, reply in cell) / count,
        "truncated": sum(reply["truncated"] for _, reply in cell) / count,
        "copied": sum(bool(wording.thought) and wording.thought in reply["reply"].lower() for _, reply in cell) / count,
        "commonest": [common[0][0], common[0][1] / count] if common else None,
        "not_valid": unread.most_common(4),
        "replies": [reply["reply"] for _, reply in cell[:3]],
    }


def best(rows: Sequence[dict[str, Any]], kind: str, count: int = 2) -> list[Wording]:
    """The wordings of a kind with the largest mean share of valid replies; of equal ones those with shorter replies."""
    tried = [case.label for case in FIRST]

    def rank(wording: Wording) -> tuple[float, float]:
        own = [row for row in rows if row["kind"] == kind and row["wording"] == wording.name and row["case"] in tried]
        return -sum(row["valid"] for row in own) / len(own), sum(row["tokens"] for row in own) / len(own)

    return sorted((wording for wording in WORDINGS if wording.kind == kind), key=rank)[:count]


def in_use(wording: Wording) -> bool:
    """Whether it is the sentence that the package's prompts end with."""
    return wording.sentence == reply_form("{answer}", wording.kind == REASONING)


def show(row: dict[str, Any]) -> None:
    common = "-" if row["commonest"] is None else f"{row['commonest'][0][:10]} {row['commonest'][1]:.2f}"
    print(
        f"{row['model']}, {row['case']}, n={row['n']}: read {row['parsed']:.2f}, valid {row['valid']:.2f}, "
        f"score {row['score']:.3f} (chance {row['chance']:.2f}), {row['tokens']:.0f} tokens, {row['truncated']:.2f} "
        f"cut off, {row['copied']:.2f} copied, commonest {common} | {row['kind']}: {row['wording']}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--limit", type=int, default=100, help="prompts of each task and benchmark")
    parser.add_argument("--first-only", action="store_true", help="every wording on three tasks, and no other task")
    parser.add_argument("--runs", type=Path, default=Path("runs/reply_form"))
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSL4RL_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("experiments/results/reply_form.json"))
    options = parser.parse_args()
    for dataset in sorted({case.dataset for case in (*FIRST, *OTHERS)}):
        if not graph_folder(dataset).is_dir():
            fetch(dataset, options.data / "taglas")
    models = dict(each.split("=", 1) for each in options.models)
    replies = {name: Replies(path, options.runs / f"{name}.jsonl", options.engine) for name, path in models.items()}
    rows: list[dict[str, Any]] = []

    def run(case: Case, wordings: Sequence[Wording], first: int = 0, count: int = options.limit) -> None:
        examples = case.examples(first, count)
        for name, of_model in replies.items():
            for row in measure(of_model, case, wordings, examples):
                rows.append({"model": name, "first": first, **row})
                show(rows[-1])
        result = {"environment": environment(), "rows": rows}
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")

    for case in FIRST:
        run(case, WORDINGS)
    chosen = [wording for kind in (REASONING, DIRECT) for wording in best(rows, kind)]
    chosen += [wording for wording in WORDINGS if wording not in chosen and in_use(wording)]
    print("best, and in use:", *(f"{wording.kind}: {wording.name}" for wording in chosen), sep="\n  ", flush=True)
    if not options.first_only:
        for case in OTHERS:
            run(case, chosen)
        finalists = best(rows, REASONING)
        for case in CONFIRMED:
            run(case, finalists, options.limit, 3 * options.limit)


if __name__ == "__main__":
    main()
