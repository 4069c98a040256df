"""Check how the package is built: which way imports point, and how large modules and functions are.

    python -m tools.check_structure

It prints one line per violation and exits with 1 if there is any. Standard library only: it runs before anything is
installed. An import under ``if TYPE_CHECKING:`` never counts; one inside a function cannot close a circle, as it runs
later, but it still has to point the right way.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = "ssl4rl"
LAYERS = (
    ("core",),
    ("graph", "vision"),
    ("templates",),
    ("data",),
    ("models",),
    ("inference",),
    ("audit",),
    ("training", "evaluation"),
    ("export", "report"),
    ("hub",),
    ("cli",),
)
"""A layer may import those before it and itself; two in one row may not import each other."""
LAYER_OF_MODULE = {"__main__": "cli", "doctor": "report"}
"""Modules directly in the package are core, except these."""
STANDALONE = {"answers": (3, 10)}
"""Core modules that import only the standard library, and the oldest Python whose syntax they keep to."""

LIMITED = (PACKAGE, "examples", "tools")
"""Folders whose modules and functions have a limited size."""
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 80
MAX_PARAMETERS = 8
"""Of a function, ``self`` and ``cls`` aside. The command line's own verbs may have as many as they have options."""

LOCAL_PATH = re.compile(r"""(?<![\w.<])/(?:home|Users|root|work(?:space)?)/\w""")
"""A path that exists on one machine only."""
SOURCE_SUFFIXES = {".py", ".yaml", ".json", ".jinja"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One import of a module of the package."""

    line: int
    module: str
    in_function: bool


@dataclass(frozen=True)
class Module:
    """A module of the package, parsed."""

    path: str
    layer: str
    """Its subpackage, or core."""
    imports: Sequence[Import]


def find_violations(root: Path) -> list[str]:
    """One line for each violation in the tree below ``root``, in the order of the files."""
    modules = read_modules(root)
    lines = [*check_circles(modules), *check_layers(modules), *check_standalone(root), *check_contents(root)]
    lines += check_test_names(root)
    commands = command_names(root)
    for folder in LIMITED:
        for path in sorted((root / folder).rglob("*.py")):
            lines.extend(check_sizes(root, path, commands))
    return sorted(lines, key=_place)


def check_test_names(root: Path) -> Iterator[str]:
    """One line for each test module that is called like another: pytest would import only one of them."""
    first: dict[str, Path] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        other = first.setdefault(path.name, path)
        if other != path:
            yield f"{path.relative_to(root)}:1: has the name of {other.relative_to(root)}"


def _place(line: str) -> tuple[str, int]:
    path, number, _ = line.split(":", 2)
    return path, int(number)


# Imports


def read_modules(root: Path) -> dict[str, Module]:
    """Every module of the package by its dotted name."""
    paths = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    modules = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports = [
            Import(node.lineno, module, in_function)
            for node, in_function in _import_statements(tree, in_function=False)
            for module in _imported(node, package, paths)
        ]
        place = path.relative_to(root / PACKAGE).parts
        layer = place[0] if len(place) > 1 else LAYER_OF_MODULE.get(path.stem, "core")
        modules[name] = Module(path.relative_to(root).as_posix(), layer, imports)
    return modules


def _import_statements(node: ast.AST, in_function: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements below ``node`` that run, and whether each is inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function
        elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for otherwise in child.orelse:
                yield from _import_statements(ast.Module([otherwise], []), in_function)
        else:
            yield from _import_statements(child, in_function or isinstance(child, Function | ast.Lambda))


def _imported(node: ast.Import | ast.ImportFrom, package: str, names: Mapping[str, Path]) -> set[str]:
    """The modules of the package that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE}
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    if base.split(".")[0] != PACKAGE:
        return set()
    return {f"{base}.{alias.name}" if f"{base}.{alias.name}" in names else base for alias in node.names}


def check_circles(modules: Mapping[str, Module]) -> Iterator[str]:
    """One line for each group of modules that import each other, with its shortest circle."""
    reported: set[str] = set()
    for name, module in modules.items():
        circle = _shortest_circle(modules, name)
        if circle and not reported & set(circle):
            reported.update(circle)
            yield f"{module.path}:1: import circle {' → '.join([*circle, name])} (none is allowed)"


