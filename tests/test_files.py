"""Files appear together, whole or not at all."""

import os

import pytest

from chainrule.errors import ChainruleError, OutputError
from chainrule.files import ensure_writable, replacing


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_are_replaced_together(tmp_path):
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    paths[0].write_text("old")
    with replacing(*paths) as temporary:
        for path, name in zip(temporary, ("new one", "new two"), strict=True):
            assert path.parent == tmp_path
            assert path.suffix == ".txt"
            path.write_text(name)
        assert paths[0].read_text() == "old"
        assert not paths[1].exists()
    assert contents(tmp_path) == {"one.txt": "new one", "two.txt": "new two"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OutputError])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error):
    (tmp_path / "one.txt").write_text("old")

    def write():
        with replacing(tmp_path / "one.txt", tmp_path / "two.txt") as (one, _):
            one.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert contents(tmp_path) == {"one.txt": "old"}


def test_an_error_of_the_system_names_the_files(tmp_path):
    with (
        pytest.raises(OutputError, match=r"cannot write .*one\.txt: No space left on device"),
        replacing(tmp_path / "one.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert issubclass(OutputError, ChainruleError)
    assert issubclass(OutputError, OSError)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "two.txt").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write .*two\.txt: it is a folder"),
        replacing(tmp_path / "one.txt", tmp_path / "two.txt"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["two.txt"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"), replacing(tmp_path / "none" / "one.txt"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_permissions_follow_the_umask(tmp_path):
    path = tmp_path / "one.txt"
    before = os.umask(0o027)
    try:
        with replacing(path):
            pass
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_ensure_writable_makes_the_folder_and_leaves_it_empty(tmp_path):
    folder = tmp_path / "a" / "b"
    ensure_writable(folder, ("one.txt",))
    ensure_writable(folder, ("one.txt",))
    assert folder.is_dir()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["file", "file/below", "null\0character"])
def test_ensure_writable_refuses_what_cannot_be_a_folder(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write to the output folder"):
        ensure_writable(tmp_path / name, ("one.txt",))
    assert contents(tmp_path) == {"file": "in the way"}


def test_ensure_writable_refuses_a_folder_that_has_the_name_of_a_file(tmp_path):
    (tmp_path / "one.txt").mkdir()
    with pytest.raises(OutputError, match=r"one\.txt: it is a folder"):
        ensure_writable(tmp_path, ("one.txt",))
