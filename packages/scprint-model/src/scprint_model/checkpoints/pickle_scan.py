"""Which globals a pickle names, read off its opcodes; nothing is run."""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

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
        When it is no complete pickle.
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
