"""The rules of the house, checked on the sources: who imports whom, how kernels are declared, runnable docstrings."""

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("core", "reservoirs", "spiking", "analysis", "data")
FILES = sorted(file for folder in FOLDERS for file in (ROOT / folder).glob("*.py"))
MODULES = [
    ".".join(["penstock", *([] if file.parent.name == "core" else [file.parent.name]), file.stem]).removesuffix(
        ".__init__"
    )
    for file in FILES
]


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def imports_at_the_top(tree):
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from imports(statement)


def constants(tree):
    """The literals that a file gives names to, as text."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict | ast.Set):
            yield from ((target.id, node.value) for target in targets)


def decorators(tree):
    """Every njit decorator with its function and keywords, those kept under a name too."""
    known = dict(constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                name = decorator.func if isinstance(decorator, ast.Call) else decorator
                if getattr(name, "id", "") == "njit":
                    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                    flags = {}
                    for k in keywords:
                        value = known.get(getattr(k.value, "id", ""), k.value)
                        shared = zip(value.keys, value.values, strict=True) if k.arg is None else ()
                        flags |= {key.value: ast.unparse(part) for key, part in shared} or {k.arg: ast.unparse(value)}
                    yield node, flags


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_no_arrows_between_rooms(file):
    names = set(imports(ast.parse(file.read_text())))
    rooms = {f"penstock.{room}" for room in FOLDERS[1:] if room != file.parent.name or file.parent.name == "core"}
    assert not [name for name in names if any(name == room or name.startswith(room + ".") for room in rooms)]
    if file.name != "plots.py":
        assert not [name for name in names if name.split(".")[0] == "matplotlib"]
    if file.name in ("torch_cell.py", "brian.py"):  # inside functions only: importing penstock imports neither
        names = set(imports_at_the_top(ast.parse(file.read_text())))
    assert not {"pickle", "torch", "brian2"} & {name.split(".")[0] for name in names}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_kernel_law(file):
    text = file.read_text()
    tree = ast.parse(text)
    for function, flags in decorators(tree):
        where = f"{file.name}:{function.name}"
        assert flags.get("error_model") == "'numpy'", where
        assert flags.get("fastmath", "{'contract'}") != "True", where
        assert not {"nnan", "ninf", "fast"} & set(ast.literal_eval(flags.get("fastmath", "{}")) or ()), where
        assert not any(getattr(node, "attr", "") == "tanh" for node in ast.walk(function)), where
    assert "eval(" not in text and "np.random.seed" not in text


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        assert thing.__doc__ or (not inspect.isroutine(thing) and not inspect.isclass(thing)), f"{name}.{public}"
