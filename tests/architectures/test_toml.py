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
    first, default = (from_toml(path, (12, 10, 3), 4, **seed).parameters() for seed in ({"seed": 0}, {}))
    assert all(np.array_equal(first[name], default[name]) for name in first)
    assert not np.array_equal(first["stem.weight"], network.parameters()["stem.weight"])


def test_classes_may_be_maps_and_a_byte_order_mark_is_none_of_the_text(tmp_path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('\ufeff[[layers]]\ntype = "Conv2d"\nout_channels = "classes"\nkernel_size = 1\n'
                    '[[layers]]\ntype = "GlobalAvgPool2d"\n', encoding="utf-8")
    assert from_toml(path, (5, 5, 1), 6).output_shape == (6,)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('type = "Add"', 'type = "Ad"', 17, "there is no layer type 'Ad'; import the module that defines it first, or "
         "give another. Did you mean 'Add'?"),
        ("kernel_size = [3, 1]", "kernel = [3, 1]", 10, "it has no option 'kernel'; give one of in_channels, "
         "out_channels, kernel_size, stride, padding, dilation, groups, bias, init, name, inputs. Did you mean "
         "'kernel_size'?"),
        ('inputs = ["side", "stem"]', 'inputs = ["side", "stam"]', 17, "Did you mean 'stem'?"),
        ('out_features = "classes"', "out_features = 7", 24, "not one number for each of 4 classes"),
        ("out_channels = 8\nkernel_size = 3\n", "out_channels = -8\nkernel_size = 3\n", 3, "out_channels"),
        ("out_channels = 8\nkernel_size = 3\n", "out_channels = 8\nkernel_size = 3\nstride = 2147483648\n", 3,
         "stride must be below 2,147,483,648"),
        ("kernel_size = 3\npadding = \"same\"", "kernel_size = 3\npadding = 2147483647", 3, "would be too large"),
        ("kernel_size = 3\n", "kernel_size = 3\nbias = \"no\"\n", 3, "bias must be true or false, not 'no'"),
        ('name = "stem"', f'name = "{"x" * 201}"', 3, "at most 200"),
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


@pytest.mark.parametrize(("text", "line"), [
    ("\n  [[ layers ]]\ntype = 'ReLU'\n\t[[layers]]\ntype = 'Flatten'\n[[layers]] # head\ntype = 'Li'\n", 6),
    ("\n\nlayers = [{type = 'ReLU'}, {type = 'Li'}]\n", 1),  # of tables written so no header tells the line
    ("# [[layers]]\n[[layers]]\ntype = 'ReLU'\n[[layers]]\ntype = 'Li'\n", 4),
])
def test_the_line_is_that_of_the_layers_header(tmp_path, text: str, line: int) -> None:
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(NetworkError, match=f"my.toml, line {line}: .*there is no layer type 'Li'"):
        from_toml(tmp_path / "my.toml", (4, 4, 1), 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "describes no layers"),
        (b"layers = 3", "describes no layers"),
        (b"[[layers]\n", "is not valid TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b'[[layers]]\ntype = "ReLU"\n[other]\n', "'other' beside"),
        (b'layers = ["ReLU"]', "describes no layers"),
        (b"layers = []", "describes no layers"),
        (b'layers = [{type = "ReLU"}, 3]', "describes no layers"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"#" * 2**20, "describes no layers"),
        (b"#" * (2**20 + 1), "larger than 1 MB"),
    ],
)
def test_a_file_that_is_none(tmp_path, content: bytes, reason: str) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=reason):
        from_toml(path, (12, 10, 3), 4)


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(NetworkError, match=r"none.toml cannot be read \(no such file or directory\); check its path "
                                           r"and its permissions\.$"):
        from_toml(tmp_path / "none.toml", (12, 10, 3), 4)
    with pytest.raises(NetworkError, match="is not a regular file"):
        from_toml(tmp_path, (12, 10, 3), 4)


@pytest.mark.parametrize("kernel_size", [1_000_000, 2_000_000_000])
def test_weights_that_no_memory_holds_are_refused(tmp_path, kernel_size: int) -> None:
    path = tmp_path / "my.toml"
    path.write_text(GOOD.replace("kernel_size = 3\n", f"kernel_size = {kernel_size}\n", 1))
    with pytest.raises(NetworkError, match="needs more memory for its weights"):
        from_toml(path, (12, 10, 3), 4)


@pytest.mark.slow
def test_what_can_be_written_can_be_saved_and_loaded(tmp_path) -> None:
    """A network at the limits that the model file has: nothing is trained that could not be read afterwards."""
    path = tmp_path / "my.toml"
    branches = "".join(f'[[layers]]\ntype = "ReLU"\nname = "r{i}"\ninputs = ["input"]\n' for i in range(101))
    end = '[[layers]]\ntype = "Flatten"\n[[layers]]\ntype = "Linear"\nout_features = "classes"\n'
    path.write_text(branches + f'[[layers]]\ntype = "Concat"\ninputs = {[f"r{i}" for i in range(101)]}\n' + end)
    with pytest.raises(NetworkError, match="at most 100 inputs"):
        from_toml(path, (4, 4, 1), 2)
    path.write_text('[[layers]]\ntype = "ReLU"\n' * 4000 + end)
    with pytest.raises(NetworkError, match="has more than 4,000 layers; give it fewer"):
        from_toml(path, (4, 4, 1), 2)
