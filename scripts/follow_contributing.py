"""Follows CONTRIBUTING.md word for word: ``python scripts/follow_contributing.py`` runs its commands, in their order,
in a fresh clone of the last commit; with ``--here`` in this folder, if it is a fresh clone already (.ci/run).
Then, in the clone, csrc/ is edited: tests must refuse the extension, and ``make one`` must bring it up to date. At the
end each recipe of docs/contributing.md is applied there (recipes.py), and its commands are run.
Needs git, and whatever `make` needs."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import recipes

ROOT = Path(__file__).resolve().parent.parent
# What takes minutes, and who runs it instead.
ELSEWHERE = {
    "make quick": ".ci/run runs every test",
    "make test": ".ci/run does",
    "make coverage": "it compiles everything anew and runs most tests",
    "make demo": ".ci/run does, from a wheel",
    "make mutants": "hours for all rooms",
    "make contributing": "this is it",
    "make format": "it changes files",
    "make sanitize": "half an hour; .ci/run runs what needs no Python",
    "make test-peers": "it fetches PyTorch",
    "make bench": "half an hour",
    "make docs": ".ci/run does, where Sphinx can be installed",
    "make links": "it needs the network",
}


def commands(text: str) -> list[str]:
    """Return the commands of a page: its indented lines, up to two spaces, where what they do is told."""
    return [re.split(r" {2,}", line.strip())[0] for line in text.splitlines() if line.startswith("    ")]


def run(command: str, folder: Path) -> int:
    """Run a command as a shell does, print what it took, and return its exit code."""
    print(f"$ {command}", flush=True)
    began = time.monotonic()
    code = subprocess.run(command, shell=True, cwd=folder, check=False).returncode
    print(f"  exit code {code} after {time.monotonic() - began:.1f} s", flush=True)
    return code


def follow(folder: Path) -> None:
    """Run the commands of the folder's CONTRIBUTING.md; exit where one fails."""
    found = commands((folder / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    if unknown := ELSEWHERE.keys() - found:
        sys.exit(f"CONTRIBUTING.md does not name {', '.join(sorted(unknown))}; take it out of {Path(__file__).name}.")
    for command in found:
        if command in ELSEWHERE:
            print(f"$ {command}: left out; {ELSEWHERE[command]}")
        elif run(command, folder):
            sys.exit(f"CONTRIBUTING.md says '{command}', which failed.")


def edit(folder: Path) -> None:
    """Edit a kernel: a stale extension must be refused, and built anew by what the page says."""
    with (folder / "csrc" / "pool.c").open("a", encoding="utf-8") as file:
        file.write("/* an edit */\n")
    if run(".venv/bin/python -m pytest tests/kernels/test_pool.py -k propagates_nan", folder) != 1:
        sys.exit("Tests ran with an extension that was built from another csrc/.")
    if run('make one TEST="tests/kernels/test_pool.py -k propagates_nan"', folder):
        sys.exit("After an edit of csrc/, 'make one' does not bring the extension up to date.")


def follow_recipes(folder: Path) -> None:
    """Apply each recipe in the clone, and run its commands; exit where one fails."""
    for recipe in recipes.recipes((folder / recipes.PAGE).read_text(encoding="utf-8")):
        print(f"{recipe.name}: {', '.join(sorted(recipes.apply(recipe, folder)))}", flush=True)
        for command in recipe.commands:
            if run(command, folder):
                sys.exit(f"{recipes.PAGE} says '{command}', which failed.")


if "--here" in sys.argv:
    follow(ROOT)
else:
    with tempfile.TemporaryDirectory() as clone:
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        follow(Path(clone))
        edit(Path(clone))
        follow_recipes(Path(clone))
