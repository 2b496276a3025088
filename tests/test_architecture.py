"""Imports point downwards only, and none hides inside a function."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import chainrule

ROOT = Path(chainrule.__file__).parent
LAYERS = [  # from the bottom; parts of one layer do not import each other
    {"errors"},
    {"types", "tree", "files", "namespaces"},
    {"ir"},
    {"edges"},
    {"ops"},
    {"tracing"},
    {"transforms", "interpret", "source", "serialize", "surroundings", "llvm"},
    {"batching", "control", "custom", "graph", "api", "dispatch", "implicit", "ravel"},
    {"testing", "scipy", "random", "explanation", "learn"},
    {"cli"},
    {""},  # the package itself: public names
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
OPTIONAL = {"matplotlib", "sklearn", "threadpoolctl"}
MODULES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> list[tuple[ast.stmt, str, bool]]:
    """Every import of a file: statement, module, whether it stands inside a function."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((child, alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                module = child.module or ""
                if module == "chainrule":  # `from chainrule import ir` means chainrule.ir
                    found.extend((child, f"chainrule.{alias.name}", inside) for alias in child.names)
                else:
                    found.append((child, module, inside))
            visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    own = part_of(path)
    assert own in LEVEL, f"{own} has no layer; give it one in LAYERS"
    for statement, module, inside in imports(path):
        if module.partition(".")[0] != "chainrule":
            assert not inside or module.partition(".")[0] in OPTIONAL, (
                f"{path}:{statement.lineno}: import in a function"
            )
            continue
        assert not inside, f"{path}:{statement.lineno}: import in a function"
        target = module.split(".")[1]
        assert target in LEVEL, f"{path}:{statement.lineno}: {module} has no layer"
        if target != own:
            assert LEVEL[target] < LEVEL[own], f"{path}:{statement.lineno}: {own} imports {target}, which is not below"


def test_every_layer_exists() -> None:
    parts = {part_of(path) for path in MODULES}
    assert set(LEVEL) == parts


def test_only_llvm_imports_llvmlite() -> None:
    for path in MODULES:
        if part_of(path) != "llvm":
            assert not any(module.startswith("llvmlite") for _, module, _ in imports(path)), path
