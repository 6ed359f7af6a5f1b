"""Change one operator, number, comparison or sign of a formula at a time and see whether the tests notice.

``python .ci/mutants.py src/factortopy/model/*.py --tests tests/model --count 60`` draws 60 of all the changes, runs the
tests on a copy of the sources for each, and prints those that survive: a gap in the tests, or a change that changes
nothing. Fails where fewer than four in five are noticed.
"""

import argparse
import ast
import compileall
import copy
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENOUGH = 0.8
LIBRARIES = ("torch", "torchvision", "scipy.stats", "sklearn.cluster", "xarray", "zarr", "matplotlib.figure")
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may be changed into."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        yield ast.copy_location(_with(node, op=OPERATORS[type(node.op)]()), node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
        yield ast.copy_location(_with(node, ops=[OPERATORS[type(node.ops[0])]()]), node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield node.operand
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.copy_location(ast.Constant(node.value + 1), node)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.copy_location(ast.Constant(not node.value), node)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def places(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every changeable node in code that runs: its parent, field, index there, and the node itself."""
    todo: list[ast.AST] = [tree]
    while todo:
        parent = todo.pop()
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns", "decorator_list"):
                continue  # shapes in annotations are strings and run no formula
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    yield parent, name, index, child
                    todo.append(child)


def mutants(path: Path) -> Iterator[tuple[str, str]]:
    """The whole source with one change, and the change in words."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for parent, name, index, child in list(places(tree)):
        for changed in changes(child):
            _put(parent, name, index, changed)
            source, words = ast.unparse(tree), f"{ast.unparse(child)}  ->  {ast.unparse(changed)}"
            _put(parent, name, index, child)
            yield source, f"{path.relative_to(ROOT)}:{getattr(child, 'lineno', 0)}: {words}"


def _put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def survives(folder: Path, tests: list[str], seconds: int) -> bool:
    """Whether the tests pass on the sources in a folder; a run that takes too long, or dies, is noticed."""
    run = multiprocessing.get_context("fork").Process(target=_run, args=(folder, tests))
    run.start()
    run.join(seconds)
    if run.is_alive():
        run.kill()
        run.join()
    return run.exitcode == 0


def _run(folder: Path, tests: list[str]) -> None:
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)  # of programs that tests start
    os.chdir(ROOT)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    import pytest

    sys.exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests])))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path, help="files below src")
    parser.add_argument("--tests", nargs="+", required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=300, help="of one run of the tests")
    given = parser.parse_args()
    found = [(path, *mutant) for path in sorted(path.resolve() for path in given.sources) for mutant in mutants(path)]
    drawn = random.Random(given.seed).sample(found, min(given.count, len(found)))
    with tempfile.TemporaryDirectory() as work:
        copied = Path(work) / "src"
        shutil.copytree(ROOT / "src", copied, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(copied, quiet=1)
        sys.dont_write_bytecode = True  # of changed sources
        os.environ["OMP_NUM_THREADS"] = "1"
        for name in LIBRARIES:
            importlib.import_module(name)
        if not survives(copied, given.tests, given.seconds):
            sys.exit("the tests do not pass on the sources as they are")
        lived = 0
        for path, source, words in drawn:
            target = copied / path.relative_to(ROOT / "src")
            target.write_text(source, encoding="utf-8")
            if survives(copied, given.tests, given.seconds):
                lived += 1
                print("survived", words, flush=True)
            shutil.copy(path, target)
    noticed = len(drawn) - lived
    print(f"{noticed} of {len(drawn)} noticed, drawn from {len(found)} changes")
    return int(noticed < ENOUGH * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
