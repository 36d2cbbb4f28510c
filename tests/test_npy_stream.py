"""The streaming reader agrees with numpy.load on what is sound, and refuses what is not before allocating."""

import contextlib
import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError
from edgekit.npy_stream import Archive, read_npy

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(["float32", ">f8", "float16", "int64", ">i4", "uint8", "bool", "<U3"]),
    shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    arrays=st.dictionaries(st.sampled_from(["a", "b", "in/put:0"]), ARRAYS, min_size=1),
    compress=st.booleans(),
    step=st.integers(1, 3),
)
def test_the_stream_gives_what_numpy_load_gives(tmp_path, arrays, compress, step):
    path = tmp_path / "x.npz"
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    with Archive(path, path.name) as archive, np.load(path, allow_pickle=False) as expected:
        assert set(archive.members) == set(expected.files)
        for name in archive.members:
            whole = archive.read(name)
            np.testing.assert_array_equal(whole, expected[name])
            assert whole.dtype == expected[name].dtype.newbyteorder("=")
            with archive.open(name) as stream:
                taken = list(stream.samples(lambda index: index % step == 0))
            np.testing.assert_array_equal(np.array(taken).reshape(-1), expected[name][::step].reshape(-1))


def test_a_fortran_array_is_read_whole_but_not_streamed(tmp_path):
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.savez(tmp_path / "x.npz", x=array)
    with Archive(tmp_path / "x.npz", "x.npz") as archive:
        np.testing.assert_array_equal(archive.read("x"), array)
        with archive.open("x") as stream, pytest.raises(DataError, match="Fortran") as raised:
            next(stream.samples())
    assert "ascontiguousarray" in raised.value.hint


def test_64_megabytes_are_streamed_in_bounded_memory(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((64, 1 << 18), np.float32))
    tracemalloc.start()
    try:
        with Archive(tmp_path / "x.npz", "x.npz") as archive, archive.open("x") as stream:
            count = sum(1 for _ in stream.samples())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 64
    assert peak_bytes < 8 << 20  # a sample has 1 MiB


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/x.npy", "leaves the archive"),
        ("../x.npy", "leaves the archive"),
        ("a\\..\\x.npy", "leaves the archive"),
        ("readme.txt", "not a .npy"),
    ],
)
def test_unsafe_entries_are_refused(tmp_path, name, why):
    path = write_zip(tmp_path / "x.npz", **{name: npy(np.zeros(3))})
    with pytest.raises(DataError, match=why):
        Archive(path, "x.npz")


def test_a_link_in_an_archive_is_refused(tmp_path):
    entry = zipfile.ZipInfo("x.npy")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="not a regular file"):
        Archive(tmp_path / "x.npz", "x.npz")


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy(np.zeros(3)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", npy(np.ones(3)))
    with pytest.raises(DataError, match="twice"):
        Archive(tmp_path / "x.npz", "x.npz")


def test_a_directory_that_declares_more_than_can_unpack_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.npz", **{"x.npy": npy(np.zeros(3))})
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 1 << 31)  # the uncompressed size
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot unpack"):
        Archive(path, "x.npz")


@pytest.mark.parametrize("shape", ["(1000000000, 1000000000)", "(2,)", "(-1,)"])
def test_a_header_that_lies_about_its_size_is_refused_before_allocating(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(12)
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x.npy (is broken|holds no plain array)"):
        read_npy(path, "x.npy")


def test_one_enormous_sample_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (536870912,), }".ljust(117) + "\n"
    with path.open("wb") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        stream.truncate(stream.tell() + (1 << 31))  # a sparse file
    with pytest.raises(DataError, match="at most"):
        read_npy(path, "x.npy")


def test_pickles_and_records_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object), r=np.zeros(2, dtype=[("a", "f4")]))
    with Archive(tmp_path / "x.npz", "x.npz") as archive:
        for member in archive.members:
            with pytest.raises(DataError, match="no plain array"):
                archive.read(member)


def test_flipped_bits_are_found_by_the_checksum(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros(1000, np.uint8))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[600] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with Archive(tmp_path / "x.npz", "x.npz") as archive, pytest.raises(DataError, match="cannot read"):
        archive.read("x")


@pytest.mark.parametrize("keep", [0, 10, 100, 150])
def test_truncated_files_are_refused(tmp_path, keep):
    np.save(tmp_path / "x.npy", np.zeros(30))
    np.savez(tmp_path / "x.npz", x=np.zeros(30))
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.npy"):
        read_npy(tmp_path / "x.npy", "x.npy")
    with pytest.raises(DataError, match=r"cannot read x\.npz"):
        Archive(tmp_path / "x.npz", "x.npz")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), compress=st.booleans())
def test_whatever_bytes_are_changed_only_a_data_error_comes_out(tmp_path, changes, compress):
    path = tmp_path / "x.npz"
    (np.savez_compressed if compress else np.savez)(path, x=np.arange(9, dtype=np.int16), y=np.ones((2, 2), np.float32))
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(DataError), Archive(path, "x.npz") as archive:
        for member in archive.members:
            assert archive.read(member).size <= 9
