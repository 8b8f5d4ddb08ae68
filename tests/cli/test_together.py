"""Commands in several real processes, started by mpiexec: the bytes of one process, whatever they do; and one sentence,
an exit code and no process left where one of them fails, is killed, or sees something else than the others."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..mpi import CNN, MPIEXEC, environment, needs_mpi, ranks, run, started
from ..pictures import make_folder, make_network

pytestmark = [needs_mpi, pytest.mark.slow]
Process = Any


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and net.toml, and with a run trained by one process."""
    folder = tmp_path_factory.mktemp("together")
    make_folder(folder / "data")
    make_network(folder / "net.toml")
    train(0, folder, "--epochs", 3, "--name", "first")
    return folder


def train(size: int, place: Path, *options: Any, ok: bool = True) -> "subprocess.CompletedProcess[str]":
    done = run(size, *CNN, "train", "data", "--arch", "net.toml", "--batch-size", 8, *options, cwd=place)
    assert not ok or done.returncode == 0, done.stderr
    return done


def model(place: Path, name: str) -> bytes:
    return (place / "runs" / name / "model.safetensors").read_bytes()


@pytest.mark.parametrize("arch", ["lenet5", "resnet8"])
def test_trained_and_handed_on(arch: str, place: Path) -> None:
    given = ("--arch", arch, "--size", 32, "--shards", 4, "--augment", "shift=2,flip,mixup=0.3", "--ema", 0.5)
    train(0, place, *given, "--epochs", 4, "--name", f"{arch}-1")
    for size in (2, 4):
        train(size, place, *given, "--epochs", 4, "--name", f"{arch}-{size}")
        assert model(place, f"{arch}-{size}") == model(place, f"{arch}-1")
    going = started(4, *CNN, "train", "data", "--batch-size", 8, *given, "--epochs", 4, "--name", f"{arch}-on",
                    cwd=place)
    wait_for(place / "runs" / f"{arch}-on" / "last.safetensors", going)
    going.send_signal(signal.SIGTERM)
    assert going.wait(20) in (0, 143)  # 0: it was done by then
    going.communicate()
    train_on = run(2, *CNN, "train", "--resume", f"{arch}-on", cwd=place)
    assert train_on.returncode == 0, train_on.stderr
    assert model(place, f"{arch}-on") == model(place, f"{arch}-1")


