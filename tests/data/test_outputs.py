"""data/outputs.py from Python: everything that writes for a user asks there, and what is in the way stays. The commands
are in tests/cli/test_outputs.py."""

import ast
import os
import subprocess
import sys
from contextvars import Context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.atomic import write_atomically
from cnncli.data import outputs
from cnncli.errors import SaveError, UsageError
from cnncli.model.features import Features
from cnncli.model.modelfile import pack
from cnncli.runs.latest import point_latest

from ..pictures import make_folder
from ..small_model import small_model
from ..trained import home, trained

__all__ = ["home", "trained"]

PACKAGE = Path(cnncli.__file__).parent
TEXT = outputs.Kind("a test", ".txt", outputs.marked(rb"\Aours"))
# Who may put something on the disk without asking outputs.py, and why.
WRITERS = {
    "atomic.py": "it is what writes",
    "cli/command.py": "the text of a help, into memory",
    "data/outputs.py": "it is what is asked",
    "data/pack.py": "into a folder that is held, and was empty",
    "data/writing.py": "into a folder that is held, and was empty",
    "evaluation/validated.py": "into the folder of a fold, which is new and locked",
    "runs/begin.py": "a run's folder, of a new name",
    "runs/latest.py": "runs/latest, which is a link of ours",
    "runs/run.py": "into a run's folder, which is new and locked",
    "training/folds.py": "into a run's folder, which is new",
    "training/sweep.py": "a sweep's folder, of a new name",
    "training/sweep_plan.py": "into a sweep's folder, which is new and locked",
    "watching/tensorboard.py": "a folder of a run's name, which has a number where it is another's",
    "data/cached.py": "the folder for decoded images, which no images lie in",
    "data/kept.py": "in that folder, under names that nobody else takes",
    "model/checkpoint.py": "into a run's folder, or where a test wants a model file",
}
WRITES = {"write_atomically", "write_text", "write_bytes", "mkdir", "makedirs", "symlink", "symlink_to", "savefig",
          "savetxt", "tofile", "rename", "replace", "unlink", "rmtree", "copyfile", "copy", "touch"}
OWNERS = {"os", "shutil", "np", "tempfile", "Path"}


def called(node: ast.Call) -> str:
    """Return the name of what is called, where a call of that name writes."""
    if isinstance(node.func, ast.Name):
        if node.func.id == "open" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            return "open" if set("wax+") & set(str(node.args[1].value)) else ""
        return node.func.id if node.func.id == "write_atomically" else ""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in WRITES:
        return ""
    if node.func.attr in ("replace", "copy", "rename", "unlink"):  # of strings and arrays too
        return node.func.attr if isinstance(node.func.value, ast.Name) and node.func.value.id in OWNERS else ""
    into_memory = node.func.attr == "savefig" and "data" in ast.unparse(node.args[0])
    return "" if into_memory else node.func.attr


@pytest.mark.slow
def test_whoever_writes_asks() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        calls = {called(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)}
        if calls - {""}:
            found[path.relative_to(PACKAGE).as_posix()] = sorted(calls - {""})
    assert found.keys() == WRITERS.keys(), f"write through cnncli.data.outputs.write, or say here why not: {found}"


@pytest.mark.slow
def test_from_python_as_from_the_command_line(home: Path, tmp_path: Path) -> None:
    """Each function that writes: refused where a file of the user's is, done with force."""
    model, mine = cnncli.load("runs/small"), b"mine"
    found = cnncli.evaluate(model, compare=False)
    features = cnncli.features(model, "photos/check")
    sheet = cnncli.draw_filters(model)[0]
    for name, write in {
        "m.c": lambda force: cnncli.export_model(model, "m.c", force=force),
        "m.safetensors": lambda force: model.save("m.safetensors", force=force),
        "report.html": lambda force: cnncli.write_report(found, ".", force=force),
        sheet.file: lambda force: sheet.save(".", force=force),
    }.items():
        Path(name).write_bytes(mine)
        with pytest.raises(UsageError, match="there already"):
            write(False)
        assert Path(name).read_bytes() == mine
        write(True)
        assert Path(name).read_bytes() != mine
        write(False)  # its own
    Path("f.npz").write_bytes(mine)
    with pytest.raises(UsageError, match="not a file of features"):
        features.write("f.npz")
    Path("f.npz").unlink()
    features.write("f.npz")
    features.write("f.npz")
    with pytest.raises(UsageError, match="a folder of images"):
        cnncli.export_model(model, "photos/check/m.c")
    model.training["architecture"] = "resnet18"
    with pytest.raises(UsageError, match="the model in use"):
        cnncli.export_model(model, "runs/latest/model.safetensors", torch_names=True, force=True)
    with pytest.raises(UsageError, match="a folder of images"):
        cnncli.write_sample("photos/more")
    with pytest.raises(UsageError, match="give another place with runs"):
        cnncli.train("photos", arch="lenet5", epochs=1, runs="photos/runs")
    with pytest.raises(UsageError, match="give another place with runs"):
        cnncli.find_lr("photos", runs="photos")


