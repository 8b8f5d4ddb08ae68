"""`exclude`: a training without the images on a list, which resuming and testing leave out, too."""

from pathlib import Path

import pytest

from cnncli.data import scan
from cnncli.data.exclude import fingerprint, write_list
from cnncli.errors import UsageError
from cnncli.runs.samples import excluded

from .conftest import Train


@pytest.mark.slow
def test_the_run_remembers_what_was_left_out(train: Train, shared: Path, tmp_path: Path) -> None:
    every = scan(shared / "data")
    names = [every.train[0].relative, every.test[0].relative]
    write_list(tmp_path / "out.txt", [("x", names)])
    run = train(exclude=tmp_path / "out.txt", epochs=1)
    assert run.config["samples"]["train"] < len(every.train)
    assert excluded(run.config) == sorted(names)
    assert run.config["recipe"]["exclude"] == fingerprint(names)
    assert run.model.training["recipe"]["exclude"] == fingerprint(names)
    assert run.config["asked"]["exclude"] == str(tmp_path / "out.txt")
    plain = train(epochs=1).config
    assert (plain["recipe"]["exclude"], "exclude" in plain["asked"]) == (None, False)


@pytest.mark.slow
def test_resuming_needs_no_list_and_takes_no_other(train: Train, shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    names = [sample.relative for sample in scan(shared / "data").train[:2]]
    write_list(path, [("x", names)])
    run = train(exclude=path, epochs=1)
    write_list(path, [("x", names[:1])])
    with pytest.raises(UsageError, match="exclude another list"):
        train(resume=run.path, exclude=path, epochs=2)
    write_list(path, [("y", names[::-1])])
    assert len(train(resume=run.path, exclude=path, epochs=2).history) == 2
    path.unlink()
    assert len(train(resume=run.path, epochs=3).history) == 3


@pytest.mark.parametrize("remembered", [None, "ant/1.png", [1, "a"], {"a": 1}])
def test_a_config_that_was_tampered_with(remembered: object) -> None:
    assert excluded({"excluded": remembered}) in ([], ["a"])


@pytest.mark.slow
def test_names_will_do_in_place_of_a_file(train: Train, shared: Path) -> None:
    names = [scan(shared / "data").train[3].relative]
    run = train(exclude=names, epochs=1)
    assert excluded(run.config) == names
    assert "exclude" not in run.config["asked"]
    assert len(train(resume=run.path, exclude=set(names), epochs=2).history) == 2


@pytest.mark.slow
def test_the_folds_of_a_cross_validation_leave_out_the_same(train: Train, shared: Path, tmp_path: Path) -> None:
    """Those that are still missing when it is resumed, too, although the list has changed meanwhile."""
    import cnncli

    names = [sample.relative for sample in scan(shared / "data").train[:2]]
    write_list(tmp_path / "out.txt", [("x", names)])
    first = train(exclude=tmp_path / "out.txt", fold=(1, 2), name="cv-fold1", epochs=1)
    (tmp_path / "out.txt").unlink()
    found = cnncli.cross_validate(None, 2, resume="cv", runs=tmp_path / "runs")
    assert [excluded(fold.run.config) for fold in found.folds] == [sorted(names)] * 2
    assert [fold.run.config["asked"]["exclude"] for fold in found.folds] == [str(tmp_path / "out.txt")] * 2
    assert sum(fold.image_count for fold in found.folds) == sum(first.config["images"].values())
