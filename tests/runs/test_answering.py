"""runs/answering.py: every call that takes a model takes all of its forms, and what is no model is refused in a
sentence with a remedy; so is what is no path, no split and no result where one of these is wanted."""

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.errors import UsageError

from ..small_model import small_model

IMAGE = np.full((6, 5, 3), 90, np.uint8)


def test_predict_and_features_take_a_model_by_its_path(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / "shop.safetensors"
    model.save(path)
    loaded = cnncli.load(path)
    for form in (path, str(path), loaded):
        assert list(cnncli.predict(form, IMAGE)) == model.predict(IMAGE)
        assert cnncli.summarise(form).layers == cnncli.summarise(model).layers
        assert np.array_equal(cnncli.features(form, IMAGE).values, cnncli.features(model, IMAGE).values)


def test_why_this_model_was_taken_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnncli.runs import answering

    opened = answering.open_model("runs/small")
    monkeypatch.setattr(answering, "open_model", lambda model: type(opened)(opened.model, opened.path, None, ["So."]))
    told: list[str] = []
    list(cnncli.predict(None, IMAGE, note=told.append))
    cnncli.features(None, IMAGE, note=told.append)
    assert told == ["So.", "So."]


@pytest.mark.parametrize("wrong", [5, b"runs/latest", io.BytesIO(b"x"), IMAGE])
@pytest.mark.parametrize("call", [
    lambda model: cnncli.predict(model, IMAGE), lambda model: cnncli.features(model, IMAGE), cnncli.evaluate,
    lambda model: cnncli.explain(model, IMAGE), lambda model: cnncli.export_model(model, "a.c"), cnncli.load,
    cnncli.draw_filters, cnncli.write_page, cnncli.summarise])  # fmt: skip
def test_what_is_no_model(call: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"is no model; give a Model|^cnncli.load takes the path of a model file"):
        call(wrong)


def test_what_is_no_path_no_split_and_no_result(tmp_path: Path) -> None:
    model = small_model()
    with pytest.raises(UsageError, match=r"cnncli.load takes the path .* not None\.$"):
        cnncli.load(None)  # type: ignore[arg-type]
    for write in (model.save, lambda path: cnncli.export_model(model, path)):
        for wrong in (io.BytesIO(), b"a.c", 5, None):
            with pytest.raises(UsageError, match=r"is no path that can be written to; give a path"):
                write(wrong)  # type: ignore[arg-type]
    for write in (lambda out: cnncli.features(model, IMAGE).write(out), lambda out: cnncli.write_page(model, (), out)):
        with pytest.raises(UsageError, match=r"is no path that can be written to; give a path"):
            write(io.BytesIO())
    with pytest.raises(UsageError, match=r"^cnncli.trust takes what cnncli.explain returned, not Model; write"):
        cnncli.trust(model, model)  # type: ignore[arg-type]
    for wrong in (5, b"a.png"):
        with pytest.raises(UsageError, match=r"is no name of a file; give a path or a pattern"):
            cnncli.find_images(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^5 is no run; give its name or path"):
        cnncli.watch(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not Model; write cnncli.write_report\(cnncli.evaluate\(model, data\)\)"):
        cnncli.write_report(model, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^there is no split 'tset';.* Did you mean 'test'"):
        cnncli.evaluate(model, tmp_path, split="tset")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        model.save(tmp_path / "none" / "a.safetensors")
    with pytest.raises(UsageError):
        cnncli.export_model(model, tmp_path / "none" / "a.c")


@pytest.mark.parametrize("call", [cnncli.sanity, cnncli.shortcuts, cnncli.explain_units, cnncli.explanations,
                                  cnncli.predict, cnncli.features, cnncli.evaluate])
def test_nobody_is_told_by_default(call: Callable[..., Any]) -> None:
    assert inspect.signature(call).parameters["note"].default is None
