"""cnncli/data/check: every kind of finding in folders made to have it, and nothing in a folder that is sound."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cnncli.data import scan
from cnncli.data.check import KINDS, Report, check
from cnncli.data.groups import groups_of
from cnncli.data.labels import labels_of
from cnncli.errors import DataError

from .pictures import brighter, classes, cropped, jpeg, scene, write


def found(report: Report, kind: str) -> list[set[str]]:
    """The files of each finding of a kind."""
    return [{f.relative for f in finding.files} for finding in report.findings if finding.kind == kind]


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def sound(folder: Path) -> Path:
    return write(folder, classes())


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_a_sound_folder_has_no_findings(tmp_path: Path) -> None:
    report = check(sound(tmp_path))
    assert report.findings == []
    assert report.image_counts() == {"train": 20, "val": 2, "test": 2}
    assert report.drawn == ["val", "test"]
    assert not report.fails(["note"])


# ---- files ----


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    (folder / "ant" / "zero.png").touch()
    (folder / "ant" / "words.jpg").write_text("no image")
    whole = (folder / "ant" / "00.png").read_bytes()
    (folder / "ant" / "cut.png").write_bytes(whole[: len(whole) // 2])
    for form in ("jpg", "gif", "bmp", "tif", "webp"):
        scene(77).save(folder / "bee" / f"x.{form}")
        data = (folder / "bee" / f"x.{form}").read_bytes()
        (folder / "bee" / f"x.{form}").write_bytes(data[: len(data) * 2 // 3])
    write_bomb(folder / "bee" / "bomb.png")
    report = check(folder)
    assert found(report, "empty-file") == [{"ant/zero.png"}]
    assert found(report, "not-an-image") == [{"ant/words.jpg"}]
    assert set.union(*found(report, "damaged")) == {"ant/cut.png", *(f"bee/x.{form}" for form in
                                                                     ("jpg", "gif", "bmp", "tif", "webp"))}
    assert found(report, "refused") == [{"bee/bomb.png"}]
    assert report.fails(["error"])
    assert set(report.as_json()["exclude"]) == {f.relative for x in report.findings for f in x.files}


def write_bomb(path: Path) -> None:
    """A PNG whose header promises 3.6 gigapixels."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
                     + chunk(b"IEND", b""))