def _shortest_circle(modules: Mapping[str, Module], start: str) -> list[str]:
    """The modules from ``start`` back to itself along imports that run when a module is loaded; empty if none do."""
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for each in modules[path[-1]].imports:
            if each.in_function or each.module not in modules:
                continue
            if each.module == start:
                return path
            if each.module not in seen:
                seen.add(each.module)
                paths.append([*path, each.module])
    return []


def check_layers(modules: Mapping[str, Module]) -> Iterator[str]:
    """One line for each import that points from a layer to a later one, or to another of the same row."""
    rows = {layer: row for row, layers in enumerate(LAYERS) for layer in layers}
    for module in modules.values():
        if module.layer not in rows:
            yield f"{module.path}:1: {module.layer} is in no layer (add it to LAYERS in tools/check_structure.py)"
            continue
        for each in module.imports:
            target = modules.get(each.module)
            if target is None or target.layer == module.layer or target.layer not in rows:
                continue
            if rows[target.layer] >= rows[module.layer]:
                earlier = [layer for layers in LAYERS[: rows[module.layer]] for layer in layers]
                yield (
                    f"{module.path}:{each.line}: {module.layer} imports {each.module} "
                    f"(it may import {', '.join(earlier) or 'core only'})"
                )


def check_standalone(root: Path) -> Iterator[str]:
    """One line for each import, or piece of syntax, that keeps a standalone module from loading alone."""
    for name, version in STANDALONE.items():
        path = root / PACKAGE / f"{name}.py"
        if not path.exists():
            continue
        where = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                imported = ["." * node.level + (node.module or "")]
            for each in imported:
                if each.split(".")[0] not in sys.stdlib_module_names:
                    yield f"{where}:{node.lineno}: imports {each} (it may import only the standard library)"
        try:
            ast.parse(text, feature_version=version)
        except SyntaxError as error:
            yield f"{where}:{error.lineno}: {error.msg} (it has to load in Python {'.'.join(map(str, version))})"


# Sizes and contents


def command_names(root: Path) -> set[tuple[str, str]]:
    """The functions of the command line that are handed to typer: the name of the module, and of the function."""
    commands = set()
    for path in (root / PACKAGE / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                if any(_is_registration(decorator) for decorator in node.decorator_list):
                    commands.add((path.stem, node.name))
            elif isinstance(node, ast.Call) and _is_registration(node.func):
                for argument in node.args:
                    module, _, name = ast.unparse(argument).rpartition(".")
                    commands.add((module or path.stem, name))
    return commands


def _is_registration(node: ast.expr) -> bool:
    """Whether an expression is ``app.command(…)`` or ``app.callback(…)``."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("command", "callback")
    )


def check_sizes(root: Path, path: Path, commands: set[tuple[str, str]]) -> Iterator[str]:
    """One line if a module is too long, and for each function that is too long or has too many parameters."""
    where = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8")
    length = len(text.splitlines())
    if length > MAX_MODULE_LINES:
        yield f"{where}:1: the module has {length} lines (at most {MAX_MODULE_LINES})"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, Function):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"{where}:{node.lineno}: function {node.name} has {lines} lines (at most {MAX_FUNCTION_LINES})"
        is_command = where.startswith(f"{PACKAGE}/cli/") and (path.stem, node.name) in commands
        count = _count_parameters(node)
        if count > MAX_PARAMETERS and not is_command:
            yield f"{where}:{node.lineno}: function {node.name} has {count} parameters (at most {MAX_PARAMETERS})"


def _count_parameters(node: Function) -> int:
    given = node.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    return len(names) + (given.vararg is not None) + (given.kwarg is not None)


def check_contents(root: Path) -> Iterator[str]:
    """One line for each assert statement of the package, and each path in it that exists on one machine only."""
    for path in sorted((root / PACKAGE).rglob("*")):
        if path.suffix not in SOURCE_SUFFIXES:
            continue
        where = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            local = LOCAL_PATH.search(line)
            if local:
                yield f"{where}:{number}: names a local path, {local[0]}… (none is allowed)"
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, ast.Assert):
                yield f"{where}:{node.lineno}: assert statement (none is allowed; raise an error that says what to do)"


def main(root: Path = ROOT) -> int:
    """Prints every violation; the exit status is 1 if there is one."""
    violations = find_violations(root)
    for line in violations:
        print(line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
