"""The way from image files to the network: what training from PNG files keeps of the speed in memory, how fast JPEGs
are decoded, and what `cnn predict` over a folder takes beside decoding it."""

import csv
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, LR, MOMENTUM, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.figures import Figure, rates
from benchmarks.machine import cpu_count
from benchmarks.options import Options
from benchmarks.pictures import write_garments, write_photographs
from benchmarks.start import cnn, run, write_image_and_model
from benchmarks.tables import spread, table
from cnncli.data import Preprocessing, load_images
from cnncli.data.splits import Sample

EPOCHS, TRAININGS = 4, 2
TRAINING_GOAL = 0.9
# Files: PNGs to train on, JPEGs to decode (of 224 pixels, and large ones), JPEGs to predict; then a tenth.
COUNTS, QUICK_COUNTS = (60_000, 2_000, 300, 10_000), (6_000, 200, 30, 1_000)
MOST_ROUNDS = 3  # each of them takes several seconds


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure the three, on files in the page cache."""
    garments, small, large, folder = QUICK_COUNTS if options.quick else COUNTS
    threads = max(options.threads or [cpu_count()])
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        return [_training(place, garments, threads, options),
                *_decoding(place / "small", small, (224, 224), threads, options),
                *_decoding(place / "large", large, (768, 1024), threads, options),
                _predicting(place, folder, threads, options)]


def _training(place: Path, count: int, threads: int, options: Options) -> dict[str, Any]:
    """LeNet-5 from PNG files through the command line; then the same steps on a batch in memory."""
    images = options.images
    if images is None:
        options.say(f"pipeline: writing {count:,} PNG files")
        images = place / "images"
        write_garments(images, count)
    options.say(f"pipeline: training lenet5 from {images}")
    from_files: list[float] = []
    in_memory: list[float] = []
    for turn in range(1 if options.quick else TRAININGS):
        run([*cnn(), "train", str(images.resolve()), "--arch", "lenet5", "--epochs", str(EPOCHS), "--name",
             f"run{turn}", "--threads", str(threads)], str(place))
        with open(place / f"runs/run{turn}/history.csv", encoding="utf-8") as file:
            from_files += [float(row["images_per_second"]) for row in csv.DictReader(file)][1:]
        recipe = json.loads((place / f"runs/run{turn}/config.json").read_text(encoding="utf-8"))["recipe"]
        in_memory += _in_memory(place / f"case{turn}", recipe, threads, options)
    ours, ceiling = Figure.of(from_files), Figure.of(in_memory)
    return {"what": f"training lenet5 from PNG files, batch {recipe['batch_size']}, epochs 2 to {EPOCHS}",
            "threads": threads, "unit": "img/s", "figure": ours.json(), "beside": "the same steps in memory",
            "reference": ceiling.json(), "ratio": ours.median / ceiling.median, "goal": TRAINING_GOAL}


def _in_memory(folder: Path, recipe: dict[str, Any], threads: int, options: Options) -> tuple[float, ...]:
    """Images a second of LeNet-5's steps with the recipe's batch size, in rounds."""
    case = replace(next(case for case in CASES if case.name == "lenet5"), batch=recipe["batch_size"])
    folder.mkdir()
    write_case(case, folder, case.batch)
    with Contest() as contest:
        contest.join(OURS, "ours", threads=threads, folder=str(folder), task="training", batch=case.batch, lr=LR,
                     momentum=MOMENTUM)
        return rates(contest.rounds(options.rounds, options.seconds)[OURS][0], case.batch).rounds


def _decoding(folder: Path, count: int, size: tuple[int, int], threads: int, options: Options) -> list[dict[str, Any]]:
    """Decode JPEGs to 224 x 224 with one thread and with all, by turns."""
    options.say(f"pipeline: decoding {count:,} JPEG files of {size[1]}x{size[0]}")
    samples, preprocessing = write_photographs(folder, count, *size), Preprocessing((224, 224), False, "crop")
    times: dict[int, list[float]] = {1: [], threads: []}
    decoding(samples, preprocessing, threads)  # reads the files once
    for _ in range(min(options.rounds, MOST_ROUNDS)):
        for each, seconds in times.items():
            seconds.append(decoding(samples, preprocessing, each))
    one, all_ = (Figure.of([count / s for s in times[each]]) for each in (1, threads))
    row = {"what": f"decoding JPEGs of {size[1]}x{size[0]} to 224x224", "unit": "img/s"}
    rows: list[dict[str, Any]] = [{**row, "threads": 1, "figure": one.json()}]
    if threads > 1:
        rows.append({**row, "threads": threads, "figure": all_.json(), "beside": "one thread", "reference": one.json(),
                     "ratio": all_.median / one.median})
    return rows


def _predicting(place: Path, count: int, threads: int, options: Options) -> dict[str, Any]:
    """`cnn predict` over a folder of JPEGs, by turns with decoding the same files the same way, and no more."""
    options.say(f"pipeline: predicting {count:,} JPEG files")
    samples = write_photographs(place / "folder", count, 224, 224)
    _, model = write_image_and_model(place)
    command = [*cnn(), "predict", str(place / "folder"), "-m", str(model), "--json", "--threads", str(threads)]
    predicted, decoded = [], []
    for _ in range(min(options.rounds, 2)):
        predicted.append(count / run(command, str(place)))
        decoded.append(count / decoding(samples, Preprocessing((32, 32), False, "squash"), threads))
    ours, alone = Figure.of(predicted), Figure.of(decoded)
    return {"what": f"cnn predict, {count:,} JPEGs of 224x224, resnet20 on 32x32, start included", "threads": threads,
            "unit": "img/s", "figure": ours.json(), "beside": "decoding alone", "reference": alone.json(),
            "ratio": ours.median / alone.median}


def decoding(samples: list[Sample], preprocessing: Preprocessing, threads: int) -> float:
    """Return the seconds that it takes to decode all samples."""
    start = time.perf_counter()
    images = load_images(samples, preprocessing, threads=threads, strict=True)
    seconds = time.perf_counter() - start
    assert len(images) == len(samples)
    return seconds


def show(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = []
    for row in rows:
        goal = "-"
        if row.get("goal") is not None:
            goal = f"{row['goal']}{'' if row['ratio'] >= row['goal'] else ' missed'}"
        lines.append([row["what"], row["threads"], f"{spread(row['figure'])} {row['unit']}",
                      f"{row['beside']}: {spread(row['reference'])}" if "beside" in row else "-",
                      f"{row['ratio']:.2f}" if "ratio" in row else "-", goal])
    return table(["what", "threads", "figure", "beside", "ratio", "goal"], lines)