@pytest.mark.slow
def test_pictures_of_a_run_do_not_go_through_links(home: Path) -> None:
    """A curves.png or augmented.png that somebody put into a run is left alone, and the training ends well all the
    same."""
    Path("mine").write_bytes(b"mine")
    os.symlink(Path("mine").resolve(), "runs/small/curves.png")
    os.symlink(Path("mine").resolve(), "runs/small/augmented.png")
    run = cnncli.train(resume="small", epochs=3, preview=True)
    assert len(run.history) == 3
    assert Path("mine").read_bytes() == b"mine"


def test_a_picture_of_an_earlier_version_is_replaced_in_its_run(tmp_path: Path) -> None:
    """Its curves bear no mark, nor does the confusion matrix beside them; with curves of ours it must bear one."""
    kind = outputs.drawing("a confusion matrix")
    (tmp_path / "config.json").write_text("{}")
    for name in ("curves.png", "confusion.png"):
        Image.new("L", (9, 9)).save(tmp_path / name)
    with outputs.claim({tmp_path / "confusion.png": kind}):
        pass
    (tmp_path / "curves.png").unlink()
    with pytest.raises(UsageError, match="there already"), outputs.claim({tmp_path / "confusion.png": kind}):
        pass


@pytest.mark.parametrize(("name", "strict", "good"), [
    ("a.txt", True, True), ("a.TXT", True, True), ("a.lst", True, False), ("a", True, False), ("a.lst", False, True),
    ("a", False, True), ("a.png", False, False), ("a.JPG", False, False), ("a.safetensors", False, False),
    ("a.pth", False, False), ("a.pt", False, False)])
def test_names_of_what_is_written(name: str, strict: bool, good: bool, tmp_path: Path) -> None:
    kind = outputs.Kind("a list", ".txt", TEXT.ours, strict)
    if good:
        with outputs.claim({tmp_path / name: kind}):
            pass
        return
    with pytest.raises(UsageError) as caught, outputs.claim({tmp_path / name: kind}):
        pass
    assert str(caught.value) == f"{tmp_path / name} cannot be the name of a list; give one that ends in .txt."


def test_what_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def claimed(**options: bool) -> None:
        with outputs.claim({path: TEXT}, **options):
            pass

    path.mkdir()
    with pytest.raises(UsageError, match=r"a.txt is a folder; give a file\.$"):
        claimed(force=True)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"a.txt is no regular file; give a file\.$"):
        claimed(force=True)
    path.unlink()
    path.touch()
    claimed()  # nothing is lost
    path.write_bytes(b"oursome")
    claimed()
    path.chmod(0o444)
    with pytest.raises(UsageError, match=r"a.txt is write-protected; give another name, or force to replace it\.$"):
        claimed()
    path.chmod(0o644)
    path.write_bytes(b"not ours")
    with pytest.raises(UsageError, match=r"a.txt is there already and is not a test that cnn wrote; give another name"):
        claimed()
    with pytest.raises(UsageError, match="that cnn wrote; move it away, or give another name"):
        outputs.write(path, b"ours", TEXT)
    claimed(force=True)
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.txt"
    with pytest.raises(UsageError, match=r"file/a.txt cannot be written, because \S*/file is a file; give another\.$"):
        claimed()
    path = tmp_path / "no" / "a.txt"
    with pytest.raises(UsageError, match=r"no/a.txt cannot be written, because there is no folder \S*/no; make it "
                                         r"first\.$"):
        claimed()


