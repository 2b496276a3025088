"""Files that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chainrule.errors import OutputError

__all__ = ["ensure_writable", "replacing"]


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Give a temporary name for each path; when the block succeeds, rename all of them into place.

    The temporary files lie in the folder of their path and keep its suffix. If anything in the block raises, they are
    removed and what was there before is untouched.

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, or a path is a folder.
    """
    temporary: list[Path] = []
    try:
        for path in paths:
            if path.is_dir():
                raise OutputError(f"cannot write {path}: it is a folder")
            handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            temporary.append(Path(name))
        yield temporary
        mode = 0o666 & ~_umask()
        for source, path in zip(temporary, paths, strict=True):
            source.chmod(mode)  # mkstemp lets only the owner read
            source.replace(path)
    except OutputError:
        raise
    except OSError as error:
        names = ", ".join(str(path) for path in paths)
        raise OutputError(f"cannot write {names}: {error.strerror or error}") from error
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def ensure_writable(folder: Path, names: tuple[str, ...]) -> None:
    """Make the folder if need be, and make sure that files of these names can be written in it.

    Raises:
        OutputError: the folder cannot be made or written, or one of the names is a folder already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write to the output folder {str(folder)!r}: {reason}") from error
    for name in names:
        if (folder / name).is_dir():
            raise OutputError(f"cannot write {folder / name}: it is a folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
