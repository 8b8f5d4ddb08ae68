"""The page of a training as text: watch.html with the style and the script in it. It asks its own server for events and
tells it to stop, and nobody else for anything; its policy allows no more."""

from importlib.resources import files

from ..report.page import policy

SHARED = "page/elements.js"  # of cnncli/: what other pages use too
SCRIPTS = ("numbers.js", "lines.js", "events.js", "axis.js", "drawing.js", "chart.js", "curves.js", "runs.js",
           "examples.js", "layers.js", "stopping.js", "watch.js")
ALSO = "; connect-src 'self'"


def render() -> bytes:
    """Return the page's bytes, UTF-8, always the same: what it shows comes as events."""
    here = files(__package__)
    html, style, *scripts = ((here / name).read_text(encoding="utf-8")
                             for name in ("watch.html", "watch.css", *SCRIPTS))
    shared = (files(__package__.rpartition(".")[0]) / SHARED).read_text(encoding="utf-8")
    script = "\n".join([shared, *scripts])
    for name, text in {"policy": policy(style, script) + ALSO, "style": style, "script": script}.items():
        html = html.replace(f"{{{{ {name} }}}}", text, 1)
    return html.encode("utf-8")
