"""cnn page: where the page goes, which pictures are on it, what is said, and what is refused."""

import json
import re
from pathlib import Path

import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.cli import main
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.page import writing

from ..small_model import small_model
from ..trained import write_images


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small_model().save("m.safetensors")
    return tmp_path


def shown(path: str) -> list[tuple[str, bool]]:
    """The pictures on a page: what each is called, and whether the model is said to be wrong."""
    found = re.findall(r"<span>(.*?)</span></button>", Path(path).read_text(encoding="utf-8"))
    return [(words.partition("<")[0], "taken for" in words) for words in found]


def test_a_page_of_a_file_with_its_pictures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = cnncli.load("m.safetensors")
    write_images(here / "photos", model.classes, 6, seed=1)
    assert main(["page", "-m", "m.safetensors", "photos", "--json"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert made == {"path": "m-page.html", "bytes": Path("m-page.html").stat().st_size, "pictures": 12, "halved": False,
                    "change": 0, "filters": 0, "looked_at": 0, "skipped": []}
    assert f"m-page.html: {made['bytes'] / 1e6:.1f} MB; open it in a browser." in said.err
    answers = {(Path(each.path).name, Path(each.path).parent.name): each.label for each in
               cnncli.predict(model, "photos")}
    assert {wrong for _, wrong in shown("m-page.html")} == {
        label != answer for (_, label), answer in answers.items()}


def test_pictures_without_labels_and_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(here / "photos", ["somewhere"], 2, seed=1)
    assert main(["page", "-m", "m.safetensors", "photos/somewhere", "--out", "some.html"]) == 0
    assert capsys.readouterr().out == "some.html\n"
    assert len(shown("some.html")) == 2
    assert not any(wrong for _, wrong in shown("some.html"))
    cnncli.write_page("m.safetensors", (), "none.html")
    assert shown("none.html") == []
    assert main(["page", "-m", "m.safetensors"]) == 0  # which is in no run
    assert shown("m-page.html") == []


def test_what_cannot_be_read_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = _pictures(here, "a")
    Path("letter.png").write_text("Dear all", encoding="utf-8")
    assert main(["page", "-m", "m.safetensors", "letter.png", path, "--json"]) == 3
    said = capsys.readouterr()
    [skipped] = json.loads(said.out)["skipped"]
    assert skipped["path"] == "letter.png"
    assert len(shown("m-page.html")) == 1


def test_names_are_text(here: Path) -> None:
    network = architecture("lenet5", (28, 28, 1), 2, seed=0)
    how = Preprocessing((28, 28), grey=True)
    Model(network, ["</script><script>alert(1)</script>", "b"], how).save("odd.safetensors")
    assert main(["page", "-m", "odd.safetensors", "--out", "odd.html", *_pictures(here, "<img src=x>")]) == 0
    text = Path("odd.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<img src=x>" not in text


def _pictures(here: Path, name: str) -> list[str]:
    write_images(here / "odd", [name], 1, seed=1)
    return [str(path) for path in (here / "odd").rglob("*.png")]


@pytest.mark.parametrize(("arguments", "code", "sentence"), [
    (["-m", "gone.safetensors"], 4, "gone.safetensors"),
    (["-m", "m.safetensors", "gone/"], 1, "there is no file or folder gone/; give an image, or a folder"),
    (["-m", "m.safetensors", "--out", "letter.html"], 2, "letter.html"),
], ids=["no model", "no images", "not ours"])
def test_what_is_refused(arguments: list[str], code: int, sentence: str, here: Path,
                         capsys: pytest.CaptureFixture[str]) -> None:
    Path("letter.html").write_text("<p>Dear all", encoding="utf-8")
    assert main(["page", *arguments]) == code
    said = capsys.readouterr().err.splitlines()[-1]
    assert sentence in said
    assert "an error of the program itself" not in said
    assert Path("letter.html").read_text(encoding="utf-8") == "<p>Dear all"


def test_a_model_that_no_page_can_hold(here: Path, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(writing, "MOST", 10)
    assert main(["page", "-m", "m.safetensors"]) == 2
    assert "train a smaller architecture" in capsys.readouterr().err
    assert not list(here.glob("*.html"))


def test_ctrl_c_leaves_nothing_half(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                                    ) -> None:
    def ends(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "pictures", ends)
    assert main(["page", "-m", "m.safetensors"]) == 130
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["m.safetensors"]


def test_what_excites_filters_is_left_out_where_nobody_wants_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(here / "photos", cnncli.load("m.safetensors").classes, 8, seed=1)
    for option, filters in (("--units", 7), ("--no-units", 0)):
        assert main(["page", "-m", "m.safetensors", "photos", option, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["filters"] == filters
        assert ("it shows what excites each of 7 filters most in 24 images" in said.err) == (filters > 0)
