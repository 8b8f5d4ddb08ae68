"""Writing a file whole or not at all: for pictures, tables and other results that may be made again. (Models and what
resuming needs are written by checkpoint.py, which also sees to it that they are on the disk.)
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import CnnError
from .text import one_line


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the name of a temporary file beside path and rename it to path when done; raises CnnError where that fails.

    The folder is made where it is not there. On any error nothing is left behind and path is as it was.
    """
    path, temporary = Path(os.fsdecode(path)), ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise CnnError(f"{one_line(str(path))} cannot be written ({error.strerror or error}); free some space there or "
                       "name another folder.") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