def test_marks_lie_at_either_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data, found in ((b"ours" + bytes(9000), True), (bytes(4092) + b"ours" + bytes(9000), True),
                        (bytes(4096) + b"ours" + bytes(9000), False), (bytes(9000) + b"ours" + bytes(60), True),
                        (bytes(9000) + b"ours" + bytes(61), False), (b"ours", True), (b"", False)):
        path.write_bytes(data)
        assert outputs.marked(b"ours")(str(path)) == found, len(data)


# ---- two at once ----


@pytest.mark.slow
def test_two_at_once(tmp_path: Path) -> None:
    """One who holds an output keeps another process out, is told by its number, and lets go in the end, also when it is
    killed; nothing is left beside the output."""
    path = tmp_path / "a.txt"
    code = ("import sys, time; from cnncli.data.outputs import Kind, claim\n"
            "with claim({sys.argv[1]: Kind('', '.txt', bool)}): print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SaveError, match=f"is being written by process {other.pid}"), outputs.claim({path: TEXT}):
            pass
        with outputs.claim({tmp_path / "b.txt": TEXT}):  # another file beside it
            pass
        other.kill()
    assert os.listdir(tmp_path) == []
    with outputs.claim({path: TEXT}):
        outputs.write(path, b"ours", TEXT)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_nobody_may_write_is_write_protected(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"ours")
    for mode in (0o444, 0o555, 0o644, 0o464, 0o446, 0o666):
        path.chmod(mode)
        if mode & 0o200 or mode & 0o020 or mode & 0o002:
            outputs._check_foreign(path, str(path), TEXT, "give another")
        else:
            with pytest.raises(UsageError, match=f"^{path} is write-protected; give another.$"):
                outputs._check_foreign(path, str(path), TEXT, "give another")


def test_who_writes_twice_at_once_is_told_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    words = f"^{path} is being written by process {os.getpid()}; wait for it, or give another name.$"

    def claimed(name: str) -> None:
        with outputs.claim({tmp_path / name: TEXT}):
            pass

    with outputs.claim({path: TEXT}):
        with pytest.raises(SaveError, match=words):
            Context().run(claimed, "a.txt")  # one that holds nothing itself
        Context().run(claimed, "b.txt")
    Context().run(claimed, "a.txt")
    assert not outputs._same(tmp_path, "a\0b")


def test_without_a_place_for_locks_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")
    with outputs.claim({tmp_path / "a.txt": TEXT}):
        outputs.write(tmp_path / "a.txt", b"ours", TEXT)
    assert (tmp_path / "a.txt").read_bytes() == b"ours"


# ---- folders ----


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    with outputs.claim({path: TEXT}, make=True):
        assert path.parent.is_dir()
    assert os.listdir(tmp_path) == []
    with outputs.claim({path: TEXT}, make=True):
        outputs.write(path, b"ours", TEXT)
    assert path.is_file()


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)


@pytest.mark.parametrize("layout", ["data/{c}/1.png", "data/train/{c}/1.png", "data/Training/{c}/1.png",
                                    "data/seg_train/{c}/1.png", "data/{c}/below/1.png", "data/evaluation/{c}/1.png",
                                    "data/Validation Set/{c}/1.png", "data/trainval/{c}/1.png",
                                    "data/train2017/{c}/1.png", "data/test_images/{c}/1.png"])
