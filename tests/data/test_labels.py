"""cnncli/data/labels.py and table.py: images in no class folders, labelled by a CSV file; every way such a file is
written, and the line and the remedy in each refusal."""

import unicodedata
from pathlib import Path

import pytest

from cnncli.data import scan
from cnncli.data.labels import Labels, labels_of, read_labels
from cnncli.data.splits import Splits
from cnncli.errors import DataError, UsageError

LINES = [("img/1.png", "cat"), ("img/2.png", "dog"), ("3.jpg", "cat"), ("4.jpg", "dog"), ("img/deep/5.png", "dog"),
         ("6.png", "cat")]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder data/ with empty files of these names: scanning opens none."""
    for file, _ in LINES:
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data"


def table(root: Path, text: str | bytes) -> Path:
    path = root.parent / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def scanned(root: Path, text: str | bytes) -> Splits:
    labels = read_labels(table(root, text))
    return scan(root, (1, 0, 0), labels=labels.within(str(root)))


def found(splits: Splits) -> dict[str, str]:
    return {s.relative: splits.classes[s.label] for s in splits.train + splits.val + splits.test}


def text_of(delimiter: str = ",", header: str = "file,label", end: str = "\n") -> str:
    return end.join([header.replace(",", delimiter), *(delimiter.join(line) for line in LINES)]) + end


@pytest.mark.parametrize("text", [
    text_of(), text_of(";"), text_of("\t"), text_of("|"), text_of(end="\r\n"), text_of(end="\r"),
    text_of(header=" File , LABEL "), text_of().replace(",", ", "), text_of().replace("\n", "\n\n"), text_of().rstrip(),
    "\ufeff" + text_of(), ("\ufeff" + text_of("\t")).encode("utf-16-le"), ("\ufeff" + text_of()).encode("utf-16-be"),
    "id;label;note;file\n" + "".join(f'7;{label};"a; ""b""\nc";"{file}"\n' for file, label in LINES),
    text_of().replace("img/", "./img/"), text_of().replace("img/", "img\\"), text_of().replace("img/", "3.jpg/../img/"),
])  # fmt: skip
def test_ways_to_write_it(root: Path, text: str | bytes) -> None:
    splits = scanned(root, text)
    assert splits.classes == ["cat", "dog"]
    assert found(splits) == dict(LINES)
    assert all(Path(s.path) == root / s.relative for s in splits.train)
    assert splits.notes == []


def test_paths_from_the_disks_root_and_accents(root: Path) -> None:
    (root / unicodedata.normalize("NFD", "é.png")).touch()
    lines = [*((str(root / file), label) for file, label in LINES), (unicodedata.normalize("NFC", "é.png"), "cat")]
    splits = scanned(root, "file,label\n" + "".join(f"{file},{label}\n" for file, label in lines))
    assert found(splits) == {**dict(LINES), unicodedata.normalize("NFD", "é.png"): "cat"}


def test_paths_by_way_of_links(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    for data, named in ((link, root), (root, link), (link, link)):
        lines = "".join(f"{named / file},{label}\n" for file, label in LINES)
        labels = read_labels(table(root, "file,label\n" + lines))
        assert found(scan(data, (1, 0, 0), labels=labels.within(str(data)))) == dict(LINES)


def test_it_is_divided_as_class_folders_are(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(30):
            (tmp_path / label / f"{i}.png").touch()
    lines = [f"{label}/{i}.png,{label}" for label in "ab" for i in range(30)]
    labels = read_labels(table(tmp_path / "a", "file,label\n" + "\n".join(reversed(lines)))).within(str(tmp_path))
    for seed in (0, 3):
        assert scan(tmp_path, seed=seed, labels=labels).test == scan(tmp_path, seed=seed).test
        assert scan(tmp_path, seed=seed, labels=labels).train == scan(tmp_path, seed=seed).train


def test_splits_of_its_own(root: Path) -> None:
    words = ["train", "Training", "test", "Testing", "TRAIN", "train_set"]
    rows = [f"{file},{label},{word}" for (file, label), word in zip(LINES, words, strict=True)]
    splits = scan(root, labels=read_labels(table(root, "file,label,split\n" + "\n".join(rows))).within(str(root)))
    assert [s.relative for s in splits.train] == ["6.png", "img/1.png", "img/2.png", "img/deep/5.png"]
    assert [s.relative for s in splits.test] == ["3.jpg", "4.jpg"]
    rows[0] = rows[0].removesuffix("train")
    splits = scan(root, labels=read_labels(table(root, "file,label,split\n" + "\n".join(rows))).within(str(root)))
    assert len(splits.train) == 4
    assert splits.notes[0].endswith("labels.csv: 1 images have no split and are taken as train.")


def test_lines_that_are_there_twice_count_once(root: Path) -> None:
    assert found(scanned(root, text_of() + "img/1.png,cat\n./img/1.png,cat\n")) == dict(LINES)


def test_what_a_run_keeps(root: Path) -> None:
    labels = read_labels(table(root, text_of())).within(str(root))
    again = Labels.from_config(labels.config())
    assert again == labels
    assert again.fingerprint() == labels.fingerprint() == read_labels(table(root, text_of(";"))).fingerprint()
    assert labels_of(labels.config()) == labels
    (root / "6.png").unlink()
    assert "6.png" not in found(scan(root, (1, 0, 0), labels=again)), "what has gone since is left out"
    for wrong in (None, {}, {"name": "x", "images": [["a", "b", "fold", 1]]}, {"name": "x", "images": [[1]]}):
        with pytest.raises(DataError, match="not as cnn wrote them; put the file back"):
            Labels.from_config(wrong)


@pytest.mark.parametrize(("text", "words"), [
    ("", "is empty; write a first line"),
    ("file,label\n", "has no line below the first"),
    ("name,label\na,b\n", r"line 1 of \S*labels.csv names no column file \(it has: name, label\); write file,label"),
    ("file,labels\na,b\n", "names no column label .*Did you mean 'label'?"),
    ("file label\n3.jpg cat\n", r"names no column file and no column label \(it has: file label\).*commas, semicolons"),
    ("file:label\n3.jpg:cat\n", "names no column file and no column label"),
    ("3.jpg,cat\n4.jpg,dog\n", r"line 1 of \S* names no column file and no column label \(it has: 3.jpg, cat"),
    ("file,label,file\na,b,c\n", "line 1 of .* has the column file twice"),
    ("file,label\n3.jpg,cat\n4.jpg\n", "line 3 of .* has 1 column, but the first line has 2; fill it in"),
    ("file,label,split\n3.jpg,cat,test\n", "has no training images; write train into the column split"),
    ("file,label\n1.png,cat\n", r"no file \S*data/1.png; give \S*data/img, where the file is, instead of "),
    ("file,label\ndata/3.jpg,cat\n", r"no file \S*data/data/3.jpg; give (\S*), where the file is, instead of \1/data"),
    ("file,label\n3.jpg,cat,big\n", "line 2 of .* has 3 columns, but the first line has 2; put what holds commas in "
                                    "double"),
    ("file,label\n3.jpg,cat\n\n4.jpg,\n", "line 4 of .* has nothing in the column label"),
    ("file,label\n ,cat\n", "line 2 of .* has nothing in the column file"),
    ('file,label\n3.jpg,cat\n4.jpg,"dog\n', "line 3 of .* is not well quoted"),
    ('file,label,note\n3.jpg,cat,"a\nb\nc"\n4.jpg,,x\n', "line 5 of .* has nothing in the column label"),
    (b"file,label\n3.jpg,cat\n4.jpg,ch\xe9\n", "line 3 of .* is not UTF-8; save the file as UTF-8"),
    ("file,label\n3.jpg,cat\n".encode("utf-16-le"), "line 1 of .* holds zero bytes"),
    (b"PK\x03\x04\x00\x00xlsx", "line 1 of .* holds zero bytes.*save it as CSV"),
    (b"\xff\xfef\x00i", "line 1 of .* is not UTF-16; save the file as UTF-8"),
    ("file,label,split\n3.jpg,cat,fold1\n", "line 2 of .*: there is no split 'fold1'; write train, val or test"),
    ("file,label\n3.jpg,cat\n4.jpg,dog\n3.jpg,dog\n", "lines 2 and 4 of .* give 3.jpg two labels, cat and dog"),
    ("file,label\n3.jpg,cat\n./img/../3.jpg,dog\n", "lines 2 and 3 of .* give 3.jpg two labels"),
    ("file,label,split\n3.jpg,cat,train\n3.jpg,cat,test\n", "lines 2 and 3 of .* give 3.jpg two splits, train and"),
    ("file,label,split\n3.jpg,cat,\n3.jpg,cat,test\n", "give 3.jpg two splits, none and test"),
    ("file,label\n3.jpg,cat\n../secret.png,dog\n", r"line 3 of .*: ../secret.png lies outside of \S*data; give a"),
    ("file,label\n/etc/passwd,cat\n", "line 2 of .*: /etc/passwd lies outside of"),
    ("file,label\n3.jpg,cat\nno.png,dog\n", r"line 3 of .*: there is no file \S*data/no.png; write the path from "
                                            r"\S*data on, or"),
    ("file,label\n3,cat\nno.png,dog\nno2.png,dog\n", r"line 2 .*write 3.jpg, which is there \(3 lines name files"),
    ("file,label\n3.JPG,cat\n", "write 3.jpg, which is there"),
    ("file,label\nimg,cat\n", "line 2 of .*data/img is no file"),
    ("file,label\n3.jpg,cat\n6.png,cat\n", "has only one label, cat"),
    ("file,label,split\n3.jpg,cat,train\n6.png,dog,train\n4.jpg,cow,val\n", "line 4 of .*: cow has images in val, but"),
])  # fmt: skip
def test_tables_that_cannot_be_used(root: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        scanned(root, text)
    assert str(caught.value).isprintable()


def test_files_that_are_no_tables(root: Path) -> None:
    for wrong, why in ((root / "gone.csv", "there is no file"), (root, "data is no file; give a CSV file")):
        with pytest.raises(UsageError, match=why):
            read_labels(wrong)
    with pytest.raises(UsageError, match="the labels must be the path of a CSV file"):
        labels_of(3)
    labels = read_labels(table(root, text_of()))
    with pytest.raises(DataError, match="there is no folder"):
        scan(root / "gone", labels=labels)
    with pytest.raises(UsageError, match="give arrays with their labels"):
        scan(([], []), labels=labels)
