"""The comparison with PyTorch 2.13 on the CPU: every layer, loss, optimiser and schedule, and ten steps of training of
whole networks, to 1e-4 relative. Not part of `make test`, which has no PyTorch: `make test-peers` installs it in an
environment of its own and runs this folder. By hand:

    python3 -m venv .venv-peers
    .venv-peers/bin/pip install --editable '.[test]' torch==2.13.0
    .venv-peers/bin/python -m pytest tests/peers
"""

from importlib.util import find_spec

collect_ignore_glob = []
if find_spec("torch") is None:
    collect_ignore_glob.append("test_*.py")
else:
    import torch

    torch.set_num_threads(1)
