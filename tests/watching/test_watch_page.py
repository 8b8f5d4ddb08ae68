"""The page of a training in a real browser, showing recordings that were made by hand: resumed, broken, long, several
at once, with names that look like HTML; with the keyboard and on a phone."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import Run
from cnncli.watching.server import Server

from ..report.browser import DESKTOP, PHONE, browser
from .recordings import EVIL, begin, epoch, look, step, write

__all__ = ["browser"]
pytestmark = pytest.mark.slow
SECONDS = 10.0  # that the page has for what it should show
WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
STEPS_DRAWN = "return chosenRun().steps.map(({ step, loss }) => [step, loss])"

Show = Callable[..., Server]


@pytest.fixture
def show(browser: Any) -> Iterator[Show]:
    """``show(folder, …)`` opens the page of runs and gives the server."""
    with ExitStack() as open_servers:
        def shown(*folders: Path, **how: Any) -> Server:
            server = open_servers.enter_context(Server([Run(folder) for folder in folders]))
            browser.open(server.address, **how)
            return server

        yield shown
        browser.driver.get("about:blank")


def text(browser: Any, name: str, holds: str) -> str:
    """Wait until an element's text holds something, and return it."""
    until = time.monotonic() + SECONDS
    while holds not in (found := str(browser.run("return byId(arguments[0]).textContent", name))):
        assert time.monotonic() < until, f"{name} says {found!r}, not {holds!r}"
        time.sleep(0.05)
    return found


def whole(folder: Path, **other: Any) -> Path:
    """A run in its second epoch."""
    return write(folder, [begin(**other), *(step(i) for i in range(1, 13)), look(5), look(12, right=0.9), epoch(1, 0.7),
                          {"what": "note", "sentence": "The <i>rate</i> was chosen."}])


def test_it_says_where_a_training_is(browser: Any, show: Show, tmp_path: Path) -> None:
    server = show(whole(tmp_path / "one"))
    server.training = "one"
    text(browser, "state", "Training")
    where = text(browser, "place", "step 12 of 40")
    assert re.fullmatch(r"epoch 2 of 4, step 12 of 40, 1,235 images a second, 4 min (\d+ s )?left", where)
    assert text(browser, "best", "70.0") == ("Best so far: 70.0\u202f% of the validation images are right, "
                                             "after epoch 1.")
    assert text(browser, "about", "lenet5") == "lenet5, 3 classes, 400 training images, 40 for validation"
    assert abs(browser.run("return byId('progress').value") - 12 / 40) < 1e-6
    assert browser.driver.title == "30 % · one"
    write(tmp_path / "one", [{"what": "end", "time": time.time(), "cause": "SIGTERM"}])
    text(browser, "state", "Stopped by SIGTERM and saved")
    assert not browser.errors()


def test_nothing_heard_for_long_is_said(browser: Any, show: Show, tmp_path: Path) -> None:
    before = time.time() - 100
    server = show(write(tmp_path / "one", [begin(time=before - 1), step(1, time=before)]))
    server.training = "one"
    text(browser, "state", "No news for 1 min 4")
    server.training = None
    text(browser, "state", "Interrupted")
    write(tmp_path / "one", [{"what": "end", "time": before, "cause": "finished"}])
    text(browser, "state", "Finished")
    server.training = "one"
    text(browser, "state", "Training again without --live")


def test_images_say_right_and_wrong_by_a_sign(browser: Any, show: Show, tmp_path: Path) -> None:
    show(whole(tmp_path / "one"))
    text(browser, "examples-right", "Now 1 of 2 are right.")
    first, second = browser.driver.find_elements("css selector", "#examples figure")
    assert first.text.split("\n") == [EVIL[0], "✓ right", EVIL[0], "90\u202f%", EVIL[1], "10\u202f%", EVIL[2],
                                      "0\u202f%"]
    assert "✗ wrong" in second.text
    history = browser.run("return document.querySelector('#examples .spark title').textContent")
    assert history == "80.0\u202f% at first, 90.0\u202f% now, between 80.0\u202f% and 90.0\u202f%"


