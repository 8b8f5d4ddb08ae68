"""report/parts.py and report/merging.py from Python. The commands are in tests/cli/test_merging.py."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import pytest

import cnncli
from cnncli.errors import DataError, UsageError
from cnncli.model import Prediction
from cnncli.report.parts import JsonList, Part, part_in, part_of
from cnncli.report.predictions import Table, as_item
from cnncli.runs.opened import open_model

from ..small_model import small_model

NAMES = ["a,\r\n\"b\".png", "b\udce9.png", "c", "\"", "part 1 of 2: .png"]
ANSWERS = [Prediction(name, label, 0.5 + i / 16, top=[(label, 0.5 + i / 16), ("part", 1e-17)])
           for i, (name, label) in enumerate(zip(NAMES, ["ant", "bee,", "\"", "", "unknown"], strict=True))]
BROKEN = replace(ANSWERS[2], label=None, probability=None, top=[], error="it's \"broken\", \nall of it")


def written(answers: Sequence[Prediction], part: Part | None, form: str) -> bytes:
    """Return what `cnn predict` writes of some answers."""
    if form == "csv":
        table = Table(2, model="m.safetensors", part=part)
        for answer in answers:
            table.add(answer)
        return table.encoded()
    made = JsonList(part)
    pieces = [made.opening(), *(made.item(as_item(answer, model="m.safetensors")) for answer in answers)]
    return "".join([*pieces, made.closing(), "\n"]).encode()


def a_part(number: int, of: int, images: int = len(ANSWERS)) -> Part:
    opened = replace(open_model(small_model()), path=Path("m.safetensors"))
    return part_of((number, of), [answer.path for answer in ANSWERS[:images]], ["photos"], opened, top=2, reject=None,
                   tta=False)


def put(folder: Path, of: int, form: str, answers: Sequence[Prediction]) -> list[Path]:
    """Write all parts of some answers; return their files, the last first."""
    for number in range(1, of + 1):
        data = written(answers[number - 1 :: of], a_part(number, of, len(answers)), form)
        (folder / f"{number}.{form}").write_bytes(data)
    return [folder / f"{number}.{form}" for number in range(of, 0, -1)]


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_names_may_hold_anything(tmp_path: Path, of: int, form: str) -> None:
    for answers in (ANSWERS, [*ANSWERS[:2], BROKEN, *ANSWERS[3:]], ANSWERS[:1]):
        merged = cnncli.merge_predictions(put(tmp_path, of, form, answers))
        assert merged.data == written(answers, None, form)
        assert merged.skipped == [(each.path, each.error) for each in answers if each.error]
        assert (merged.parts, merged.image_count, merged.form) == (of, len(answers), form.upper())
        assert (merged.notes, merged.model) == ([], "m.safetensors")
        assert merged.files == [str(tmp_path / f"{number}.{form}") for number in range(1, of + 1)]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_it_is_written_where_nothing_is_lost(tmp_path: Path, form: str) -> None:
    merged = cnncli.merge_predictions(put(tmp_path, 2, form, ANSWERS))
    path = tmp_path / f"all.{form}"
    for _ in range(2):
        merged.write(path)  # its own
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"is there already and is not a whole \w+ of predictions that cnn wrote; give "
                                         "another name, or force to replace it"):
        merged.write(path)
    merged.write(str(path), force=True)
    assert path.read_bytes() == merged.data
    with pytest.raises(UsageError, match="would be read and written at once"):
        merged.write(merged.files[0], force=True)


@pytest.mark.parametrize("wrong", [[], [""], [5], [b"a.json"]])
def test_what_is_no_list_of_files(wrong: list[str]) -> None:
    with pytest.raises(UsageError, match="the parts must be the paths of files that 'cnn predict --shard' wrote"):
        cnncli.merge_predictions(wrong)


def test_one_file_is_a_list_of_one(tmp_path: Path) -> None:
    [path] = put(tmp_path, 1, "json", ANSWERS)
    assert cnncli.merge_predictions(path).data == cnncli.merge_predictions(str(path)).data


@pytest.mark.parametrize("change", [
    {"part": 0}, {"part": 3}, {"of": "2"}, {"images": -1}, {"images": 10**30}, {"model": None}, {"given": [5]},
    {"given": "photos"}, {"tta": "no"}, {"more": 1}, {"part": None}])
def test_what_a_part_cannot_say(tmp_path: Path, change: dict[str, object]) -> None:
    """Also where the digest is right."""
    said = {**asdict(a_part(1, 2, 1)), **change}
    if "images" not in change or change["images"] == -1:
        with pytest.raises(ValueError, match=r"^$"):
            part_in(said)
    start = f'{{"part": {json.dumps(said)}, "predictions": [\n  {{"path": "a", "error": null}}'
    path = tmp_path / "a.json"
    path.write_text(f'{start}\n], "sha256": "{sha256(start.encode()).hexdigest()}"}}\n')
    with pytest.raises(DataError, match="is cut off, or was changed since it was written; make"):
        cnncli.merge_predictions(path)


def test_many_names_are_not_kept(tmp_path: Path) -> None:
    """A shell makes them of a pattern; what is left is a word on how the others were made."""
    few, many = a_part(1, 2), replace(a_part(1, 2), given=None)
    assert few.command(2, "it's.csv", as_json=False) == (
        "with: cnn predict photos --shard 2/2 -m m.safetensors --top 2 --csv 'it'\"'\"'s.csv'")
    assert many.command(2, "x.csv", as_json=False) == ""
    (tmp_path / "1.csv").write_bytes(written(ANSWERS[::2], many, "csv"))
    with pytest.raises(DataError, match=r"^part 2 of 2 is missing; make it as the others were made\.$"):
        cnncli.merge_predictions(tmp_path / "1.csv")
    opened = open_model(small_model())
    for count, kept in ((400, True), (401, False)):
        part = part_of((1, 2), ["a"], ["a.png"] * count, opened, top=1, reject=None, tta=False)
        assert (part.given is not None) == kept


def test_a_model_is_known_by_what_it_is(tmp_path: Path) -> None:
    """Not by its file, which may be another by now."""
    small_model().save(tmp_path / "a.safetensors")
    first = a_part(1, 2).model_sha256
    opened = open_model(tmp_path / "a.safetensors")
    small_model(seed=1).save(tmp_path / "a.safetensors")
    other = open_model(tmp_path / "a.safetensors")
    of = [part_of((1, 1), ["a"], ["a"], each, top=1, reject=None, tta=False) for each in (opened, other)]
    assert [each.model_sha256 == first for each in of] == [True, False]
    assert of[0].model == of[1].model == os.fspath(tmp_path / "a.safetensors")
