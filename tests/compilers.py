"""Compilers as tests call them: through ccache, where that is installed, so that a file which has not changed since is
not compiled again."""

import shutil


def cached(compiler: str) -> list[str]:
    """Return the words that call a compiler for one file (-c)."""
    ccache = shutil.which("ccache")
    return [ccache, compiler] if ccache else [compiler]