@pytest.mark.parametrize(("update", "dead", "words"), [
    (1e-3, 0.0, "✓ healthy"), (9e-6, 0.0, "⚠ hardly learns"), (0.2, 0.0, "⚠ jumps"), (1e-3, 0.6, "⚠ mostly dead"),
    (0.0, 1.0, "⚠ does not learn, all dead")])
def test_layers_say_whether_they_are_healthy(browser: Any, show: Show, tmp_path: Path, update: float, dead: float,
                                             words: str) -> None:
    show(write(tmp_path / "one", [begin(), step(1), look(1, update=update, dead=dead)]))
    text(browser, "layer-rows", words)
    rows = [row.text.split("\n") for row in browser.driver.find_elements("css selector", "#layer-rows tr")]
    assert [row[0] for row in rows] == ["conv1", "fc1"], "a ReLU belongs to the layer before it"
    doubtful = words[0] == "⚠"
    assert text(browser, "layers-health", " ") == ("1 of 2 layers gives cause for doubt." if doubtful else
                                                   "All layers are healthy.")


def test_updates_that_fall_with_the_learning_rate_are_healthy(browser: Any, show: Show, tmp_path: Path) -> None:
    folder = write(tmp_path / "one", [begin(), step(2), look(1, rate=0.1), look(2, update=1e-6, rate=1e-4)])
    show(folder)
    text(browser, "layers-health", "All layers are healthy.")
    write(folder, [look(3, update=1e-6, rate=0.05)])
    text(browser, "layer-rows", "hardly learns")
    write(folder, [look(4, update=0.0, rate=0.0)])
    text(browser, "layers-health", "All layers are healthy.")
    write(folder, [look(5, layers={"conv1": {"weights": 1.0, "gradients": None, "update": 0.0, "dead": None}})])
    text(browser, "layer-rows", "frozen")


def test_names_are_text(browser: Any, show: Show, tmp_path: Path) -> None:
    folder = write(tmp_path / "one", [begin(run="<i>run</i>", architecture="<i>net</i>",
                                            layers=[{"name": "<i>conv</i>", "kind": "<i>", "parameters": 1}]),
                                      step(1), look(1, layers={"<i>conv</i>": {"weights": 1, "update": 1e-3}}),
                                      {"what": "note", "sentence": "<i>note</i>"},
                                      {"what": "end", "cause": "<i>cause</i>"}])
    show(folder, whole(tmp_path / "two", recipe={"<i>setting</i>": "<i>"}))
    text(browser, "title", "<i>run</i>")
    text(browser, "layer-rows", "<i>conv</i>")
    text(browser, "notes", "<i>note</i>")
    text(browser, "several-head", "<i>setting</i>")
    assert browser.run("return document.querySelectorAll('i').length") == 0
    assert not browser.errors()


def test_it_asks_nobody_but_its_server(browser: Any, show: Show, tmp_path: Path) -> None:
    server = show(whole(tmp_path / "one"))
    text(browser, "examples-right", "1 of 2")
    assert {url.removeprefix(server.address) for url in browser.requests()} == {"", "events"}
    browser.run("fetch('http://127.0.0.1:9/').catch(() => {})")
    assert "connect-src" in "".join(browser.errors()), "the policy forbids others"


