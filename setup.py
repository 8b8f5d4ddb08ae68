"""The one thing that pyproject.toml cannot say: the C extension comes from build.py."""

from setuptools import setup

setup(cffi_modules=["build.py:ffi"])
