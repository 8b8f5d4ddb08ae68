"""What names of files say: which are called like images, and which are hidden or what a system leaves behind. walk.py
looks at disks by it, archive.py at archives.
"""

import os

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp")
)
FORMATS = "PNG, JPEG, BMP, GIF, TIFF or WebP"
_LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"))


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or what a system leaves behind."""
    return name.startswith(".") or name.lower() in _LITTER


def is_image(name: str) -> bool:
    """Whether a file of that name is called like an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES
