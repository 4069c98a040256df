"""Refill: groups whose rewards are all equal teach nothing, so they are replaced by groups of fresh examples.

After a generation batch is sampled, its flat groups are sampled again from examples that no batch uses; what is flat
again is replaced in the next round. (DAPO, Yu et al. 2025, calls it dynamic sampling.) The module knows neither TRL nor
the engine: it is given a function that samples completions of examples and scores them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ssl4rl.answers import normalise
from ssl4rl.example import ExampleId
from ssl4rl.inference.messages import Messages
from ssl4rl.records import Completion
from ssl4rl.tasks import AnyTask
from ssl4rl.training.reasoning import contradicts

SAME = 1e-6
"""Rewards that differ by less are equal."""

FEWEST_EXAMPLES = 4
"""Of fewer examples of a task, the commonest answer says nothing: a batch may hold one example of it, well solved."""


@dataclass
class Sampled:
    """Completions of a generation batch on this process, a row each; those of an example are neighbours."""

    indices: list[int]
    """The example of each row."""
    prompts: list[Messages]
    prompt_ids: list[list[int]]
    images: list[list[Any]]
    completion_ids: list[list[int]]
    logprobs: list[list[float | None]] | None
    """Of the sampled tokens, where the engine gives them."""
    records: list[Completion]

    def replace(self, at: int, other: Sampled, start: int, count: int) -> None:
        """Puts ``count`` rows of ``other``, from ``start``, in the place of the rows from ``at``."""
        here, there = slice(at, at + count), slice(start, start + count)
        self.indices[here] = other.indices[there]
        self.prompts[here] = other.prompts[there]
        self.prompt_ids[here] = other.prompt_ids[there]
        self.images[here] = other.images[there]
        self.completion_ids[here] = other.completion_ids[there]
        self.records[here] = other.records[there]
        if self.logprobs is not None and other.logprobs is not None:
            self.logprobs[here] = other.logprobs[there]


class FreshExamples:
    """Examples that no generation batch uses, in order. ``position`` is the next index; a checkpoint keeps it."""

    def __init__(self, task: AnyTask, start: int) -> None:
        self.task = task
        self.position = start

    def like(self, index: int) -> int:
        """The next one whose gold answer has the same place as that of example ``index`` (and, in a mixture, its task).

        So a refilled batch has each option as often as before, and no constant answer gains by a refill.
        """
        fresh = self.task.next_like(index, self.position)
        self.position = fresh + 1
        return fresh


@dataclass(frozen=True)
class Refilled:
    """A generation batch after its refill."""

    batch: Sampled
    everything: list[Completion]
    """All that this process sampled, in order, the first batch at first; ``selected`` says which are in the batch."""
    rounds: int
    flat_before: float
    """Share of flat groups among those sampled first, over all processes."""
    flat: list[bool]
    """Whether the group of each of this process's rows is flat."""
    flat_after: float
    """Share of flat groups in the batch, over all processes."""


