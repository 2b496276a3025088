"""Compiled code on disk, so that a second process starts warm.

`CHAINRULE_CACHE` names the folder, or is ``off``. The folder is made for its owner alone; one that somebody else owns
or may write into is not used, since what lies there is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 256 << 20
"""Bytes from which the oldest files are removed."""
ABANDONED = 3600
"""Seconds after which an unfinished file is nobody's any more."""


def folder() -> Path | None:
    """Return the folder of compiled code, made if need be; None where there is none to trust."""
    chosen = os.environ.get("CHAINRULE_CACHE", "")
    if chosen.lower() in ("off", "0", "no", "false"):
        return None
    path = Path(chosen) if chosen else _users() / "chainrule"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if _is_private(path) else None
    except OSError:
        return None


def _users() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_private(path: Path) -> bool:
    """Whether only this user can write to a path."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return False
    if sys.platform == "win32":
        return True  # the folders of a user's profile are the user's own
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def key(*parts: str) -> str:
    """Return the name under which code is kept that depends on all of these texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """Return what was kept under a name; None where there is nothing, or nothing to trust."""
    place = folder()
    if place is None:
        return None
    path = place / f"{name}.o"
    try:
        if not _is_private(path):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    digest, code = data[:32], data[32:]
    if hashlib.sha256(code).digest() != digest:
        return None  # cut off, or damaged
    with contextlib.suppress(OSError):
        os.utime(path)
    return code


def save(name: str, code: bytes) -> None:
    """Keep code under a name, whole or not at all; a folder that cannot be written keeps nothing."""
    place = folder()
    if place is None:
        return
    temporary: Path | None = None
    try:
        handle, path = tempfile.mkstemp(dir=place, suffix=".tmp")
        temporary = Path(path)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        temporary.replace(place / f"{name}.o")
        _prune(place)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _prune(place: Path) -> None:
    """Remove the files that were not used for longest, and what writers that were killed have left."""
    files = []
    for path in place.iterdir():
        with contextlib.suppress(OSError):
            found = path.stat()
            if path.suffix == ".o":
                files.append((found.st_mtime, found.st_size, path))
            elif path.suffix == ".tmp" and found.st_mtime < time.time() - ABANDONED:
                path.unlink()
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= LIMIT:
            return
        path.unlink(missing_ok=True)
        total -= size
