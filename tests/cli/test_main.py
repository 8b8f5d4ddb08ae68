"""cli/__init__.py, command.py, output.py and progress.py: start-up, help, unknown names, every kind of error as one
sentence with its exit code, pipes that break, and the ways to speak. Commands that fail on purpose stand in for the
real ones; what depends on the process (stdout, signals, imports) runs in one of its own."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from cnncli import cli, errors, kernels
from cnncli.cli import output, progress
from cnncli.cli.command import threads_option

from .advised import wrong

ROOT = Path(__file__).parents[2]


def run(*arguments: str, code: str | None = None, **options) -> subprocess.CompletedProcess[str]:
    """Run `cnn` with arguments, or a piece of Python, in a process of its own."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "cnncli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    options = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run(command, env=environment, cwd=ROOT, check=False, **options)


@pytest.fixture
def command(monkeypatch):
    """Make `cnn train` call a function instead."""

    def replace(function, **options) -> None:
        made = click.command(cls=cli.Command, **options)(function)
        monkeypatch.setattr(cli, "import_module", lambda *_: SimpleNamespace(command=made))

    return replace


def fails_with(error: BaseException):
    def function() -> None:
        raise error

    return function


# ---- help, version, unknown names ----


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = ("import sys; from cnncli.cli import main; assert main(['--help']) == 0;"
            "print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'PIL', 'rich', 'matplotlib', 'cffi',"
            " 'safetensors', 'jinja2') or m.startswith('cnncli.') and m not in ('cnncli.cli', 'cnncli.cli.command',"
            " 'cnncli.cli.completing', 'cnncli.cli.program', 'cnncli.errors', 'cnncli._version', 'cnncli.ranks',"
            " 'cnncli.ranks.launcher')], file=sys.stderr)")
    done = run(code=code)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    for name in cli.COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.slow
@pytest.mark.alone
def test_help_is_quick():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert run("--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # 0.08 s on an idle machine


def test_without_a_command_help_goes_to_stderr(capsys):
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: cnn")


def test_version(capsys):
    import cnncli

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"cnn {cnncli.__version__}\n"


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["trian"], "cnn: there is no command 'trian'; 'cnn --help' lists them. Did you mean 'train'?\n"),
    (["visualize"], "cnn: there is no command 'visualize'; 'cnn --help' lists them. Did you mean "
                    "'visualize-filters'?\n"),
    (["zzzz"], "cnn: there is no command 'zzzz'; 'cnn --help' lists them.\n"),
    (["--hepl"], "cnn: there is no option --hepl. Did you mean --help? See 'cnn --help'.\n"),
    (["train", "--epohcs=3"], "cnn: there is no option --epohcs. Did you mean --epochs? See 'cnn train --help'.\n"),
    (["train", "--epochs=x"],
     "cnn: invalid value for '--epochs': 'x' is not a valid integer. See 'cnn train --help'.\n"),
    (["train", "--threads=0"],
     "cnn: invalid value for '--threads': 0 is not in the range from 1 to 256. See 'cnn train --help'.\n"),
    (["train", "a\nb"], "cnn: got unexpected extra argument (a\\nb). See 'cnn train --help'.\n"),
])  # fmt: skip
def test_wrong_usage(arguments, sentence, command, capsys):
    command(threads_option(click.option("--epochs", type=int)(lambda epochs: None)))
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", sentence)


def test_every_command_of_the_table_has_help_with_examples(capsys):
    for name in cli.COMMANDS:
        assert cli.main([name, "--help"]) == 0
        out = capsys.readouterr().out
        assert "Examples:" in out, name
        assert out.startswith(f"Usage: cnn {name} "), name


# ---- errors ----


