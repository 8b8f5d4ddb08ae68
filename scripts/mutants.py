"""Changes the package in small ways, one at a time, and asks whether the room's own tests notice: with cosmic-ray
there, ``python scripts/mutants.py optim report``. Prints for each room how many changes were caught and the median time
until one was, and every change that no test noticed. Works on a copy, in build/mutants.

cosmic-ray says where what can be changed; below are two kinds of changes more, and what runs the tests: a process for
each change, forked from this one, which has the packages that take long to import. Of a place that can be changed in
several ways one is drawn, and of a room's places so many, by a seed. What may stay as it is, and why, is in
tests/mutants.toml.
"""

import argparse
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants"
ACCEPTED = ROOT / "tests" / "mutants.toml"
LEFT_OUT = ("build", "dist", "demo", ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
GIB = 2**30
BROWSER = "--ignore-glob=*_browser.py"  # takes seconds to start, and more memory's addresses than a change may
SLOWEST = 30.0  # seconds that a test run may take beside four times what the unchanged room takes
NOT_IMPORTED = 17  # what a process ends with where the changed module cannot even be imported
RELOADED = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is there already

# Operators that may be mistaken for each other, by cosmic-ray's names.
ALIKE = [{"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}, {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"},
         {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"}, {"Is", "IsNot"}, {"In", "NotIn"}, {"USub", "UAdd"},
         {"Delete", "USub"}, {"Delete", "Not"}, {"Delete", "Invert"}]
SYMMETRIC = ("min", "max", "minimum", "maximum", "add", "multiply", "isclose", "clip", "hypot")


class SwapArguments(Operator):
    """Exchanges the first two arguments of a call, where both are given by place."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "arglist" and len(node.children) >= 3:
            first, second = node.children[0], node.children[2]
            same = first.get_code().strip() == second.get_code().strip()
            called = node.parent.get_previous_leaf()
            if "argument" not in (first.type, second.type) and not same and called.value not in SYMMETRIC:
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[0], node.children[2] = node.children[2], node.children[0]
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        return ()


class DropStatement(Operator):
    """Leaves out a statement that is a call, or that changes a value in place."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "simple_stmt":
            first = node.children[0]
            called = first.type == "atom_expr" and first.children[-1].type == "trailer"
            if called or (first.type == "expr_stmt" and re.fullmatch(r"\S+=", first.children[1].get_code().strip())):
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        dropped = Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)
        dropped.parent, node.children[0] = node, dropped
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        return ()


@dataclass(frozen=True)
class Mutant:
    """A change of a file: its line before and after, and the whole text after."""

    file: str
    number: int
    before: str
    after: str
    text: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}\n    - {self.before}\n    + {self.after}"


def operators() -> list[Operator]:
    """Return all kinds of changes that need no choice."""
    found = [(name, get_operator(name)) for name in operator_names()]
    theirs = [kind() for name, kind in found if not kind.arguments() and likely(name)]
    return [*theirs, SwapArguments(), DropStatement()]


def likely(name: str) -> bool:
    """Whether somebody could write one for the other: + for -, not << for +, nor "is" for ==."""
    operators = re.fullmatch(r".*Replace(?:Binary|Comparison|Unary)Operator_(\w+)_(\w+)", name)
    return operators is None or any({*operators.groups()} <= alike for alike in ALIKE)


def is_type(node: Any) -> bool:
    """Whether a node is part of a type hint, or of a name for a type: nothing that runs."""
    while node.parent is not None:
        above = node.parent
        if above.type in ("annassign", "tfpdef") and node is above.children[2 if above.type == "tfpdef" else 1]:
            return True
        if above.type == "funcdef" and node is above.annotation:
            return True
        if above.type == "expr_stmt" and above.parent.parent.type == "file_input" and "|" in node.get_code() \
                and re.fullmatch(r"[\w\s|.,\[\]]+", node.get_code()):
            return True
        node = above
    return False


Place = tuple[Path, list[tuple[Operator, int]]]  # of a change, and how it can be changed: cosmic-ray's occurrences


