"""The page's drawings as SVG: intervals on a scale from 0 to 1, the reliability diagram, coverage against accuracy.
Colours and fonts are the page's (page.css), so that they follow it into the dark. Only numbers and words of our own get
in here. page.py asks for them.
"""

from collections.abc import Iterable, Sequence
from math import ceil

from ..model.calibration import Bin, Coverage

WIDTH, HEIGHT = 340, 300
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 24, 22, 40
_COUNTS = 44  # pixels below a reliability diagram for the bars that say how many images there are
_POINTS = 300  # of a curve
_APART = 0.1  # of the width or height, at least, between two words


def interval(share: float, low: float | None, high: float | None, kind: str = "right") -> str:
    """Return a bar as long as the share, with its interval, where it has one, as a line over it."""
    line = "" if low is None or high is None else (
        f'<rect class="whisker" x="{100 * low:.2f}" y="4" width="{max(0.6, 100 * (high - low)):.2f}" height="2"/>')
    return (f'<svg class="interval" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="track" width="100" height="10"/>'
            f'<rect class="{kind}" width="{100 * share:.2f}" height="10"/>'
            f'{line}</svg>')


def reliability(bins: Sequence[Bin], label: str) -> str:
    """Return the accuracy of the answers against their probability; on the diagonal they mean what they say. A line on
    each bar is the probability that the answers had: what is missing below it was too sure, what is above it not sure
    enough. The bars below say how many images each of them stands for. ``legend`` names the colours."""
    frame = _Frame(label, below=_COUNTS)
    most = max(b.images for b in bins)
    base = HEIGHT - _BOTTOM
    for b in bins:
        x, width = frame.x(b.low), frame.x(b.high) - frame.x(b.low) - 1
        right, said = frame.y(b.accuracy), frame.y(b.confidence)
        both = max(right, said)
        frame.rectangle("right", x, both, width, frame.y(0) - both)
        if right > said:
            frame.rectangle("sure", x, said, width, right - said)
        elif right < said:
            frame.rectangle("shy", x, right, width, said - right)
        frame.add(f'<path class="said" d="M{x:.1f} {said:.1f}h{width:.1f}"/>')
        tall = max(1.0, (_COUNTS - 14) * b.images / most)
        frame.rectangle("count", x, base - tall, width, tall)
    frame.add(f'<path class="diagonal" d="M{frame.x(0):.1f} {frame.y(0):.1f}L{frame.x(1):.1f} {frame.y(1):.1f}"/>')
    frame.axis_x([(v / 5, f"{20 * v} %") for v in range(6)], "probability of the answer", base)
    frame.axis_y([(v / 5, f"{20 * v} %") for v in range(6)], "right")
    return frame.svg()


def legend(kind: str) -> str:
    """Return a sample of a colour or line of ``reliability`` for its legend."""
    part = ('<path class="said" d="M0 7h28"/>' if kind == "said" else
            f'<rect class="{kind}" x="1" y="1" width="26" height="12"/>')
    return f'<svg class="chart" viewBox="0 0 28 14" aria-hidden="true">{part}</svg>'


def coverage(curve: Coverage, marks: Iterable[tuple[float, float, str]], label: str) -> str:
    """Return the accuracy of the answers that are given against how many are. marks are (coverage, accuracy, words)."""
    marks, accuracy = list(marks), curve.accuracy
    kept = sorted({*range(0, len(accuracy), max(1, len(accuracy) // _POINTS)), len(accuracy) - 1})
    points = [(float(curve.coverage[i]), float(accuracy[i])) for i in kept]
    # A handful of the surest answers may be wrong: that would squeeze the rest of the curve.
    lowest = min([y for x, y in points if x >= 0.05] + [y for _, y, _ in marks])
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - lowest) / step <= 5)
    ticks = [1 - step * i for i in range(max(1, ceil((1 - lowest) / step - 1e-9)), -1, -1)]
    floor = ticks[0]
    frame = _Frame(label, floor=floor)
    path = "L".join(f"{frame.x(x):.1f} {frame.y(max(y, floor)):.1f}" for x, y in points)
    frame.add(f'<path class="curve" d="M{path}"/>')
    for x, y, words in marks:
        frame.add(f'<circle class="mark" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4"/>')
        same = [other for at, right, other in marks if abs(at - x) < _APART and abs(right - y) < _APART * (1 - floor)]
        if words == same[0]:  # several that lie at one place are told together
            frame.text(frame.x(x) + 6, frame.y(y) - 7, ", ".join(same), "start" if x < 0.9 else "end")
    frame.axis_x([(v / 5, f"{20 * v} %") for v in range(6)], "share of images with an answer", HEIGHT - _BOTTOM)
    frame.axis_y([(v, f"{100 * v:.0f} %") for v in ticks], "right")
    return frame.svg()


class _Frame:
    """A drawing with axes: x from 0 to 1, y from floor to 1, `below` pixels left free above the x axis' labels."""

    def __init__(self, label: str, floor: float = 0.0, below: int = 0) -> None:
        self._label, self._floor, self._below, self._parts = label, floor, below, list[str]()

    def x(self, value: float) -> float:
        """Return where a value lies, in pixels from the left."""
        return _LEFT + value * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return where a value lies, in pixels from the top."""
        bottom = HEIGHT - _BOTTOM - self._below
        return bottom - (value - self._floor) / (1 - self._floor) * (bottom - _TOP)

    def add(self, part: str) -> None:
        """Draw something."""
        self._parts.append(part)

    def rectangle(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        """Fill a rectangle."""
        self.add(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(0.0, height):.1f}"/>')

    def text(self, x: float, y: float, words: str, anchor: str, kind: str = "") -> None:
        """Write words that need no escaping."""
        self.add(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>')

    def axis_x(self, ticks: Sequence[tuple[float, str]], name: str, base: float) -> None:
        """Label the x axis, which lies at base."""
        self.add(f'<path class="axis" d="M{_LEFT} {base}H{WIDTH - _RIGHT}"/>')
        for value, words in ticks:
            self.text(self.x(value), base + 15, words, "middle", "faint")
        self.text((_LEFT + WIDTH - _RIGHT) / 2, base + 33, name, "middle")

    def axis_y(self, ticks: Sequence[tuple[float, str]], name: str) -> None:
        """Label the y axis and draw its lines."""
        lines = []
        for value, words in ticks:
            lines.append(f'<path class="grid" d="M{_LEFT} {self.y(value):.1f}H{WIDTH - _RIGHT}"/>')
            self.text(_LEFT - 5, self.y(value) + 4, words, "end", "faint")
        self._parts[:0] = lines
        self.text(_LEFT, _TOP - 10, name, "start")

    def svg(self) -> str:
        """Return it all."""
        return (f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{self._label}">'
                + "".join(self._parts) + "</svg>")
