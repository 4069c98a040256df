"""Registries: lazy, with errors that name the nearest names."""

import pytest

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS, TASKS, Registry


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


def test_a_message_fits_on_a_screen_whatever_it_quotes_and_its_end_is_kept():
    message = str(UserError(f"there is no column {'x' * 10**6}; set another in dataset.yaml"))
    assert len(message) < 4100 and message.startswith("there is no column x")
    assert message.endswith("; set another in dataset.yaml")


def test_a_deferred_attribute_is_looked_up_when_it_is_read():
    registry: Registry[object] = Registry("thing", "ssl4rl.nothing", {})

    class Owner:
        thing = registry.deferred("later")

    with pytest.raises(UserError, match="unknown thing 'later'"):
        Owner.thing  # noqa: B018
    registry.register("later")(3)
    assert Owner.thing == Owner().thing == 3


def test_decorators_register_by_name():
    registered = ssl4rl.register_graph("of-this-test")(lambda: ssl4rl.load("citations"))
    assert GRAPHS.get("of-this-test") is registered
    with pytest.raises(UserError, match="dataset 'of-this-test' exists already"):
        ssl4rl.register_graph("of-this-test")(lambda: ssl4rl.load("scenes"))

    class Other(TASKS.get("link")):
        pass

    with pytest.raises(UserError, match="task 'link' exists already"):
        ssl4rl.register_task(Other)


def test_a_notebook_cell_may_run_twice():
    def cell():
        @ssl4rl.register_graph("of-a-notebook")
        def graph():
            return ssl4rl.load("citations")

        return graph

    cell()
    assert GRAPHS.get("of-a-notebook") is not (again := cell())
    assert GRAPHS.get("of-a-notebook") is again


def test_an_object_goes_by_one_name():
    registry: Registry[object] = Registry("task", "ssl4rl.nothing", {"lnk": "ssl4rl.graph.tasks.link:Link"})
    with pytest.raises(UserError, match="task 'lnk' calls itself 'link'; register it under that name"):
        registry.get("lnk")
