"""Packages that only some tasks need, the extras of pyproject.toml: the command that installs one. It names the
packages themselves, so that it works wherever cnn was installed from, and in any folder.
"""

import re
import shlex


def install(extra: str) -> str:
    """Return the command that installs what an extra brings: "pip install 'onnx>=1.15' 'onnxruntime>=1.17'"."""
    from importlib import metadata  # which brings much

    try:
        required = metadata.requires(__package__) or []
    except metadata.PackageNotFoundError:  # used where it lies, without having been installed
        return f"pip install '.[{extra}]'"
    own = re.compile(rf"(?P<package>[^;]+?)\s*;.*extra\s*==\s*(['\"]){re.escape(extra)}\2")
    found = [match["package"] for each in required if (match := own.fullmatch(each.strip()))]
    return f"pip install {shlex.join(found)}" if found else f"pip install '.[{extra}]'"
