"""Every module names its public interface in `__all__`, and documents it."""

import ast
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for package in ("app", "model", "benchmarks")
    for path in (ROOT / package).rglob("*.py")
    if path.name not in {"__init__.py", "__main__.py"}
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def defined(tree: ast.Module) -> dict[str, ast.stmt]:
    """The statements that define a module's names, by name."""
    found: dict[str, ast.stmt] = {}
    attempts = (node.body for node in tree.body if isinstance(node, ast.Try))
    for node in (*tree.body, *chain.from_iterable(attempts)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [one.id for one in ast.walk(ast.Tuple(targets)) if isinstance(one, ast.Name)]
            found |= dict.fromkeys(names, node)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_all_lists_what_a_module_offers(path: Path) -> None:
    nodes = defined(ast.parse(path.read_text(encoding="utf-8")))
    assert "__all__" in nodes
    listed = ast.literal_eval(nodes["__all__"].value)
    assert len(listed) == len(set(listed))
    assert not set(listed) - nodes.keys(), "listed, but not defined here"
    code = {
        name: node
        for name, node in nodes.items()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    # What a decorator registers, such as a route or a command, is reached by its own name.
    unlisted = {
        name
        for name, node in code.items()
        if not name.startswith("_") and name not in listed and not node.decorator_list
    }
    assert not unlisted, "defined without an underscore, but not listed"
    undocumented = {name for name in listed if name in code and not ast.get_docstring(code[name])}
    assert not undocumented
