"""`cnn predict --shard` and `cnn merge`: the parts, joined, are the bytes that one process writes; whatever is not the
whole is refused, and the command that the message gives makes it."""

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli import cli
from cnncli.model.calibration import Calibration
from cnncli.model.checkpoint import save_model
from cnncli.report import predictions

from ..guides import text
from ..shell import installed, words
from ..small_model import small_model

ROOT = Path(__file__).parents[2]
FORMS = ("json", "csv")
ODD = os.fsdecode(b'odd\r\n"x",\x1b[31m\xff.png')


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: runs/latest, and photos/ with five images, of which one cannot be read."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("runs/small-1")
    save_model("runs/small-1/model.safetensors", small_model())
    os.symlink("small-1", "runs/latest")
    os.makedirs("photos")
    rng = np.random.default_rng(0)
    for name in ("a.png", "c.png", ODD, "z.jpg"):
        Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8)).save(Path("photos", name))
    Path("photos/b.png").write_bytes(b"no image")
    return tmp_path


def predict(file: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Have `cnn predict` write a file, of the form that its name says; return the exit code."""
    capsys.readouterr()
    if file.endswith(".csv"):
        return cli.main(["predict", *arguments, "--csv", file])
    code = cli.main(["predict", *arguments, "--json"])
    Path(file).write_text(capsys.readouterr().out)
    return code


def parts(of: int, form: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Have all parts written; return their files."""
    for part in range(1, of + 1):
        predict(f"part-{part}.{form}", *(arguments or ("photos",)), "--shard", f"{part}/{of}", capsys=capsys)
    return [f"part-{part}.{form}" for part in range(1, of + 1)]


def refused(*arguments: str, capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    """Have `cnn merge` refuse something; return its sentence."""
    capsys.readouterr()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert cli.main(["merge", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    return line.removeprefix("cnn: ")


def typed(sentence: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run the command that a sentence ends with, as a shell does; return its words."""
    command = re.split(r": (?=cnn predict)", sentence)[1]
    given = words(command.partition(" > ")[0])
    if " > " not in command:
        assert cli.main(given) in (0, 1, 3)
        return given
    capsys.readouterr()
    assert cli.main(given) in (0, 1, 3)
    Path(words(f"cnn {command.partition(' > ')[2]}")[0]).write_text(capsys.readouterr().out)
    return given


def merged(files: list[str], form: str, code: int) -> bytes:
    """Have parts merged to standard output and into a file; return the bytes, which are the same."""
    out = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(out, write_through=True)):
        assert cli.main(["merge", *files]) == code
        assert cli.main(["merge", *files, "--out", f"merged.{form}"]) == code
        assert Path(f"merged.{form}").read_bytes() == out.getvalue()
        return out.getvalue()


# ---- the whole is the sum of its parts ----


@pytest.mark.slow
@pytest.mark.parametrize("of", [1, 2, 3, 8])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", ["", "--top 2 --tta --exact", "--top all --reject 0.8", "--precision bfloat16"])
def test_the_bytes_of_one_process(home: Path, form: str, of: int, options: str, capsys) -> None:
    """Also with parts that have no images."""
    model = small_model()
    model.calibration = Calibration(1.0, 50, (1.0, 0.9), (0.2, 0.1), ((0.8, 0.3365, 0.5),), 0.95)
    save_model("runs/small-1/model.safetensors", model)
    arguments = ["photos", *options.split()]
    assert predict(f"all.{form}", *arguments, capsys=capsys) == 3
    whole = Path(f"all.{form}").read_bytes()
    assert (b"unknown" in whole) == ("reject" in options)
    files = parts(of, form, *arguments, capsys=capsys)
    assert merged(files, form, 3) == whole
    assert merged(files[::-1], form, 3) == whole, "in any order"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_in_processes_of_their_own(home: Path, form: str, capsys) -> None:
    """With the bytes that a pipe gets, where the names hold any."""

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-m", "cnncli", *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)},
                              input=stdin, capture_output=True, timeout=60, check=False)

    listing = b"photos/z.jpg\0photos/" + os.fsencode(ODD) + b"\0gone.png\0photos/a.png\0"
    out = ("--json",) if form == "json" else ("--csv", "-")
    whole = run("predict", "-", *out, stdin=listing)
    assert whole.returncode == 3
    for part in (1, 2, 3):
        done = run("predict", "-", "--shard", f"{part}/3", *out, stdin=listing)
        assert done.returncode == (1 if part == 3 else 0)
        Path(f"{part}.part").write_bytes(done.stdout)
    done = run("merge", "1.part", "2.part", "3.part")
    assert (done.returncode, done.stdout) == (3, whole.stdout)
    assert b"1 of 4 images could not be used and was skipped:\n  gone.png" in done.stderr
    done = run("merge", "1.part", "3.part")
    assert done.returncode == 1
    assert (b"part 2 of 3 is missing (is it 2.part?); make it, with the same list on standard input, with: " in
            done.stderr)
    assert b" predict - --shard 2/3 -m runs/small-1/model.safetensors " in done.stderr


@pytest.mark.slow
def test_the_job_array_of_the_guide(home: Path, capsys) -> None:
    """As a shell runs it, with the number that Slurm would set."""
    script, merge = re.findall(r"^```bash\n(.*?)^```", text("docs/exporting.md"), re.MULTILINE | re.DOTALL)
    os.mkdir("bin")
    installed("bin")
    path, codes = f"{home}/bin:{os.environ['PATH']}", []
    for number in ("1", "2", "3", "4", "5", "6", "7", "8", ""):
        done = subprocess.run(["sh", "-c", script if number else merge], capture_output=True, timeout=60, check=False,
                              env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": number})
        assert done.returncode in (0, 1, 3), done.stderr
        codes.append(done.returncode)
    assert codes == [0, 1, 0, 0, 0, 0, 0, 0, 3]
    predict("one.json", "photos", capsys=capsys)
    assert Path("all.json").read_bytes() == Path("one.json").read_bytes()


def test_images_that_are_named_twice_and_damaged(home: Path, capsys) -> None:
    """Each has its note, in whichever part it is."""
    with open("photos/z.jpg", "ab") as file:
        file.write(b"\0")
    images = ["photos/z.jpg"] * 3 + ["photos/a.png"]
    assert predict("all.json", *images, capsys=capsys) == 0
    assert Path("all.json").read_text().count('"note": ') == 3
    assert merged(parts(2, "json", *images, capsys=capsys), "json", 0) == Path("all.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_exit_codes(home: Path, form: str, capsys) -> None:
    for images, code in ((["photos/a.png", "photos/c.png"], 0), (["photos/a.png", "photos/b.png"], 3),
                         (["photos/b.png", "gone.png"], 1)):
        assert predict(f"all.{form}", *images, capsys=capsys) == code
        files = parts(3, form, *images, capsys=capsys)
        assert merged(files, form, code) == Path(f"all.{form}").read_bytes()
        capsys.readouterr()
        assert predict(f"empty.{form}", *images, "--shard", "3/3", capsys=capsys) == 0, "nothing was skipped in it"


def test_a_part_says_how_large_it_is(home: Path, capsys) -> None:
    assert cli.main(["predict", "photos", "--shard", "1/2"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "Part 1 of 2: 3 of 5 images." in err
    assert cli.main(["predict", "photos", "--shard", "8/8", "--csv", "e.csv"]) == 0
    assert "Part 8 of 8: 0 of 5 images." in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/8", "9/8", "a/b", "1/0", "3"])
def test_no_such_part(home: Path, shard: str, capsys) -> None:
    assert cli.main(["predict", "photos", "--shard", shard]) == 2
    assert "--shard" in capsys.readouterr().err


# ---- what is missing, and how it is made ----


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_missing_part_is_made_by_the_command_that_is_given(home: Path, form: str, capsys) -> None:
    arguments = ["photos", "--top", "2", "--reject", "0.4", "--tta", "--exact", "--precision", "bfloat16"]
    predict(f"all.{form}", *arguments, capsys=capsys)
    files = parts(3, form, *arguments, capsys=capsys)
    os.remove(files[1])
    said = refused(files[0], files[2], capsys=capsys)
    assert said.startswith("part 2 of 3 is missing; make it with: cnn predict photos --shard 2/3 -m ")
    typed(said, capsys)
    assert merged(files, form, 3) == Path(f"all.{form}").read_bytes()
    said = refused(files[0], files[2], capsys=capsys)
    assert said.startswith(f"part 2 of 3 is missing (is it part-2.{form}?); make it with: ")
    assert said.endswith(f" again-part-2.{form}"), "which overwrites nothing"


def test_many_missing_parts(home: Path, capsys) -> None:
    [*files] = parts(8, "json", capsys=capsys)
    assert refused(*files[:1], *files[3:], capsys=capsys).startswith("parts 2 and 3 of 8 are missing (is part-2.json ")
    assert refused(*files[:1], *files[6:], capsys=capsys).startswith("parts 2, 3, 4 and 2 more of 8 are missing (is ")


def test_names_of_parts(home: Path, capsys) -> None:
    os.mkdir("it's out")
    for name, other in (("job11-01.json", "job11-03.json"), ("p1-1.json", "part-3.json"), ("p.json", "part-3.json")):
        for part in (1, 2):
            predict(f"it's out/{name if part == 1 else 'two.json'}", "photos", "--shard", f"{part}/3", capsys=capsys)
        said = refused(f"it's out/{name}", "it's out/two.json", capsys=capsys)
        typed(said, capsys)
        assert Path("it's out", other).is_file()
        os.remove(Path("it's out", other))


@pytest.mark.parametrize("form", FORMS)
def test_a_part_that_was_cut_off_is_made_again(home: Path, form: str, capsys) -> None:
    """At every place; by the command, where the file still says what it was a part of, or where only one is missing."""
    predict(f"all.{form}", "photos", capsys=capsys)
    files = parts(2, form, capsys=capsys)
    whole = Path(files[0]).read_bytes()
    for size in [*range(0, len(whole) - 1, 41), len(whole) - 2]:
        Path(files[0]).write_bytes(whole[:size])
        said = refused(*files, capsys=capsys)
        assert said.startswith(f"{files[0]} is ")
        assert "; make it again with: cnn predict photos --shard 1/2 -m " in said
    typed(said, capsys)
    assert Path(files[0]).read_bytes() == whole
    assert merged(files, form, 3) == Path(f"all.{form}").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_a_byte_that_was_changed(home: Path, form: str, capsys) -> None:
    files = parts(2, form, capsys=capsys)
    whole = Path(files[1]).read_bytes()
    for place in range(30, len(whole) - 1, 37):
        Path(files[1]).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        assert files[1] in refused(*files, capsys=capsys), place
    for changed in (whole + b"\n", whole + whole, whole.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + whole):
        Path(files[1]).write_bytes(changed)
        assert files[1] in refused(*files, capsys=capsys)


@pytest.mark.slow
def test_what_strict_ended_is_no_part(home: Path, capsys) -> None:
    files = parts(2, "json", capsys=capsys)
    assert predict(files[1], "photos", "--strict", "--shard", "2/2", capsys=capsys) == 1
    said = refused(*files, capsys=capsys)
    assert said.startswith("part-2.json has 1 of its 2 images, because its process was stopped, or because --strict ")
    assert predict(files[0], "photos", "--strict", "--shard", "1/2", capsys=capsys) == 0
    typed(said, capsys)
    predict("all.json", "photos", capsys=capsys)
    assert merged(files, "json", 3) == Path("all.json").read_bytes()
    assert predict("strict.csv", "photos", "--strict", "--shard", "2/2", capsys=capsys) == 1
    assert not os.path.exists("strict.csv")


@pytest.mark.parametrize("ended", [KeyboardInterrupt, OSError])
def test_what_an_error_ended_is_no_part(home: Path, ended: type[BaseException], capsys, monkeypatch) -> None:
    files = parts(2, "json", capsys=capsys)
    real, calls = predictions.as_item, []

    def once(*given: object) -> object:
        calls.append(given)
        if len(calls) > 1:
            raise ended
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(predictions, "as_item", once)
    assert predict(files[0], "photos", "--shard", "1/2", capsys=capsys) in (1, 130)
    assert "part-1.json has 1 of its 3 images" in refused(*files, capsys=capsys)


# ---- what does not belong together ----


@pytest.mark.parametrize("form", FORMS)
def test_doubles(home: Path, form: str, capsys) -> None:
    files = parts(2, form, capsys=capsys)
    shutil.copy(files[1], f"x.{form}")
    for more in (files[1], f"x.{form}"):
        assert refused(*files, more, capsys=capsys) == (
            f"part 2 of 2 is given twice, in {files[1]} and in {more}; give it once.")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_parts_of_other_wholes(home: Path, form: str, capsys) -> None:
    [first, _] = parts(2, form, capsys=capsys)
    other = f"other.{form}"

    def said(*arguments: str) -> str:
        predict(other, *arguments, capsys=capsys)
        return refused(first, other, capsys=capsys)

    ends = "; give parts of the same images, model and options."
    assert said("photos", "--shard", "2/3") == f"{other} is part 2 of 3, and {first} is part 1 of 2{ends}"
    assert said("photos/a.png", "--shard", "2/2") == (
        f"{other} is of another list of images than {first} (1 and 5 images){ends}")
    for options, named in (("--top 1" if form == "json" else "--top 3", ""),
                           ("--reject 0.9", "(--reject 0.9 and no --reject)"),
                           ("--tta", "(--tta and no --tta)"), ("--exact", "(--exact and no --exact)"),
                           ("--precision bfloat16", "(--precision bfloat16 and --precision float32)")):
        found = said("photos", *options.split(), "--shard", "2/2")
        assert found.startswith(f"{other} was made by cnn predict with other options than {first} ({options} and ")
        assert named in found
    shutil.copytree("runs/small-1", "runs/copy")
    assert said("photos", "-m", "runs/copy", "--shard", "2/2") == (
        f"{other} was judged by another model than {first} (runs/copy/model.safetensors and "
        f"runs/small-1/model.safetensors){ends}")
    save_model("runs/small-1/model.safetensors", small_model(seed=1))
    assert "was judged by runs/small-1/model.safetensors as it was at another time than for " in said(
        "photos", "--shard", "2/2")


def test_other_forms_are_not_mixed(home: Path, capsys) -> None:
    table, listed = parts(1, "csv", capsys=capsys)[0], parts(1, "json", capsys=capsys)[0]
    assert refused(table, listed, capsys=capsys) == (
        "part-1.csv is CSV and part-1.json is JSON; give only the one or only the other.")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_part(home: Path, form: str, capsys) -> None:
    predict(f"all.{form}", "photos", capsys=capsys)
    assert refused(f"all.{form}", capsys=capsys) == (
        f"all.{form} is a whole list, which 'cnn predict' wrote without --shard; give the parts of one list.")
    Path("notes").write_text("path,label\n")
    assert refused("notes", capsys=capsys) == (
        "notes is nothing that 'cnn predict --shard' wrote; give its JSON or CSV files.")
    Path("hostile").write_text('{"part": {' + '"a": [' * 20000)
    assert refused("hostile", capsys=capsys) == (
        "hostile is cut off, or was changed since it was written; make that part again.")
    os.mkfifo("pipe")
    for name, words_ in (("gone", "cannot be read (no such"), ("photos", "is a folder"), ("pipe", "is no regular")):
        capsys.readouterr()
        assert cli.main(["merge", name]) == 1
        assert f"{name} {words_}" in capsys.readouterr().err


# ---- what is written ----


@pytest.mark.slow
def test_nothing_of_the_users_is_written_over(home: Path, capsys, monkeypatch) -> None:
    files = parts(2, "csv", capsys=capsys)
    os.link(files[0], "second-name.csv")
    for out, said in ((files[1], "would be read and written at once"), ("second-name.csv", "would be read and written"),
                      ("runs/latest/model.safetensors", "is the model in use"), ("photos/a.png", "cannot be the name"),
                      ("notes.csv", "is there already and is not a whole table of predictions")):
        Path("notes.csv").write_text("path,label\nmine")
        assert said in refused(*files, "--out", out, capsys=capsys, code=2)
    predict("another.csv", "photos/a.png", "--shard", "1/7", capsys=capsys)
    assert "is not a whole table" in refused(*files, "--out", "another.csv", capsys=capsys, code=2), "a part of another"
    with open("second-name.csv", "rb") as same:
        monkeypatch.setattr(cli.output.sys.stdout, "fileno", same.fileno, raising=False)  # type: ignore[attr-defined]
        assert "is one of the parts and standard output as well" in refused(*files, capsys=capsys, code=2)


def test_a_terminal_gets_no_control_character(home: Path, capsys, monkeypatch) -> None:
    files = parts(2, "csv", capsys=capsys)
    capsys.readouterr()
    monkeypatch.setattr(cli.output.sys.stdout, "isatty", lambda: True)  # type: ignore[attr-defined]
    assert cli.main(["merge", *files]) == 3
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 6
    assert r'odd\r\n""x"",\x1b[31m\xff.png' in out


def test_other_instructions_are_said(home: Path, capsys, monkeypatch) -> None:
    [*files] = parts(2, "json", capsys=capsys)
    monkeypatch.setattr("cnncli.report.parts.active_isa", lambda: "another")
    predict(files[1], "photos", "--shard", "2/2", capsys=capsys)
    assert cli.main(["merge", *files]) == 3
    assert re.search(r"different instructions of the CPU \(another, \w+\), which round", capsys.readouterr().err)
