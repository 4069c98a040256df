import subprocess
import sys

import pytest

from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.errors import UserError
from ssl4rl.graph.tasks.link import Link
from ssl4rl.graph.tasks.neighbor import Neighbor
from ssl4rl.mixture import Mixture
from ssl4rl.registry import GRAPHS, TASKS, Registry


def test_an_example_is_the_same_in_another_process_and_order():
    task = Link(default_graph())
    code = (
        "from ssl4rl.data.graphs.citations import default_graph; from ssl4rl.graph.tasks.link import Link; "
        "t = Link(default_graph()); t.example(9); print(t.example(7).id); print(t.example(7).text)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == f"{task.example(7).id}\n{task.example(7).text}"


def test_id_names_source_split_task_level_seed_and_index():
    example = Link(default_graph(), split="val", level="easy", seed=3).example(12)
    assert example.id.rpartition("#")[0] == "citations/val/link@easy/3/12"
    changed = Link(default_graph(), knobs={"fanout": 1}).example(0)
    assert changed.id.startswith("citations/train/link@medium+fanout=1/0/0#")


def test_seed_split_and_knobs_change_the_example():
    texts = {
        task.example(0).text
        for task in (
            Link(default_graph()),
            Link(default_graph(), seed=1),
            Link(default_graph(), split="val"),
            Link(default_graph(), knobs={"fanout": 1}),
        )
    }
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "meduim"}, "did you mean medium"),
        ({"split": "valid"}, "did you mean val"),
        ({"knobs": {"num_hop": 1}}, "did you mean num_hops"),
        ({"knobs": {"num_hops": 99}}, "task.num_hops=99"),
        ({"knobs": {"negatives": "hard"}}, "'random', 'degree' or 'distance_two'"),
        ({"knobs": {"answer": "relation"}}, "has no relations"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(arguments, message):
    with pytest.raises(UserError, match=message):
        Link(default_graph(), **arguments)


def test_neighbor_refuses_more_hidden_than_candidates():
    with pytest.raises(UserError, match="smaller than num_candidates"):
        Neighbor(default_graph(), knobs={"num_hidden": 5, "num_candidates": 4})


def test_registry_is_lazy_names_the_nearest_and_refuses_collisions():
    with pytest.raises(UserError, match="unknown task 'lnk'; did you mean link"):
        TASKS.get("lnk")
    with pytest.raises(UserError, match="unknown dataset 'coraa'; did you mean cora"):
        GRAPHS.get("coraa")
    registry: Registry[object] = Registry("thing", "ssl4rl.nothing", {"one": "json:loads"})
    registry.register("two")(2)
    assert registry.names() == ["one", "two"]
    assert registry.get("two") == 2
    with pytest.raises(UserError, match="exists already"):
        registry.register("one")(1)


def test_mixture_draws_by_weight_and_scores_with_the_right_task():
    link, neighbor = Link(default_graph()), Neighbor(default_graph())
    mixture = Mixture([link, neighbor], [3, 1])
    examples = [mixture.example(i) for i in range(400)]
    assert 0.68 < sum(example.task == "link" for example in examples) / 400 < 0.82
    for example in examples[:20]:
        assert mixture.score(f"<answer>{mixture.gold(example)}</answer>", example).value == 1
        assert mixture.chance(example) == mixture.task_of(example).chance(example)
    with pytest.raises(UserError, match="twice"):
        Mixture([link, Link(default_graph())], [1, 1])
    with pytest.raises(UserError, match="above 0"):
        Mixture([link], [0])
