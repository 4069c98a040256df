"""What ``--help`` says."""

import pytest


@pytest.mark.parametrize(
    ("verb", "own", "other"),
    [
        (("graph", "train"), ("neighbor", "cloze"), ("rotation", "jigsaw")),
        (("vision", "train"), ("rotation", "jigsaw"), ("neighbor", "cloze")),
        (("graph", "eval"), ("node", "ranking"), ("mmbench", "imagenet")),
        (("vision", "show"), ("position", "seedbench"), ("attribute", "relation")),
    ],
)
def test_the_help_of_a_side_names_its_own_tasks_and_benchmarks(run, verb, own, other):
    code, out, _ = run(*verb, "--help")
    assert code == 0 and all(name in out for name in own) and not any(name in out for name in other)


@pytest.mark.parametrize("verb", ["train", "warmup"])
@pytest.mark.parametrize(("side", "task"), [("graph", "link"), ("vision", "rotation")])
def test_the_help_names_the_task_of_a_recipe_that_names_none(run, side, verb, task):
    code, out, _ = run(side, verb, "--help")
    words = " ".join(out.replace("│", " ").split())
    assert code == 0 and f"without --config: {task}." in words
