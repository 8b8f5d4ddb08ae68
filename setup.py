"""What pyproject.toml cannot say: the C extension comes from build.py, only what changed of it is compiled, file
beside file, and one wheel serves every Python from 3.10 on.

Objects stay in build/objects/, in a folder for each compiler and its flags. Beside each lies a list of the files that
it was made from, and of their digests: where one differs, the object is made anew. A file's time says nothing here, so
going to another commit and back compiles nothing twice.
"""

import hashlib
import os
import runpy
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

OBJECTS = Path("build/objects")


class IncrementalBuild(build_ext):
    """build_ext that compiles what changed, in as many processes as there are CPUs."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = str(OBJECTS)  # pip would take a folder that it deletes
        self.force = True  # look at every object, whatever the extension's time is, and always link

    def build_extensions(self) -> None:
        stamp = OBJECTS / "built_from.c"
        built_from = runpy.run_path("build.py")["digest"](Path())
        declared = "const char *const cnn_built_from"
        stamp.write_text(f'extern {declared};\n{declared} = "{built_from}";\n')
        for extension in self.extensions:
            extension.sources.append(str(stamp))
        compile_anew = self.compiler.compile

        def compile_changed(sources: list[str], output_dir: str | None = None, **options: Any) -> list[str]:
            digest = cache(_digest)  # one reading of each file: what is edited meanwhile is compiled next time
            for path in Path("csrc").iterdir():
                digest(path)
            folder = OBJECTS / _settings(self.compiler.compiler_so, options)
            options["extra_postargs"] = [*(options.get("extra_postargs") or ()), "-MMD"]

            def one(source: str) -> str:
                name: str = self.compiler.object_filenames([source], False, str(folder))[0]
                made_from = Path(name).with_suffix(".from")
                if not (os.path.exists(name) and made_from.exists() and _as_it_says(made_from, digest)):
                    made_from.unlink(missing_ok=True)
                    compile_anew([source], output_dir=str(folder), **options)
                    _, _, read = Path(name).with_suffix(".d").read_text().replace("\\\n", " ").partition(":")
                    made_from.write_text("".join(f"{digest(Path(path))} {path}\n" for path in read.split()))
                return name

            # Each object's folder is made first: making one is where threads would get in each other's way.
            for name in self.compiler.object_filenames(sources, False, str(folder)):
                os.makedirs(os.path.dirname(name), exist_ok=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(one, sources))

        self.compiler.compile = compile_changed
        super().build_extensions()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def _as_it_says(made_from: Path, digest: Callable[[Path], str]) -> bool:
    """Return whether the files that an object was made from are still what they were."""
    entries = [line.split(" ", 1) for line in made_from.read_text().splitlines()]
    return bool(entries) and all(digest(Path(path)) == then for then, path in entries)


def _settings(compiler: list[str], options: dict[str, Any]) -> str:
    """Return the name of the folder for what this compiler makes with these options."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    said = [compiler, version, {key: value for key, value in options.items() if key != "depends"}]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


setup(
    cffi_modules=["build.py:ffi"],
    cmdclass={"build_ext": IncrementalBuild},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