def test_odd_files_are_noted_and_still_used(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    scene(50).save(folder / "ant" / "turned.jpg", exif=exif)
    scene(51).save(folder / "ant" / "png.jpg", "PNG")
    scene(52).convert("CMYK").save(folder / "ant" / "print.jpg")
    seen_through = scene(53).convert("RGBA")
    seen_through.putalpha(128)
    seen_through.save(folder / "ant" / "glass.png")
    scene(54).save(folder / "ant" / "film.gif", save_all=True, append_images=[scene(55)])
    Image.fromarray(np.asarray(scene(56).convert("L")).astype(np.uint16) * 257).save(folder / "ant" / "deep.png")
    scene(57).save(folder / "ant" / "whole.jpg", quality=60)
    (folder / "ant" / "endless.jpg").write_bytes((folder / "ant" / "whole.jpg").read_bytes()[:-2])
    (folder / "ant" / "whole.jpg").unlink()
    report = check(folder)
    for kind, name in (("rotated", "turned.jpg"), ("wrong-extension", "png.jpg"), ("cmyk", "print.jpg"),
                       ("transparent", "glass.png"), ("animated", "film.gif"), ("wide", "deep.png"),
                       ("forgiven", "endless.jpg")):
        assert found(report, kind) == [{f"ant/{name}"}], kind
    assert not report.fails(["error"])
    assert report.as_json()["exclude"] == []


def test_pictures_without_anything_to_see(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    Image.new("RGB", (90, 90), (200, 10, 10)).save(folder / "ant" / "blank.png")
    scene(60).point(lambda v: v // 8).save(folder / "ant" / "dark.png")
    scene(61, 200, 180).filter(ImageFilter.GaussianBlur(5)).save(folder / "ant" / "blurred.png")
    scene(62, 400, 40).save(folder / "ant" / "long.png")
    report = check(folder)
    for kind in ("blank", "dark", "blurred"):
        assert found(report, kind) == [{f"ant/{kind}.png"}]
    assert found(report, "extreme-shape") == [{"ant/long.png"}]
    assert report.as_json()["exclude"] == ["ant/blank.png"]


def test_a_folder_of_long_images_has_no_extreme_shapes(tmp_path: Path) -> None:
    report = check(write(tmp_path, {name: scene(seed, 300, 40) for name, seed in classes(6).items()}))
    assert "extreme-shape" not in kinds(report)


def test_sizes_and_colours(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    scene(70, 50, 40).save(folder / "ant" / "small.png")
    scene(71).convert("L").save(folder / "ant" / "grey.png")
    scene(72).convert("L").convert("RGB").save(folder / "bee" / "grey too.png")
    report = check(folder)
    assert "from 50 x 40 to 96 x 80" in next(f.text for f in report.findings if f.kind == "mixed-sizes")
    assert found(report, "mixed-colour") == [{"ant/grey.png", "bee/grey too.png"}]
    assert "telling-colour" not in kinds(report)
    for i in range(12):
        scene(i).convert("L").save(folder / "ant" / f"{i:02}.png")
    assert "telling-colour" in kinds(check(folder))


# ---- the folder ----


def test_what_training_leaves_out(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    scene(80).save(folder / "loose.png")
    scene(81).save(folder / "ant" / "image.dat", "PNG")
    (folder / "ant" / "notes.txt").write_text("no image")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (folder / "ant" / name).write_text("of a system")
    (folder / "ant" / "phone.heic").write_bytes(b"....ftypheic")
    (folder / "empty").mkdir()
    write(folder, {".ipynb_checkpoints/a.png": 82, "bee/__MACOSX/b.png": 83})
    (folder / ".cache").mkdir()
    os.mkfifo(folder / "ant" / "pipe.png")
    os.symlink("itself.png", folder / "ant" / "itself.png")
    os.symlink("..", folder / "ant" / "up")
    report = check(folder)
    assert found(report, "loose-image") == [{"loose.png"}]
    unused = "3 files are not called like images and are not used (ant/image.dat, ant/notes.txt, ant/phone.heic)."
    few = "There are fewer than 5 test images of ant (1), bee (1). The recall of these classes will hardly be known."
    assert report.notes == [f"{folder}: {unused}", few]
    assert report.notes[0] in scan(folder).notes, "a training says the same"
    assert found(report, "missed-image") == [{"ant/image.dat"}, {"ant/phone.heic"}]
    assert found(report, "empty-class") == [{"empty"}]
    assert found(report, "hidden-folder") == [{".ipynb_checkpoints"}, {"bee/__MACOSX"}]
    assert found(report, "special-file") == [{"ant/itself.png"}, {"ant/pipe.png"}]
    assert report.image_counts() == {"train": 20, "val": 2, "test": 2}


def test_classes_that_differ_between_splits(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"train/{n}": s for n, s in classes(10, ("ant", "bee", "cow")).items()})
    write(folder, {"test/ant/1.png": 100, "test/dog/1.png": 101, "extra/x.png": 102})
    (folder / "val").mkdir()
    report = check(folder)
    assert found(report, "unknown-class") == [{"test/dog"}]
    assert found(report, "missing-class") == [{"train/bee"}, {"train/cow"}]
    assert found(report, "empty-split") == [{"val"}]
    assert found(report, "beside-train") == [{"extra"}]
    assert report.drawn == []
    with pytest.raises(DataError):
        scan(folder)


@pytest.mark.slow
def test_layouts_as_they_come(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"all/Training/{n}": s for n, s in classes(10).items()})
    write(folder, {"all/Testing/1.png": 100, "all/Testing/2.png": 101, "__MACOSX/x.png": 102})
    report = check(folder)
    assert found(report, "unlabelled-split") == [{"Testing"}]
    assert not {"beside-train", "loose-image", "empty-split"} & set(kinds(report))
    assert report.image_counts() == {"train": 16, "val": 2, "test": 2}
    assert report.notes[0] == f"{folder}: all/Training/ is taken as train."


def test_a_single_class(tmp_path: Path) -> None:
    assert kinds(check(write(tmp_path, classes(14, ("ant",))))) == {"few-classes"}


def test_imbalance_and_small_classes(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"train/{n}": s for n, s in classes(40).items()} | {"train/cow/1.png": 9999})
    write(folder, {f"{split}/{name}/1.png": 5000 + 10 * i + j for i, split in enumerate(("val", "test"))
                   for j, name in enumerate(("ant", "bee", "cow"))})
    report = check(folder)
    assert found(report, "imbalance") == [{"train/cow", "train/ant"}]
    assert found(report, "small-class") == [{"train/cow"}]


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), [("Cat", "cat"), ("t-shirt", "tshirt"), ("cats", "cat"), ("café", "cafe"),
                                            ("trousers", "trouseres"), ("sneaker", "snaeker")])