def test_steps_that_are_trained_again_replace_the_old_ones(browser: Any, show: Show, tmp_path: Path) -> None:
    folder = whole(tmp_path / "one")
    show(folder)
    text(browser, "place", "step 12")
    write(folder, [{"what": "end", "time": time.time(), "cause": "Ctrl-C"}])
    text(browser, "state", "Stopped by Ctrl-C and saved")
    write(folder, [begin(done=5)])
    text(browser, "place", "step 5 ")
    write(folder, [step(6, 9.5), step(8, 9.25)])
    text(browser, "place", "step 8")
    assert [line for line in browser.run(STEPS_DRAWN) if line[0] > 4] == [[5, 0.2], [6, 9.5], [8, 9.25]]
    assert browser.run("return [...chosenRun().epochs.keys()]") == [], "its epoch is not done any more"
    assert browser.run("return chosenRun().looks.map(({ step }) => step)") == [5]
    write(folder, [begin(epochs=2), step(1, 7.0)])
    text(browser, "place", "step 1 of 20")
    assert browser.run(STEPS_DRAWN) == [[1, 7.0]]
    write(folder, [step(2), step(3), step(2, 8.0)])
    text(browser, "place", "step 2 of 20")
    assert browser.run(STEPS_DRAWN) == [[1, 7.0], [2, 8.0]]


def test_numbers_that_are_none(browser: Any, show: Show, tmp_path: Path) -> None:
    folder = write(tmp_path / "one", [begin(classes=["NaN", "b"], steps=None, epochs=None, recipe=None, images=None)])
    with open(folder / "watched.jsonl", "a", encoding="utf-8") as file:
        for number in range(1, 30):
            file.write(json.dumps({**step(number), "loss": float("nan") if number > 9 else 1.0, "accuracy": None,
                                   "left": None, "images_per_second": None}) + "\n")
        file.write(json.dumps(look(29, probabilities=[[float("nan")] * 2, None], filters=None)) + "\n")
        file.write(json.dumps(epoch(1, float("nan"), val_loss=float("inf"))) + "\n")
        file.write('{"what": "step"}\n{"what": "look"}\n{"what": "epoch"}\n{"what": "toString"}\nnonsense\n')
    show(folder)
    text(browser, "place", "step 29")
    text(browser, "examples", "its probabilities are no numbers")
    assert "1.000" not in browser.find("#loss .values").text, "what was before is not what is now"
    text(browser, "trouble", "The loss is no longer a finite number.")
    classes = browser.find("#examples").text
    assert browser.find("body").text.count("NaN") == classes.count("NaN"), "only the class that is called so"
    assert not browser.run("return [...document.querySelectorAll('path, circle')].some((one) => "
                           "/NaN|Infinity/.test(one.outerHTML))")
    assert browser.run("return parsed(arguments[0])", '{"a": NaN, "b": "NaN", "c": [-Infinity]}') == {
        "a": None, "b": "NaN", "c": [None]}
    assert not browser.errors()


def test_several_runs_stand_beside_each_other(browser: Any, show: Show, tmp_path: Path) -> None:
    folders = [whole(tmp_path / name, run=name, recipe={"lr": lr, "augment": {"flip": flip}, "same": [1, 2]})
               for name, lr, flip in (("one", 0.1, True), ("two", 0.2, True), ("three", 0.1, False))]
    write(folders[1], [epoch(2, 0.825)])
    show(*folders)
    text(browser, "several-rows", "82.5")
    assert browser.find("#several-head").text.split() == ["run", "state", "epochs", "best", "accuracy",
                                                          "after", "epoch", "lr", "augment.flip"]
    rows = [row.text for row in browser.driver.find_elements("css selector", "#several-rows tr")]
    assert "2 of 4 82.5\u202f% 2 0.2 true" in rows[1]
    looks = browser.run("return [...document.querySelectorAll('#loss .lines .line')].map((line) => "
                        "[line.classList[1], line.classList[2]].join(' '))")
    assert looks == ["colour0 dash0", "colour0 dash0", "colour1 dash1", "colour1 dash1", "colour2 dash2",
                     "colour2 dash2"]
    for told in ("strokeDasharray", "stroke"):
        lines = browser.run("return [...document.querySelectorAll('#loss .lines .line.thick')].map((line) => "
                            "getComputedStyle(line)[arguments[0]])", told)
        assert len(set(lines)) == 3
    browser.run("document.querySelector('#several input').focus()")
    browser.press("\ue015")  # down: the radio buttons' own
    text(browser, "title", "two")
    assert browser.run("return document.activeElement.value") == "two", "the focus stays where it was"


