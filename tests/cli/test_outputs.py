"""No command writes over what it did not write: every output of every command, times every kind of place where it must
not go. Refused before work begins, in one sentence, and nothing is changed. A command that gets a new output, and a new
command, fail here until they are in the table."""

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import PIL.Image
import pytest

import cnncli
from cnncli.cli import COMMANDS, cnn, main
from cnncli.data import importing, outputs
from cnncli.network import Network

from ..trained import write_images


@dataclass(frozen=True)
class Case:
    """An output: a command line with {out} in it, one of the files that are written, whether {out} is their folder."""

    command: str
    arguments: str
    file: str
    folder: bool = False
    new: bool = False  # a folder that is filled, so that every file in it is in the way


CASES = {
    "export-onnx": Case("export", "runs/small {out}", "m.onnx"),
    "export-c": Case("export", "runs/small {out}", "m.c"),
    "export-torch": Case("export", "torch.safetensors {out} --torch-names", "m.safetensors"),
    "csv": Case("predict", "photos --csv {out}", "t.csv"),
    "csv-json": Case("predict", "photos --json --csv {out}", "t.csv"),
    "merged-json": Case("merge", "part-1.json part-2.json --out {out}", "m.json"),
    "merged-csv": Case("merge", "part-1.csv part-2.csv --out {out}", "m.csv"),
    "list": Case("check", "photos --exclude-list {out}", "l.txt"),
    "sheet": Case("check", "photos --sheet {out}", "s.png"),
    "quantised": Case("quantize", "runs/small -o {out}", "q.safetensors"),
    "features": Case("features", "runs/small photos -o {out}", "f.npz"),
    "report": Case("test", "--out {out}", "report.html", folder=True),
    "matrix": Case("test", "--out {out}", "confusion.png", folder=True),
    "counts": Case("test", "--out {out}", "confusion.csv", folder=True),
    "mistakes": Case("test", "--out {out}", "mistakes.png", folder=True),
    "figures": Case("test", "--out {out}", "test.json", folder=True),
    "filters": Case("visualize-filters", "--out {out}", "filters-conv1.png", folder=True),
    "activations": Case("visualize-filters", "loose.png --out {out}", "activations-loose.png", folder=True),
    "explained": Case("explain", "loose.png --out {out}", "explained-loose.png", folder=True),
    "explained-page": Case("explain", "loose.png loose.png --out {out}", "explain.html", folder=True),
    "units": Case("explain", "--units conv1:0 photos --out {out}", "units-conv1.png", folder=True),
    "units-page": Case("explain", "--units conv1:0 photos --out {out}", "units-conv1.html", folder=True),
    "page": Case("page", "photos --out {out}", "page.html"),
    "shortcuts": Case("explain", "--shortcuts photos --out {out}", "shortcuts.png", folder=True),
    "inspect-picture": Case("inspect", "runs/small --out {out}", "conv2.png", folder=True),
    "inspect-numbers": Case("inspect", "runs/small --out {out}", "conv2.npy", folder=True),
    "drawing": Case("inspect", "runs/small --draw {out}", "n.svg"),
    "rates": Case("train", "photos --find-lr --runs {out}", "lr.png", folder=True),
    "rates-table": Case("train", "photos --find-lr --runs {out}", "lr.csv", folder=True),
    "events": Case("train", "photos --tensorboard {out}", "", folder=True),
    "runs": Case("train", "photos --runs {out}", "", folder=True),
    "sweep-events": Case("sweep", "photos lr=0.1 --tensorboard {out}", "", folder=True),
    "sweeps": Case("sweep", "photos lr=0.1 --runs {out}", "", folder=True),
    "sample": Case("sample", "{out}", "", folder=True, new=True),
    "import": Case("import", "set.npz {out}", "", folder=True, new=True),
    "pack": Case("pack", "photos {out}", "", folder=True, new=True),
}
# The paths that a command only reads.
READ = {"train": {"data", "exclude", "labels"}, "sweep": {"data", "exclude", "labels"},
        "test": {"data", "model", "labels"}, "predict": {"model"},
        "merge": {"parts"},
        "check": {"folder", "models", "exclude", "labels"},
        "inspect": {"model", "named"}, "visualize-filters": {"model"}, "explain": {"model", "truth"},
        "export": {"model"}, "quantize": {"model", "named", "data", "labels"}, "features": {"model"},
        "import": {"sources"}, "pack": {"folder", "labels", "exclude"}, "page": {"model"}, "runs": {"runs"},
        "watch": {"runs"}}
