"""What a shell makes of a line that a page or a message tells people to type: bash takes it apart, as it stands there,
comments, quotes and all; the test then calls the program itself, without a process for each."""

import os
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(__file__))
# The program hands back the words that it was called with.
_CNN = 'cnn() { printf "%s\\0" "$@"; exit 0; }\n'


def words(line: str) -> list[str]:
    """Return the words that the program is called with where somebody types a line. Fails where it is not called."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    done = subprocess.run([bash, "-c", _CNN + line], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"{line}: {os.fsdecode(done.stderr)}"
    assert done.stdout.endswith(b"\0"), f"{line}: is no command of the program"
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def installed(folder: str | os.PathLike[str]) -> str:
    """Write the program as pip installs it into a folder; return its path."""
    path = os.path.join(folder, "cnn")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''\nimport sys\n"
                   f"sys.path.insert(0, {ROOT!r})\nfrom cnncli.cli import main\nsys.exit(main())\n")
    os.chmod(path, 0o755)
    return path
