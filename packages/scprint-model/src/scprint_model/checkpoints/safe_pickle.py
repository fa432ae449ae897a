"""Names that a published checkpoint's pickle may use: a reviewed list, most of it replaced by something harmless.

Names are found without running the pickle. Everything on the list only puts together plain values out of what the file
itself holds. Numpy's own reconstructors are replaced, since a crafted dtype can make them read memory as objects;
callables that could allocate what the file does not hold (``bytearray``, ``UntypedStorage``) are not on the list.
"""

from __future__ import annotations

import pickletools
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable
from typing import Any

import numpy as np

_STORAGES = "BFloat16 Bool Byte Char Double Float Half Int Long Short".split()  # noqa: SIM905

#: Names that torch's own restricted unpickler resolves, and that these files need.
FROM_TORCH = frozenset(
    {
        "_codecs.encode",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor_v2",
        "torch.nn.parameter.Parameter",
        *(f"torch.{kind}Storage" for kind in _STORAGES),
        *(f"torch.{name}" for name in "bfloat16 bool float16 float32 float64 int8 int16 int32 int64 uint8".split()),  # noqa: SIM905
    }
)

_PLAIN_DTYPE = re.compile(r"[?biufUSO]\d{0,4}")


class DType:
    """Stands for `numpy.dtype`: plain numbers, text and Python objects only."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise ValueError(f"it holds a numpy array of type {code!r}; plain numbers and text are read")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if len(state) > 1 and state[1] == ">" else "<"

    def values(self, data: object) -> list[Any]:
        """Return the values that `data`, bytes or a list of objects, holds."""
        if self.code.startswith("O"):
            return list(data) if isinstance(data, list) else [data]
        return np.frombuffer(data, dtype=np.dtype(self.order + self.code)).tolist()  # type: ignore[call-overload]


class Array:
    """Stands for `numpy.ndarray`: a flat list."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, dtype, _, data = state
        self._values = dtype.values(data)

    def tolist(self) -> list[Any]:
        """Return the values."""
        return self._values


def _scalar(dtype: DType, data: object) -> Any:
    return dtype.values(data)[0]


def _reconstruct(*_: object) -> Array:
    array: Array = STAND_INS["numpy.ndarray"]()
    return array


def _default_dict(_factory: object = None, items: Iterable[Any] = ()) -> dict[Any, Any]:
    return dict(items)


def _path(*parts: str) -> str:
    return "/".join(parts).replace("//", "/", 1)


class AttributeDict:
    """Stands for Lightning's dictionaries with attributes: a plain one."""

    def __new__(cls, *arguments: Any) -> Any:  # noqa: D102
        return dict(*arguments)


def _frozen_set(items: Iterable[Any] = ()) -> set[Any]:
    return set(items)


def _named(name: str, value: Any) -> Any:
    """Return a copy of a function or class under the name by which torch's unpickler knows it."""
    module, _, last = name.rpartition(".")
    if isinstance(value, type):
        return type(last, (value,), {"__module__": module, "__qualname__": last})

    def stand_in(*arguments: Any) -> Any:
        return value(*arguments)

    stand_in.__module__, stand_in.__qualname__, stand_in.__name__ = module, last, last
    return stand_in


def _inert(*_: object) -> None:
    """Stand for a type that is only named, as the factory of a default dictionary."""


#: Stand-ins for names that torch does not resolve.
STAND_INS: dict[str, Any] = {
    name: _named(name, value)
    for name, value in {
        "builtins.frozenset": _frozen_set,
        "collections.defaultdict": _default_dict,
        **{f"builtins.{kind}": _inert for kind in ("bool", "dict", "float", "int", "list", "str", "tuple")},
        **{
            f"{module}.AttributeDict": AttributeDict
            for module in (
                "lightning.fabric.utilities.data",
                "lightning.pytorch.utilities.parsing",
                "lightning_fabric.utilities.data",
                "pytorch_lightning.utilities.parsing",
            )
        },
        "numpy.dtype": DType,
        "numpy.ndarray": Array,
        **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
        **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
        **{
            f"{module}.{kind}": _path
            for module in ("pathlib", "pathlib._local")
            for kind in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
        },
    }.items()
}

ALLOWED = FROM_TORCH | frozenset(STAND_INS)


_ARGUMENT = {ord(op.code): (0 if op.arg is None else op.arg.n) for op in pickletools.opcodes}
#: Bytes that follow opcodes of fixed length which name nothing; -1 for all others.
_FIXED = [_ARGUMENT.get(code, -1) for code in range(256)]
_UNICODE = ord("X")
_GLOBAL, _INST, _STACK_GLOBAL, _STOP = b"ci\x93."
#: They name things by number, in a registry of this Python.
_BY_NUMBER = frozenset(b"\x82\x83\x84")
for _code in (_STACK_GLOBAL, _STOP, *_BY_NUMBER):
    _FIXED[_code] = -1
_TEXT = frozenset(b"VX\x8c\x8d")
_MODULES = {"posix": "os", "nt": "os"}


def named_globals(data: bytes) -> set[str]:
    """Return the full names of all functions and classes that a pickle refers to.

    Parameters
    ----------
    data
        The pickle; its length bounds the work.

    Raises
    ------
    ValueError
        When it is not a complete pickle.
    """
    found: set[str] = set()
    at, size = 0, len(data)
    before = last = slice(0)
    try:
        while True:
            code = data[at]
            if (fixed := _FIXED[code]) >= 0:
                at += 1 + fixed
                continue
            if code == _UNICODE:  # most of a checkpoint's pickle, so without a call
                content = at + 5
                at = content + int.from_bytes(data[at + 1 : content], "little")
                before, last = last, slice(content, at)
                continue
            begin = at + 1
            at, text = _argument(data, begin, code)
            if at > size:
                break
            if code in _TEXT:
                before, last = last, slice(text, at)
            elif code in (_GLOBAL, _INST):
                module, name = data[begin:at].decode("utf-8", "replace").split("\n")[:2]
                found.add(_python3(module, name))
            elif code == _STACK_GLOBAL:
                module, name = (data[part].decode("utf-8", "replace").rstrip("\n") for part in (before, last))
                found.add(_python3(module, name))
            elif code in _BY_NUMBER:
                found.add(f"extension {int.from_bytes(data[begin:at], 'little')}")
            elif code == _STOP:
                return found
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"its pickle is damaged at byte {at:,} of {size:,}") from error
    raise ValueError(f"its pickle ends within an instruction, after {size:,} bytes")


def _argument(data: bytes, begin: int, code: int) -> tuple[int, int]:
    """Return where the argument of an opcode ends, and where its content begins."""
    n = _ARGUMENT[code]
    if n >= 0:
        return begin + n, begin
    if n == pickletools.UP_TO_NEWLINE:
        end = data.index(b"\n", begin) + 1
        return (data.index(b"\n", end) + 1 if code in (_GLOBAL, _INST) else end), begin
    width = {
        pickletools.TAKEN_FROM_ARGUMENT1: 1,
        pickletools.TAKEN_FROM_ARGUMENT4: 4,
        pickletools.TAKEN_FROM_ARGUMENT4U: 4,
        pickletools.TAKEN_FROM_ARGUMENT8U: 8,
    }[n]
    content = begin + width
    if content > len(data):
        raise IndexError
    return content + int.from_bytes(data[begin:content], "little"), content


def _python3(module: str, name: str) -> str:
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def plain_name(name: str) -> str:
    """Return the name with the one that people know behind it, as ``posix.system (os.system)``."""
    module, _, rest = name.partition(".")
    return f"{name} ({_MODULES[module]}.{rest})" if module in _MODULES else name
