"""setup.py and build.py, with two C files in place of csrc/: what is compiled anew after which change, and that the
extension knows what it was built from."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc"),
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="this is no checkout"),
    pytest.mark.skipif(importlib.util.find_spec("setuptools") is None, reason="there is no setuptools"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("build.py", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "cnncli"\nversion = "1"\n[tool.setuptools]\n'
                                             'packages = ["cnncli"]\n')  # fmt: skip
    (tmp_path / "cnncli").mkdir()
    (tmp_path / "cnncli" / "__init__.py").touch()
    (tmp_path / "csrc").mkdir()
    for name, text in {"cnn.h": "int cnn_one(void);\nint cnn_two(void);\n", "two.h": "#define TWO 2\n",
                       "one.c": '#include "cnn.h"\nint cnn_one(void) { return 1; }\n',
                       "two.c": '#include "cnn.h"\n#include "two.h"\nint cnn_two(void) { return TWO; }\n',
                       }.items():  # fmt: skip
        (tmp_path / "csrc" / name).write_text(text)
    return tmp_path


def compiled(project: Path, **variables: str) -> set[str]:
    """Build, and return the names of the files that were compiled for it."""
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*.o")}
    environment = {**os.environ, "CC": "gcc", "CFLAGS": "", **variables}
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=project, env=environment,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.stem for path in project.rglob("*.o") if before.get(path) != path.stat().st_mtime_ns}


def answers(project: Path) -> tuple[int, str]:
    """Return what cnn_two returns, and what the extension says that it was built from."""
    code = "from cnncli._kernels import ffi, lib; print(lib.cnn_two(), ffi.string(lib.cnn_built_from).decode())"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    two, built_from = done.stdout.split()
    return int(two), built_from


def digest(project: Path) -> str:
    specification = importlib.util.spec_from_file_location("build_py", project / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.digest(project)


@pytest.mark.slow
def test_what_is_compiled_is_what_a_change_reaches(project):
    everything = {"one", "two", "built_from", "cnncli._kernels"}
    assert compiled(project) == everything
    assert answers(project) == (2, digest(project))
    assert compiled(project) == set()

    stale = answers(project)[1]
    (project / "csrc" / "two.h").write_text("#define TWO 22\n")
    assert digest(project) != stale
    assert compiled(project) == {"two", "built_from"}
    assert answers(project) == (22, digest(project))

    # Other flags have a folder of their own, and going back compiles nothing.
    assert compiled(project, CFLAGS="-DNOTHING") == everything
    assert compiled(project) == set()

    # A file that is back at what it was, whatever its time says, makes a file that is back.
    (project / "csrc" / "two.h").write_text("#define TWO 2\n")
    os.utime(project / "csrc" / "two.h", (0, 0))
    assert compiled(project) == {"two", "built_from"}
    assert answers(project) == (2, stale)

    # What the compiler refuses leaves no object that would be taken for good.
    (project / "csrc" / "one.c").write_text("nonsense")
    with pytest.raises(AssertionError):
        compiled(project)
    (project / "csrc" / "one.c").write_text('#include "cnn.h"\nint cnn_one(void) { return 1; }\n')
    assert "one" in compiled(project)
