"""The folder of a Geneformer model, and the dictionaries of its genes, opened so that no code of a file runs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bengrn._wording import listed

#: What old pickles of these dictionaries are made of, beside Python's own numbers and texts.
_PLAIN = {
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "dtype"),
}
_PATTERNS = {
    "tokens": "token_dictionary",
    "medians": "gene_median_dictionary",
    "symbols": "gene_name_id_dict",
    "canonical": "ensembl_mapping_dict",
}
_NEEDED = ("tokens", "medians")


@dataclass(frozen=True, eq=False)
class Dictionaries:
    """The genes that a Geneformer model knows.

    Attributes
    ----------
    tokens
        Token of each Ensembl id and of ``<pad>``, and of ``<cls>`` and ``<eos>`` where the model has them.
    medians
        Median expression of each Ensembl id, by which counts are divided before they are ranked.
    symbols
        Ensembl id of each symbol; empty where the file does not exist.
    canonical
        Ensembl id that stands for another one; empty where the file does not exist.
    """

    tokens: Mapping[str, int]
    medians: Mapping[str, float]
    symbols: Mapping[str, str]
    canonical: Mapping[str, str]


def read_dictionaries(folder: str | Path) -> Dictionaries:
    """Read the dictionaries of a Geneformer model.

    Parameters
    ----------
    folder
        Folder with one file of each name that begins with ``token_dictionary`` and ``gene_median_dictionary``; and
        where there are such, ``gene_name_id_dict`` and ``ensembl_mapping_dict``: pickles as published, or JSON.

    Raises
    ------
    FileNotFoundError
        If a file that is needed is missing.
    ValueError
        If several files could be meant, or one is not a dictionary of plain names and numbers.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for what, start in _PATTERNS.items():
        files = sorted(path for path in Path(folder).glob(f"{start}*") if path.suffix in (".pkl", ".pickle", ".json"))
        if len(files) > 1:
            names = listed(path.name for path in files)
            raise ValueError(f"{folder} holds {names}: keep the one that goes with this model in a folder of its own")
        if not files and what in _NEEDED:
            raise FileNotFoundError(
                f"{folder} has no {start}*.pkl or .json: pass the folder of the gene dictionaries as dictionaries="
            )
        found[what] = _dictionary(files[0]) if files else {}
    if "<pad>" not in found["tokens"]:
        raise ValueError(f"{folder}: the tokens have no '<pad>'")
    return Dictionaries(
        tokens={name: int(token) for name, token in found["tokens"].items()},
        medians={name: float(median) for name, median in found["medians"].items()},
        symbols={name: str(gene) for name, gene in found["symbols"].items()},
        canonical={name.upper(): str(gene) for name, gene in found["canonical"].items()},
    )


class _Reader(pickle.Unpickler):
    """A reader of pickles that builds numbers of numpy and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for, where it is harmless.

        Raises
        ------
        pickle.UnpicklingError
            If it is anything but a number of numpy.
        """
        if (module, name) == ("_codecs", "encode"):  # old pickles write bytes as text
            return _bytes
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for text in {encoding}")
    return text.encode(encoding)


def _dictionary(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = _content(path, file)
    except (pickle.UnpicklingError, ValueError, EOFError, AttributeError, ImportError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is no dictionary of names and numbers: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, and no dictionary")
    odd = [name for name in found if not isinstance(name, str)]
    if odd:
        raise ValueError(f"{path} is no dictionary of names: it has the keys {listed(odd)}")
    return found


def _content(path: Path, file: IO[bytes]) -> Any:
    return json.load(file) if path.suffix == ".json" else _Reader(file).load()
