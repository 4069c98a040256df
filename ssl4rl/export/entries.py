"""The functions by which other trainers call the scorer. They are the second half of ``ssl4rl_scorer.py``.

The first half is :mod:`ssl4rl.answers`. So this file keeps to the same rules: the standard library and Python 3.10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ssl4rl.answers import Score, Scoring, score

REWARD_NAME = "ssl4rl"
REWARD_TYPE = "batch"
# EasyR1 reads both from the file.

SPECIAL_TOKEN = re.compile(
    r"(?:<[|｜][^<>|｜]{1,40}[|｜]>|</?s>|<(?:eos|pad|end_of_(?:turn|utterance)|turn\|)>|\[(?:EOS|PAD)\])$"
)
LONGEST_TOKEN = 50
TAILS = (400, 200, 100, 50)


def scored(reply: str, ground_truth: str) -> Score:
    """The score of a reply; ``ground_truth`` is the JSON of the call: ``["score_cell", {"cell": [1, 2]}]``."""
    function, arguments = json.loads(ground_truth)
    return score(reply, Scoring(function, arguments))


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
) -> float:
    """The reward of one reply, as verl asks for it. Only the reply and the ground truth decide it."""
    return scored(solution_str, ground_truth).value


def trl_reward(completions: Sequence[Any], ground_truth: Sequence[str], **columns: Any) -> list[float]:
    """The rewards of a batch, as TRL asks for them: each completion is a text, or a conversation."""
    return [scored(text_of(each), truth).value for each, truth in zip(completions, ground_truth, strict=True)]


def text_of(completion: Any) -> str:
    """The text of a completion."""
    content = completion if isinstance(completion, str) else completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or [])


def easyr1_reward(reward_inputs: Any) -> Any:
    """The rewards of a batch, as EasyR1 asks for them; of one reply where it asks for one at a time."""
    if isinstance(reward_inputs, Mapping):
        found = scored(reward_inputs["response"], reward_inputs["ground_truth"])
        return {"overall": found.value, "accuracy": found.value, "format": float(found.valid)}
    return [easyr1_reward(each) for each in reward_inputs]


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """The rewards of a batch, as OpenRLHF asks for them: a query is a prompt and its reply, special tokens included."""
    asked = zip(queries, prompts, labels, strict=True)
    values = [scored(reply_in(query, prompt), label).value for query, prompt, label in asked]
    rewards = values[0] if len(values) == 1 else values
    return {"rewards": rewards, "scores": rewards}


def reply_in(query: str, prompt: str) -> str:
    """The reply in a query, without the special tokens that end it.

    A processor writes many tokens for the one placeholder of an image, so that a prompt with images is found by its
    end.

    Raises:
        ValueError: if the query does not hold the prompt.
    """
    found = query[len(prompt) :] if query.startswith(prompt) else None
    for length in TAILS:
        _, tail, after = query.partition(prompt[-length:])
        found = after if found is None and tail else found
    if found is None:
        raise ValueError("the query does not hold its prompt, so the reply in it cannot be told")
    reply = found.rstrip()
    while token := SPECIAL_TOKEN.search(reply[-LONGEST_TOKEN:]):
        reply = reply[: len(reply) - len(token[0])].rstrip()
    return reply
