"""docs/contributing.md: each recipe, applied to a copy of the package as it stands there, passes the tests that it
names. The commands themselves are typed by `make contributing`, in a fresh clone."""

import hashlib
import os
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "recipes.py"))
RECIPES = SCRIPT["recipes"]((ROOT / SCRIPT["PAGE"]).read_text(encoding="utf-8"))
NOT_HERE = "tests/kernels/test_disassembly.py"  # takes minutes; `make contributing` runs it
COPIED = ("cnncli", "csrc", "tests", "benchmarks", "docs", "scripts", "build.py", "setup.py", "pyproject.toml",
          "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")  # fmt: skip


def test_there_is_one_for_each_kind() -> None:
    assert [recipe.name for recipe in RECIPES] == ["A layer", "A kernel", "An augmentation", "A command"]
    assert all(recipe.commands for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_piece_of_code_has_its_place(recipe: Any, tmp_path: Path) -> None:
    """Fails where a line that the page names was changed: say in docs/contributing.md where the code goes now."""
    for name in SCRIPT["files"](recipe):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    assert SCRIPT["apply"](recipe, tmp_path) == SCRIPT["files"](recipe)


def copy(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)


def run(folder: Path, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "CNN_"))}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env={**environment, "PYTHONPATH": str(folder)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def build(folder: Path) -> None:
    """Build the extension anew. All of csrc/ reads the contract, which a recipe adds a prototype to: objects that know
    it stay as they are, as if they had been compiled again."""
    if (ROOT / "build" / "objects").is_dir():
        shutil.copytree(ROOT / "build" / "objects", folder / "build" / "objects")
    before, after = (hashlib.sha256((root / "csrc" / "cnn.h").read_bytes()).hexdigest() for root in (ROOT, folder))
    for path in folder.glob("build/objects/**/*.from"):
        path.write_text(path.read_text().replace(before, after))
    run(folder, "setup.py", "--quiet", "build_ext", "--inplace")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_passes_its_tests(recipe: Any, tmp_path: Path) -> None:
    copy(tmp_path)
    changed = SCRIPT["apply"](recipe, tmp_path)
    run(tmp_path, "-m", "ruff", "check", *(name for name in changed if name.endswith(".py")))
    if any(name.startswith("csrc/") for name in changed):
        build(tmp_path)
    for command in recipe.commands:
        if command.startswith("make one TEST="):
            tests = shlex.split(shlex.split(command)[2].removeprefix("TEST="))
            if NOT_HERE not in tests:
                run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "made"), *tests)
