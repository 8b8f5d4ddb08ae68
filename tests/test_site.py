"""docs/: every page is reached from index.md, the reference has every public name, links between pages lead somewhere,
and the README's numbers are those of the code and of the page about speed.
`make docs` builds the site; this is what needs no Sphinx."""

import re
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli import errors

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[\w-]+)?\)")


def test_every_page_is_in_the_contents() -> None:
    listed = re.findall(r"^[\w/]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted([*listed, "index"]) == PAGES


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    described = set(re.findall(r"\.\. auto\w+:: cnncli\.(\w+)$", text, re.MULTILINE))
    assert set(cnncli.__all__) - {"__version__"} - described == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md",
                                  *(f"docs/{page}.md" for page in PAGES)])
def test_links_to_files_lead_somewhere(page: str) -> None:
    path = ROOT / page
    targets = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_speeds_of_the_readme_are_those_of_the_page_about_speed() -> None:
    row = r"^\| (.+), (\d+x\d+), (batch \d+) \| ([\d,.]+)[^|]* \| ([\d,.]+) [^|]*\| x([\d.]+) \| x([\d.]+) \|"
    rows = re.findall(row, (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    speeds = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert len(rows) == 4
    for network, size, batch, ours, theirs, ratio, with_avx2 in rows:
        measured = rf"^\| {network}, {size}x., {batch} \| 2 \| ([\d,.]+) .*?\| ([\d,.]+) .*?\| PyTorch.*?\| ([\d.]+) "
        found = re.findall(measured, speeds, re.MULTILINE)
        assert found[0][:2] == (ours, theirs)
        assert [f"{float(each):.1f}" for *_, each in found] == [ratio, with_avx2]


def test_numbers_of_the_readme_are_those_of_the_code() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    least = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert least
    assert f"Python {least[1]} or newer" in readme
    [codes] = re.findall(r"Exit codes: (.*?)\.", readme)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CnnError)]
    assert {int(code) for code in re.findall(r"\d+", codes)} == {0, 3, 130, 143} | {kind.exit_code for kind in kinds}
    with np.load(ROOT / "cnncli/data/sample/fashion-mnist.npz") as sample:
        images = sum(len(sample[name]) for name in sample.files if name.endswith("labels"))
    assert f"writes {images:,} of them" in readme
