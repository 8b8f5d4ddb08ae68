"""runs/run.py: names that are never reused, a configuration that is there with the folder, runs/latest, the lock."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnncli.errors import TrainingError, UsageError
from cnncli.model.checkpoint import save_model
from cnncli.runs import COLUMNS, Run, RunLock, check_name, find_run, latest_run, new_run
from cnncli.runs.latest import point_latest

from ..small_model import small_model


def make(runs: Path, name: str | None = None, arch: str = "resnet8") -> Run:
    lock = new_run(runs, name, arch, {"arch": arch})
    lock.release()
    return lock.run


def test_runs_are_numbered_by_architecture(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    assert [make(runs).name for _ in range(3)] == ["resnet8-1", "resnet8-2", "resnet8-3"]
    assert make(runs, arch="lenet5").name == "lenet5-1"
    os.rename(runs / "resnet8-2", runs / "resnet8-17")
    assert make(runs).name == "resnet8-18"  # never a number below the highest
    assert make(runs, arch="my net/é").name == "my-net-é-1"
    assert make(runs, arch="///").name == "run-1"


def test_a_run_has_its_configuration_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    run = make(tmp_path, "birds")
    assert run.config == {"arch": "resnet8"}
    assert sorted(os.listdir(tmp_path)) == ["birds", "latest"]
    assert os.stat(run.path).st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_name_is_never_taken_twice(tmp_path: Path) -> None:
    make(tmp_path, "birds")
    (tmp_path / "birds" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match=r"birds already.*resume birds"):
        make(tmp_path, "birds")
    assert (tmp_path / "birds" / "mine.txt").read_text() == "keep"
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match="already"):
        make(tmp_path, "dangling")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "latest", "-x", " a", "a\nb", "a\\b", "x" * 101])
def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a run"):
        check_name(tmp_path, name)


def test_a_hundred_letters_are_a_name(tmp_path: Path) -> None:
    check_name(tmp_path, "x" * 100)
    assert make(tmp_path, "a b").name == "a b"


def test_what_names_a_run_after_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Run("runs/lenet5-1").as_option() == "lenet5-1"
    assert Run("runs/lenet5-1").as_option("other one") == "'other one'"
    assert Run("my runs/a").as_option() == "a --runs 'my runs'"
    assert repr(Run("runs/a")) == "Run('runs/a')"


def test_runs_that_begin_at_once_get_different_names(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: make(tmp_path).name, range(24)))
    assert sorted(names) == sorted({f"resnet8-{n}" for n in range(1, 25)})


def test_what_was_left_when_a_run_was_made_is_removed_but_not_a_living_ones(tmp_path: Path) -> None:
    hour_ago = time.time() - 3600
    dead, living, young = (tmp_path / f".new-{letter * 32}" for letter in "abc")
    for folder in (dead, living, young):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    lock = RunLock(Run(living))
    link = tmp_path / f".latest-{'d' * 32}"
    link.symlink_to("nowhere")
    (tmp_path / ".new-mine").mkdir()
    for path in (dead, living, link, tmp_path / ".new-mine"):
        os.utime(path, (hour_ago, hour_ago), follow_symlinks=False)
    make(tmp_path, "birds")
    lock.release()
    assert sorted(os.listdir(tmp_path)) == [living.name, young.name, ".new-mine", "birds", "latest"]


def test_latest_leads_to_the_newest(tmp_path: Path) -> None:
    make(tmp_path, "first")
    second = make(tmp_path, "second")
    assert os.readlink(tmp_path / "latest") == "second"
    assert latest_run(tmp_path).path == second.path
    point_latest(tmp_path, "first")
    assert find_run(runs=tmp_path).name == find_run("latest", tmp_path).name == "first"


def test_latest_is_a_text_file_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    make(tmp_path, "first")
    make(tmp_path, "second")
    assert (tmp_path / "latest").read_text() == "second\n"
    assert latest_run(tmp_path).name == "second"


def test_a_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine.txt").write_text("keep")
    make(tmp_path, "first")
    assert (tmp_path / "latest" / "mine.txt").read_text() == "keep"


def test_what_is_called_latest_and_names_no_run_is_left_alone(tmp_path: Path) -> None:
    runs, latest = tmp_path / "runs", tmp_path / "runs" / "latest"
    make(runs, "first")
    make(tmp_path, "elsewhere")
    (runs / "photos").mkdir()
    for where, ours in (("../elsewhere", False), ("photos", False), ("gone", True), ("first", True)):
        latest.unlink()
        latest.symlink_to(where)
        point_latest(runs, "second")
        assert os.readlink(latest) == ("second" if ours else where)
    for text, ours in (("my notes", False), ("photos\n", False), ("../elsewhere\n", False), ("first\n", True)):
        latest.unlink()
        latest.write_text(text)
        point_latest(runs, "second")
        assert latest.is_symlink() == ours, text


def test_a_link_to_a_run_is_that_run(tmp_path: Path) -> None:
    run = make(tmp_path, "birds")
    (tmp_path / "link").symlink_to("birds")
    assert find_run("link", tmp_path).path == run.path.resolve()


def test_finding_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run in"):
        find_run(runs=tmp_path)
    run = make(tmp_path, "birds")
    assert find_run("birds", tmp_path).path == find_run(run.path, tmp_path / "elsewhere").path == run.path
    with pytest.raises(UsageError, match="Did you mean 'birds'"):
        find_run("bird", tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"cnn train .*photos --resume"):
        find_run(tmp_path / "photos", tmp_path)
    os.rename(tmp_path / "birds", tmp_path / "moved")
    with pytest.raises(UsageError, match="no run in"):
        find_run(runs=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\0\xff", '{"a": NaN}', '{"a": -Infinity}', '{"a": {"b": 1, "b": 1}}',
                                  "[" * 100000, '{"a": ' + "1" * 5000 + "}"])
def test_a_damaged_configuration_is_told(tmp_path: Path, text: str) -> None:
    run = make(tmp_path)
    (run.path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="put it back as it was, or train again"):
        _ = run.config


def test_history_has_the_columns_that_others_rely_on(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.history == []
    row = dict(zip(COLUMNS, (1, 0.5, 0.25, None, None, 0.1, 1234.5678901, 3.25), strict=True))
    run.write_history([row, {**row, "epoch": 2, "val_loss": 1 / 3, "val_accuracy": 1.0}])
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,images_per_second,seconds\n"
        "1,0.5,0.25,,,0.1,1234.568,3.25\n"
        "2,0.5,0.25,0.3333333,1,0.1,1234.568,3.25\n")
    assert run.history[0] == {**row, "images_per_second": 1234.568}
    assert type(run.history[1]["epoch"]) is int
    run.write_history([row])
    assert len(run.history) == 1


GOOD = ",".join(COLUMNS) + "\n1,0.5,0.25,,,0.1,12,3\n2,0.5,0.25,,,0.1,12,3\n"


@pytest.mark.parametrize(("text", "words"), [
    (GOOD.replace("seconds", "minutes"), "its first line is not epoch,"), (GOOD[:-1], "its last line is cut off"),
    (GOOD.replace("\n2,", "\n3,"), "its epochs are not 1, 2, 3"), (GOOD.replace("\n1,", "\n1.0,"), "invalid literal"),
    (GOOD.replace("0.25,,,0.1,12,3\n2", "0.25\n2"), "nothing"), (GOOD.replace("0.5", "x"), "'x'"),
    (GOOD.replace("2,0.5", '2,"0.5'), "end of data"), ("", "its first line")])
def test_a_damaged_history_is_told(tmp_path: Path, text: str, words: str) -> None:
    run = Run(tmp_path)
    (tmp_path / "history.csv").write_text(GOOD)
    assert [row["epoch"] for row in run.history] == [1, 2]
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UsageError, match=f"{words}.*; write it again with: cnn train --resume "):
        _ = run.history


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    run = make(tmp_path, "birds")
    run.write_config({"classes": ["a"], "images": {"train": 5}, "recipe": {"epochs": 2}})
    model = small_model()
    model.training.update(architecture="lenet5", epoch=1, val_accuracy=0.5, val_loss=1.5)
    assert not run.has_model
    save_model(run.path / "model.safetensors", model)
    assert run.has_model
    run.skipped = [("a.png", "is empty")]
    assert run.as_json() == {
        "run": "birds", "path": str(run.path), "model": str(run.path / "model.safetensors"), "architecture": "lenet5",
        "classes": ["a"], "images": {"train": 5}, "recipe": {"epochs": 2}, "best_epoch": 1, "val_accuracy": 0.5,
        "val_loss": 1.5, "history": [], "skipped": [{"path": "a.png", "error": "is empty"}]}


def test_one_training_at_a_time(tmp_path: Path) -> None:
    run = Run(tmp_path)
    lock = RunLock(run)
    with pytest.raises(TrainingError, match=f"process {os.getpid()}"):
        RunLock(run)
    lock.release()
    lock.release()
    with RunLock(run), pytest.raises(TrainingError):
        RunLock(run)
    RunLock(run).release()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (f"from cnncli.runs import Run, RunLock; import sys; lock = RunLock(Run({str(tmp_path)!r})); print('held', "
            "flush=True); sys.stdin.read()")
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(TrainingError, match=f"process {holder.pid}"):
        RunLock(Run(tmp_path))
    holder.kill()
    holder.wait()
    with RunLock(Run(tmp_path)):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    holder.stdin.close()
    holder.stdout.close()


def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        new_run(tmp_path, None, "x", {"lr": float("nan")})
    assert os.listdir(tmp_path) == []
    assert json.loads((make(tmp_path).path / "config.json").read_text())


def test_a_file_where_the_runs_should_go_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(UsageError, match="runs"):
            new_run(place, None, "lenet5", {})