@pytest.mark.parametrize(("error", "code", "sentence"), [
    (errors.DataError("photos/ is empty; give images."), 1, "photos/ is empty; give images."),
    (errors.UsageError("no."), 2, "no."),
    (errors.NetworkError("no."), 2, "no."),
    (errors.ModelError("a\n\udcffb.safetensors is no model."), 4, r"a\n\xffb.safetensors is no model."),
    (errors.Interrupted("stopped; saved.", signal.SIGTERM), 143, "stopped; saved."),
    (KeyboardInterrupt(), 130, "interrupted."),
    (click.Abort(), 130, "interrupted."),
    (MemoryError("2 GB"), 1,
     "there is not enough memory (2 GB); try a smaller --batch-size or --size, or --cache disk."),
    (OSError(errno.ENOSPC, "x", "a/b"), 1, "no space left on the disk for a/b; make room, or give another place."),
    (OSError(errno.EACCES, "x", "a"), 1,
     "a cannot be used (permission denied); change its permissions, or give another place."),
    (OSError(errno.EROFS, "x", "a"), 1, "a is on a read-only disk; give another place."),
    (OSError(errno.ENOENT, "x", b"a"), 1, "there is no file or folder a; check the path."),
    (OSError(errno.EIO, "Input/output error", "a"), 1, "a: input/output error."),
    (OSError(errno.EIO, "Input/output error", 5), 1, "the output: input/output error."),
    (OSError(), 1, "the output: OSError."),
    (OSError(errno.EDQUOT, "x"), 1, "no space left on the disk for the output; make room, or give another place."),
    (OSError(errno.EPERM, "x", "a"), 1,
     "a cannot be used (permission denied); change its permissions, or give another place."),
    (MemoryError(), 1, "there is not enough memory; try a smaller --batch-size or --size, or --cache disk."),
    (ImportError("failed to map segment"), 1,
     "there is not enough memory to begin (failed to map segment); raise the limit on it (ulimit -v)."),
    (ImportError("no _kernels"), 1, "a part of cnn is missing (no _kernels); install it again with 'pip install .'."),
    (ZeroDivisionError("x"), 1,
     "this is an error of the program itself (ZeroDivisionError: x); please report it, with what CNN_DEBUG=1 shows."),
])  # fmt: skip
def test_errors_are_one_sentence_with_their_exit_code(error, code, sentence, command, capsys):
    command(fails_with(error), kernels=False)
    assert cli.main(["train"]) == code
    assert capsys.readouterr() == ("", f"cnn: {sentence}\n")


def test_a_broken_pipe_is_quiet(command, capsys):
    command(fails_with(BrokenPipeError()), kernels=False)
    assert cli.main(["train"]) == 141
    assert capsys.readouterr() == ("", "")


def test_memory_is_won_by_options_that_the_command_has():
    for name in cli.COMMANDS:
        sentence, _ = cli.explain(MemoryError(), name)
        assert wrong(sentence, name) is None


def test_who_ends_the_process_says_how():
    assert [cli.explain(SystemExit(code)) for code in (5, 0, "x")] == [("", 5), ("", 0), ("", 1)]


def test_one_thread_is_enough_for_numpy(monkeypatch, capsys):
    for given, kept in (("4", "4"), (None, "1")):
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        if given:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
        assert cli.main(["--version"]) == 0
        assert os.environ["OPENBLAS_NUM_THREADS"] == kept


def test_a_shell_is_told_how_to_complete(monkeypatch, capsys):
    monkeypatch.setenv("_CNN_COMPLETE", "zsh_source")
    assert cli.main([]) == 0
    assert "_cnn_completion" in capsys.readouterr().out


