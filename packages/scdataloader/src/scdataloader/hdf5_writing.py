"""Write HDF5 files so that a full disk is an error.

HDF5 cannot close a file that it cannot write to: it leaves it open, tries again whenever an object is freed, and in the
end brings the process down (SIGSEGV, seen with HDF5 2.0). So it does not learn of a failure here: its writes go
through a file object that keeps the first error to itself until HDF5 is done.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py


class HushedFile(io.RawIOBase):
    """A file to write and read whose failures to write are kept for `check`.

    Parameters
    ----------
    path
        File to write, made anew.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self._file = Path(path).open("w+b", buffering=0)  # noqa: SIM115
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first failure to write.

        Raises
        ------
        OSError
            As the system told it, for instance that no space is left.
        """
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write all of `data`, or as much of it as the disk takes."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self._error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; what was never written is zero."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (n := self._file.readinto(view[done:])):
            done += n
        view[done:] = bytes(len(view) - done)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; past the end is allowed."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return self._file.tell() if size is None else size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def writable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Close the file; the failure stays to be told by `check`."""
        try:
            self._file.close()
        except OSError as error:  # some network file systems tell of a full disk only now
            self._error = self._error or error
        super().close()


@contextmanager
def hdf5_for_writing(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 file for writing in a ``with`` block.

    Raises
    ------
    OSError
        At the end of the block, when not all could be written.
    """
    import h5py

    raw = HushedFile(path)
    try:
        with h5py.File(raw, "w") as file:
            yield file
    except Exception:
        raw.check()  # the cause of what went wrong after it
        raise
    finally:
        raw.close()
    raw.check()
