"""What is printed while a run trains."""

import io

import pytest
from rich.console import Console

from ssl4rl.training.display import Display, explain_flat

LEVELS = ["easy", "medium", "hard"]


def logs(reward: float, flat: float = 0.25, **more: float) -> dict[str, float]:
    return {
        "reward": reward,
        "reward/selected": 0.9,
        "reward/sampled": 0.9,
        "frac_reward_zero_std": flat,
        "flat/before": flat,
        "flat/after": flat,
        "refill/rounds": 0,
        "parsed": 1.0,
        "valid": 1.0,
        "answers/commonest": 0.5,
        "completions/mean_length": 21.4,
        **more,
    }


def shown(*steps: dict[str, float], terminal: bool = False) -> str:
    out = io.StringIO()
    with Display(10, LEVELS, Console(file=out, force_terminal=terminal, width=160)) as display:
        for number, step in enumerate(steps, start=1):
            display.step(number, step)
    return out.getvalue()


def test_one_line_per_step_where_there_is_no_terminal() -> None:
    [line] = shown(logs(0.5)).splitlines()
    assert line.startswith("step 1/10  reward 0.500  flat groups 25%  valid 100%  reply length 21  s/step 0.0  left 0:")


def test_the_reward_of_each_task_of_a_mixture() -> None:
    [line] = shown(
        {**logs(0.5), "reward/link@medium": 0.25, "valid/link@medium": 0.9, "rewards/score/mean": 0.5}
    ).splitlines()
    assert line.startswith("step 1/10  reward 0.500  link@medium 0.250 (90% valid)  flat groups 25%")


def test_what_a_refill_left() -> None:
    [line] = shown(logs(0.5, **{"flat/before": 0.75, "flat/after": 0.125, "refill/rounds": 4})).splitlines()
    assert "flat groups 75%  refilled to 12%  valid" in line


def test_a_collapse_to_one_answer_is_said_after_ten_steps() -> None:
    collapsed = logs(0.25, **{"answers/commonest": 0.95})
    assert shown(*[collapsed] * 9).count("note:") == 0
    text = " ".join(shown(*[collapsed] * 15).split())
    assert text.count("note:") == 1 and "95% of the replies give the same answer" in text
    assert "lower grpo.learning_rate" in text and "grpo.use_adaptive_entropy=true" in text
    assert shown(*[collapsed] * 9, logs(0.5), *[collapsed] * 9).count("note:") == 0
    # One task of a mixture can collapse while the others do not.
    one = logs(0.25, **{"answers/commonest/link@medium": 0.99})
    assert shown(*[one] * 10).count("note:") == 1
    assert "collapsed to it" in shown(*[collapsed] * 10, terminal=True).replace("\n", " ")


def test_a_live_panel_on_a_terminal() -> None:
    text = shown(logs(0.5), logs(0.75), terminal=True)
    assert "2/10" in text and "0.750" in text and "reply length" in text


def test_a_flat_reward_is_explained_once_and_again_after_it_moved() -> None:
    flat = logs(0.99, flat=1.0)
    assert shown(flat, flat).count("note:") == 0
    assert shown(flat, flat, flat, flat, flat).count("note: every completion of a group scores the same") == 1
    assert shown(flat, flat, flat, logs(0.5), flat, flat, flat).count("note:") == 2
    assert "too easy; try --level hard" in shown(flat, flat, flat, terminal=True).replace("\n", " ")


@pytest.mark.parametrize(
    ("reward", "parsed", "valid", "words"),
    [
        (0.0, 0.0, 0.0, "no answer can be read"),
        (0.0, 0.9, 0.05, "none of those to choose from; try task.reasoning=false"),
        (0.97, 1.0, 1.0, "too easy; try --level hard"),
        (0.02, 0.9, 0.9, "too hard; try --level easy"),
        (0.5, 1.0, 1.0, "temperature"),
    ],
)
def test_why_a_reward_is_flat(reward: float, parsed: float, valid: float, words: str) -> None:
    assert words in explain_flat([reward] * 3, [parsed] * 3, [valid] * 3, LEVELS)
    assert explain_flat([reward], [parsed], [valid], [])