def test_runs_that_were_validated_on_other_images_are_named_beside_the_curves(browser: Any, show: Show, tmp_path: Path
                                                                             ) -> None:
    folders = [whole(tmp_path / name, run=name) for name in ("one", "two", "three")]
    for folder, image in zip(folders, "aab", strict=True):
        (folder / "images.csv").write_text(f"split,class,path,bytes,file,pixels\nval,x,{image}.png,3,{image},1\n")
    show(*folders)
    assert text(browser, "unlike", "groups") == (
        "The runs have different validation images, so accuracies can be compared only within each of these groups: "
        "one and two; three.")
    text(browser, "several-rows", "three")
    places = browser.run("return ['curves-title', 'unlike', 'loss'].map((id) => byId(id).getBoundingClientRect().top)")
    assert places == sorted(places)
    show(*folders[:2])
    text(browser, "several-rows", "two")
    assert not browser.run("return byId('unlike').textContent")


def test_what_does_nothing_is_no_difference(browser: Any, show: Show, tmp_path: Path) -> None:
    none = dict.fromkeys(("rotate", "hue", "mixup"), 0.0) | {"flip": False, "randaugment": 0, "magnitude": 9.0}
    recipes = [{"augment": {"shift": 2, **none}, "exclude": "928bbf07" * 8}, {"augment": None},
               {"augment": {"shift": 3, **none, "rotate": 10.0}}]
    folders = [whole(tmp_path / name, run=name, recipe=recipe)
               for name, recipe in zip(("first", "over", "over-aug"), recipes, strict=True)]
    show(*folders)
    text(browser, "several-rows", "over-aug")
    assert browser.find("#several-head").text.split()[7:] == ["augment.shift", "augment.rotate", "exclude"]
    rows = [row.text.split() for row in browser.driver.find_elements("css selector", "#several-rows tr")]
    assert [row[-3:] for row in rows] == [["2", "0", "928bbf07…"], ["–", "–", "–"], ["3", "10", "–"]]


def test_a_run_that_was_not_recorded_says_what_to_type(browser: Any, show: Show, tmp_path: Path) -> None:
    server = show(write(tmp_path / "one", [begin(examples=[], layers=[]), epoch(1, 0.5), epoch(2, 0.6)]))
    assert "cnn train --live" in text(browser, "examples-lack", "not recorded")
    assert "cnn train --live" in text(browser, "layers-lack", "not recorded")
    text(browser, "state", "Ended")
    assert browser.run("return byId('by-step').disabled")
    assert browser.run("return byId('stop-part').hidden"), "who only watches cannot stop"
    server.training = "one"
    text(browser, "state", "Training")
    write(tmp_path / "one", [epoch(3, 0.6), epoch(4, 0.6)])
    server.training = None
    text(browser, "state", "Finished")


def test_thousands_of_lines_are_thinned(browser: Any, show: Show, tmp_path: Path) -> None:
    spike = [step(i, 50.0 if i == 2500 else 1.0) for i in range(1, 5001)]
    show(write(tmp_path / "one", [begin(steps=1000, epochs=5), *spike]))
    text(browser, "place", "step 5,000 of 5,000")
    points = [float(point.split()[1]) for point in browser.run(
        "return document.querySelector('#loss .lines .thin').getAttribute('d').slice(1)").split("L")]
    assert 50 < len(points) < 1000
    assert sum(height < max(points) / 2 for height in points) == 1, "the one high point is still there"


