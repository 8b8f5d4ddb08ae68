"""What a run's folder holds beside its models, damaged or edited: commands do without it, or say which file it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnncli.cli import main

from .processes import said

IMAGE = "photos/stripe/s 0.png"
ODD: dict[str, list[bytes]] = {
    "config.json": [b"", b"{", b"[]", b'{"format": NaN}', b'{"format": 1, "format": 1}', b"[" * 100000, b"\xff\xfe{",
                    b'{"format": 1, "recipe": {"epochs": "many"}}', b'{"format": 1, "data": "\\u0000"}'],
    "history.csv": [b"", b"\xff", b"epoch\n1\n", b"epoch,\0\n", b"a" * 200_000,
                    *(b"epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,images_per_second,seconds\n"
                      + row for row in (b"-1,1,1,1,1,1,1,1\n", b"1,x,1,1,1,1,1,1\n", b"1,nan,inf,nan,nan,-1,1,1\n",
                                        b"1,1,1,1,1,1,1,1\n1,1,1,1,1,1,1,1\n", b"1,1,1,,0.5,1,1,1\n", b"1,1", b""))],
    "images.csv": [b"", b"\xff\0", b"split,class\n", b"split,class,path,bytes,file,pixels\ntrain,a\n", b"a" * 200_000,
                   b"split,class,path,bytes,file,pixels\ntrain,a,b,-5,zz,\n",
                   b"split,class,path,bytes,file,pixels\nnowhere,a,b,x," + b"f" * 60 + b",1\n"],
}


LOOKING = (["predict", IMAGE], ["test"], ["inspect"], ["check", "photos", "--fail-on", "never"],
           ["features", "runs/small", IMAGE, "-o", "f.npz"])
RESUMING = (["train", "--resume", "small"], ["train", "--resume", "small", "--json"],
            ["train", "--resume", "small", "--epochs", "3"])


@pytest.mark.slow
@pytest.mark.parametrize("file", ODD)
def test_damage_beside_a_model_is_survived_or_told(home: Path, file: str, capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    if file != "history.csv":
        monkeypatch.setattr("cnncli.training.train._draw", lambda run, observer: None)
    whole = {path: path.read_bytes() for path in Path("runs/small").iterdir() if path.is_file()}
    for damage in ODD[file]:
        for command in (*LOOKING, *RESUMING) if file != "history.csv" else (LOOKING[0], *RESUMING):
            Path("runs/small", file).write_bytes(damage)
            code = main(command)
            err = capsys.readouterr().err
            said(err)
            assert code == 0 or (command == ["test"] or ("train" in command and code in (1, 2))), err
            assert not code or file in err, (damage[-90:], command, err)
            for path, content in whole.items():
                path.write_bytes(content)


@pytest.mark.parametrize("value", [None, "x", -1, [], {}, 1e308])
def test_entries_of_a_configuration_are_doubted(home: Path, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("runs/small/config.json")
    config = json.loads(path.read_text())
    for part in config.keys() - {"began", "data_from_runs", "excluded", "init", "cnn", "data", "asked"}:
        path.write_text(json.dumps({**config, part: value}))
        assert main(["train", "--resume", "small", "--epochs", "3"]) == 2, part
        err = capsys.readouterr().err
        said(err)
        assert "config.json" in err or "recipe" in err, part


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "x", -1, [], {}, {"epochs": []}])
def test_what_was_asked_for_stops_nothing_if_it_is_damaged(home: Path, value: Any) -> None:
    path = Path("runs/small/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "asked": value}))  # only sentences are made of it
    assert main(["train", "--resume", "small", "--epochs", "3"]) == 0
    assert main(["test", "-m", "small"]) == 0
