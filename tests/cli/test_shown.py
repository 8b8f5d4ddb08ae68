"""What commands print of what the library gives them: check, test, inspect, predict, features, import, export."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnncli import cli
from cnncli.cli import check, features, inspecting, output, predict, test
from cnncli.data import check as checking
from cnncli.data import importing, sample
from cnncli.data.check import File, Finding, Report
from cnncli.evaluation.headline import Headline
from cnncli.evaluation.subject import Subject
from cnncli.model import Prediction, checkpoint
from cnncli.model import features as model_features
from cnncli.model.summary import Summary
from cnncli.report.parts import LISTED_IN_JSON, JsonList

from ..small_model import small_model


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    checkpoint.save_model(tmp_path / "m.safetensors", small_model())
    from PIL import Image
    for name in ("a.png", "b.png"):
        Image.new("RGB", (5, 6), name[0] == "a").save(name)
    return tmp_path


# ---- check ----


def a_file(relative: str, split: str = "train") -> File:
    return File(f"data/{relative}", relative, split, "a")


def found(kind: str, count: int, files: int, **more: Any) -> list[Finding]:
    return [Finding(kind, tuple(a_file(f"{i}-{j}.png", "test" if j else "train") for j in range(files)), f"text {i}",
                    **more) for i in range(count)]


def a_report(findings: list[Finding], drawn: Sequence[str] = ("val", "test")) -> Report:
    counts = {"a": {"train": 1000, "val": 20, "test": 20}, "b": {"train": 500, "val": 0, "test": 0}}
    return Report("data", 0, counts, list(drawn), findings)


def test_how_many_images_and_what_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    check._print(a_report([]))
    assert lines(capsys) == ["1,540 images in 2 classes: 1,500 train, 20 val (held out), 20 test (held out)",
                             "Nothing was found."]
    check._print(a_report([*found("blank", 5, 1), *found("duplicate-across-splits", 7, 6)], drawn=()))
    said = lines(capsys)
    assert said[0].endswith("1,500 train, 20 val, 20 test")
    assert said[1] == ""
    rows = [line.split()[:4] for line in said[2:5]]
    assert rows[0] == ["level", "kind", "found", "files"]
    assert ["warning", "blank", "5", "5"] in rows
    assert ["error", "duplicate-across-splits", "7", "42"] in rows
    begins = said.index("blank:")
    assert said[begins - 1] == ""
    assert said[begins + 1 : begins + 6] == [f"  {i}-0.png: text {i}" for i in range(5)]
    begins = said.index("duplicate-across-splits:")
    assert said[begins + 1] == ("  0-0.png (train) = 0-1.png (test) = 0-2.png (test) = 0-3.png (test) = … 2 more: "
                                "text 0")
    assert said[begins + 6] == "  … and 2 more"
    assert said[-2:] == ["", "--json lists every finding and every file."], "once, at the end"
    check._print(a_report(found("blank", 5, 4)))
    assert "--json" not in capsys.readouterr().out
    check._print(a_report(found("blank", 1, 5)))
    assert lines(capsys)[-1].startswith("--json")


def test_how_files_are_named() -> None:
    four, five = (tuple(a_file(f"{i}.png") for i in range(count)) for count in (4, 5))
    assert check._sentence(Finding("blank", four, "x")) == "0.png, 1.png, 2.png, 3.png: x"
    assert check._sentence(Finding("blank", five, "x")) == "0.png, 1.png, 2.png, 3.png and 1 more: x"
    assert check._sentence(Finding("duplicate", four, "x")) == "0.png = 1.png = 2.png = 3.png: x"
    assert check._sentence(Finding("blank", (), "x")) == "x"
    inside = Finding("duplicate-across-splits", (a_file("train/a.png"), a_file("test/b.png"), File("", "c", None, "a")),
                     "x")
    assert check._sentence(inside) == "train/a.png = test/b.png (train) = c: x"


def test_what_is_written_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "my data" / name).mkdir(parents=True)
    bad = found("empty-file", 3, 1)
    report = a_report([Finding(f.kind, f.files, f.text, exclude=f.files) for f in bad])
    check._write(report, "'my data' --range 0:4095", "out.txt", None)
    assert capsys.readouterr().err == ("out.txt: 3 images; to train without them: "
                                       "cnn train 'my data' --range 0:4095 --exclude=out.txt\n")
    monkeypatch.setattr(Report, "good", lambda self: 1234)
    check._write(report, "'my data'", "out.txt", None)
    said = capsys.readouterr().err
    assert ": 3 images, 1,234 of them good images that are copies of others; to train without them: cnn train" in said
    check._write(report, "'my data'", None, None)
    assert capsys.readouterr() == ("", "")


def test_check_asks_as_it_was_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    from cnncli.evaluation import check as evaluation

    given: dict[str, Any] = {}
    report = a_report(found("empty-file", 1, 1))
    report.notes.append("A note.")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(evaluation, "check", lambda folder, **options: given.update(options, folder=folder) or report)
    assert cli.main(["check", "data", "--fail-on", "never"]) == 0
    assert capsys.readouterr().err == ("A note.\nTo find labels that are probably wrong, too, train a model, and give "
                                       "it: cnn check data --model RUN\n")
    given.pop("progress")
    assert given == {"folder": "data", "models": [], "seed": 0, "exclude": (), "ignore": [], "group_by": None,
                     "labels": None, "range": None}
    assert cli.main(["check", "data", "--split-seed", "3", "--range", "0:9", "--ignore", "blank", "--json"]) == 1
    assert (given["seed"], given["range"], tuple(given["ignore"])) == (3, "0:9", ("blank",))
    assert json.loads(capsys.readouterr().out)["errors"] == 1
    assert cli.main(["check", "data", "--seed=-1"]) == 2
    assert list(checking.KINDS)


# ---- test ----


def a_class(name: str, support: int) -> Any:
    return SimpleNamespace(name=name, precision=0.12345, recall=0.5, f1=0.98765, support=support, guessed=support,
                           precision_interval=(0.1, 0.2), recall_interval=(0.3, 1.0))


def test_the_figures_of_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    means = "for new images of group s8; it says nothing about new groups"
    whole = Headline(1600, 2000, False, (0.78126, 0.8174), means)
    result = SimpleNamespace(
        subject=Subject("/a/b", "val", True, 9000), headline=whole, verdict="", accuracy=0.8, image_count=2000,
        skipped=[], trained_on=500, top5=0.999, loss=0.12345, classes=[a_class("a", 1000), a_class("b", 0)],
        baselines={"majority class": SimpleNamespace(accuracy=0.5, how="always a")})
    test._print(result)  # type: ignore[arg-type]
    first = "tested    2,000 of the 9,000 images of /a/b: the validation images"
    assert lines(capsys) == [
        first, "accuracy  80.00%  (1,600 of 2,000 images)",
        f"          78.13% to 81.74% with 95 % confidence {means}",
        "          50.00% majority class (always a)",
        "top-5     99.90%", "loss      0.1235", "",
        "class  precision        95 %  recall         95 %     F1  images",
        "a          12.3%  10% to 20%   50.0%  30% to 100%  0.988   1,000",
        "b          12.3%           -       -            -  0.988       0"]
    new = Headline(1125, 1500, True, (0.7, 0.8), "for new images like those tested", ((0.1, 0.9), "for others"))
    test._print(SimpleNamespace(**{**vars(result), "headline": new, "verdict": "No.", "top5": None}))  # type: ignore
    assert lines(capsys)[:8] == [
        first, "accuracy  75.00%  (1,125 of 1,500 images that the model was not trained on)",
        "          70.00% to 80.00% with 95 % confidence for new images like those tested",
        "          10.00% to 90.00% for others",
        "          80.00% of all 2,000 images, with 500 that it was trained on",
        "          50.00% majority class (always a)", "          No.", "loss      0.1235"]
    learnt = Headline(1600, 2000, False, None, "")
    test._print(SimpleNamespace(**{**vars(result), "headline": learnt}))  # type: ignore[arg-type]
    said = lines(capsys)
    assert said[2] == "          " + learnt.warning
    assert not any("95 % confidence" in line for line in said)
    assert said[-2] == "a          12.3%     -   50.0%     -  0.988   1,000"


def test_what_test_asks_for(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from cnncli.evaluation import evaluate as evaluation
    from cnncli.report import files

    given: dict[str, Any] = {}
    result = SimpleNamespace(skipped=[("a.png", "is empty")], image_count=4, as_json=lambda: {"accuracy": 0.5})
    monkeypatch.setattr(evaluation, "evaluate", lambda opened, data, **options: given.update(
        options, data=data) or result)
    monkeypatch.setattr(files, "subject_of", lambda *_: Subject("/a/b", None, own=False))
    monkeypatch.setattr(files, "write", lambda found, folder, why, note: given.update(
        folder=folder, why=why, told=note))
    assert cli.main(["test", "-m", "m.safetensors", "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == {"accuracy": 0.5}
    assert "m-test: report.html, confusion.png, confusion.csv, mistakes.png, test.json.\n" in err
    wanted = {"data": None, "split": None, "labels": None, "tta": False, "exact": False, "strict": False,
              "folder": Path("m-test"), "why": True, "note": output.note, "told": output.note}
    assert given | wanted == given
    assert cli.main(["test", "data", "-m", "m.safetensors", "--json", "--split", "val", "--labels", "l.csv", "--tta",
                     "--exact", "--strict", "--out", "o", "--no-why"]) == 3
    wanted = {"data": "data", "split": "val", "labels": "l.csv", "tta": True, "exact": True, "strict": True,
              "folder": Path("o"), "why": False}
    assert given | wanted == given


# ---- inspect ----


def test_numbers_with_units() -> None:
    assert [inspecting._large(number) for number in (0, 999, 1000, 12_345, 999_999, 10**6, 1_234_567, 10**9, 2 * 10**12)
            ] == ["0 ", "999 ", "1 k", "12.3 k", "1e+03 k", "1 M", "1.23 M", "1 G", "2e+03 G"]
    assert [inspecting._count(number) for number in (0, 1, 1234)] == ["-", "1", "1,234"]
    assert inspecting._shape((3, 4, 5)) == "3x4x5"
    assert [inspecting._value(value) for value in (0.123456789, float("nan"), 3, "x", [1.0, (2, "a")])] == [
        "0.123457", "nan", "3", "x", "1, 2, a"]
    assert inspecting._training({"val_loss": 0.5, "architecture": "a", "none": None, "recipe": {"lr": 0.1, "x": None}}
                                ) == [("val loss", "0.5"), ("recipe: lr", "0.1")]


def test_a_model_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from cnncli.model.summary import summarise

    made = summarise(small_model())
    many = Summary(None, made.input_shape, [f"c{i}" for i in range(13)], made.layers, made.preprocessing, {}, 1932)
    inspecting._print(many, Path("a\nb"))
    said = lines(capsys)
    assert said[0] == "model         a\\nb"
    assert said[1] == "architecture  unknown"
    assert said[2].startswith("input         6x5x3: ")
    assert said[3] == f"classes       13: {', '.join(f'c{i}' for i in range(12))} and 1 more"
    assert said[4] == ""
    rows = {line.split()[0]: line.split() for line in said[5:-2]}
    assert rows["conv1"] == ["conv1", "Conv2d", "6x5x4", "112", "3,240", "3x3"]
    assert rows["relu1"] == ["relu1", "ReLU", "6x5x4", "-", "-", "3x3"]
    assert rows["linear1"][-2:] == ["whole", "image"]
    assert rows["total"] == ["total", "483", "3,600"]
    assert said[-1] == ("An image costs 3.6 k multiply-adds, 7.2 k FLOP; the weights take 1.93 kB. Sizes are height x "
                        "width x channels.")
    inspecting._print(Summary("a", made.input_shape, ["x"] * 12, made.layers, made.preprocessing, {"epoch": 3},
                              1932), Path("m"))
    said = lines(capsys)
    assert said[3].endswith("x, x")
    assert said[-1].split() == ["epoch", "3"]


# ---- predict ----


def test_a_table_is_as_wide_as_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [Prediction("a.png", "cat", 0.5, [("cat", 0.5), ("longest", 0.25)]),
               Prediction("b.png", error="b.png is empty."),
               Prediction("c.png", "unknown", 0.4, [("cat", 0.4), ("longest", 0.3)], rejected=True,
                          withheld=("unsure",))]
    predict._print_table(answers, ["a.png", "b.png", "c.png"], ["cat", "longest"], 2)
    said = lines(capsys)
    assert said[0] == "image  label    probability  label    probability"
    assert said[1] == "a.png  cat           0.5000  longest       0.2500"
    assert said[2] == "b.png  -                  -"
    assert said[3].startswith("c.png  unknown       0.4000  longest       0.3000  ")
    predict._print_table([], ["x" * 90], ["a"], 1)
    assert lines(capsys) == [f"{'image':80}  label    probability"]
    predict._print_table([], ["x"], ["a"], 1)
    assert lines(capsys) == ["image  label    probability"]


def test_items_of_json_stand_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    predict._print_json(iter([{"a": 1}, {"b": None}]), JsonList())
    assert capsys.readouterr().out == '[\n  {"a": 1},\n  {"b": null}\n]\n'
    predict._print_json(iter([]), JsonList())
    assert capsys.readouterr().out == "[\n]\n"

    def broken() -> Any:
        yield {"a": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict._print_json(broken(), JsonList())
    assert capsys.readouterr().out == '[\n  {"a": 1}\n]\n'


@pytest.mark.parametrize("count", [2, 3])
def test_progress_is_for_many_images_that_nobody_sees_coming(count: int, models: Path, monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[Any] = []
    for module in (predict, features):
        assert module.FEW == 200
        monkeypatch.setattr(module, "FEW", 2)
        monkeypatch.setattr(module, "progress", lambda what, total: shown.append((what, total)) or output.suppress())
    names = ["a.png"] * count
    for arguments in (["--json"], ["--csv", "o.csv"], []):
        assert cli.main(["predict", *names, "-m", "m.safetensors", *arguments]) == 0
    assert shown == [("judging", 3)] * 3 * (count > 2)
    monkeypatch.setattr(predict, "is_terminal", lambda stream: stream is sys.stdout)
    assert cli.main(["predict", *names, "-m", "m.safetensors"]) == 0
    assert len(shown) == 3 * (count > 2), "who sees the answers needs no bar"
    assert cli.main(["predict", *names, "-m", "m.safetensors", "--csv", "o.csv"]) == 0
    assert len(shown) == 4 * (count > 2), "but of a table nobody sees any"
    assert cli.main(["features", "m.safetensors", *names]) == 0
    assert shown[4:] == [("looking", 3)] * (count > 2)
    capsys.readouterr()


def test_what_predict_asks_for(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                               ) -> None:
    from cnncli.model import predict as predicting

    given: dict[str, Any] = {}
    real = predicting.predict
    monkeypatch.setattr(predicting, "predict", lambda model, images, **options: given.update(
        options, exact=model.network.exact) or real(model, images, **options))
    for arguments, wanted in (([], {"top": 1, "exact": False, "tta": False, "reject": None}),
                              (["--json"], {"top": 3}), (["--top", "2"], {"top": 2}), (["--exact"], {"exact": True}),
                              (["--top", "2", "--json", "--tta", "--reject", "0.5"],
                               {"top": 2, "tta": True, "reject": 0.5})):
        assert cli.main(["predict", "a.png", "-m", "m.safetensors", *arguments]) == 0
        assert given | wanted == given, arguments
    assert LISTED_IN_JSON == 5, "as docs say"
    capsys.readouterr()
    assert cli.main(["predict", "a.png", "b.png", "-m", "m.safetensors", "--csv", "o.csv"]) == 0
    assert capsys.readouterr().err.endswith("o.csv: 2 rows.\n")
    assert cli.main(["predict", "a.png", "-m", "m.safetensors", "--csv", "o.csv"]) == 0
    assert capsys.readouterr().err.endswith("o.csv: 1 row.\n")
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    assert cli.main(["predict", "a.png", "-m", "m.safetensors", "--csv", "-"]) == 0
    assert stdout.buffer.getvalue() == Path("o.csv").read_bytes()  # type: ignore[attr-defined]


# ---- features, import, sample, export ----


def test_what_features_says(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given: list[bool] = []
    real = model_features.features
    monkeypatch.setattr(model_features, "features", lambda model, *rest: given.append(model.network.exact) or real(
        model, *rest))
    assert cli.main(["features", "m.safetensors", "a.png", "--exact"]) == 0
    assert capsys.readouterr().err.endswith("features.npz: 1 image, 120 features each.\n")
    assert cli.main(["features", "m.safetensors", "a.png", "b.png", "gone.png", "--json"]) == 3
    out, err = capsys.readouterr()
    assert "features.npz: 2 images, 120 features each.\n" in err
    assert json.loads(out) == {"path": "features.npz", "images": 2, "features": 120, "skipped": [
        {"path": "gone.png", "error": json.loads(out)["skipped"][0]["error"]}]}
    Path("features.npz").unlink()
    assert cli.main(["features", "m.safetensors", "gone.png", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["path"] is None
    assert given == [True, False, False]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert cli.main(["features", "m.safetensors", "-"]) == 1
    assert "list on standard input is empty" in capsys.readouterr().err


def test_what_import_and_sample_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {}
    made = SimpleNamespace(directory=Path("d"), classes=["a", "b"], image_counts={"train": 1234, "": 5})
    monkeypatch.setattr(importing, "import_images", lambda *arguments, **options: given.update(
        options, arguments=arguments) or made)
    assert cli.main(["import", "a.npz", "b.idx", "d"]) == 0
    assert capsys.readouterr().out == "d: 1,234 train images, 5 images of 2 classes.\n"
    assert given["arguments"] == (("a.npz", "b.idx"), Path("d"), None)
    assert (given["range"], given["force"]) == (None, False)
    assert cli.main(["import", "a.npz", "d", "--classes", "x,y", "--range", "0:9", "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"directory": "d", "classes": ["a", "b"],
                                                   "images": {"train": 1234, "": 5}}
    assert (given["arguments"][2], given["range"], given["force"]) == ("x,y", "0:9", True)
    monkeypatch.setattr(sample, "write_sample", lambda directory, progress, force: given.update(force=force) or {
        "train": 3000, "test": 1000})
    assert cli.main(["sample", "d"]) == 0
    assert capsys.readouterr().out == "d: 3,000 training and 1,000 test images of 10 classes.\n"
    assert given["force"] is False
    assert cli.main(["sample", "d", "--json", "--force"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == {"train": 3000, "test": 1000}
    assert len(report["classes"]) == 10
    assert given["force"] is True


def test_what_export_asks_for(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                              ) -> None:
    from cnncli import export

    given: dict[str, Any] = {}
    made = SimpleNamespace(path=Path("m.c"), bytes=12345, note="Compile it.", as_json=lambda: {"bytes": 12345})
    monkeypatch.setattr(export, "export_model", lambda opened, file, **options: given.update(options, file=file)
                        or made)
    assert cli.main(["export", "m.safetensors", "m.c"]) == 0
    assert given.pop("note") is output.note
    assert given == {"file": Path("m.c"), "raw": False, "torch_names": False, "int8": False, "force": False}
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("m.c: 12,345 bytes. Compile it.\n")
    assert cli.main(["export", "m.safetensors", "m.c", "--raw", "--torch-names", "--force", "--json"]) == 0
    assert given.pop("note") is output.note
    assert given == {"file": Path("m.c"), "raw": True, "torch_names": True, "int8": False, "force": True}
    assert json.loads(capsys.readouterr().out) == {"bytes": 12345}
