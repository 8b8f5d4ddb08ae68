"""watching/live.py: a training that is watched is the same training, to the bit, and can be stopped from its page."""

import threading
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import Interrupted
from cnncli.runs import Run
from cnncli.watching.lines import parsed
from cnncli.watching.live import Live

from ..training.conftest import Train, shared, train
from ..training.test_resume import outcome
from .conftest import Asking

__all__ = ["shared", "train"]


def lines(run: Path) -> list[dict[str, Any]]:
    found = [parsed(raw) for raw in (run / "watched.jsonl").read_bytes().splitlines()]
    assert None not in found
    return found  # type: ignore[return-value]


class Patient(Live):
    """Trains on only when the page has asked for the stop: three tiny epochs may be over before it has heard of one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        super().epoch_started(epoch, epochs, steps)
        if epoch == 2:
            self.asked.wait(20)


@pytest.mark.slow
def test_a_training_is_stopped_from_its_page_and_goes_on_in_the_same_recording(train: Train, tmp_path: Path) -> None:
    plain = train(name="plain", epochs=40)
    with Patient() as live:
        ask, seen, asked = Asking(live.address), list[Any](), list[int]()

        def page() -> None:
            for _, event in ask.events():
                seen.append(event)
                if event.get("line", {}).get("what") == "epoch" and not asked:
                    asked.append(ask(f"{ask.path}stop", "POST", X_Token=ask.token)[0])
                    live.asked.set()

        reading = threading.Thread(target=page)
        reading.start()
        with pytest.raises(Interrupted, match="stopped by the page in epoch") as caught:
            train(name="live", epochs=40, observer=live)
    reading.join(20)
    assert (caught.value.exit_code, asked) == (130, [202])
    assert seen[0] == {"id": "live", "can_stop": True, "training": True, "there": True}
    told = lines(tmp_path / "runs" / "live")  # before its first line a page may have heard what the folder has
    assert [event["line"] for event in seen if "line" in event][-len(told) :] == told
    assert (told[0]["what"], told[-1]["what"], told[-1]["cause"]) == ("begin", "end", "the page")
    with Live() as live:
        again = train(resume="live", observer=live)
    assert outcome(again) == outcome(plain)
    recorded = lines(again.path)
    assert recorded[: len(told)] == told
    assert recorded[len(told)]["what"] == "begin"
    assert recorded[len(told)]["done"] > 0
    assert [line["epoch"] for line in recorded if line["what"] == "epoch"] == list(range(1, 41))
    assert recorded[-1]["cause"] == "finished"


def test_a_page_that_comes_before_the_recording_waits_for_it_unless_there_will_be_none(tmp_path: Path) -> None:
    run: Any = Run(tmp_path)
    with Live(say=lambda sentence: None) as live:
        live.started(run, {})
        source = live._server.sources[run.name]
        assert source.waits
        live._give_up(OSError("no"))
        assert not source.waits
        live.started(run, {})
        live.ended("finished")
        assert not source.waits
