"""The held-out scores of a run: the same examples of split ``val``, answered before, during and after training.

Answers are greedy, and all are kept (heldout.jsonl), so that scores are compared example by example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ssl4rl.example import Example
from ssl4rl.records import HeldoutAnswer, is_torn
from ssl4rl.runs import HELDOUT, METRICS, Run
from ssl4rl.statistics import Estimate, PairedDifference
from ssl4rl.tasks import AnyTask
from ssl4rl.training.display import Display
from ssl4rl.training.preparation import is_main_process, shared_out
from ssl4rl.training.summary import describe_estimate
from ssl4rl.training.tasks import PartNames, num_examples, scored

CHUNK = 512
"""Examples answered at once; more would hold too many images in memory."""

SOME = 64
"""Examples that chance is averaged over."""

Answer = Callable[[list[Example]], list[str]]
"""What answers examples: the model that is trained."""


def evaluate(task: AnyTask, answer: Answer, examples: int, step: int) -> list[HeldoutAnswer]:
    """``answer``'s replies to the first ``examples`` examples, scored; several processes share them, and get all."""
    from accelerate.utils import gather_object

    mine = shared_out(examples)
    answers: list[HeldoutAnswer] = []
    for start in range(0, len(mine), CHUNK):
        indices = mine[start : start + CHUNK]
        chunk = [task.example(min(index, examples - 1)) for index in indices]
        for index, reply, example in zip(indices, answer(chunk), chunk, strict=True):
            if index >= examples:  # asked to keep pace with the other processes
                continue
            score = scored(task, reply, example)
            answers.append(
                HeldoutAnswer(
                    step=step,
                    index=index,
                    id=example.id,
                    items=example.source_items,
                    reply=reply,
                    answer=score.answer,
                    score=score.value,
                    outcome=score.outcome,
                )
            )
    return sorted(gather_object(answers), key=lambda each: each.index)


