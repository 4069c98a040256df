"""Registries: lazy, with errors that name the nearest names."""

import json
from types import SimpleNamespace

import networkx
import pytest

import ssl4rl
from ssl4rl import registry as registry_module
from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS, TASKS, Registry
from ssl4rl.training.recipe import CONTROLS


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


class Entry:
    """An entry point of an installed package."""

    def __init__(self, name, value, package):
        self.name, self.value, self.module = name, value, value.partition(":")[0]
        self.dist = SimpleNamespace(name=package)


@pytest.fixture
def installed(monkeypatch):
    """A registry of functions that return something, with a built-in one, and what packages add to it."""

    def registry(*entries):
        monkeypatch.setattr(registry_module, "entry_points", lambda group: entries)
        contract = "a function without arguments that returns a Thing"
        return Registry("thing", "ssl4rl.things", {"own": "json:loads"}, contract)

    return registry


def test_a_name_that_two_packages_define_stands_in_the_way_of_no_other(installed):
    things = installed(
        Entry("popular", "json:dumps", "one"), Entry("popular", "json:loads", "two"), Entry("own", "json:dump", "three")
    )
    assert things.names() == ["own", "popular"]
    with pytest.raises(UserError, match=r"'popular' is defined by plug-in two .*json:loads.* and by plug-in one"):
        things.get("popular")
    with pytest.raises(UserError, match=r"'own' is defined by plug-in three .* and by ssl4rl itself .*uninstall one"):
        things.get("own")
    found, reasons = things.all()
    assert not found and len(reasons) == 2
    same = installed(Entry("popular", "json:dumps", "one"), Entry("popular", "json:dumps", "one-editable"))
    assert same.get("popular") is json.dumps


def test_what_a_package_registers_is_checked_and_passed_over(installed):
    things = installed(
        Entry("number", "math:pi", "one"),
        Entry("dotted", "json:JSONEncoder.default", "one"),
        Entry("bare", "json", "one"),
        Entry("a/b", "json:loads", "one"),
    )
    assert things.get("dotted") is json.JSONEncoder.default
    found, reasons = things.all()
    assert set(found) == {"own", "dotted"} and len(reasons) == 3
    assert "of plug-in one cannot be loaded: thing 'number' is of type float; it must be a function" in reasons[0]
    assert "its entry point is 'json'; write module:name" in reasons[1]
    assert "thing 'a/b': the name has a space or one of /@#+:; choose another" in reasons[2]


def test_a_decorator_and_an_entry_point_may_name_one_object(installed):
    entry = Entry("popular", f"{__name__}:test_a_name_that_two_packages_define_stands_in_the_way_of_no_other", "one")
    things, item = installed(entry), test_a_name_that_two_packages_define_stands_in_the_way_of_no_other
    things.register("popular")(item)
    assert things.get("popular") is item
    with pytest.raises(UserError, match="exists already"):
        things.register("popular")(json.loads)


def test_a_source_that_a_function_returns_is_one():
    ssl4rl.register_graph("lakes")(lambda: networkx.path_graph(3))
    with pytest.raises(UserError, match=r"dataset 'lakes' returned a networkx.*Graph; it must be a function without"):
        ssl4rl.task("link", "lakes")


def test_names_and_levels_are_such_that_ids_can_carry_them():
    for change, message in (
        ({"name": "a@b"}, "task 'a@b': the name has a space or one of /@#"),
        ({"levels": {"medium": {}, "a+b": {}}}, "the name of level 'a\\+b' has a space or one of"),
        ({"levels": {"easy": {}}}, r"default_level is 'medium', which is none of its levels \(easy\)"),
    ):
        with pytest.raises(UserError, match=message):
            ssl4rl.register_task(type("Other", (TASKS.get("link"),), {"name": "other", **change}))
    with pytest.raises(UserError, match="Nameless has no name; it needs a line"):
        ssl4rl.register_task(type("Nameless", (), {}))
    with pytest.raises(UserError, match="task 'plain' is plain and has no knobs_type"):
        TASKS.register("plain")(type("plain", (), {"name": "plain"}))


def test_names_that_mean_something_else_are_refused():
    for name in CONTROLS:
        with pytest.raises(UserError, match=f"reward '{name}': the name means something else; choose another"):
            ssl4rl.register_reward(name)(len)
    for name in ("auto", "http://host/v1"):
        with pytest.raises(UserError, match=f"engine '{name}': the name"):
            ssl4rl.register_engine(name)(len)


def test_a_decorator_without_its_name_says_so():
    for decorator in (ssl4rl.register_graph, ssl4rl.register_images, ssl4rl.register_reward, ssl4rl.register_engine):
        with pytest.raises(UserError, match="is registered under a name; write it in brackets"):
            decorator(len)


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
