"""weights/torchfile.py reads what torch.save writes, in both formats: modules' state dicts, views that share a storage,
checkpoints, all types of storage."""

import numpy as np
import pytest
import torch

from cnncli.errors import ModelError
from cnncli.weights.torchfile import read_torch, state_dict


def read(value, path, zipped):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    with open(path, "rb") as file:
        return read_torch(file, str(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts(zipped, tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 2))
    expected = module.state_dict()
    for value in (expected, {"epoch": 3, "lr": 0.1, "best": None, "state_dict": expected, "names": ["a", "b"]},
                  torch.nn.ParameterDict(dict(module[0].named_parameters())).state_dict()):
        found = state_dict(read(value, tmp_path / "w.pth", zipped), "w.pth")
        for name, array in found.items():
            assert np.array_equal(array, (expected if name in expected else value)[name].numpy()), name
        assert found


@pytest.mark.parametrize("zipped", [True, False])
def test_views_and_types(zipped, tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    value = {"whole": whole, "turned": whole.T, "row": whole[2], "channels last": torch.rand(2, 3, 4, 5).contiguous(
        memory_format=torch.channels_last), "empty": torch.zeros(0, 2), "scalar": torch.tensor(2.5)}
    value |= {str(kind): torch.tensor([0, 1, 3]).to(kind) for kind in (
        torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
        torch.bool)}
    found = read(value, tmp_path / "w.pt", zipped)
    assert list(found) == list(value)
    for name, tensor in value.items():
        assert np.array_equal(found[name], (tensor.float() if tensor.is_floating_point() else tensor).numpy()), name


def test_a_module_is_refused_by_name(tmp_path):
    for zipped in (True, False):
        with pytest.raises(ModelError, match=r"torch\.nn\.modules\.linear\.Linear"):
            read(torch.nn.Linear(2, 2), tmp_path / "w.pt", zipped)
