"""What a public repository has besides its source: each file says what is true of this version."""

import re
from pathlib import Path

import pytest

import cnncli

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="this is no checkout")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {cnncli.__version__}\n" in read("CITATION.cff")


def test_the_changelog_begins_with_what_is_not_released() -> None:
    """So that a release is one heading below it."""
    headings = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


def test_the_workflow_runs_the_one_script_on_each_system() -> None:
    workflow = read(".github/workflows/ci.yml")
    machines = set(re.findall(r"machine: ([\w.-]+)", workflow))
    assert {re.sub(r"-[\d.]+", "", machine) for machine in machines} == {"ubuntu", "ubuntu-arm", "macos"}
    assert workflow.count("run: bash .ci/run") == 1
    oldest = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))
    assert oldest
    assert f'python: "{oldest[1]}"' in workflow


def test_what_a_source_distribution_holds_is_there() -> None:
    lines = [line.split() for line in read("MANIFEST.in").splitlines()]
    named = [name for line in lines if line and line[0] == "include" for name in line[1:]]
    assert ".ci/run" in named
    assert [name for name in named if not (ROOT / name).exists()] == []
