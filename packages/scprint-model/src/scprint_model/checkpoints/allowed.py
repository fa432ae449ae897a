"""What a published checkpoint may name in its pickle: a reviewed list, most of it replaced by something harmless.

Everything here only puts together plain values out of what the file itself holds. Numpy's own reconstructors are
replaced, since a crafted dtype can make them read memory as objects; callables that could allocate what the file does
not hold (``bytearray``, ``UntypedStorage``) are not on the list.
"""

from __future__ import annotations

import re
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
