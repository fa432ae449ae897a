"""Gene lists that ship with the package, read on first use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_NAMES = {
    "human": "human",
    "homo sapiens": "human",
    "ncbitaxon:9606": "human",
    "mouse": "mouse",
    "mus musculus": "mouse",
    "ncbitaxon:10090": "mouse",
}


def transcription_factors(organism: str = "human") -> list[str]:
    """Return the gene symbols of an organism's transcription factors.

    Parameters
    ----------
    organism
        ``"human"``, ``"Homo sapiens"`` or ``"NCBITaxon:9606"``, and the same for mouse (10090); case does not
        matter.

    Returns
    -------
    list of str
        Sorted; 1,639 for human, 1,860 for mouse.

    Raises
    ------
    ValueError
        When the organism has no list here.

    References
    ----------
    Lambert et al. 2018, The Human Transcription Factors, Cell 172:650-665.
    """
    return list(_read(organism_name(organism, "transcription factors")))


def organism_name(organism: str, wanted: str) -> str:
    """Return ``"human"`` or ``"mouse"`` for any of an organism's names; `wanted` says in the error for what.

    Raises
    ------
    ValueError
        When the organism is another one.
    """
    name = _NAMES.get(str(organism).strip().lower())
    if name is None:
        raise ValueError(
            f"no {wanted} for organism {organism!r}: there are lists for human (NCBITaxon:9606) and mouse "
            "(NCBITaxon:10090)"
        )
    return name


@cache
def _read(name: str) -> tuple[str, ...]:
    text = files(__name__).joinpath(f"tf_{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