class Heldout:
    """The held-out answers of a run, by step; those that it has recorded are not asked for again.

    ``answer`` is given where the model is; a mixture's scores have ``tasks``, those of each task by its name, with
    which ``on_scores`` is called.
    """

    def __init__(
        self,
        run: Run,
        task: AnyTask,
        examples: int,
        display: Display,
        seconds: Callable[[], float],
        on_scores: Callable[[list[float]], None] | None = None,
    ) -> None:
        self.run, self.task, self.display, self.seconds, self.on_scores = run, task, display, seconds, on_scores
        self.examples = num_examples(task, examples)
        self.names = PartNames(task)
        self.lost: set[int] = set()
        """Steps whose model is no longer there."""
        self._answers = self._recorded()
        self._logged = {line["step"] for line in run.metrics() if "heldout" in line}

    def _recorded(self) -> dict[int, list[HeldoutAnswer]]:
        """The steps whose answers are whole; the lines of others are dropped."""
        from accelerate.utils import broadcast_object_list

        found: dict[int, list[HeldoutAnswer]] = {}
        if is_main_process():
            lines = self.run.heldout()
            for line in lines:
                found.setdefault(line.step, []).append(line)
            found = {step: answers for step, answers in found.items() if len(answers) == self.examples}
            whole = [answer for answers in found.values() for answer in answers]
            if len(whole) < len(lines) or is_torn(self.run.path / HELDOUT):
                self.run.rewrite(HELDOUT, [answer.model_dump(mode="json") for answer in whole])
        [shared] = broadcast_object_list([found])
        return dict(shared)

    def is_answered(self, step: int) -> bool:
        """Whether the answers after that many steps are recorded."""
        return step in self._answers

    def at(self, step: int, answer: Answer) -> dict[str, Any] | None:
        """The score after ``step`` steps, from what is recorded or from ``answer``; None without held-out examples."""
        if self.examples == 0:
            return None
        if step not in self._answers:
            if step == 0 and is_main_process():
                self.display.say(f"asking {self.examples} held-out examples (heldout.examples) before the first step")
            answers = evaluate(self.task, answer, self.examples, step)
            self._answers[step] = answers
            if is_main_process():
                self.run.append(HELDOUT, *(each.model_dump(mode="json") for each in answers))
        score = self.score(step)
        # Apart from the answers, as a run may have been killed between the two.
        if is_main_process() and step not in self._logged:
            self._logged.add(step)
            self.run.append(METRICS, {"step": step, "seconds": self.seconds(), "heldout": score})
            when = f"after step {step}" if step else "before training"
            self.display.say(f"held out {when}: {describe_estimate(score)}")
        if self.on_scores is not None:
            tasks = score.get("tasks", {})
            self.on_scores([tasks[name]["score"] if name in tasks else 0.0 for name in self.names])
        return score

    def score(self, step: int) -> dict[str, Any]:
        """The recorded score after ``step`` steps, as JSON."""

        def estimate(answers: Sequence[HeldoutAnswer]) -> dict[str, Any]:
            return Estimate.of([each.verdict for each in answers], [each.own_items for each in answers]).as_dict()

        return self._with_tasks([self._answers[step]], estimate)

    def paired(self, first: int, second: int) -> dict[str, Any]:
        """How much better the model was after step ``second`` than after ``first``, on the same examples, as JSON."""

        def difference(old: Sequence[HeldoutAnswer], new: Sequence[HeldoutAnswer]) -> dict[str, Any]:
            items = [each.own_items for each in old]
            return PairedDifference.of([each.score for each in old], [each.score for each in new], items).as_dict()

        return self._with_tasks([self._answers[first], self._answers[second]], difference)

    def _with_tasks(
        self, answers: list[list[HeldoutAnswer]], statistic: Callable[..., dict[str, Any]]
    ) -> dict[str, Any]:
        """The statistic of all answers, and for a mixture of those to each of its tasks."""
        of_task = [self.names.of(each.id) for each in answers[0]]
        by_task = {}
        for name in self.names:
            own = [[each for each, label in zip(some, of_task, strict=True) if label == name] for some in answers]
            if own[0]:
                by_task[name] = statistic(*own)
        return {**statistic(*answers), **({"tasks": by_task} if by_task else {})}

    def best(self) -> int | None:
        """The step after which the trained model scored best, the latest of several; None before the first."""
        means = {
            step: sum(each.score for each in answers) / len(answers)
            for step, answers in self._answers.items()
            if step and step not in self.lost
        }
        return max(means, key=lambda step: (means[step], step), default=None)

    def _chance(self) -> float:
        """What a guess earns, in the mean over the first examples: it seldom differs between those of a level."""
        some = range(min(self.examples, SOME))
        return sum(self.task.example(index).chance for index in some) / len(some)

    def summary(self, last: int) -> dict[str, Any]:
        """What summary.json says: scores before and after ``last`` steps, the best one, and the gains in pairs."""
        best = self.best()
        if best is None:
            return {"before": None, "after": None, "best": None, "paired": None}
        return {
            "before": self.score(0),
            "after": self.score(last),
            "best": {"step": best, **self.score(best), "paired": self.paired(0, best)},
            "paired": self.paired(0, last),
            "chance": self._chance(),
        }


class HeldoutCallback(TrainerCallback):  # type: ignore[misc]
    """Evaluates after every ``every`` steps, and keeps the checkpoint of the best model.

    transformers deletes old checkpoints (``save_total_limit``), but never the one that its state calls the best.
    """

    def __init__(self, heldout: Heldout, answer: Answer, every: int, folder: Path) -> None:
        self.heldout, self.answer, self.every, self.folder = heldout, answer, every, folder

    def checkpoint(self, step: int) -> str:
        """The checkpoint of a step."""
        return str(self.folder / f"checkpoint-{step}")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        best = self.heldout.best()
        state.best_model_checkpoint = None if best is None else self.checkpoint(best)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        if step % self.every or step >= state.max_steps or not self.heldout.examples:
            return
        self.heldout.at(step, self.answer)
        if self.heldout.best() == step:
            state.best_model_checkpoint = self.checkpoint(step)
            control.should_save = True
