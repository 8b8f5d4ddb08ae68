"""A result is written whole or not at all."""

import os

import pytest

from cnncli.errors import CnnError
from cnncli.files import replacing


def test_makes_the_folder_and_the_file_with_ordinary_permissions(tmp_path):
    path = tmp_path / "new folder" / "a.txt"
    with replacing(path) as temporary, open(temporary, "w") as file:
        file.write("text")
    assert path.read_text() == "text"
    assert os.listdir(path.parent) == ["a.txt"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_was_there_stays_where_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(CnnError, match=r"a\.txt cannot be written \(No space left on device\)"), replacing(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), replacing(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(CnnError, match="cannot be written"), replacing(tmp_path / "f" / "a.png"):
        pass
