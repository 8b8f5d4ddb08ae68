"""Results as plain JSON values: what every ``as_json`` returns, and what the command line prints with --json. So
``json.dumps`` takes it as it is.
"""

import math
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., dict[str, Any]])


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: arrays and tuples become lists, paths strings, NaN and infinities None.

    Args:
        value: A value, or dicts and lists of values.
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    return value


def in_plain_json(method: _Method) -> _Method:
    """Make an ``as_json`` return plain JSON values, whatever it is made of.

    Args:
        method: The method.
    """
    @wraps(method)
    def as_json(*arguments: Any, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = plain(method(*arguments, **options))
        return found

    return as_json  # type: ignore[return-value]
