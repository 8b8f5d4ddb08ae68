"""The house as docs/design.md draws it: imports go one way, only cli and report print, nothing unpickles, files stay
short and open by saying what they are for. Read from the sources with ast; nothing is imported."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnncli"
MODULES = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
           for p in sorted(PACKAGE.rglob("*.py"))}  # fmt: skip
WHERE = ("cnncli/**/*.py", "csrc/*.[ch]", "tests/**/*.py", "tests/**/*.c", "benchmarks/**/*.py", "scripts/*", "*.py")
SOURCES = sorted(p for pattern in WHERE for p in ROOT.glob(pattern)
                 if p.is_file() and p.name != "_kernels.c" and "__pycache__" not in p.parts)  # fmt: skip

# The rooms from the top floor down: a module may import from its own room and from those below. A new top-level module
# has to be put somewhere here. "" is the package itself: what `import cnncli` offers.
ROOMS = ("__main__", "cli", "", "watching", "training", "page", "export", "report", "explain", "visualize",
         "quantising", "evaluation", "runs", "weights", "model", "data", "architectures", "network", "optim", "loss",
         "layers", "ranks", "kernels", "_kernels", "atomic", "extras", "plain", "values", "_version", "errors")
FLOOR = {room: number for number, room in enumerate(reversed(ROOMS))}
MOST_LINES = 400
each_room = pytest.mark.parametrize("where", ROOMS)
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(module: str) -> str:
    """cnncli.layers.conv -> layers; cnncli -> "" """
    return [*module.split("."), ""][1]


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree(path)))


@cache
def imports(module: str, path: Path) -> list[tuple[int, str]]:
    """Return (line, module) for each import, inside functions and for types too; names of this package in full."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
            start = ".".join(base[: len(base) - node.level + 1]) if node.level else ""
            target = ".".join(filter(None, (start, node.module)))
            inside = [f"{target}.{name.name}" for name in node.names]
            found += [(node.lineno, name if name in MODULES else target) for name in inside]
    return found


def inside(wanted: str) -> list[str]:
    return [module for module in MODULES if room(module) == wanted]


def own_imports(module: str, path: Path) -> list[tuple[int, str]]:
    return [(line, target) for line, target in imports(module, path) if target.split(".")[0] == "cnncli"]


def test_every_module_has_its_room():
    assert {room(module) for module in MODULES} - set(FLOOR) == set()


@pytest.mark.slow
@each_room
def test_imports_go_downwards(where):
    up = [f"{module}:{line} -> {target}" for module in inside(where)
          for line, target in own_imports(module, MODULES[module])
          if FLOOR[room(target)] > FLOOR[room(module)]]  # fmt: skip
    assert not up, "arrows that go up: " + ", ".join(up)


@pytest.mark.slow
@each_room
def test_nobody_inside_a_room_goes_through_its_door(where):
    """What a room's __init__ offers is for other rooms: those within name the file, so that their order shows."""
    round_about = [f"{module}:{line} -> {target}" for module in inside(where)
                   for line, target in own_imports(module, MODULES[module])
                   if target == f"cnncli.{where}" != module]  # fmt: skip
    assert not round_about, ", ".join(round_about)


@pytest.mark.slow
@each_room
def test_only_the_door_touches_the_extension(where):
    if where != "kernels":
        touching = [module for module in inside(where) for _, target in own_imports(module, MODULES[module])
                    if target.startswith("cnncli._kernels")]  # fmt: skip
        assert not touching


def test_every_room_says_what_lives_in_it_and_what_may_not():
    silent = [path for path in PACKAGE.glob("*/__init__.py")
              if "What may not be here:" not in (ast.get_docstring(tree(path)) or "")]  # fmt: skip
    assert not silent


def test_nothing_is_named_like_a_module_of_the_standard_library():
    assert {path.stem for path in MODULES.values()} & sys.stdlib_module_names <= {"__main__"}


@pytest.mark.slow
def test_modules_do_not_import_in_circles():
    graph = {module: {target for _, target in own_imports(module, path) if target in MODULES}
             for module, path in MODULES.items() if module != "cnncli"}  # fmt: skip
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.slow
@each_room
def test_only_cli_and_report_print(where):
    for module in [] if where in ("cli", "report") else inside(where):
        for node in nodes(MODULES[module]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "input"), f"{module}:{node.lineno} prints"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
                assert node.attr not in ("stdout", "stderr"), f"{module}:{node.lineno} writes to a stream"


@pytest.mark.slow
@each_room
def test_nothing_unpickles_or_runs_what_it_reads(where):
    for module in inside(where):
        for line, target in imports(module, MODULES[module]):
            assert target.split(".")[0] not in UNPICKLERS, f"{module}:{line} imports {target}"
        for node in nodes(MODULES[module]):
            if isinstance(node, ast.Call):
                check_call(module, node)


def check_call(module: str, node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    assert name not in ("eval", "exec", "compile"), f"{module}:{node.lineno} calls {name}"
    for keyword in node.keywords:
        if keyword.arg == "allow_pickle":
            assert isinstance(keyword.value, ast.Constant)
            assert keyword.value.value is False, f"{module}:{node.lineno} allows pickle"


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}),
                         ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_every_file_is_short_and_says_what_it_is_for(folder):
    for path in (path for path in SOURCES if path.parent == folder):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= MOST_LINES, path
        if path.suffix == ".py":
            assert not lines or ast.get_docstring(tree(path)), f"{path} opens without a docstring"
        elif path.suffix in (".c", ".h"):
            assert lines[0].startswith("/* "), f"{path} opens without a comment"
        else:
            assert any(line.startswith("# ") for line in lines[:2]), f"{path} opens without a comment"


def test_the_extension_is_built_from_the_contract_alone():
    """No other file declares prototypes to cffi, so that cnn.h cannot drift from what Python calls."""
    calls = [p for p in MODULES.values() if "cdef(" in p.read_text(encoding="utf-8")]
    assert calls == []
