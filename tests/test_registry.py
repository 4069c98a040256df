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
        ssl4rl.register_graph("of-this-test")(registered)
    with pytest.raises(UserError, match="task 'link' exists already"):
        ssl4rl.register_task(TASKS.get("link"))
