"""Writing a page: where it goes, what is said of it, what is refused, and that nothing half is left."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.data.outputs import claim
from cnncli.errors import CnnError, UsageError
from cnncli.model import Model
from cnncli.page import program as programs
from cnncli.page import write_page, writing
from cnncli.page.writing import MOST, PAGE, Written, _title_of
from cnncli.runs.opened import Opened

from ..cli.test_runs import make
from ..export.quantised import quantised
from ..small_model import CLASSES, small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small_model().save("m.safetensors")
    return tmp_path


def given_of(path: Any) -> Any:
    return json.loads(re.findall('id="given">(.*?)</script>', Path(path).read_text(encoding="utf-8"))[0])


def images_of(count: int) -> tuple[np.ndarray, list[str]]:
    images = np.random.default_rng(0).integers(0, 256, (count, 6, 5, 3)).astype(np.uint8)
    return images, [CLASSES[i % 3] for i in range(count)]


def test_a_page_of_a_file(here: Path) -> None:
    made = write_page("m.safetensors")
    assert (made.path, made.pictures, made.halved, made.change) == (Path("m-page.html"), 0, False, 0)
    assert made.bytes == Path("m-page.html").stat().st_size
    assert (made.filters, made.looked_at, made.skipped) == (0, 0, ())
    assert "Model <bdi>m.safetensors</bdi>: " in Path("m-page.html").read_text(encoding="utf-8")
    assert "A network for 3 classes. It takes colour images, scaled to 5 x 6 pixels." in Path(
        "m-page.html").read_text(encoding="utf-8")
    assert write_page("m.safetensors", out="other.html").path == Path("other.html")


def test_a_page_goes_into_its_runs_folder(here: Path) -> None:
    class Run:
        path, name, config, history, kept = here, "boots", dict[str, Any](), list[Any](), None

    def written(name: str) -> Written:
        return write_page(Opened(small_model(), here / name, Run()), ())  # type: ignore[arg-type]

    assert written("model-int8.safetensors").path == here / "page-model-int8.html"  # beside the other one
    made = written("model.safetensors")
    assert made.path == here / "page.html"
    assert "Model <bdi>boots</bdi>: " in Path(made.path).read_text(encoding="utf-8")
    assert 'id="trained"' not in Path(made.path).read_text(encoding="utf-8")


def test_the_page_of_a_run_shows_how_it_was_trained(here: Path) -> None:
    run = make(here, "boots", [0.5, 0.9])
    made = write_page(Opened(small_model(), run.path / "model.safetensors", run), ())
    assert "<h2>How <bdi>boots</bdi> was trained</h2>" in Path(made.path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("classes", "title"), [
    (["boot", "bag"], "Tells boot and bag apart"), (["a", "b", "c", "d"], "Tells a, b, c and d apart"),
    ([f"{i}" for i in range(2000)], "Tells 0, 1, 2 and 1,997 more apart"), (["boot"], "Tells boot apart"),
    (["a\nb", "שלום"], "Tells a\\nb and \u2068שלום\u2069 apart")])
def test_a_title_says_what_is_told_apart(classes: list[str], title: str) -> None:
    assert _title_of(classes) == title


def test_a_title_of_ones_own(here: Path) -> None:
    """Is one line of text, in the page and in its title."""
    write_page("m.safetensors", out="m.html", title=" <b>Which</b>\nshoe & why?\t ")
    page = Path("m.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;Which&lt;/b&gt; shoe &amp; why?</title>" in page
    assert ">&lt;b&gt;Which&lt;/b&gt; shoe &amp; why?</h1>" in page
    for wrong in (" ", "", 5):
        with pytest.raises(UsageError, match=f"the title must be text, not {wrong!r}; leave title out"):
            write_page("m.safetensors", out="m.html", title=wrong)  # type: ignore[arg-type]


def test_the_golden_picture_is_judged_as_the_page_will(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the weights that the page has; by how much that changes a logit is said."""
    model = small_model()
    write_page(model, (), "a.html")
    exact = given_of("a.html")["golden"]
    monkeypatch.setattr(programs, "FLOAT32_UP_TO", 0)
    made = write_page(model, (), "b.html")
    rounded = given_of("b.html")["golden"]
    assert made.halved
    assert exact[0]["pixels"] == rounded[0]["pixels"]
    change = abs(np.subtract(exact[0]["probabilities"], rounded[0]["probabilities"])).max()
    assert 0 < change < 0.01
    assert change < made.change < 0.1
    assert made.sentence.endswith(
        f"its weights have 16 bits, which changes a logit by {made.change:.1g} at most.")


def test_a_quantised_model_computes_in_floats_there(here: Path, rng: np.random.Generator) -> None:
    """The page says so, and expects what the floats answer."""
    model = quantised(small_model().network, rng)
    made = write_page(model, (), "a.html")
    says = "It computes in float32, with the numbers that the int8 weights stand for."
    assert made.quantised
    assert made.sentence.endswith(f" {says}")
    assert says in Path("a.html").read_text(encoding="utf-8")
    write_page(model.in_floats(), (), "b.html")
    assert says not in Path("b.html").read_text(encoding="utf-8")
    assert given_of("a.html")["golden"] == given_of("b.html")["golden"]
    assert model.network.quantisation is not None


