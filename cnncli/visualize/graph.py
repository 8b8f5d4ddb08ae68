"""A network as a drawing (SVG): its layers one below the other, each with type, output and parameters, and an arc for
each connection that passes layers over."""

import os
import re
from html import escape
from pathlib import Path

from ..data.outputs import Kind, claim, marked, write
from ..errors import printable
from ..network import INPUT, Network
from ..network.analysis import LayerSummary, summarise
from ..runs.opened import Opened
from ..values import as_hinted

GRAPH = Kind("a drawing of a network", ".svg", marked(rb"<!-- a network, drawn by cnn -->"))
_ROW, _HEIGHT, _GUTTER, _WIDTH = 34, 24, 96, 560
_STYLE = """text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #202124; }
.kind { fill: #b84500; } .faint { fill: #5c6168; font-size: 12px; }
rect { fill: #f6f7f9; stroke: #d6d9de; } .learns { fill: #eef4fb; stroke: #9dbfe0; }
path { fill: none; stroke: #5c6168; stroke-width: 1.3; } .past { stroke: #b84500; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e8eb; } .kind { fill: #ff9d5c; } .faint { fill: #a0a6ae; }
  rect { fill: #1e2125; stroke: #3a3f46; } .learns { fill: #1b2a3a; stroke: #35597d; }
  path { stroke: #a0a6ae; } .past { stroke: #ff9d5c; }
}"""


@as_hinted
def write_graph(of: Opened | Network, path: str | os.PathLike[str], force: bool = False) -> Path:
    """Draw a model's network, or one that has no model, into an .svg file. Raises UsageError and SaveError as
    ``cnncli.data.outputs.claim``."""
    network, hold = (of, claim) if isinstance(of, Network) else (of.model.network, of.claim)
    with hold({path: GRAPH}, force=force):
        write(path, graph(network).encode("utf-8"), GRAPH)
    return Path(path)


def graph(network: Network) -> str:
    """Return the drawing; the same network gives the same text."""
    layers, nodes = summarise(network), network.nodes
    rows = {INPUT: 0, **{node.name: i + 1 for i, node in enumerate(nodes)}}
    boxes = [_box(0, "image", "", "x".join(map(str, network.input_shape)), False), *(
        _box(i + 1, layer.name, layer.type, _facts(layer), layer.parameters > 0) for i, layer in enumerate(layers))]
    lines = [_line(rows[name], rows[node.name]) for node in nodes for name in node.inputs]
    height = _ROW * len(boxes) + 10
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<!-- a network, drawn by cnn -->",
                      f'<svg xmlns="http://www.w3.org/2000/svg" width="{_GUTTER + _WIDTH + 10}" height="{height}" '
                      f'viewBox="0 0 {_GUTTER + _WIDTH + 10} {height}" role="img">',
                      f"<title>a network of {len(nodes)} layers</title>", f"<style>{_STYLE}</style>",
                      *lines, *boxes, "</svg>", ""])


def _facts(layer: LayerSummary) -> str:
    shape = "x".join(map(str, layer.output_shape))
    return f"{shape}, {layer.parameters:,} parameters" if layer.parameters else shape


def _box(row: int, name: str, kind: str, facts: str, learns: bool) -> str:
    top = 5 + row * _ROW
    base = top + _HEIGHT - 7
    return (f'<rect class="{"learns" if learns else "plain"}" x="{_GUTTER}" y="{top}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="5"/>'
            f'<text x="{_GUTTER + 10}" y="{base}">{_text(name)}  <tspan class="kind">{_text(kind)}</tspan></text>'
            f'<text class="faint" x="{_GUTTER + _WIDTH - 10}" y="{base}" text-anchor="end">{_text(facts)}</text>')


def _line(start: int, end: int) -> str:
    """Return the connection between two rows: straight to the next, in an arc past others."""
    if end == start + 1:
        x, top = _GUTTER + 24, 5 + start * _ROW + _HEIGHT
        return f'<path d="M {x} {top} V {top + _ROW - _HEIGHT}"/>'
    begin, stop = (5 + row * _ROW + _HEIGHT / 2 for row in (start, end))
    reach = min(_GUTTER - 8, 18 + 4 * (end - start))
    return (f'<path class="past" d="M {_GUTTER} {begin:g} C {_GUTTER - reach} {begin:g} {_GUTTER - reach} {stop:g} '
            f'{_GUTTER} {stop:g}"/>')


def _text(words: str) -> str:
    """Return text that may stand in XML, which knows no control characters."""
    return escape(re.sub(r"[\x00-\x1f\ufffe\uffff\ud800-\udfff]", "?", printable(words)))
