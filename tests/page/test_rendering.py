"""The page as text: all of it inside, all names as text, and a policy that allows just what it holds."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import pytest

from cnncli.page.program import program
from cnncli.page.rendering import SCRIPTS, Sample, in_base64, render
from cnncli.page.units import Units

from ..small_model import small_model

ODD = "</script><script>alert(1)</script>"


def rendered(samples: list[Sample] | None = None, **given: Any) -> str:
    model = small_model(grey=given.pop("grey", False))
    model.classes = (ODD, *model.classes[1:])
    return render(given.pop("title", "The network m"), "<i>m</i>\n", "About <it>.", program(model),
                  [{"pixels": "AA==", "probabilities": [1.0]}], samples or [], **given).decode("utf-8")


def content(page: str, name: str) -> str:
    [found] = re.findall(rf'<script [^>]*id="{name}">(.*?)</script>', page, re.DOTALL)
    return str(found)


def test_the_page_holds_the_program_the_weights_and_the_engine() -> None:
    made, page = program(small_model()), rendered()
    given = json.loads(content(page, "given"))
    assert given["program"]["calls"] == json.loads(json.dumps(made.described["calls"]))
    assert given["program"]["classes"][0] == ODD
    assert given["golden"] == [{"pixels": "AA==", "probabilities": [1.0]}]
    assert (given["tolerance"], given["drawing"], given["units"]) == (1e-5, None, None)
    assert base64.b64decode(content(page, "weights")) == made.weights
    assert base64.b64decode(content(page, "engine"))[:4] == b"\0asm"


def test_its_policy_allows_its_own_script_and_style_and_no_request() -> None:
    page = rendered()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["worker-src"] == "blob:"
    for name in ("script", "style"):
        [text] = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[f"{name}-src"]
    assert "'wasm-unsafe-eval'" in rules["script-src"]
    assert "unsafe-inline" not in policy.replace("&#39;", "'")
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_names_are_text_everywhere() -> None:
    page = rendered([Sample("data:,", "<img src=x>", '"<b>bold</b>', "<i>")], title="<i>t</i>")
    for strange in ("alert(1)</script>", "<img src=x>", "<b>bold", "<i>", "About <it>"):
        assert strange not in page
    assert "<h1 dir=\"auto\">&lt;i&gt;t&lt;/i&gt;</h1>" in page
    assert "<title>&lt;i&gt;t&lt;/i&gt;</title>" in page
    assert "<bdi>&lt;i&gt;m&lt;/i&gt;\\n</bdi>" in page
    assert '<span>&#34;&lt;b&gt;bold&lt;/b&gt;<span class="taken">, taken for &lt;i&gt;</span></span>' in page


@pytest.mark.parametrize("grey", [False, True])
def test_what_the_network_takes_is_said(grey: bool) -> None:
    page = rendered(grey=grey)
    assert ("5 x 6 pixels, grey." in page) == grey
    assert '<canvas id="seen" width="5" height="6"' in page
    assert "About &lt;it&gt;." in page


def test_what_is_not_there_is_not_in_the_page() -> None:
    plain = rendered()
    assert 'id="samples"' not in plain
    assert 'id="sheet"' not in plain
    full = rendered([Sample("data:,", "a.png", "boot")], drawing={"ground": 0},
                    units=Units({"looked_at": 30}, b"jpeg", 30, 5))
    given = json.loads(content(full, "given"))
    assert (given["drawing"], given["units"]) == ({"ground": 0}, {"looked_at": 30})
    assert f'<img id="sheet" src="data:image/jpeg;base64,{in_base64(b"jpeg")}" alt="" hidden>' in full
    assert "taken for" not in full
    assert rendered() == plain


def test_engine_and_script_are_small() -> None:
    """Below 150 kB of a page, all that is no weights, pictures and program together."""
    page = rendered()
    assert len(page.encode()) - len(content(page, "given")) - len(content(page, "weights")) < 150_000
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    joined = "\n".join((files("cnncli.page") / name).read_text(encoding="utf-8") for name in SCRIPTS).splitlines()
    assert [line.lstrip() for line in joined if not line.lstrip().startswith(("//", "/**", "*"))] == script.splitlines()
