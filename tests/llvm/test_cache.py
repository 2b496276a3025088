"""Compiled code on disk: found again, never trusted where others could have written it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.llvm import cache, engine

PROGRAM = """
import numpy as np, chainrule as cr
f = cr.jit(cr.grad(lambda x: np.sum(np.sin(x) * np.exp(-x * x)) + x[0] * x[1]))
x = np.linspace(0, 1, 50)
assert np.allclose(f(x), cr.grad(f.__wrapped__.__wrapped__)(x))
print("from the cache" in str(f.inspect()))
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "code"
    monkeypatch.setenv("CHAINRULE_CACHE", str(path))
    return path


def warm(factor: float = 2.0) -> bool:
    """Compile a function; whether it came from the disk."""
    x = np.arange(40.0)
    f = cr.jit(lambda x: np.exp(x) * factor)
    np.testing.assert_allclose(f(x), np.exp(x) * factor, rtol=1e-14)
    (variant,) = f.inspect().variants
    return bool(variant.code.code.cached)


def second_process(**environment: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_a_second_process_starts_warm(folder: Path) -> None:
    assert [second_process(), second_process()] == ["False", "True"]
    assert [second_process(PYTHONHASHSEED=seed) for seed in "12"] == ["True", "True"]  # the same text in any process
    assert len(list(folder.glob("*.o"))) == 1
    assert second_process(CHAINRULE_CACHE="off") == "False"


def test_the_folder_is_private(folder: Path) -> None:
    assert not warm()
    assert warm()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache.sys, "platform", "linux")
    assert cache.folder() == tmp_path / "chainrule"


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", word)
    assert cache.folder() is None
    cache.save("x", b"code")
    assert cache.load("x") is None
    assert not warm()
    assert not warm()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(folder: Path, mode: int) -> None:
    assert not warm()
    folder.chmod(mode)
    assert not warm()
    cache.save("more", b"code")
    assert cache.load("more") is None
    assert not (folder / "more.o").exists()
    folder.chmod(0o755)
    assert warm()


def test_a_file_that_others_may_write_is_not_used(folder: Path) -> None:
    warm()
    (path,) = folder.glob("*.o")
    path.chmod(0o666)
    assert not warm()


def test_links_are_not_followed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm()
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    monkeypatch.setenv("CHAINRULE_CACHE", str(link))
    assert not warm()
    monkeypatch.setenv("CHAINRULE_CACHE", str(folder))
    (path,) = folder.glob("*.o")
    moved = path.rename(tmp_path / "moved.o")
    path.symlink_to(moved)
    assert not warm()


def test_a_folder_of_somebody_else_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm()
    owner = os.getuid()
    monkeypatch.setattr(cache.os, "getuid", lambda: owner + 1)
    assert not warm()


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file" / "below"))
    assert not warm()
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
    assert not warm()


@pytest.mark.parametrize("harm", ["cut", "empty", "changed", "foreign"])
def test_damaged_files_are_ignored_and_replaced(folder: Path, harm: str) -> None:
    warm()
    (path,) = folder.glob("*.o")
    data = path.read_bytes()
    middle = len(data) // 2
    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    path.write_bytes({"cut": data[:-7], "empty": b"", "changed": changed, "foreign": b"\x00" * 500}[harm])
    assert not warm()
    assert warm()
    assert path.read_bytes()[:32] == data[:32]


def test_the_key_depends_on_text_processor_and_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key("ab", "c", "")}
    assert len(keys) == 4
    warm()
    known = engine._circumstances()
    for k in range(len(known)):
        monkeypatch.setattr(engine, "_circumstances", lambda k=k: (*known[:k], known[k] + "x", *known[k + 1 :]))
        assert not warm()
    monkeypatch.setattr(engine, "_circumstances", lambda: known)
    assert warm()
    assert not warm(3.0)


def test_writers_at_once_leave_whole_files(folder: Path) -> None:
    contents = [bytes([k]) * 200_000 for k in range(8)]

    def write(k: int) -> None:
        for _ in range(5):
            cache.save("same", contents[k])
            assert cache.load("same") in contents

    failed: list[Any] = []

    def guarded(k: int) -> None:
        try:
            write(k)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [path.name for path in folder.iterdir()] == ["same.o"]


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert not warm()
    assert list(folder.iterdir()) == []


def test_pruning_removes_what_was_not_used_for_longest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 1000)
    for k in range(3):
        cache.save(f"code{k}", bytes(300))
        os.utime(folder / f"code{k}.o", (k + 1, k + 1))
    assert cache.load("code0") == bytes(300)  # the newest by use
    (folder / "left.tmp").write_bytes(b"half")
    os.utime(folder / "left.tmp", (1, 1))
    (folder / "being written.tmp").write_bytes(b"half")
    cache.save("code3", bytes(300))
    assert sorted(path.name for path in folder.iterdir()) == ["being written.tmp", "code0.o", "code2.o", "code3.o"]
