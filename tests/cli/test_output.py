"""cli/output.py, command.py and progress.py, function by function; test_main.py has them in processes of their own."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from cnncli import cli, kernels
from cnncli.cli import command, output, progress
from cnncli.errors import DataError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stdin:
    def __init__(self, content: bytes | OSError) -> None:
        self.buffer, self.content = self, content

    def read(self, count: int) -> bytes:
        if isinstance(self.content, OSError):
            raise self.content
        return self.content[:count]


# ---- output ----


def test_a_line_at_a_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    output.emit("a\tb")
    output.emit()
    output.note()
    output.note("c\nd")
    assert capsys.readouterr() == ("a\tb\n\n", "\nc\\nd\n")
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="standard output is closed") as caught:
        output.emit("x")
    assert caught.value.errno == 9


def test_json_is_indented_and_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []

    class Flushed(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Flushed())
    output.emit_json({"a": [1, float("-inf")]})
    assert flushed[-1] == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


def test_json_holds_what_json_can(capsys):
    output.emit_json({"a": np.float32(0.5), "b": np.arange(2), "c": float("nan"), "d": np.float64("inf"),
                      "e": Path("x"), 3: ("é", None, True), "f": b"\xff"})  # fmt: skip
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 0.5, "b": [0, 1], "c": None, "d": None, "e": "x", "3": ["é", None, True],
                               "f": "\udcff"}  # fmt: skip
    assert err == ""


def test_skipped_images_are_counted_listed_and_exit_3(capsys):
    assert output.report_skipped([]) == 0
    assert output.report_skipped([("a\n.png", "a\n.png is empty.")]) == 3
    assert output.report_skipped([(f"{i}.png", "is empty") for i in range(1025)], listed=2) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "1 image could not be used and was skipped:", r"  a\n.png is empty.",
        "1,025 images could not be used and were skipped:", "  0.png: is empty", "  1.png: is empty",
        "  … and 1,023 more.",
    ]  # fmt: skip


def test_twenty_skipped_images_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for count, more in ((20, []), (21, ["  … and 1 more."])):
        assert output.report_skipped([(f"{i}.png", "is empty") for i in range(count)]) == 3
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"{count} images could not be used and were skipped:"
        assert lines[21:] == more
    assert output.report_skipped([("a.png", "is empty")]) == 3
    assert capsys.readouterr().err.startswith("1 image could not be used and was skipped:\n")
    for used, words in ((0, "1 of 1 image could not be used and was"), (4, "1 of 5 images could not be used and was")):
        assert output.report_skipped([("a.png", "is empty")], used) == 3
        assert capsys.readouterr().err.startswith(words)


@pytest.mark.parametrize(("stream", "term", "watched"), [
    (Terminal(), "xterm", True), (Terminal(), "dumb", False), (io.StringIO(), "xterm", False),
    (object(), "xterm", False)])
def test_who_watches(stream: Any, term: str, watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    assert output.is_terminal(stream) == watched
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert output.is_terminal() == watched
    closed = io.StringIO()
    closed.close()
    assert not output.is_terminal(closed)


def test_a_console_is_as_wide_as_its_terminal_or_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "47")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal())
    plain, watched = output.console(), output.console(stderr=True)
    assert (plain.width, plain.file) == (output.WIDE, sys.stdout) == (160, sys.stdout)
    assert (watched.width, watched.file) == (47, sys.stderr)
    assert watched.show_cursor(False) is False
    with pytest.raises(BrokenPipeError):
        plain.on_broken_pipe()
    plain.print("[b] :smile: 12")
    watched.print("12 'a' None")
    assert sys.stdout.getvalue() == "[b] :smile: 12\n"  # type: ignore[attr-defined]
    assert sys.stderr.getvalue() == "12 'a' None\n"  # type: ignore[attr-defined]


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_what_cannot_be_written_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(cli, "_to_devnull", sent.append)
    for stdout, abandoned in ((None, []), (io.StringIO(), []), (Full(), [1])):
        monkeypatch.setattr(sys, "stdout", stdout)
        cli._abandon_stdout()
        assert sent == abandoned
    sent.clear()
    for stderr, abandoned in ((None, []), (io.StringIO(), []), (Full(), [2])):
        monkeypatch.setattr(sys, "stderr", stderr)
        cli._complain("x.")
        assert sent == abandoned
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    sent.clear()
    assert cli._flushed(5) == 1
    assert sent == [1]
    assert said.getvalue() == "cnn: no space left on the disk for the output; make room, or give another place.\n"
    monkeypatch.setattr(sys, "stdout", None)
    assert cli._flushed(5) == 5


# ---- progress ----


def test_progress_is_plain_lines_now_and_then_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with progress.progress("Reading\nimages", 3000) as reading:
        reading.advance(1000)
        reading.set(2500)
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 1000.0)
    with progress.progress("Counting") as counting:
        counting.advance()
    assert capsys.readouterr() == ("", "Reading\\nimages: 1,000 of 3,000\nReading\\nimages: 2,500 of 3,000\n")


class Bar:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def add_task(self, what: str, total: int | None) -> str:
        self.told.append((what, total))
        return "task"

    def refresh(self) -> None:
        self.told.append("refresh")

    def update(self, task: str, **fields: Any) -> None:
        assert task == "task"
        self.told.append(tuple(fields.values()))


def test_progress_is_told_at_its_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Bar()
    shown = progress.Progress("a\nb", 3000, bar)
    for seconds, how in ((0.0625, shown.advance), (0.0625, shown.advance), (0.0625, lambda: shown.advance(998))):
        now[0] += seconds
        how()
    now[0] += 0.01
    shown.set(3000)
    shown.set(10, 20)
    assert bar.told == [("a\\nb", 3000), "refresh", (1, 3000, False), (2, 3000, True), (1000, 3000, False),
                        (3000, 3000, True), (10, 20, False)]
    plain, endless = progress.Progress("plain", 3000), progress.Progress("endless", None)
    now[0] += 9.5
    plain.advance(1000)
    now[0] += 0.5
    plain.advance()
    endless.set(1234)
    now[0] += 9.5
    plain.advance()
    assert capsys.readouterr() == ("", "plain: 1,001 of 3,000\nendless: 1,234\n")
    assert (plain.done, plain.total, endless.total) == (1002, 3000, None)


def test_a_bar_goes_away_and_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    before = threading.active_count()
    with progress.progress("[b] reading", 5) as shown:
        assert threading.active_count() == before
        shown.set(5)
        assert shown._bar.live.transient
        assert "[b] reading" in sys.stderr.getvalue()  # type: ignore[attr-defined]
        assert "5/5" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_steps_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Shown(progress.Progress):
        def set(self, done: int, total: int | None = None) -> None:
            told.append((self.what, self.total, done, total))

    @progress.contextmanager
    def fake(what: str, total: int | None = None) -> Any:
        told.append(f"begin {what}")
        yield Shown(what, total)
        told.append(f"end {what}")

    monkeypatch.setattr(progress, "progress", fake)
    with progress.steps() as tell:
        assert told == []
        for what, done, total in (("a", 1, 3), ("a", 3, 3), ("b", 1, 2)):
            tell(what, done, total)
    assert told == ["begin a", ("a", 3, 1, 3), ("a", 3, 3, 3), "end a", "begin b", ("b", 2, 1, 2), "end b"]


# ---- command ----


def test_what_stands_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LONGEST_LIST", 5)
    for content, said in ((b"abc", b"abc"), (b"abcde", b"abcde")):
        monkeypatch.setattr(sys, "stdin", Stdin(content))
        assert command.listed_on_stdin(["a", "-"]) == said
        assert command.listed_on_stdin(["a"]) == b""
    monkeypatch.setattr(sys, "stdin", Stdin(b"abcdef"))
    with pytest.raises(DataError, match="longer than 256 MB"):
        command.listed_on_stdin(["-"])
    monkeypatch.setattr(sys, "stdin", Stdin(OSError(5, "Input/output error")))
    with pytest.raises(DataError, match=r"cannot be read \(input/output error\)"):
        command.listed_on_stdin(["-"])
    monkeypatch.setattr(sys, "stdin", None)
    assert command.listed_on_stdin(["-"]) == b""


def test_a_list_may_be_long() -> None:
    assert command.LONGEST_LIST == 256 * 2**20, "as the message says"


@pytest.mark.parametrize(("options", "given"), [
    (["--json", "--strict", "--exact", "--tta", "--force"],
     {"as_json": True, "strict": True, "exact": True, "tta": True, "force": True}),
    ([], {"as_json": False, "strict": False, "exact": None, "tta": False, "force": False}),
    (["-m", "a", "--group-by", "b", "--labels", "c"], {"model": Path("a"), "group_by": "b", "labels": "c"})])
def test_options_that_several_commands_have(options: list[str], given: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    made: Any = click.command(cls=command.Command, kernels=False)(lambda **values: found.update(values))
    for name, option in vars(command).items():
        # Some want a word more; --force is there twice, for files and for folders.
        whole = name.endswith("_option") and name not in ("out_option", "port_option", "force_inside_option")
        made = option(made) if whole else made
    assert made.main(options, standalone_mode=False) is None
    assert found | given == found
    assert "threads" not in found


def test_threads_are_those_asked_for_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(kernels, "configure", lambda: set_to.append("configured"))
    monkeypatch.setattr(kernels, "set_threads", set_to.append)
    made = click.command(cls=command.Command)(command.threads_option(lambda: 5))
    assert made.main(["--threads", "3"], standalone_mode=False) == 5
    assert made.main([], standalone_mode=False) == 5
    assert set_to == ["configured", 3, "configured"]
    none = click.command(cls=command.Command, kernels=False)(lambda: 5)
    assert none.main([], standalone_mode=False) == 5
    assert len(set_to) == 3
    for wrong in ("0", "257"):
        with pytest.raises(click.BadParameter):
            made.main(["--threads", wrong], standalone_mode=False)
    for right in ("1", "256"):
        made.main(["--threads", right], standalone_mode=False)


def test_examples_stand_below_the_options() -> None:
    made = click.command(cls=command.Command, examples=((f"cnn {'x' * 40}", "does it"), ("cnn y", "too")))(lambda: 0)
    said = made.get_help(click.Context(made, max_content_width=120))
    assert said.rstrip().endswith(f"Examples:\n  cnn {'x' * 40}  does it\n  cnn y{' ' * 39}  too")
    assert "Examples" not in click.command(cls=command.Command)(lambda: 0).get_help(click.Context(made))