def refill(
    batch: Sampled, sample: Callable[[Sequence[int]], Sampled], fresh: FreshExamples, size: int, rounds: int
) -> Refilled:
    """Replaces the flat groups of ``size`` completions in a batch, in at most ``rounds`` rounds.

    ``sample`` takes an index for each group. Every process replaces its own groups, but all draw from one sequence of
    fresh examples, so that ``fresh`` is the same everywhere; and all sample equally often and equally much, because an
    engine may span them. A group that is spread over processes cannot be replaced: ``rounds`` has to be 0 then.
    """
    from accelerate import PartialState

    state = PartialState()
    everything = list(batch.records)
    places = list(range(len(everything)))
    groups = _survey(batch, size)
    before = _share(groups)
    done = 0
    # A model none of whose replies can be read would not be read on other prompts either.
    if all(group.flat and not group.valid for group in groups):
        rounds = 0
    while done < rounds and any(group.flat for group in groups):
        each = len(batch.records) // size
        replaced: list[list[tuple[int, int]]] = [[] for _ in range(state.num_processes)]
        for number, group in enumerate(groups):
            if group.flat:
                replaced[number // each].append((number % each, fresh.like(group.index)))
        mine = replaced[state.process_index]
        # What a process samples only to keep pace with another is not used.
        idle = max(map(len, replaced)) - len(mine)
        new = sample([*(index for _, index in mine), *[batch.indices[0]] * idle])
        for place, (number, _) in enumerate(mine):
            batch.replace(number * size, new, place * size, size)
            for row in range(size):
                places[number * size + row] = len(everything)
                everything.append(new.records[place * size + row])
        groups = _survey(batch, size)
        done += 1
    used = set(places)
    everything = [
        record if number in used else record.model_copy(update={"selected": False})
        for number, record in enumerate(everything)
    ]
    first = state.process_index * len(batch.records)
    flat = [groups[(first + row) // size].flat for row in range(len(batch.records))]
    return Refilled(batch, everything, done, before, flat, _share(groups))


@dataclass(frozen=True)
class _Group:
    index: int
    flat: bool
    valid: bool
    """Whether any of its replies holds an allowed answer."""


def _survey(batch: Sampled, size: int) -> list[_Group]:
    """The groups of all processes, in order."""
    from accelerate.utils import gather_object

    own = [(index, record.reward, record.valid) for index, record in zip(batch.indices, batch.records, strict=True)]
    rows = [row for theirs in gather_object([own]) for row in theirs]
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [
        _Group(chunk[0][0], is_flat(reward for _, reward, _ in chunk), any(valid for _, _, valid in chunk))
        for chunk in chunks
    ]


def is_flat(rewards: Iterable[float]) -> bool:
    """Whether the rewards of a group are all equal."""
    values = list(rewards)
    return max(values) - min(values) < SAME


def _share(groups: Sequence[_Group]) -> float:
    return sum(group.flat for group in groups) / len(groups)


def _different_answers(rows: Sequence[tuple[Any, ...]]) -> float:
    """How many different answers the replies to an example give, in the mean."""
    given: dict[ExampleId, set[str]] = {}
    for _, example, _, _, _, answer, _ in rows:
        given.setdefault(example, set()).update([] if answer is None else [normalise(answer)])
    return sum(map(len, given.values())) / len(given)


def batch_metrics(refilled: Refilled, name_of: Callable[[ExampleId], str | None]) -> dict[str, float]:
    """What metrics say about a generation batch of all processes.

    Rewards and shares are those of what was sampled first, and so of an unselected batch. What a refill samples is
    selected too: a policy that favours an answer has its flat groups where that answer is right, and fresh examples
    with the same answer are easy for it. ``name_of`` gives the name that an example's id has in a mixture, None without
    one.
    """
    from accelerate.utils import gather_object

    first = [
        (name_of(record.id), record.id, record.reward, record.parsed, record.valid, record.answer, contradicts(record))
        for record in refilled.everything[: len(refilled.batch.records)]
    ]
    rows = [row for theirs in gather_object([first]) for row in theirs]
    metrics: dict[str, float] = {}
    for name in dict.fromkeys([None, *(row[0] for row in rows)]):
        some = [row for row in rows if name in (None, row[0])]
        suffix = "" if name is None else f"/{name}"
        metrics[f"reward{suffix}"] = sum(row[2] for row in some) / len(some)
        metrics[f"parsed{suffix}"] = sum(row[3] for row in some) / len(some)
        metrics[f"valid{suffix}"] = sum(row[4] for row in some) / len(some)
        if name is None or len({row[1] for row in some}) >= FEWEST_EXAMPLES:
            given = Counter(normalise(row[5]) for row in some if row[5] is not None)
            metrics[f"answers/commonest{suffix}"] = max(given.values(), default=0) / len(some)
        metrics[f"answers/different{suffix}"] = _different_answers(some)
        checked = [row[6] for row in some if row[6] is not None]
        if checked:
            metrics[f"reasoning/contradicted{suffix}"] = sum(checked) / len(checked)
    totals = gather_object([(len(refilled.everything), sum(record.reward for record in refilled.everything))])
    sampled = sum(count for count, _ in totals)
    return {
        **metrics,
        "reward/sampled": sum(total for _, total in totals) / sampled,
        "sampled": sampled,
        "selected": len(rows),
        "refill/rounds": refilled.rounds,
        "flat/before": refilled.flat_before,
        "flat/after": refilled.flat_after,
    }
