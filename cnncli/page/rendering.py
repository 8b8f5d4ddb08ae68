"""The page as text: page.html with the style, the script, the engine and the weights in it. Nothing of it is fetched,
and its policy allows only what it holds: its own script and style, WebAssembly, a worker made of its own text, and
pictures that it is given."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from ..errors import printable
from ..export.golden import TOLERANCE
from ..report.page import in_script, policy
from ..visualize.canvas import RAMPS
from .program import Program
from .training import Trained
from .units import Units

SCRIPTS = ("products.js", "engine.js", "elements.js", "asking.js", "pixels.js", "answer.js", "pictures.js",
           "covering.js", "camera.js", "drawing.js", "number.js", "grids.js", "units.js", "layers.js", "graph.js",
           "tour.js", "learning.js", "saving.js", "check.js")
_LEFT_OUT = re.compile(r"^ *(?://|/\*\*| \*).*\n|^ +", re.MULTILINE)  # comments and indentation, which make pages large
ALSO = " 'wasm-unsafe-eval'"  # which compiles WebAssembly and evaluates no text


@dataclass(frozen=True)
class Sample:
    """A picture on the page: where it is shown from, its file's name, what it is (its label, or else its name), what
    the model wrongly takes it for, and whether its label is known."""

    uri: str
    name: str
    words: str
    taken_for: str = ""
    labelled: bool = False


def render(title: str, name: str, about: str, made: Program, golden: Sequence[dict[str, Any]],
           samples: Sequence[Sample], drawing: dict[str, Any] | None = None, units: Units | None = None,
           own_title: bool = False, trained: Trained | None = None) -> bytes:
    """Return the page's bytes, UTF-8; the same model and pictures give the same. title is one line of text; own_title
    says that it stays when the page learns other classes. drawing says how pictures are drawn
    (drawn.py), units what excites filters (units.py), trained how the model was trained (training.py); None where
    nothing does."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files(__package__)
    html, style, *scripts = ((here / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *SCRIPTS))
    script = _LEFT_OUT.sub("", "\n".join(scripts))
    height, width, channels = made.described["input"]["shape"]
    given = {"program": made.described, "golden": golden, "tolerance": TOLERANCE, "drawing": drawing,
             "units": units.described if units else None, "own_title": own_title,
             "colours": [list(bytes.fromhex(code)) for code in RAMPS["diverging"]]}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(html).render(
        title=title, name=printable(name), about=printable(about),
        policy=f"{policy(style, script, ALSO)}; worker-src blob:", style=Markup(style), script=Markup(script),
        given=Markup(in_script(given)), height=height, width=width, grey=channels == 1,
        engine=Markup(in_base64((here / "engine.wasm").read_bytes())), weights=Markup(in_base64(made.weights)),
        trained=trained and replace(trained, drawings=[*map(Markup, trained.drawings)]),
        samples=samples, sheet=f"data:image/jpeg;base64,{in_base64(units.sheet)}" if units else "")
    return page.encode("utf-8")


def in_base64(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")