def test_what_looks_like_images_to_learn_from(tmp_path: Path, layout: str) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / layout.format(c=name))
        picture(tmp_path / layout.format(c=name).replace("below/", ""))
    for place in ("data/x.txt", layout.format(c="cat").replace("1.png", "x.txt"), "data/cat/a/b/x.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        with pytest.raises(UsageError, match="a folder of images"), outputs.claim({tmp_path / place: TEXT}):
            pass
        with outputs.claim({tmp_path / place: TEXT}, force=True):
            pass
    with outputs.claim({tmp_path / "x.txt": TEXT}):
        pass


def test_what_a_failing_test_leaves_hinders_no_other(tmp_path: Path) -> None:
    for place in ("cat/1.png", "dog/1.png", "1.png"):
        picture(tmp_path / place)
    assert not outputs._holds_classes(os.fspath(tmp_path.parent.parent)), "the folder of all tests"


def test_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody works, folders of images lie beside others; a folder of our pictures, of runs, or of one kind of
    image is no data folder."""
    for name in ("photos", "figures"):
        picture(tmp_path / "work" / name / "1.png")
    monkeypatch.chdir(tmp_path / "work")
    for run in ("a", "b"):
        picture(tmp_path / "runs" / run / "curves.png")
        (tmp_path / "runs" / run / "config.json").write_text("{}")
        (tmp_path / "sheets" / run).mkdir(parents=True)
        outputs.drawing("nothing")
    picture(tmp_path / "heap" / "1.png")
    for place in ("work/x.txt", "work/figures/x.txt", "runs/x.txt", "runs/a/x.txt", "heap/x.txt"):
        with outputs.claim({tmp_path / place: TEXT}):
            pass


def test_what_nobody_holds_is_asked_for_when_it_is_written(tmp_path: Path) -> None:
    make_folder(tmp_path / "data", each=2)
    found = Features(["a.png"], np.zeros((1, 3), np.float32))
    with pytest.raises(UsageError, match=r"lies in .*data, a folder of images that models learn from; give another"):
        found.write(str(tmp_path / "data" / "f.npz"))
    with pytest.raises(UsageError, match=r"there is no folder .*gone; make it first"):
        found.write(str(tmp_path / "gone" / "f.npz"))
    os.symlink(tmp_path / "away" / "f.npz", tmp_path / "link.npz")
    with pytest.raises(UsageError, match=r"link.npz cannot be written, because there is no folder .*away; make it "
                                         "first"):
        found.write(str(tmp_path / "link.npz"))
    found.write(str(tmp_path / "f.npz"))
    found.write(str(tmp_path / "f.npz"))


def test_where_a_link_leads_is_said_before_anybody_forces_it(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_text("mine")
    os.symlink("mine.png", tmp_path / "x.txt")
    with pytest.raises(UsageError, match=r"x\.txt leads to \S*/mine\.png, which is there already and is not a test"), \
            outputs.claim({tmp_path / "x.txt": TEXT}):
        pass


def test_one_file_is_not_two_outputs(tmp_path: Path) -> None:
    other = outputs.Kind("another test", ".txt", outputs.marked(rb"\Aothers"))
    os.symlink("x.txt", tmp_path / "y.txt")
    with outputs.claim({tmp_path / "x.txt": TEXT}), \
            pytest.raises(UsageError, match=r"y.txt is named for two outputs, a test and another test; give each its "
                                            "own"), \
            outputs.claim({tmp_path / "y.txt": other}):
        pass


def test_the_state_of_a_training_is_no_model_to_write_over(tmp_path: Path) -> None:
    model = small_model()
    write_atomically(tmp_path / "last.safetensors", pack(model.arrays(), {**model.metadata(), "progress": "{}"}))
    with pytest.raises(UsageError, match="is there already and is not a model file"):
        model.save(tmp_path / "last.safetensors")


def test_room_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="bytes are needed; make room, or give another place"):
        outputs.check_runs(tmp_path / "runs", None, 1 << 62)
    assert os.listdir(tmp_path) == []


def test_the_arrays_of_an_export_are_those_of_the_model(home: Path) -> None:
    """The mark does not hinder readers."""
    features = cnncli.features(cnncli.load("runs/small"), "photos/check")
    features.write("f.npz")
    with np.load("f.npz") as file:
        assert sorted(file.files) == ["features", "paths"]
        assert np.array_equal(file["features"], features.values)


@pytest.mark.parametrize("what", ["text", "link", "link-to-a-folder"])
def test_what_is_called_latest_and_is_no_run_is_left_alone(tmp_path: Path, what: str) -> None:
    latest, run = tmp_path / "latest", tmp_path / "resnet8-1"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (tmp_path / "builds").mkdir()
    if what == "text":
        latest.write_text("notes of mine")
    else:
        latest.symlink_to(tmp_path / "mine" if what == "link" else "builds")
    before = latest.lstat()
    point_latest(tmp_path, run.name)
    assert latest.lstat() == before
    latest.unlink()
    for _ in range(2):
        point_latest(tmp_path, run.name)
        assert latest.resolve() == run
