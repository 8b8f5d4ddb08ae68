"""What pyproject.toml cannot say: the C extension comes from build.py, its files are compiled side by side, and one
wheel serves every Python from 3.10 on."""

import os
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext


class ParallelBuild(build_ext):
    """build_ext that compiles an extension's sources in as many processes as there are CPUs."""

    def build_extensions(self) -> None:
        one_by_one = self.compiler.compile

        def compile_all(sources, output_dir=None, **options):
            # Each object's folder is made first: making one is where threads would get in each other's way.
            for folder in {os.path.dirname(path) for path in self.compiler.object_filenames(sources, 0, output_dir)}:
                os.makedirs(folder, exist_ok=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: one_by_one([source], output_dir=output_dir, **options), sources)
                return [path for paths in objects for path in paths]

        self.compiler.compile = compile_all
        super().build_extensions()


setup(
    cffi_modules=["build.py:ffi"],
    cmdclass={"build_ext": ParallelBuild},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