def test_the_debug_variable_shows_the_traceback(command, capsys, monkeypatch):
    command(fails_with(errors.DataError("no.")), kernels=False)
    for nothing in ("0", ""):
        monkeypatch.setenv("CNN_DEBUG", nothing)
        assert cli.main(["train"]) == 1
        assert capsys.readouterr().err == "cnn: no.\n"
    monkeypatch.setenv("CNN_DEBUG", "1")
    assert cli.main(["train"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("cnn: no.\n")


def test_what_a_command_returns_is_the_exit_code(command):
    command(lambda: 3, kernels=False)
    assert cli.main(["train"]) == 3
    command(lambda: None, kernels=False)
    assert cli.main(["train"]) == 0


# ---- kernels are set up only where they are needed ----


def test_threads_and_variables_are_applied_before_the_command(command, monkeypatch, capsys):
    seen = []
    before = kernels.threads()
    command(threads_option(lambda: seen.append(kernels.threads())))
    monkeypatch.setenv("CNN_THREADS", "3")
    try:
        assert cli.main(["train"]) == 0
        assert cli.main(["train", "--threads", "2"]) == 0
    finally:
        kernels.set_threads(before)
    assert seen == [3, 2]


@pytest.mark.parametrize(("name", "value"), [("CNN_THREADS", "many"), ("CNN_THREADS", "0"), ("CNN_ISA", "mmx")])
def test_a_nonsensical_variable_is_a_usage_error_only_where_it_matters(name, value, command, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    command(lambda: 0)
    assert cli.main(["train"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("cnn: ")
    assert value in err
    assert cli.main(["train", "--help"]) == 0
    command(lambda: 0, kernels=False)
    assert cli.main(["train"]) == 0


# ---- the process: pipes, full disks, signals ----

WRITES = ("import click, sys; from types import SimpleNamespace\n"
          "from cnncli import cli; from cnncli.cli import output\n"
          "@click.command(cls=cli.Command, kernels=False)\n"
          "def command():\n    {}\n"
          "cli.import_module = lambda *_: SimpleNamespace(command=command)\nsys.exit(cli.main(['train']))")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("body", ["output.emit_json(['x' * 100] * 10000)", "output.emit('x')",
                                  "output.console().print('x')", "click.echo('x')"])  # fmt: skip
def test_a_full_device_is_an_error(body):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = run(code=WRITES.format(body), stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert done.stderr == "cnn: no space left on the disk for the output; make room, or give another place.\n"


@pytest.mark.slow
@pytest.mark.parametrize("body", ["output.emit_json(['x' * 100] * 10000)", "[output.emit('x') for _ in range(10**6)]",
                                  "[output.console().print('x' * 90) for _ in range(3000)]"])  # fmt: skip
def test_a_reader_that_leaves_is_no_error_worth_a_word(body):
    reader, writer = os.pipe()
    os.close(reader)
    done = run(code=WRITES.format(body), stdout=writer, stderr=subprocess.PIPE, capture_output=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_help_to_a_full_device():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = run("--help", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("cnn: no space left")


@pytest.mark.slow
def test_closed_streams_are_survived():
    shell = f"'{sys.executable}' -m cnncli --help >&- 2>&-; echo $?; '{sys.executable}' -m cnncli zzz 2>&-; echo $?"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n2\n", "")


@pytest.mark.slow
def test_ctrl_c_exits_130_with_one_line():
    code = WRITES.format("import time; sys.stderr.write('ready\\n'); sys.stderr.flush(); time.sleep(30)")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    with process:
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "cnn: interrupted.\n"
    assert process.returncode == 130


@pytest.mark.slow
def test_a_name_that_is_not_utf8_reaches_the_output_as_an_escape():
    command = [sys.executable.encode(), b"-m", b"cnncli", b"\xff\xfe"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 2
    assert rb"'\xff\xfe'" in done.stderr


# ---- output.py and progress.py: the ways to speak ----


@pytest.mark.parametrize(("text", "shown"), [
    ("plain.png", "plain.png"), ("été 猫.png", "été 猫.png"), ("a\nb\tc\x1b[31m", r"a\nb\tc\x1b[31m"),
    ("\udcff.png", r"\xff.png"), (Path("a\rb"), r"a\rb"), ("\u202egnp", r"\u202egnp"), (12, "12"),
])  # fmt: skip
def test_printable(text, shown):
    assert errors.printable(text) == shown


def test_a_note_to_nobody_is_no_error(monkeypatch):
    with open("/dev/full", "w", encoding="ascii", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        output.note("x")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    monkeypatch.setattr(sys, "stderr", None)
    output.note("x")


PROGRESS = ("import time; from cnncli.cli import progress\n"
            "with progress.progress('Reading [b]', 3) as p:\n    p.advance(2); time.sleep(0.3)\n")  # fmt: skip


STEPS = ("import time; from cnncli.cli.progress import steps\n"
         "from cnncli.cli.output import note\n"
         "with steps() as shown:\n"
         "    note('to begin with')\n"
         "    for what, total in (('reading', 3), ('testing', 5)):\n"
         "        for done in range(1, total + 1):\n            shown(what, done, total)\n"
         "        time.sleep(0.3)\n")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "bar", "colour"), [
    ({"TERM": "xterm-256color"}, True, True), ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False),
    ({"TERM": "dumb"}, False, False),
])  # fmt: skip
def test_progress_is_a_bar_on_a_terminal(variables, bar, colour):
    shown = on_terminal(PROGRESS, variables)
    assert (b"Reading [b]" in shown and b"2/3" in shown) == bar
    assert (b"\x1b[38;5;" in shown or b"\x1b[35m" in shown) == colour


@pytest.mark.slow
def test_each_step_has_a_bar_of_its_own(monkeypatch, capsys):
    shown = on_terminal(STEPS, {"TERM": "xterm-256color", "NO_COLOR": "1"})
    places = [shown.index(words) for words in (b"to begin with", b"reading", b"3/3", b"testing", b"5/5")]
    assert places == sorted(places)
    assert b"reading" not in shown[places[3] :]
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with progress.steps() as tell:
        tell("reading", 2, 3)
        tell("testing", 1, 4)
        tell("testing", 4, 4)
    assert capsys.readouterr().err == "reading: 2 of 3\ntesting: 1 of 4\ntesting: 4 of 4\n"


def on_terminal(code: str, variables: dict[str, str]) -> bytes:
    """Run a piece of Python with a terminal as stderr; return what was shown there."""
    leader, follower = pty.openpty()
    done = run(code=code, stdout=subprocess.PIPE, stderr=follower, capture_output=False,
               env={"COLORTERM": "", "NO_COLOR": "", **variables})  # fmt: skip
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 65536):
            shown += piece
    except OSError:  # how Linux ends a terminal whose other side is closed
        pass
    os.close(leader)
    assert (done.returncode, done.stdout) == (0, "")
    return shown


def test_tables_show_class_names_as_they_are(capsys):
    from rich.table import Table

    table = Table("class")
    table.add_row("[red]cat :smile:")
    output.console().print(table)
    assert "[red]cat :smile:" in capsys.readouterr().out