COMMANDS = {
    "predict": ("predict", "data", "--json", "--reject", 0.9),
    "table": ("predict", "data", "--csv", "-", "--top", 2),
    "test": ("test", "data", "--json", "--no-why"),
    "features": ("features", "data", "--json"),
    "check": ("check", "data", "--json"),
    "explain": ("explain", "data", "--out", "explained", "--json"),
    "sanity": ("explain", "--sanity", "--json"),
    "a list": ("runs",),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_what_they_write_is_what_one_writes(words: tuple[Any, ...], place: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(place / "data")
    (tmp_path / "runs").symlink_to(place / "runs")
    (tmp_path / "data" / "broken.png").write_bytes(b"no image")
    try:
        outcomes = []
        for size in (0, 3):
            done = run(size, *CNN, *words, cwd=tmp_path)
            made = {path.relative_to(tmp_path): path.read_bytes() for path in sorted(tmp_path.rglob("*"))
                    if path.is_file() and not path.is_relative_to(tmp_path / "runs") and path.parent.name != "data"}
            outcomes.append((done.returncode, done.stdout, made))
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][1]
    finally:
        (tmp_path / "data" / "broken.png").unlink()


def wait_for(path: Path, process: Process, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


@pytest.fixture
def going(place: Path) -> Iterator[Callable[..., Process]]:
    """Start a training that lasts, and have nothing left of it at the end."""
    processes: list[Process] = []

    def start(name: str, *options: Any, size: int = 4) -> Process:
        process = started(size, *CNN, "train", "data", "--arch", "net.toml", "--batch-size", 8, "--shards", 4,
                          "--epochs", 3000, "--name", name, *options, cwd=place)
        processes.append(process)
        wait_for(place / "runs" / name / "last.safetensors", process)
        assert len(ranks(process)) == size
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def gone(numbers: dict[int, int]) -> bool:
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{number}") for number in numbers.values()):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.linux
def test_any_of_them_killed_at_any_time(place: Path, going: Callable[..., Process]) -> None:
    expected: dict[int, bytes] = {}
    draw = random.Random(5)
    for turn in range(20):
        process = going(f"killed{turn}")
        numbers = ranks(process)
        time.sleep(draw.random() / 4)
        rank = draw.randrange(4)
        os.kill(numbers[rank], signal.SIGKILL)
        began = time.monotonic()
        _, err = process.communicate(timeout=10)
        assert process.returncode != 0
        assert gone(numbers)
        assert time.monotonic() - began < 10
        sentences = [line for line in err.splitlines() if line.startswith("cnn: rank ")]
        assert len(sentences) == 1, err
        assert sentences[0].startswith(f"cnn: rank {rank} on ")
        assert sentences[0].endswith(f"cnn train --resume killed{turn}")
        if turn % 5 == 0:  # what was saved goes on, by fewer or more
            size, epochs = (0, 2)[turn % 2], 40
            epochs += len((place / "runs" / f"killed{turn}" / "history.csv").read_text().splitlines())
            done = run(size, *CNN, "train", "--resume", f"killed{turn}", "--epochs", epochs, cwd=place)
            assert done.returncode == 0, done.stderr
            expected[turn] = model(place, f"killed{turn}")
    assert len(expected) == 4


@pytest.mark.linux
def test_a_killed_training_goes_on_to_the_same_bits(place: Path, going: Callable[..., Process]) -> None:
    given = ("--shards", 4, "--augment", "flip")
    train(0, place, *given, "--epochs", 60, "--name", "undisturbed")
    process = started(4, *CNN, "train", "data", "--arch", "net.toml", "--batch-size", 8, *given, "--epochs", 60,
                      "--name", "disturbed", cwd=place)
    wait_for(place / "runs" / "disturbed" / "last.safetensors", process)
    for number in [*ranks(process).values()][2:3]:
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=10)
    assert run(2, *CNN, "train", "--resume", "disturbed", cwd=place).returncode == 0
    assert model(place, "disturbed") == model(place, "undisturbed")


@pytest.mark.linux
def test_sigterm_saves_and_143(going: Callable[..., Process]) -> None:
    process = going("asked")
    numbers = ranks(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert err.splitlines()[-1].startswith("cnn: stopped by SIGTERM in epoch ")
    assert gone(numbers)


@pytest.mark.linux
def test_mpiexec_killed_leaves_nothing(place: Path, going: Callable[..., Process]) -> None:
    process = going("orphaned")
    numbers = ranks(process)
    process.kill()
    assert gone(numbers)
    done = run(2, *CNN, "train", "--resume", "orphaned", "--find-lr", cwd=place)
    assert done.returncode == 2  # it is there, and --find-lr does not go with it
    assert "--find-lr and --resume" in done.stderr


def differing(place: Path, *commands: str) -> "subprocess.CompletedProcess[str]":
    """Run one process of each of these shell commands, together."""
    words: list[str] = [str(MPIEXEC)]
    for command in commands:
        words += [":"] * (len(words) > 1) + ["-n", "1", "sh", "-c", command.replace("cnn", " ".join(CNN), 1)]
    return subprocess.run(words, cwd=place, env=environment(), capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


TRAIN = "cnn train data --arch net.toml --epochs 1 --runs none"
DIFFERENT = {
    "instruction sets": (f"CNN_ISA=baseline {TRAIN}", "the instruction set: rank 1 on", "CNN_ISA=avx2"),
    "precisions": (f"CNN_PRECISION=bfloat16 {TRAIN}", "the precision of CNN_PRECISION: rank 1", "set the same"),
    "options": (f"{TRAIN} --lr 0.3", "the options: rank 1", "same command"),
    "classes": (TRAIN.replace("data", "fewer"), "the classes: rank 1", "give all of them the same images"),
    "images": (TRAIN.replace("data", "other"), "the images of those classes, their names or sizes", "the same images"),
}


@pytest.mark.parametrize(("other", "said", "remedy"), DIFFERENT.values(), ids=DIFFERENT)
def test_who_differs_is_refused_before_the_first_step(other: str, said: str, remedy: str, place: Path) -> None:
    for name in ("fewer", "other"):
        if not (place / name).exists():
            make_folder(place / name)
    first = sorted((place / "fewer").iterdir())[0]
    if len(list((place / "fewer").iterdir())) > 2:
        for file in first.iterdir():
            file.unlink()
        first.rmdir()
    image = sorted((place / "other").rglob("*.png"))[0]
    image.write_bytes(image.read_bytes() + b"more")
    done = differing(place, TRAIN, other)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert f"cnn: the processes differ in {said}" in last
    assert remedy in last
    assert not (place / "none").exists()


@pytest.mark.linux
def test_a_full_disk_of_the_leading_one_ends_all(place: Path) -> None:
    (place / "limited.py").write_text(
        "import resource, sys\nfrom cnncli.cli import main\nfrom cnncli.ranks.current import world\n"
        "from cnncli.training.fit import Fit\nreal = Fit.write_into\n"
        "def write_into(self, run):\n    real(self, run)\n    if world().leads:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "Fit.write_into = write_into\n"
        "sys.exit(main(['train', 'data', '--arch', 'resnet8', '--size', '32', '--epochs', '2', '--name', 'full']))\n")
    done = run(2, sys.executable, "limited.py", cwd=place, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("cnn: ")
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code"), [(("train", "nothing"), 1), (("train", "data", "--epochs", 0), 2),
                                             (("predict", "data", "-m", "nothing"), 4), (("nothing",), 2),
                                             (("train", "data", "--resume", "nothing"), 2)])
def test_what_is_wrong_for_all_is_said_once(words: tuple[Any, ...], code: int, place: Path) -> None:
    alone, together = (run(size, *CNN, *words, cwd=place) for size in (0, 3))
    assert (alone.returncode, together.returncode) == (code, code)
    assert together.stderr.splitlines()[-1] == alone.stderr.splitlines()[-1]
    assert together.stderr.count("cnn: ") == 1


def test_a_script_that_fails_in_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("from cnncli.ranks.current import world\nfound = world()\n"
                                        "assert found.leads, 'odd'\nfound.gathered(1)\n")
    done = run(2, sys.executable, "script.py", cwd=tmp_path, timeout=20)
    assert done.returncode == 1
    assert "AssertionError: odd" in done.stderr
    assert "cnn: rank 1 on " in done.stderr
