"""cnn train --live and cnn watch as their users meet them: the address, what goes beside which option, Ctrl-C and the
page's button, and what is refused."""

import json
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnncli.cli import main
from cnncli.runs import Run

from ..watching.conftest import Asking
from .test_runs import make
from .test_train import LONG, PATIENCE, SHORT, start, until, work

__all__ = ["work"]


def recorded(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "watched.jsonl").read_text().splitlines()]


def address(stream: Any) -> Asking:
    """Read lines until one has the address."""
    for line in stream:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S+/", line):
            return Asking(found[0])
    raise AssertionError("no address was said")


@pytest.mark.parametrize(("arguments", "words"), [
    (("train", "data", "--port", "8000"), "--port needs --live, whose page it is for; add --live, or leave --port"),
    (("train", "data", "--find-lr", "--live"), "--find-lr and --live cannot be given together"),
    (("train", "data", "--live", "--port", "70000"), "70000 is not in the range from 0 to 65535"),
    (("watch", "resnet8"), "there is no run resnet8. Did you mean 'resnet8-1'? To list the runs: cnn runs"),
    (("watch", "resnet8-1", "nothing-like-it"), "there is no run nothing-like-it. To list the runs: cnn runs"),
    (("watch", "--runs", "empty"), "there is no run in empty/ yet; make one with: cnn train DATA --runs empty"),
    (("watch", "--port", "x"), "'x' is not a valid integer"),
])
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs"), "resnet8-1", [0.5])
    assert main(list(arguments)) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", [("watch", "a"), ("train", "data", "--live")])
def test_a_port_that_is_taken_is_said_before_any_work(command: tuple[str, ...], tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs"), "a", [0.5])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main([*command, "--port", port]) == 2
    assert (f"the port {port} cannot be used (another program uses it); give another --port, or leave it out for a "
            "free one.") in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [
    (), ("--folds", "2"), ("--time", "2s"), ("--patience", "1"), ("--json",), ("--json", "--folds", "2"),
    ("--preview",), ("--recipe", "fast", "--arch", "net.toml")], ids=" ".join)
def test_live_goes_with_other_options(how: tuple[str, ...], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [each for each in SHORT if "--time" not in how or each not in ("--epochs", "2")]
    assert main([*arguments, *how, "--live", "--name", "live"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^To watch it: http://127\.0\.0\.1:\d+/\S+/$", err, re.MULTILINE)
    runs = sorted(path.parent for path in (work / "runs").glob("live*/watched.jsonl"))
    assert [run.name for run in runs] == (["live-fold1", "live-fold2"] if "--folds" in how else ["live"])
    for run in runs:
        lines = recorded(run)
        assert (lines[0]["what"], lines[-1]["what"], lines[-1]["cause"]) == ("begin", "end", "finished")
        assert [line["epoch"] for line in lines if line["what"] == "epoch"] == [r["epoch"] for r in Run(run).history]
    if "--json" in how:
        assert json.loads(out)


@pytest.mark.slow
def test_the_runs_of_a_sweep_come_one_after_the_other(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "data", "lr=0.01,0.02", *SHORT[2:], "--live"]) == 0
    assert "To watch it: http://127.0.0.1:" in capsys.readouterr().err
    found = [recorded(path.parent) for path in (work / "runs").rglob("watched.jsonl") if "latest" not in str(path)]
    assert len(found) == 2
    assert [lines[-1]["cause"] for lines in found] == ["finished"] * 2


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("how", "cause", "code"), [
    (signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), ("stop", "the page", 130)])
def test_whoever_stops_it_it_is_saved_and_the_page_hears_so(how: Any, cause: str, code: int, work: Path) -> None:
    process = start(work, *LONG, "--live", stderr=subprocess.PIPE)
    ask = address(process.stderr)
    seen: list[Any] = []
    for _, event in ask.events():
        seen.append(event)
        if event.get("line", {}).get("what") == "epoch" and event["line"]["epoch"] == 2:
            if how == "stop":
                assert ask(f"{ask.path}stop", "POST", X_Token=ask.token)[0] == 202
            else:
                process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert f"{cause}: saving …" in err
    assert f"stopped by {cause} in epoch" in err.splitlines()[-1]
    assert "all saved; continue with: cnn train --resume net-1" in err.splitlines()[-1]
    lines = [event["line"] for event in seen if "line" in event]
    assert (lines[-1]["what"], lines[-1]["cause"]) == ("end", cause)
    assert lines == recorded(work / "runs" / "net-1")
    assert seen[-1]["id"] == "net-1"
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.alone
def test_a_training_of_another_process_is_watched_until_ctrl_c(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # the address comes at once, also through a pipe
    training = start(work, *LONG, "--name", "first")
    until((work / "runs" / "first" / "history.csv").exists)
    watching = start(work, "watch", stderr=subprocess.DEVNULL)
    ask = address(watching.stdout)
    epochs = []
    for _, event in ask.events():
        if "line" not in event:
            assert event == {"id": "first", "can_stop": False, "training": len(epochs) < 3, "there": True}
            if len(epochs) >= 3:
                break
        elif event["line"]["what"] == "epoch":
            epochs.append(event["line"]["epoch"])
            if len(epochs) == 3:
                training.send_signal(signal.SIGTERM)
    assert epochs[:3] == [1, 2, 3]
    assert ask(f"{ask.path}stop", "POST", X_Token=ask.token)[0] == 409
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=PATIENCE)
    training.communicate(timeout=PATIENCE)
    assert (watching.returncode, training.returncode) == (0, 143)