def test_what_excites_filters_is_there_where_there_are_images(here: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = write_page("m.safetensors", images_of(30), "a.html", progress=lambda *each: told.append(each))
    units = given_of("a.html")["units"]
    assert (made.filters, made.looked_at, units["looked_at"], units["answered"]) == (4 + 3, 30, 30, False)
    assert told[-1][1:] == (30, 30)
    assert "it shows what excites each of 7 filters most in 30 images" in made.sentence
    without = write_page("m.safetensors", images_of(30), "b.html", with_units=False)
    assert (without.filters, without.looked_at, given_of("b.html")["units"]) == (0, 0, None)
    assert without.bytes < made.bytes < without.bytes + writing.LEAST


def test_the_room_for_it_grows_with_the_weights(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[int] = []
    monkeypatch.setattr(writing, "units", lambda model, items, labels, room, progress: rooms.append(room))
    write_page("m.safetensors", (), "a.html")
    monkeypatch.setattr(writing, "LEAST", 100)
    write_page("m.safetensors", (), "a.html")
    weights = len(programs.program(small_model()).weights)
    assert rooms == [80_000, weights // 12]


@pytest.mark.parametrize(("given", "sentence"), [
    ((False, 0.0, 0, 0), "1.2 MB; open it in a browser."),
    ((True, 0.0123, 0, 0), "1.2 MB; its weights have 16 bits, which changes a logit by 0.01 at most."),
    ((False, 0.0, 1234, 200), "1.2 MB; it shows what excites each of 1,234 filters most in 200 images; open it "
                              "in a browser.")])
def test_what_is_said_of_it(given: tuple[bool, float, int, int], sentence: str) -> None:
    made = Written(Path("p.html"), 1_234_567, 12, *given, (("a.png", "why"),))
    assert made.sentence == sentence
    assert made.as_json() == {
        "path": "p.html", "bytes": 1_234_567, "pictures": 12, "halved": given[0], "change": given[1],
        "filters": given[2], "looked_at": given[3], "skipped": [{"path": "a.png", "error": "why"}]}


def test_a_model_that_no_page_can_hold() -> None:
    network = architecture("vgg11", (224, 224, 3), 1000, seed=None)
    with pytest.raises(UsageError, match=r"would hold 2\d\d MB of weights, and browsers take 64 MB; train a smaller"):
        write_page(Model(network, [str(i) for i in range(1000)], Preprocessing((224, 224))), (), "page.html")
    assert MOST == 64_000_000


def test_the_largest_model_that_a_page_holds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bytes of each parameter."""
    size = 2 * sum(array.size for array in small_model().network.parameters().values())
    monkeypatch.setattr(writing, "MOST", size)
    write_page("m.safetensors", (), "a.html")
    monkeypatch.setattr(writing, "MOST", size - 1)
    with pytest.raises(UsageError, match=r"m\.safetensors would hold"):
        write_page("m.safetensors", (), "b.html")
    assert not Path("b.html").exists()


def test_what_needs_more_memory_than_a_browser_gives(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All numbers of all layers, which stay in memory, and the weights, with 32 bits each."""
    described = programs.program(small_model()).described
    memory = 4 * (described["floats"] + sum(one["count"] for one in described["constants"]))
    monkeypatch.setattr(writing, "MEMORY", memory)
    write_page("m.safetensors", (), "a.html")
    monkeypatch.setattr(writing, "MEMORY", memory - 1)
    with pytest.raises(UsageError, match=r"m\.safetensors would need 0 MB of .* an image of 5 x 6 pixels.* --size 224"):
        write_page("m.safetensors", (), "b.html")
    assert not Path("b.html").exists()


def test_what_is_there_is_left_alone(here: Path) -> None:
    Path("letter.html").write_text("<p>Dear all", encoding="utf-8")
    with pytest.raises(UsageError, match=r"letter\.html is there already and is not a model's page that cnn wrote"):
        write_page("m.safetensors", (), "letter.html")
    assert Path("letter.html").read_text(encoding="utf-8") == "<p>Dear all"
    write_page("m.safetensors", (), "letter.html", force=True)
    page = Path("letter.html").read_bytes()
    write_page("m.safetensors", (), "letter.html")  # a page of ours is written anew
    assert Path("letter.html").read_bytes() == page  # the same model gives the same bytes
    with pytest.raises(UsageError, match=r"ends in \.html"):
        write_page("m.safetensors", (), "m.png")
    with pytest.raises(CnnError):
        write_page("m.safetensors", [str(here / "page.html")], "page.html")


def test_images_that_are_read_are_not_written_over(here: Path) -> None:
    Path("a.html").write_bytes(b"")
    with pytest.raises(UsageError, match="read and written at once"):
        write_page("m.safetensors", ["a.html"], "a.html", force=True)


@pytest.mark.parametrize("where", ["pictures", "units", "render"])
def test_somebody_who_ends_it_finds_nothing_half(where: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*given: Any) -> None:
        raise KeyboardInterrupt

    write_page("m.safetensors", (), "page.html")
    before = Path("page.html").read_bytes()
    monkeypatch.setattr(writing, where, ends)
    with pytest.raises(KeyboardInterrupt):
        write_page("m.safetensors", images_of(30), "page.html")
    assert Path("page.html").read_bytes() == before
    assert sorted(path.name for path in here.iterdir()) == ["m.safetensors", "page.html"]
    with claim({"page.html": PAGE}):  # nobody holds it any more
        pass


def test_a_page_is_told_by_its_mark(here: Path) -> None:
    write_page("m.safetensors", (), "a.html")
    assert PAGE.ours("a.html")
    assert PAGE.suffix == ".html"
    Path("b.html").write_text('<meta name="generator" content="cnn report">', encoding="utf-8")
    assert not PAGE.ours("b.html")
    assert cnncli.write_page is write_page
