"""Comparisons with PyTorch, for `make test-peers`, which installs it. Without it they are not collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
