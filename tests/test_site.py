"""docs/: every page is reached from index.md, the reference has every public name, links between pages lead somewhere.
`make docs` builds the site; this is what needs no Sphinx."""

import re
from pathlib import Path

import pytest

import cnncli

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
