"""What a completion earns: the task's score, a valid form, a reward of one's own, or a control."""

from pathlib import Path
from typing import Any

import pytest
from toys import Toy, make_trainer, toy_recipe, toy_tasks

from ssl4rl.answers import Outcome, Score, Scoring
from ssl4rl.errors import UserError
from ssl4rl.inference.model import ModelFiles
from ssl4rl.records import Completion
from ssl4rl.registry import REWARDS
from ssl4rl.training.recipe import Reward
from ssl4rl.training.recipe_file import load_recipe
from ssl4rl.training.rewards import RewardFunction, coin, commonest_answers

REPLIES = ["<answer>yes</answer>", "<answer>no</answer>", "<answer>perhaps</answer>", "no idea"]


class YesNo(Toy):
    scored = 0

    def scoring(self, gold: str) -> Scoring:
        return Scoring("score_any_of", {"accepted": [gold], "choices": ["yes", "no"]})

    def score(self, reply: str, example: Any) -> Any:
        YesNo.scored += 1
        return super().score(reply, example)


def scored(model_folder: Path, **settings: Any) -> list[Completion]:
    """The records of four replies to an example whose answer is yes."""
    task = toy_tasks(YesNo).train
    index = next(index for index in range(20) if task.example(index).gold == "yes")
    files = ModelFiles(str(model_folder))
    function = RewardFunction(task, Reward(**settings), files.decode)
    function.load([index])
    YesNo.scored = 0
    records = function.score([files.tokenizer.encode(reply) for reply in REPLIES], [index] * 4, step=3)
    assert YesNo.scored == 4
    function.select(records)
    assert function() == [record.reward for record in records]
    return records


def test_the_score_that_is_recorded_is_the_tasks(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARDS._loaded, "length", lambda reply, example: float(len(reply)))
    for kind in ("task", "format", "random", "length"):
        records = scored(model_folder, kind=kind)
        assert [record.score for record in records] == [1, 0, 0, 0]
        assert [record.outcome for record in records] == [
            *(Outcome.CORRECT, Outcome.WRONG, Outcome.INVALID, Outcome.UNPARSED),
        ]
        assert {record.step for record in records} == {3}


@pytest.mark.parametrize(
    ("settings", "rewards"),
    [
        ({}, [1, 0, 0, 0]),
        ({"format": 0.2}, [1.2, 0.2, 0, 0]),
        ({"task": 0.5, "format": 0.5}, [1, 0.5, 0, 0]),
        ({"kind": "format"}, [1, 1, 0, 0]),
        ({"kind": "incorrect"}, [0, 1, 0, 0]),
        ({"kind": "incorrect", "format": 0.5}, [0.5, 1.5, 0, 0]),
        ({"kind": "majority"}, [1, 0, 0, 0]),
        ({"kind": "length", "task": 2, "format": 1}, [41, 39, 48, 14]),
    ],
)
def test_weights(
    settings: dict[str, Any], rewards: list[float], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REWARDS._loaded, "length", lambda reply, example: float(len(reply)))
    assert [record.reward for record in scored(model_folder, **settings)] == pytest.approx(rewards)


def test_a_random_reward_is_the_same_in_every_run_and_knows_nothing(model_folder: Path) -> None:
    first = [record.reward for record in scored(model_folder, kind="random")]
    assert first == [record.reward for record in scored(model_folder, kind="random")] and set(first) <= {0.0, 1.0}
    example = toy_tasks(YesNo).train.example(0).id
    draws = [coin(example, number) for number in range(2000)]
    assert 0.45 < sum(draws) / 2000 < 0.55
    assert draws[:20] != [coin(toy_tasks(YesNo).train.example(1).id, number) for number in range(20)]


def test_the_majority_is_that_of_each_group(model_folder: Path) -> None:
    verdicts = [
        Score.of(0.0, "No"),
        Score.of(0.0, "no "),
        Score.of(1.0, "yes"),
        Score.invalid("both"),
        *[Score.unparsed()] * 2,
    ]
    verdicts += [Score.of(1.0, "yes"), Score.invalid("both"), Score.invalid("both"), Score.unparsed()]
    assert commonest_answers(verdicts, [3] * 6 + [5] * 4) == {3: "no", 5: "yes"}
    assert commonest_answers(verdicts[-3:], [1] * 3) == {1: None}


@pytest.mark.parametrize("kind", ["random", "format", "incorrect", "majority"])
def test_a_control_trains(kind: str, model_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_recipe(model_folder, reward={"kind": kind}), tmp_path / "run", toy_tasks(YesNo))
    trainer.model.train()
    trainer._generate_and_score_completions([{"index": index} for index in range(4) for _ in range(4)])
    records = trainer._refilled.batch.records
    assert {record.score for record in records} == {0.0}
    assert {record.reward for record in records} == ({0.0, 1.0} if kind == "random" else {0.0})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("reward.kind=randm", "unknown reward 'randm'; did you mean random"),
        ("reward.task=-1", "reward.task=-1: Input should be greater than or equal to 0"),
        ("reward.task=0", "both weights are 0"),
        ("reward.fromat=1", "did you mean reward.format"),
        ("refill=-1", "refill=-1: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_reward_says_what_is_right(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_recipe(overrides=[override])