def test_it_draws_at_most_five_times_a_second_and_not_while_hidden(browser: Any, show: Show, tmp_path: Path) -> None:
    show(whole(tmp_path / "one"))
    text(browser, "place", "step 12")
    feed = """const [done] = [arguments[arguments.length - 1]];
        let drawn = 0, number = 12;
        new MutationObserver(() => { drawn += 1; }).observe(byId('place'), { childList: true });
        const timer = setInterval(() => {
          number += 1;
          takeMessage({ id: 'one', line: { what: 'step', step: number, epoch: 2, loss: 1, accuracy: 1 } });
          redraw();
        }, 5);
        setTimeout(() => { clearInterval(timer); done([number, drawn]); }, 2000);"""
    browser.driver.set_script_timeout(20)
    fed, drawn = browser.driver.execute_async_script(feed)
    assert fed > 100
    assert 2 <= drawn <= 11
    browser.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    assert browser.driver.execute_async_script(feed)[1] <= 1, "one may have been under way"
    browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    text(browser, "place", f"step {browser.run('return chosenRun().steps.at(-1).step')}")


def test_a_lost_connection_is_said_and_goes_on(browser: Any, show: Show, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    folder = whole(tmp_path / "one")
    show(folder)
    text(browser, "place", "step 12")

    def broken(*given: object) -> list[bytes]:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(Server, "_news", broken)
        text(browser, "connection", "The connection is lost.")
        write(folder, [step(13), step(14)])
    text(browser, "place", "step 14")
    assert browser.run("return byId('connection').textContent") == ""
    assert [number for number, _ in browser.run(STEPS_DRAWN)] == list(range(1, 15)), "each of them once"


def test_the_keyboard_reads_the_curves(browser: Any, show: Show, tmp_path: Path) -> None:
    show(whole(tmp_path / "one"))
    text(browser, "place", "step 12")
    browser.run("document.querySelector('#loss svg').focus()")
    said = "return document.querySelector('#loss .readout').innerText.replace(/\\s+/g, ' ')"
    for key, words in (("\ue014", "step 1 training"), ("\ue014", "step 2 training"), ("\ue010", "step 12 training"),
                       ("\ue012", "step 11 training"), ("\ue011", "step 1 training")):
        browser.press(key)
        assert browser.run(said).startswith(words)
    assert "1.000" in browser.run(said)
    browser.press("\ue00c")
    assert browser.run(said).startswith("training")
    browser.press("\ue014")
    browser.run("document.activeElement.blur()")
    assert browser.run(said).startswith("training")
    browser.find("#by-epoch").click()
    text(browser, "loss", "epoch")
    assert browser.run("return byId('by-epoch').getAttribute('aria-pressed')") == "true"
    reached = set()
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(14):
        browser.press("\ue004")
        reached.add(browser.run("return document.activeElement.id || document.activeElement.parentElement.id"))
    assert reached >= {"settings", "by-step", "by-epoch", "log", "loss", "accuracy", "rate", "layer-table"}


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_names_what_it_shows(browser: Any, show: Show, tmp_path: Path, size: tuple[int, int],
                                         dark: bool) -> None:
    long = [f"{name} with a very long name that nobody would give" for name in EVIL]
    show(whole(tmp_path / "one", classes=long), whole(tmp_path / "two", run="a-run-with-a-long-name" * 4), size=size,
         dark=dark)
    text(browser, "examples-right", "1 of 2")
    assert browser.run(WIDE) <= 0
    nameless = browser.run("""
        const what = 'button, input, img, progress, [role=application], [role=img], [tabindex]';
        const all = [...document.querySelectorAll(what)];
        const nameOf = (one) => ['aria-label', 'aria-labelledby', 'alt'].map((name) => one.getAttribute(name)).join('')
          || one.textContent.trim() || one.labels?.[0]?.textContent;
        return all.filter((one) => one.checkVisibility({ visibilityProperty: true }) && !nameOf(one))
          .map((one) => one.outerHTML)""")
    assert nameless == []
    assert not browser.errors()
