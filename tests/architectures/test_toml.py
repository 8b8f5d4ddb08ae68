"""architectures/toml.py: a network written by hand, and mistakes told with file, line and reason."""

import numpy as np
import pytest

from cnncli.architectures import from_toml
from cnncli.errors import NetworkError

GOOD = """
# a skip connection around the second convolution
[[layers]]
type = "Conv2d"
name = "stem"
out_channels = 8
kernel_size = 3
padding = "same"

[[layers]]
type = "Conv2d"
name = "side"
out_channels = 8
kernel_size = [3, 1]
padding = "same"

[[layers]]
type = "Add"
inputs = ["side", "stem"]

[[layers]]
type = "GlobalAvgPool2d"

[[layers]]
type = "Linear"
out_features = "classes"
"""


def test_a_network_with_a_skip_connection(tmp_path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(GOOD)
    network = from_toml(path, (12, 10, 3), 4, seed=1)
    assert network.node("add1").inputs == ("side", "stem")
    assert network.forward(np.zeros((2, 12, 10, 3), np.float32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('type = "Add"', 'type = "Ad"', 17, "'Ad' is no layer type. Did you mean 'Add'?"),
        ("kernel_size = [3, 1]", "kernel = [3, 1]", 10, "it has no option 'kernel'. Did you mean 'kernel_size'?"),
        ('inputs = ["side", "stem"]', 'inputs = ["side", "stam"]', 17, "Did you mean 'stem'?"),
        ('out_features = "classes"', "out_features = 7", 24, "not one number for each of 4 classes"),
        ("out_channels = 8\nkernel_size = 3\n", "out_channels = -8\nkernel_size = 3\n", 3, "out_channels"),
    ],
)
def test_a_wrong_layer_is_told_with_its_line(tmp_path, old: str, new: str, line: int, reason: str) -> None:
    path = tmp_path / "my.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(NetworkError) as caught:
        from_toml(path, (12, 10, 3), 4)
    assert f"my.toml, line {line}: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "describes no layers"),
        (b"layers = 3", "describes no layers"),
        (b"[[layers]\n", "is not valid TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b'[[layers]]\ntype = "ReLU"\n[other]\n', "'other' beside"),
        (b"#" * 2_000_000, "larger than 1 MB"),
    ],
)
def test_a_file_that_is_none(tmp_path, content: bytes, reason: str) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=reason):
        from_toml(path, (12, 10, 3), 4)


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        from_toml(tmp_path / "none.toml", (12, 10, 3), 4)
