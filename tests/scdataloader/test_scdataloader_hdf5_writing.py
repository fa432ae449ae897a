"""HDF5 on a disk that fills up."""

import errno
import subprocess
import sys
import textwrap

import anndata
import h5py
import numpy as np
import pytest
from anndata.io import write_elem

from scdataloader import datasets
from scdataloader.hdf5_writing import HushedFile, hdf5_for_writing


def test_what_is_written_is_what_a_plain_file_holds(tmp_path):
    cells = datasets.retina_1k()[:50].copy()
    with hdf5_for_writing(tmp_path / "x.h5ad") as file:
        write_elem(file, "/", cells, dataset_kwargs={"compression": "gzip"})
    back = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert (back.X != cells.X).nnz == 0
    assert back.obs.equals(cells.obs)


@pytest.mark.parametrize("limit", [1, 50_000, 300_000])
@pytest.mark.parametrize("compression", ["gzip", None])
def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path, limit, compression):
    # a process of its own: what is feared is that it dies, at the latest when it ends
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import gc, resource, sys
            import numpy as np
            from scdataloader.hdf5_writing import hdf5_for_writing
            resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
            values = np.random.default_rng(0).integers(0, 255, 100_000)
            try:
                with hdf5_for_writing(sys.argv[1]) as file:
                    data = file.create_dataset(
                        "x", shape=(0,), maxshape=(None,), dtype="i8", chunks=(1000,), compression={compression!r}
                    )
                    for i in range(1, 11):
                        data.resize((i * 10_000 - 1,))
                        data[(i - 1) * 10_000 :] = values[(i - 1) * 10_000 : i * 10_000 - 1]
                    file.attrs["done"] = True
            except OSError as error:
                gc.collect()
                sys.exit(error.errno)
        """)
    )
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "x.h5")], capture_output=True, text=True, check=False, timeout=300
    )
    if compression == "gzip" and limit == 300_000:  # it fits
        assert run.returncode == 0
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["x"].shape == (99_999,)
            assert file.attrs["done"]
    else:
        assert run.returncode == errno.EFBIG, run.stderr
    assert run.stderr == ""


def test_the_first_failure_is_told_whatever_came_after(tmp_path, monkeypatch):
    file = HushedFile(tmp_path / "x")
    assert file.write(memoryview(b"abc")) == 3
    file.check()
    real, file._file = file._file, None

    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def truncate(self, _):
            raise OSError(errno.EIO, "worse")

        def __getattr__(self, name):
            return getattr(real, name)

    file._file = Full()
    assert file.write(memoryview(np.zeros(4))) == 32  # HDF5 must not notice
    assert file.truncate(100) == 100
    file.seek(0)
    buffer = bytearray(b"zzzzzz")
    assert file.readinto(memoryview(buffer)) == 6
    assert buffer == b"abc\0\0\0"
    file.close()
    with pytest.raises(OSError, match="No space left"):
        file.check()


def test_an_error_of_the_block_itself_comes_through(tmp_path):
    with pytest.raises(KeyError, match="mine"), hdf5_for_writing(tmp_path / "x.h5"):
        raise KeyError("mine")