def test_similar_names(one: str, other: str, tmp_path: Path) -> None:
    assert found(check(write(tmp_path, classes(10, (one, other)))), "similar-names") == [{one, other}]


@pytest.mark.parametrize(("one", "other"), [("shirt", "skirt"), ("bus", "boss"), ("class10", "class1"), ("a", "as")])
def test_names_that_are_different_words(one: str, other: str, tmp_path: Path) -> None:
    assert "similar-names" not in kinds(check(write(tmp_path, classes(10, (one, other)))))


# ---- copies ----


def test_copies_are_found_whatever_the_file_format(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"train/{n}": s for n, s in classes(12).items()})
    write(folder, {"test/ant/1.bmp": 3, "test/ant/2.png": 500, "test/bee/1.png": 501, "val/ant/1.png": 502,
                   "val/bee/1.png": 503, "train/bee/wrong.tif": 5, "train/ant/again.png": 7})
    report = check(folder)
    assert found(report, "duplicate-across-splits") == [{"test/ant/1.bmp", "train/ant/03.png"}]
    assert found(report, "duplicate-two-labels") == [{"train/ant/05.png", "train/bee/wrong.tif"}]
    assert found(report, "duplicate") == [{"train/ant/07.png", "train/ant/again.png"}]
    assert not [kind for kind in kinds(report) if kind.startswith("near")]
    # The test's copy stays; of two labels nobody knows which is right.
    assert report.as_json()["exclude"] == ["train/ant/03.png", "train/ant/05.png", "train/bee/wrong.tif",
                                           "train/ant/again.png"]


@pytest.mark.slow
def test_near_copies(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"train/{n}": s for n, s in classes(30).items()})
    write(folder, {"test/ant/2.png": 500, "test/bee/1.png": 501, "val/ant/1.png": 502, "val/bee/1.png": 503})
    write(folder, {
        "test/ant/again.png": jpeg(scene(1), 60),
        "test/ant/small.png": scene(2).resize((48, 40)),
        "test/bee/crop.png": cropped(scene(1003), 0.05),
        "test/bee/light.png": brighter(scene(1004)),
        "train/bee/other class.png": jpeg(brighter(cropped(scene(5), 0.03)), 80),
        "train/ant/same class.png": jpeg(scene(6).resize((120, 100)), 70),
    })
    report = check(folder)
    assert sorted(found(report, "near-duplicate-across-splits"), key=min) == [
        {"test/ant/again.png", "train/ant/01.png"}, {"test/ant/small.png", "train/ant/02.png"},
        {"test/bee/crop.png", "train/bee/03.png"}, {"test/bee/light.png", "train/bee/04.png"}]
    assert found(report, "near-duplicate-two-labels") == [{"train/ant/05.png", "train/bee/other class.png"}]
    assert found(report, "near-duplicate") == [{"train/ant/06.png", "train/ant/same class.png"}]
    assert set(report.as_json()["exclude"]) == {"train/ant/01.png", "train/ant/02.png", "train/bee/03.png",
                                                "train/bee/04.png"}