def places_of(file: Path) -> list[Place]:
    """Return where a file can be changed."""
    places: dict[Any, list[tuple[Operator, int]]] = {}
    nodes = [(node, is_type(node)) for node in ast_nodes(get_ast(file.read_text(encoding="utf-8")))]
    for operator in operators():
        occurrence = 0
        for node, a_type in nodes:
            for start, _ in operator.mutation_positions(node):
                if not a_type:
                    places.setdefault((start, isinstance(operator, DropStatement)), []).append((operator, occurrence))
                occurrence += 1
    return [(file, places[place]) for place in sorted(places)]


def changed(place: Place, rng: random.Random) -> Mutant | None:
    """Make one of the changes of a place; None where cosmic-ray cannot: of an exception with a dotted name."""
    file, ways = place
    source = file.read_text(encoding="utf-8")
    operator, occurrence = rng.choice(ways)
    try:
        text = mutate_code(source, operator, occurrence)
    except AttributeError:
        return None
    lines = zip(source.splitlines(), text.splitlines(), strict=False)
    number, before, after = next((number, a, b) for number, (a, b) in enumerate(lines, 1) if a != b)
    return Mutant(file.relative_to(ROOT).as_posix(), number, before.strip(), after.strip(), text,
                  type(operator).__name__)


class Order:
    """Runs what is quick first."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


Took = tuple[float, float]  # seconds on the clock, and on processors: the first depend on what else a machine does


def tested(module: str, arguments: list[str], limit: float, compiled: bool) -> tuple[int, Took]:
    """Run pytest in the copy, in a process of its own; return its exit status and how long it took. One that is not
    done by the limit is ended and counts as a test that failed. compiled lets Python keep what it has compiled, which
    the runs after it read, but for the changed file."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(COPY)
        for kind, most in ((resource.RLIMIT_AS, 12 * GIB), (resource.RLIMIT_FSIZE, GIB)):
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))  # some tests set lower ones, and lift them
        log = os.open(COPY.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.path.insert(0, str(COPY))
        os.environ.update(PYTHONPATH=str(COPY), PYTHONDONTWRITEBYTECODE="" if compiled else "1")
        sys.dont_write_bytecode = not compiled
        status = 1
        try:
            import pytest

            try:
                __import__(module)
            except Exception:
                status = NOT_IMPORTED
            else:
                options = ["-x", "-q", "-p", "no:cacheprovider", "-W", RELOADED, f"--basetemp={COPY}.tmp", BROWSER]
                status = int(pytest.main([*options, *arguments], plugins=[Order()]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    status, used = None, resource.getrusage(resource.RUSAGE_CHILDREN)
    before = used.ru_utime + used.ru_stime
    try:
        while status is None and time.monotonic() < began + limit:
            time.sleep(0.01)
            done, code = os.waitpid(child, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if done else None
    finally:  # also where this process is told to stop
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # itself, or what it has left behind
    took = time.monotonic() - began
    if status is None:
        os.waitpid(child, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1 if status is None else status, (took, used.ru_utime + used.ru_stime - before)


class Room:
    """A folder of the package, or a file beside them, and the tests of that name; or a file in a folder, and its
    folder's tests: data/augmentation."""

    def __init__(self, name: str) -> None:
        folder, self.name = ROOT / "cnncli" / name, name
        self.files = sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
        self.tests = f"tests/{name}" if folder.is_dir() else f"tests/test_{name}.py"
        if "/" in name and not folder.is_dir():
            self.tests = f"tests/{name.rpartition('/')[0]}"
        if not self.files[0].exists() or not (ROOT / self.tests).exists():
            sys.exit(f"There is no room {name!r} with tests; the rooms are {', '.join(rooms())}.")

    def notices(self, mutant: Mutant | None, limit: float, slow: bool) -> tuple[bool | None, Took]:
        """Ask the tests whose names begin like the file's first, then all of the room; return whether one failed, None
        where there is nothing to test, and how long that took."""
        file = mutant.file if mutant else self.files[0].relative_to(ROOT).as_posix()
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        own = [str(path.relative_to(ROOT)) for path in sorted((ROOT / self.tests).rglob(f"test_{Path(file).stem}*.py"))]
        all_ours = ["-m", "not other_isa and not alone"]  # alone: they measure, and what does is nobody's fault here
        quick = ["-m", "not slow and not other_isa and not alone"]
        rounds = [[*own, *quick]] if mutant and own else []
        total = 0.0, 0.0
        for arguments in [*rounds, [self.tests, *(all_ours if slow else quick)]]:
            status, took = tested(module, arguments, limit, compiled=mutant is None)
            total = total[0] + took[0], total[1] + took[1]
            if status == NOT_IMPORTED:
                return None, total
            if status not in (0, 5):  # 5: no test in that file is quick
                return True, total
        return False, total


def rooms() -> list[str]:
    """Return the names of all rooms that have tests of their own."""
    tests = ROOT / "tests"
    paths = (ROOT / "cnncli").iterdir()
    names = {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()}
    return sorted(name for name in names if (tests / name).is_dir() or (tests / f"test_{name}.py").is_file())


def accepted(mutant: Mutant, entries: list[dict[str, str]]) -> bool:
    """Whether an entry of mutants.toml is about this change."""
    return any(mutant.file.startswith(entry.get("file", "")) and re.search(entry["was"], mutant.before)
               and re.search(entry.get("becomes", ""), mutant.after)
               and entry.get("kind", mutant.kind) == mutant.kind for entry in entries)


def judge(room: Room, count: int, seed: int, slow: bool, entries: list[dict[str, str]]) -> bool:
    """Test a room's tests; return whether they noticed nine of ten changes."""
    failed, took = room.notices(None, 1800, slow)
    if failed:
        sys.exit(f"The tests of {room.name} fail as it is:\n{COPY.with_suffix('.log').read_text()[-2000:]}")
    rng = random.Random(f"{seed} {room.name}")
    places = [place for file in room.files for place in places_of(file)]
    rng.shuffle(places)
    times: list[Took] = []
    missed, left = 0, 0
    for where in places:
        if len(times) + missed == count:
            break
        mutant = changed(where, rng)
        if mutant is None or accepted(mutant, entries):
            left += 1
            continue
        place = COPY / mutant.file
        original = place.read_text(encoding="utf-8")
        place.write_text(mutant.text, encoding="utf-8")
        try:
            noticed, seconds = room.notices(mutant, SLOWEST + 4 * took[0], slow)
        finally:
            place.write_text(original, encoding="utf-8")
        if noticed is False:
            missed += 1
            print(f"not noticed: {mutant}", flush=True)
        elif noticed:
            times.append(seconds)
    total = len(times) + missed
    share = len(times) / total if total else 1.0
    clock, processors = map(statistics.median, zip(*times, strict=True)) if times else (0.0, 0.0)
    print(f"{room.name}: {len(times)} of {total} caught ({share:.0%}), of {len(places)} places; "
          f"{left} accepted; median {clock:.1f} s, {processors:.1f} s of processor time", flush=True)
    return share >= 0.9


def copy() -> None:
    """Make the copy, and let Python compile none of it from what is remembered of the last one."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT, COPY, ignore=shutil.ignore_patterns(*LEFT_OUT))


def main() -> None:
    """Read what is wanted, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", help="all where none is named")
    parser.add_argument("--count", type=int, default=25, help="changes a room; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", action="store_true", help="ask the slow tests, too")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    for name in ("numpy", "pytest", "hypothesis", "cffi", "click", "PIL.Image", "rich.table", "jinja2"):
        __import__(name)
    entries = tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))["accepted"]
    copy()
    good = [judge(Room(name), options.count or -1, options.seed, options.slow, entries)
            for name in options.rooms or rooms()]
    if not all(good):
        sys.exit("Where fewer than nine of ten are caught, tests are missing; or tests/mutants.toml lacks a reason.")


if __name__ == "__main__":
    main()
