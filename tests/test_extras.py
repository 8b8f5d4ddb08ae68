"""cnncli/extras.py: the command that a message advises names the packages of pyproject.toml's extra."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cnncli import extras

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def as_metadata() -> list[str]:
    """The extras as an installed package's metadata have them."""
    return ["numpy>=1.26", *(f'{package}; extra == "{extra}"' for extra, packages in EXTRAS.items()
                             for package in packages)]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_the_packages(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: as_metadata())
    command = extras.install(extra)
    words = subprocess.run(["sh", "-c", f'pip() {{ printf "%s\\n" "$@"; }}; {command}'], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    assert words == ["install", *EXTRAS[extra]]


def test_without_an_installation_it_is_said_as_in_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert extras.install("onnx") == "pip install '.[onnx]'"