@pytest.mark.slow
def test_groups_keep_near_copies_off_the_other_side(tmp_path: Path) -> None:
    """A burst of each scene: some cross the split that is drawn by image, none that is drawn by scene."""
    folder = write(tmp_path, {f"{label}/s{i:02}_{k}.png": brighter(scene(100 * j + i)) if k else scene(100 * j + i)
                              for j, label in enumerate(("ant", "bee")) for i in range(12) for k in range(2)})
    report = check(folder)
    assert len(found(report, "near-duplicate-across-splits")) > 1
    assert "--group-by keeps the images of a slide, a patient" in KINDS["near-duplicate-across-splits"].about
    report = check(folder, groups=groups_of(r"\w+/s\d\d"))
    assert found(report, "near-duplicate-across-splits") == []
    assert len(found(report, "near-duplicate")) == 24
    assert report.notes[0].startswith(r"24 groups of images are kept together, by \w+/s\d\d: ant/s00 (2 images), ant")
    assert report.notes[1].startswith("24 groups: ")


def test_images_of_a_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", {f"{i}.png": scene(i) for i in range(30)})
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "\n".join(f"{i}.png,{'ant' if i % 2 else 'bee'}" for i in range(30)))
    labels = labels_of(table)
    assert labels is not None
    report = check(folder, labels=labels.within(str(folder)))
    assert report.image_counts() == {"train": 22, "val": 4, "test": 4}
    assert set(kinds(report)) <= {"small-class"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_copies_across_the_split_that_a_training_would_draw(seed: int, tmp_path: Path) -> None:
    folder = sound(tmp_path)
    test = {sample.relative for sample in scan(folder, seed=seed).test}
    for name in ("ant", "bee"):
        held = next(n for n in test if n.startswith(name))
        Image.open(folder / held).save(folder / f"{name}/copy.bmp")
    where = {sample.relative: split for split in ("train", "val", "test")
             for sample in getattr(scan(folder, seed=seed), split)}
    apart = [f.files for f in check(folder, seed=seed).findings if f.kind == "duplicate-across-splits"]
    beside = [f.files for f in check(folder, seed=seed).findings if f.kind == "duplicate"]
    assert len(apart) + len(beside) == 2
    for files in apart + beside:
        assert [f.split for f in files] == [where[f.relative] for f in files]
        assert (len({where[f.relative] for f in files}) == 2) == (files in apart)


# ---- the whole ----


@pytest.mark.slow
def test_images_are_only_read_and_threads_change_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, classes(30) | {"ant/copy.png": 1001, "bee/near.png": jpeg(scene(3), 50)})
    before = snapshot(folder)
    reports = [check(folder, threads=threads).as_json() for threads in (1, 3)]
    assert reports[0] == reports[1]
    assert snapshot(folder) == before


def test_what_is_ignored_or_excluded_is_not_reported(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    Image.new("L", (50, 50)).save(folder / "ant" / "blank.png")
    assert kinds(check(folder)) == {"blank", "mixed-sizes", "mixed-colour"}
    assert kinds(check(folder, ignore=("mixed-sizes", "blank"))) == {"mixed-colour"}
    assert kinds(check(folder, exclude={"ant/blank.png"})) == set()


@pytest.mark.slow
def test_names_of_any_bytes(tmp_path: Path) -> None:
    folder = sound(tmp_path)
    odd = ("ant/new\nline.png", os.fsdecode(b"ant/caf\xe9.png"))
    for name in odd:
        (folder / name).touch()
    assert set.union(*found(check(folder), "empty-file")) == set(odd)


def test_progress_is_told_and_may_stop_it(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    check(sound(tmp_path), progress=lambda *what: told.append(what))
    assert told[-1] == ("comparing images", 24, 24)
    assert ("looking at images", 24, 24) in told

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(tmp_path, progress=stop)


def test_every_kind_can_be_found_by_this_name(tmp_path: Path) -> None:
    """Findings of a kind that the table lacks would have no level."""
    import re

    sources = Path(check.__code__.co_filename).parent
    used = set(re.findall(r'Finding\(\s*"([a-z-]+)"', "".join(p.read_text() for p in sources.glob("*.py"))))
    used |= {"empty-file", "not-an-image", "damaged", "refused"}
    assert used == set(KINDS)
