"""A PyTorch zip file opened without running anything it carries, its tensors read straight from their records."""

from __future__ import annotations

import logging
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scprint_model.checkpoints.safe_pickle import ALLOWED, STAND_INS, named_globals, plain_name

logger = logging.getLogger(__name__)

#: The pickle of a published file, with 45,000 genes, has 2 MB. An object takes up to 100 times its bytes there.
MAX_PICKLE_BYTES = 64 << 20
_CHUNK = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s22sHH")
_AGAIN = "download or copy it again"


@dataclass(frozen=True)
class Archive:
    """An open checkpoint: `content` is what was pickled, its tensors without data until `read`."""

    path: Path
    content: dict[str, Any] = field(repr=False)
    _of_address: dict[int, zipfile.ZipInfo] = field(repr=False)  # address of a storage to its record

    def read(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read tensors of `content` into memory of their own, contiguous, and check their checksums.

        Mapping the file would be faster, but whoever then wrote over it would change the weights, or crash the program.

        Raises
        ------
        ValueError
            When the data of one of them are damaged or are not in the file; the message names it.
        """
        # Copy and checksum run outside Python's lock: two threads keep disk and processor busy.
        with ThreadPoolExecutor(max_workers=2) as pool:
            return dict(zip(tensors, pool.map(self._read_one, tensors, tensors.values()), strict=True))

    def _read_one(self, name: str, tensor: Tensor) -> Tensor:
        if not tensor.numel():
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        record = self._record(name, tensor)
        data = torch.empty(record.file_size, dtype=torch.uint8)
        view = memoryview(data.numpy())
        crc = 0
        with self.path.open("rb", buffering=0) as file:
            file.seek(_data_offset(file, record))
            for begin in range(0, len(view), _CHUNK):
                part = view[begin : begin + _CHUNK]
                if file.readinto(part) != len(part):
                    raise ValueError(f"{self.path} is truncated within {name}: {_AGAIN}")
                crc = zlib.crc32(part, crc)
        if crc != record.CRC:
            raise ValueError(f"{self.path} is damaged: the checksum of {name} does not match its data; {_AGAIN}")
        stored = data.view(tensor.dtype)
        return torch.as_strided(stored, tensor.shape, tensor.stride(), tensor.storage_offset()).contiguous()

    def _record(self, name: str, tensor: Tensor) -> zipfile.ZipInfo:
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise ValueError(f"{self.path}: {name} is no ordinary dense tensor")
        record = self._of_address[tensor.untyped_storage().data_ptr()]
        needed = tensor.numel() * tensor.element_size()
        if record.file_size != tensor.untyped_storage().nbytes() or needed > record.file_size:
            raise ValueError(
                f"{self.path} is damaged: {name} needs {needed:,} bytes, its record has {record.file_size:,}"
            )
        return record


def open_archive(path: Path | str, *, unsafe: bool = False) -> Archive:
    """Open a checkpoint written by ``torch.save``.

    The zip is checked first (no compressed, repeated or overlapping records, nothing larger than the file), then the
    names in its pickle are compared with a reviewed list, and then ``torch.load(weights_only=True)`` reads it. The
    file is opened for reading only.

    Parameters
    ----------
    path
        The file.
    unsafe
        Unpickle in full, which runs whatever code the file carries. Only for files whose author you trust.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not such a checkpoint, damaged, or names something that is not on the list; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            root = _check_records(path, records)
            pickled = archive.read(f"{root}/data.pkl")
            order = archive.read(f"{root}/byteorder") if f"{root}/byteorder" in archive.namelist() else b"little"
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError, struct.error) as error:
        raise ValueError(
            f"{path} ({path.stat().st_size:,} bytes) is truncated or damaged: {error}; {_AGAIN}"
        ) from error
    if order.decode("latin1") != sys.byteorder:
        raise ValueError(f"{path} was written on a {order.decode('latin1')}-endian machine: save it again on this kind")
    _check_names(path, pickled, unsafe=unsafe)
    content = _load(path, unsafe=unsafe)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not the dictionary of a checkpoint")
    return Archive(path, content, _match(path, content, records))


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK\x03\x04"):
        return
    if not head:
        raise ValueError(f"{path} is empty")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull`, or download the file")
    if head[:1] == b"\x80":
        raise ValueError(
            f"{path} is a bare pickle, the format of PyTorch before 1.6: it is not read here. Open it with torch on a "
            "machine where it can do no harm, and save it again with torch.save"
        )
    raise ValueError(f"{path} is no PyTorch checkpoint: it begins with {head[:8]!r}, not as a zip file")


def _check_records(path: Path, records: list[zipfile.ZipInfo]) -> str:
    """Return the folder that all records are in."""
    size = path.stat().st_size
    names = [record.filename for record in records]
    packed = [record for record in records if record.compress_type != zipfile.ZIP_STORED]
    if packed:
        worst = max(packed, key=lambda record: record.file_size / max(record.compress_size, 1))
        raise ValueError(
            f"{path} is refused: {len(packed)} of its records are compressed, {worst.filename} to "
            f"1/{worst.file_size / max(worst.compress_size, 1):,.0f}; torch.save compresses nothing, and what unpacks "
            "to far more than the file would fill the memory"
        )
    if any(not 0 <= record.header_offset < size for record in records):
        raise ValueError(f"{path} is damaged: its directory points outside the file; {_AGAIN}")
    claimed = sum(record.file_size for record in records)
    if claimed > size or any(record.file_size != record.compress_size for record in records):
        raise ValueError(f"{path} is refused: its records claim {claimed:,} bytes, the file has {size:,}")
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path} is refused: it holds several records called {repeated!r}")
    pickles = [record for record in records if record.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].filename.count("/") != 1:
        raise ValueError(f"{path} is a zip file, but no PyTorch checkpoint: it holds {names[:5]}")
    if pickles[0].file_size > MAX_PICKLE_BYTES:
        raise ValueError(
            f"{path} is refused: its pickle has {pickles[0].file_size:,} bytes, more than {MAX_PICKLE_BYTES:,}"
        )
    return pickles[0].filename.split("/")[0]


def _check_names(path: Path, pickled: bytes, *, unsafe: bool) -> None:
    try:
        foreign = sorted(named_globals(pickled) - ALLOWED)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; {_AGAIN}") from error
    if not foreign:
        return
    shown = ", ".join(map(plain_name, foreign[:5])) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
    if not unsafe:
        raise ValueError(
            f"{path} is refused: it names {shown}, which a checkpoint of weights does not need and which could run "
            "code. Nothing was run. If you trust whoever made the file as much as a program of theirs, pass "
            "unsafe=True (scprint convert --unsafe), best on a machine that can be spared"
        )
    text = f"UNSAFE: {path} is unpickled in full, with {shown}: whatever code it carries runs now, as you"
    logger.warning(text)
    warnings.warn(text, stacklevel=4)


def _load(path: Path, *, unsafe: bool) -> Any:
    try:
        with torch.serialization.safe_globals(list(STAND_INS.values())), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", mmap=True, weights_only=not unsafe)
    except Exception as error:  # a damaged pickle fails in any way; none of them may look like a fault of this code
        reason = str(error).strip().split("\n")[0][:300]
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {reason}; {_AGAIN}") from error


def _match(path: Path, content: dict[str, Any], records: list[zipfile.ZipInfo]) -> dict[int, zipfile.ZipInfo]:
    """Return the record of each storage of the state dict, by address: where torch mapped the file is not told."""
    state = content.get("state_dict", {})
    tensors = state.values() if isinstance(state, Mapping) else ()
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in tensors
        if isinstance(t, Tensor) and t.numel()
    }
    if not storages:
        return {}
    with path.open("rb") as file:
        by_offset = {_data_offset(file, record): record for record in records if "/data/" in record.filename}
    first = min(storages)
    for offset in sorted(by_offset):
        shifted = {address: by_offset.get(address - first + offset) for address in storages}
        if all(record is not None and record.file_size == storages[at] for at, record in shifted.items()):
            return {at: record for at, record in shifted.items() if record is not None}
    raise ValueError(f"{path} is damaged: its tensors are not of the sizes of its records; {_AGAIN}")


def _data_offset(file: Any, record: zipfile.ZipInfo) -> int:
    file.seek(record.header_offset)
    magic, _, n_name, n_extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if magic != b"PK\x03\x04":
        raise ValueError(f"record {record.filename} has no header where the file says: it is damaged; {_AGAIN}")
    return int(record.header_offset) + _LOCAL_HEADER.size + int(n_name) + int(n_extra)