WRITTEN = {"train": {"runs", "tensorboard"}, "sweep": {"runs", "tensorboard"}, "test": {"out"}, "predict": {"table"},
           "merge": {"out"},
           "check": {"exclude_list", "sheet"}, "inspect": {"out", "draw"}, "visualize-filters": {"out"},
           "explain": {"out"}, "export": {"file"}, "quantize": {"out"}, "features": {"out"}, "page": {"out"},
           "sample": {"directory"}, "import": {"directory"}, "pack": {"directory"}}
# Of several files, the one whose lock stands for all of them: of a command's, or of a case's.
FIRST = {"test": "report.html", "explain": "explained-loose.png", "visualize-filters": "filters-conv1.png",
         "inspect": "conv1.png", "train": "lr.csv", "units": "units-conv1.png", "drawing": "n.svg",
         "units-page": "units-conv1.png", "shortcuts": "shortcuts.png"}


@pytest.fixture(scope="module")
def place(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder with a run, its images, another folder of images, and whatever else commands read, once."""
    here = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        os.symlink(trained / "photos", "photos")
        os.symlink(trained / "runs", "runs")
        write_images(here / "more", ["one", "two"], 2, seed=1)
        PIL.Image.new("RGB", (20, 20), "red").save("loose.png")
        model = cnncli.load("runs/small")
        model.training["architecture"] = "resnet18"  # whose names PyTorch's networks have
        model.save("torch.safetensors")
        for part in (1, 2):
            said = io.StringIO()
            with redirect_stdout(said):
                main(["predict", "photos", "--shard", f"{part}/2", "--json", "--csv", f"part-{part}.csv"])
            Path(f"part-{part}.json").write_text(said.getvalue())
        np.savez("set.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4))
        yield here


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let work fail that must not begin."""

    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("work has begun")

    for owner, name in ((Network, "forward"), (PIL.Image, "open"), (importing, "_read"), (PIL.Image, "fromarray")):
        monkeypatch.setattr(owner, name, work)
    monkeypatch.setattr("cnncli.export._made", work)


def state(folder: Path) -> dict[str, object]:
    """Return all that lies under a folder: contents, links, times, kinds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[os.fspath(path)] = (status.st_mode, status.st_ino, status.st_mtime_ns, content)
    return found


def model_of(case: Case) -> Path:
    return Path("torch.safetensors" if "torch" in case.arguments else "runs/small/model.safetensors").resolve()


def user_file(name: str) -> Callable[[Case, Path], None]:
    def put(case: Case, path: Path) -> None:
        path.write_bytes(b"\x89PNG\r\n\x1a\n mine" if name == "image" else b"path,label\nmine,1\n")

    return put


def linked(case: Case, path: Path) -> None:
    (path.parent / "mine").write_bytes(b"mine")
    path.symlink_to("mine")


def second_name(case: Case, path: Path) -> None:
    (path.parent / "mine").write_bytes(b"mine")
    os.link(path.parent / "mine", path)


def model_in_use(case: Case, path: Path) -> None:
    path.symlink_to(model_of(case))


def second_name_of_model(case: Case, path: Path) -> None:
    os.link(model_of(case), path)


# What is in the way at the very file.
IN_THE_WAY = {
    "image": user_file("image"), "other": user_file("other"), "link": linked, "hard-link": second_name,
    "folder": lambda case, path: path.mkdir(), "pipe": lambda case, path: os.mkfifo(path),
    "device": lambda case, path: path.symlink_to(os.devnull), "model": model_in_use, "model-too": second_name_of_model,
}
PLACES = {"class": "photos/check/below", "root": "photos", "other-data": "more", "other-class": "more/one",
          "link-to-data": "to-data", "unwritable": "/proc/self/fdinfo/new", "full": "wide", "busy": "wide",
          "file": "loose.png/below", "missing": "nowhere/at/all"}


def run(case: Case, folder: Path) -> int:
    out = folder if case.folder else folder / case.file
    return main([case.command, *[out.as_posix() if word == "{out}" else word for word in case.arguments.split()]])


def refused(case: Case, folder: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run it; return the sentence that it refuses with, where nothing has changed."""
    before = state(place)
    code = run(case, folder)
    said = capsys.readouterr().err
    assert code in (1, 2), (code, said)
    assert "an error of the program itself" not in said
    assert "work has begun" not in said
    assert len([line for line in said.splitlines() if not line.startswith("Model: ")]) == 1, said
    assert state(place) == before
    return said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_that_a_command_takes_is_read_or_in_the_table(name: str) -> None:
    command = cnn.get_command(click.Context(cnn), name)
    assert command is not None
    paths = {parameter.name for parameter in command.params if isinstance(parameter.type, click.Path)}
    assert paths == READ.get(name, set()) | WRITTEN.get(name, set()), "say in READ and WRITTEN what is done with them"
    lines = " ".join(case.arguments for case in CASES.values() if case.command == name)
    for parameter in command.params:
        if parameter.name in WRITTEN.get(name, set()):
            given = parameter.opts if isinstance(parameter, click.Option) else [""]
            assert any(f"{flag} {{out}}" in f" {lines}" for flag in given), f"{parameter.name} needs a line in CASES"
    if WRITTEN.get(name) and name not in ("train", "sweep"):  # runs have new names, and nothing to force
        assert any(parameter.name == "force" for parameter in command.params)


@pytest.mark.slow
@pytest.mark.parametrize("way", IN_THE_WAY)
@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case.file])
def test_what_is_in_the_way(place: Path, case: str, way: str, tmp_path: Path, idle: None,
                            capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    IN_THE_WAY[way](CASES[case], folder / CASES[case].file)
    before = state(tmp_path)
    said = refused(CASES[case], folder, place, capsys)
    assert state(tmp_path) == before
    assert CASES[case].file in said
    if way in ("image", "other", "link", "hard-link") and CASES[case].command != "train":
        assert "--force" in said
    if way.startswith("model") and case not in ("list", "sheet", "rates", "rates-table"):
        assert "is the model in use" in said


@pytest.mark.slow
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("case", CASES)
def test_where_nothing_may_go(place: Path, case: str, where: str, tmp_path: Path, idle: None,
                              capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    this = CASES[case]
    if (where == "missing" and this.folder) or (where == "busy" and not this.file and not this.new):
        pytest.skip("the folder is made" if where == "missing" else "runs have names of their own")
    if where == "unwritable" and not os.path.isdir("/proc"):
        pytest.skip("this system has no /proc")
    os.symlink(place / "more" / "two", tmp_path / "to-data")
    folder = Path(tmp_path / PLACES[where] if where in ("link-to-data", "full", "busy", "missing") else PLACES[where])
    if where in ("full", "busy"):
        folder.mkdir()
    if this.new and where not in ("unwritable", "file"):
        folder = folder / "new"
    if where == "full":

        def full(**options: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(tempfile, "TemporaryFile", full)
    if where == "busy":
        first = folder if this.new else folder / FIRST.get(case, FIRST.get(this.command, this.file))
        with outputs._locked(first, os.path.realpath(first)):
            assert f"is being written by process {os.getpid()}" in refused(this, folder, place, capsys)
        return
    said = refused(this, folder, place, capsys)
    words = {"full": "no space left", "unwritable": "", "file": "loose.png", "missing": "there is no folder"}
    assert words.get(where, "a folder of images that models learn from") in said


AGAIN = [name for name, case in CASES.items() if case.file and not name.startswith("rates")]


@pytest.mark.slow
@pytest.mark.parametrize("case", AGAIN)
def test_force_replaces_and_what_was_written_is_written_again(place: Path, case: str, tmp_path: Path) -> None:
    this, file = CASES[case], tmp_path / CASES[case].file
    file.write_bytes(b"mine")
    forced = Case(this.command, f"{this.arguments} --force", this.file, this.folder)
    assert run(forced, tmp_path) in (0, 3)
    first = file.read_bytes()
    assert first != b"mine"
    assert run(this, tmp_path) in (0, 3)  # by its mark
    assert file.read_bytes() == first


@pytest.mark.parametrize("case", ["export-c", "csv", "features", "report"])
def test_force_does_not_reach_the_model_nor_what_is_read(place: Path, case: str, tmp_path: Path, idle: None,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    this = CASES[case]
    forced = Case(this.command, f"{this.arguments} --force", this.file, this.folder)
    model_in_use(this, tmp_path / this.file)
    assert "is the model in use" in refused(forced, tmp_path, place, capsys)


def test_a_write_protected_output_stays(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(CASES["export-c"], tmp_path) == 0
    (tmp_path / "m.c").chmod(0o444)
    capsys.readouterr()
    assert "write-protected" in refused(CASES["export-c"], tmp_path, place, capsys)


def test_what_comes_in_the_way_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    kind = outputs.Kind("a test", ".txt", outputs.marked(rb"\Aours"))
    with outputs.claim({tmp_path / "a.txt": kind}):
        (tmp_path / "a.txt").write_bytes(b"mine")
        with pytest.raises(cnncli.errors.UsageError, match="is not a test that cnn wrote"):
            outputs.write(tmp_path / "a.txt", b"ours", kind)
    assert (tmp_path / "a.txt").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["a.txt"]
