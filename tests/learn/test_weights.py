"""Networks on disk: what was written comes back, and nothing else is taken for it."""

import zipfile

import numpy as np
import pytest

from chainrule.errors import OutputError, WeightsError
from chainrule.learn import Layer, initialize, load_weights, predict, save_weights


def network(dtype=np.float64, seed=0):
    generator = np.random.default_rng(seed)
    return [
        Layer(weight, generator.normal(size=bias.shape).astype(dtype))
        for weight, bias in initialize((6, 5, 4), generator, dtype=dtype)
    ]


def arrays(**changes):
    """The content of a weights file, with changes; None leaves an array out."""
    content = {"format": "chainrule weights 1"}
    for k, (weight, bias) in enumerate(network()):
        content |= {f"weight_{k}": weight, f"bias_{k}": bias}
    return {name: value for name, value in (content | changes).items() if value is not None}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip_to_the_bit(tmp_path, dtype):
    path = tmp_path / "weights.npz"
    saved = network(dtype)
    save_weights(path, saved)
    loaded = load_weights(path, sizes=(6, 5, 4))
    assert len(loaded) == 2
    for one, two in zip(saved, loaded, strict=True):
        assert isinstance(two, Layer)
        for a, b in zip(one, two, strict=True):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    x = np.random.default_rng(1).normal(size=(3, 6)).astype(dtype)
    np.testing.assert_array_equal(predict(loaded, x), predict(saved, x))


def test_equal_networks_make_equal_files_that_hold_no_pickle(tmp_path):
    save_weights(tmp_path / "one.npz", network())
    save_weights(str(tmp_path / "two.npz"), network())
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["bias_0", "bias_1", "format", "weight_0", "weight_1"]
        assert not any(file[name].dtype.hasobject for name in file.files)


def test_the_path_is_taken_as_it_is(tmp_path):
    save_weights(tmp_path / "weights", network())
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    assert len(load_weights(tmp_path / "weights")) == 2


BAD_CONTENT = {
    "other format": (arrays(format="chainrule weights 2"), "is not a weights file of chainrule; save_weights writes"),
    "no format": (arrays(format=None), "is not a weights file of chainrule"),
    "no layer": ({"format": "chainrule weights 1"}, "does not hold a network: no layer"),
    "missing bias": (arrays(bias_1=None), r"does not hold a network: unknown arrays \['weight_1'\]"),
    "a gap": (arrays(weight_0=None, bias_0=None, weight_3=np.ones((1, 1)), bias_3=np.ones(1)), "unknown arrays"),
    "extra": (arrays(momentum=np.ones(3)), r"unknown arrays \['momentum'\]"),
    "integers": (arrays(bias_0=np.ones(5, int)), "must hold float32 or float64 numbers throughout, not float64, int64"),
    "two dtypes": (arrays(bias_0=np.ones(5, np.float32)), "throughout, not float32, float64"),
    "complex": (arrays(bias_0=np.ones(5, complex)), "not complex128, float64"),
    "bias": (arrays(bias_0=np.ones(3)), r"layer 0 has weight \(6, 5\) and bias \(3,\), which do not fit"),
    "flat weight": (arrays(weight_0=np.ones(30)), r"layer 0 has weight \(30,\) and bias \(5,\)"),
    "chain": (arrays(weight_1=np.ones((7, 4))), r"layer 1 after a layer of 5 has weight \(7, 4\)"),
    "nan": (arrays(bias_1=np.array([1, 2, np.nan, 4])), "layer 1 holds numbers that are not finite"),
    "inf": (arrays(bias_1=np.array([1, 2, np.inf, 4])), "layer 1 holds numbers that are not finite"),
}


@pytest.mark.parametrize(("content", "message"), BAD_CONTENT.values(), ids=BAD_CONTENT)
def test_a_file_with_other_content_is_refused(tmp_path, content, message):
    path = tmp_path / "weights.npz"
    np.savez(path, **content)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)


def test_other_sizes_are_refused(tmp_path):
    save_weights(tmp_path / "w.npz", network())
    with pytest.raises(WeightsError, match="holds a network of sizes 6 → 5 → 4, not 64 → 32 → 10"):
        load_weights(tmp_path / "w.npz", sizes=(64, 32, 10))


def test_damaged_files_are_refused_wherever_they_are_cut(tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, network())
    whole = path.read_bytes()
    for length in [0, 1, 10, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="is damaged or not a weights file"):
            load_weights(path)


def test_flipped_bytes_are_noticed(tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, network())
    with zipfile.ZipFile(path) as file:
        place = file.getinfo("weight_0.npy").header_offset + 200
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(WeightsError, match="is damaged or not a weights file"):
        load_weights(path)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_text("hello, this is no archive\n")
    with pytest.raises(WeightsError, match="is damaged or not a weights file"):
        load_weights(path)
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(WeightsError, match="is a single array"):
        load_weights(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no arrays here")
    with pytest.raises(WeightsError):
        load_weights(path)


class Evil:
    """Something that leaves a trace when it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


def test_pickles_are_not_opened(tmp_path, capsys):
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays(bias_0=np.array([Evil()], dtype=object)))
    with pytest.raises(WeightsError, match="is damaged or not a weights file"):
        load_weights(path)
    assert "unpickled" not in capsys.readouterr().out


def test_missing_files_and_folders_say_which(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot read weights from .*none\.npz: No such file"):
        load_weights(tmp_path / "none.npz")
    with pytest.raises(WeightsError, match=r"cannot read weights from .*: Is a directory"):
        load_weights(tmp_path)
    with pytest.raises(OutputError, match=r"cannot write .*weights\.npz"):
        save_weights(tmp_path / "none" / "weights.npz", network())


def test_a_failure_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    save_weights(path, network())
    old = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device"):
        save_weights(path, network(seed=1))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
