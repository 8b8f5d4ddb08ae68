"""Archives for tests, and images in them."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cnncli.data import scan


def write_tar(path: str | Path, members: Mapping[str, bytes | tuple[bytes, str]]) -> None:
    """Write an archive of files; a pair is the kind of a member and what it leads to."""
    with tarfile.open(path, "w") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name.partition("#")[0])
            if isinstance(content, tuple):
                info.type, info.linkname = content
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))


def png(photos: Path, name: str = "ant/00") -> bytes:
    return (photos / f"{name}.png").read_bytes()


def relatives(data: str | Path) -> list[str]:
    splits = scan(data)
    return sorted(sample.relative for part in (splits.train, splits.val, splits.test) for sample in part)
