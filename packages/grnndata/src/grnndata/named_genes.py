"""Genes by any of the names that they have: where those are that were asked for, and what to say of the others."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from ._wording import listed
from .loom import regulon_factor

logger = logging.getLogger(__name__)

_ID = re.compile(r"(ENS[A-Z]*\d{11})(?:\.\d+)?(?:_PAR_Y)?\Z")
#: Ids of GENCODE before release 25 for genes of Y's pseudoautosomal part, which have those on X otherwise.
_OLD_PAR_Y = re.compile(r"ENSGR(\d{10})(?:\.\d+)?\Z")
#: What files put around names: blanks, also those of web pages, quotes, the mark at the beginning of some text files.
_AROUND = " \t\r\n\v\f\u00a0\ufeff\"'"
#: Names that a message shows, and near names of each.
_SHOWN, _NEAR = 3, 3


@dataclass(frozen=True, eq=False)
class NamedGenes:
    """Genes that were asked for by name, and where they are.

    Attributes
    ----------
    asked
        Names that were asked for, in their order.
    at
        Place of each gene, int64, shape (names,); -1 where it was not found.
    what
        Word for these genes in messages, such as ``"regulators"``.
    respelled
        Names that were found in another case or under another name, with the name that the gene has there.
    ambiguous
        Names that several genes have, which count as not found, with the first names of these genes.
    """

    asked: tuple[str, ...]
    at: NDArray[np.int64]
    what: str
    respelled: Mapping[str, str]
    ambiguous: Mapping[str, Sequence[str]]
    _namings: Sequence[Sequence[str]] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of names that were asked for."""
        return len(self.asked)

    @property
    def missing(self) -> list[str]:
        """Names that were not found, each once, in their order."""
        return list(dict.fromkeys(name for name, at in zip(self.asked, self.at.tolist(), strict=True) if at < 0))

    @property
    def places(self) -> NDArray[np.int64]:
        """Places of the genes that were found, in the order of their names, as often as they were named."""
        return self.at[self.at >= 0]

    def also(self, places: Mapping[str, Sequence[int]]) -> NamedGenes:
        """Add genes that are known by other names, such as former symbols.

        Parameters
        ----------
        places
            Places of the genes of such names; those of names that were found already are not used.
        """
        at, respelled, ambiguous = self.at.copy(), dict(self.respelled), dict(self.ambiguous)
        for i, name in enumerate(self.asked):
            genes = [self._namings[0][place] for place in places.get(name, ())]
            if at[i] >= 0 or name in self.ambiguous or not genes:
                continue
            if len(genes) > 1:
                ambiguous[name] = genes[:_SHOWN]
            else:
                at[i], respelled[name] = places[name][0], genes[0]
        _tell({name: gene for name, gene in respelled.items() if name not in self.respelled}, self.what)
        return replace(self, at=at, respelled=respelled, ambiguous=ambiguous)

    def all_found(self, where: str) -> NDArray[np.int64]:
        """Return the places of all names, in their order, or raise ValueError where there is none or one is missing.

        Parameters
        ----------
        where
            Words for what the genes were looked for in, such as ``"in the data"``.
        """
        if not self.asked:
            raise ValueError(f"{self.what} names no gene")
        if self.missing:
            raise ValueError(f"{len(self.missing)} of {len(self)} {self.what} are not {where}, {self.examples()}")
        return self.at

    def examples(self) -> str:
        """Return the first missing names, what is near them, and which were of several genes: for a message."""
        return f"such as [{listed(self.missing, _SHOWN, more=False)}]{self.hint()}"

    def hint(self) -> str:
        """Return the names near the first missing ones, behind a semicolon, or nothing where there are none."""
        several = [name for name in self.missing if name in self.ambiguous][:_SHOWN]
        text = "".join(
            f"; {listed([name])} is of [{listed(self.ambiguous[name])}]: name the gene by its id" for name in several
        )
        near = {name: self._near(name) for name in self.missing[:_SHOWN] if name not in self.ambiguous}
        told = ", ".join(f"[{listed(names)}] for {listed([name])}" for name, names in near.items() if names)
        return text + (f"; near names are {told}" if told else "")

    def _near(self, name: str) -> list[str]:
        wanted = plain_gene_name(name).upper()
        if not wanted or _ID.match(wanted):
            return []  # ids with a digit in common are of genes that have nothing in common
        # a wrong first letter is rare, and comparing with every gene takes a tenth of a second
        there = {
            one.upper(): one
            for naming in self._namings
            for one in naming
            if one[:1].upper() == wanted[0] and not _ID.match(one)
        }
        return [there[one] for one in get_close_matches(wanted, list(there), n=_NEAR, cutoff=0.6)]


def find_genes(asked: Iterable[str], *namings: Sequence[str], what: str = "genes") -> NamedGenes:
    """Find genes by any of the names that they have.

    A name is looked for as it is written, then without what stands around it (blanks, quotes, the version of an Ensembl
    id, the mark of a regulon as in ``CRX(+)``), and then in any case: each time in one naming after the other. A name
    that several genes have counts as not found.

    Parameters
    ----------
    asked
        Names of genes.
    *namings
        Names of the genes that there are, of one kind each, such as ids and symbols, in the same order; ``""`` where a
        gene has none of that kind. The first is the one that messages use.
    what
        Word for the genes that are asked for, for messages.

    Raises
    ------
    TypeError
        When `asked` is one string.

    Examples
    --------
    >>> ids, symbols = ["ENSG00000105392", "ENSG00000163914"], ["CRX", "RHO"]
    >>> find_genes(["ENSG00000163914.6", "CRX(+)", "NRL"], ids, symbols).at
    array([ 1,  0, -1])
    """
    if isinstance(asked, str):
        raise TypeError(f"{what} must be a list of gene names, not the string {asked!r}: pass [{asked!r}]")
    names = list(map(str, asked))
    there = [list(map(str, naming)) for naming in namings]
    at: dict[str, int] = {}
    respelled: dict[str, str] = {}
    ambiguous: dict[str, list[str]] = {}
    left = list(dict.fromkeys(names))
    asked_as, there_as = left, there
    for form in (None, plain_gene_name, str.upper):
        if form is not None:  # each form is made of the one before
            asked_as, there_as = ([form(name) for name in asked_as], [[form(name) for name in one] for one in there_as])
        for naming, spelled in zip(there, there_as, strict=True):
            places = _places(spelled)
            for name, as_is in zip(left, asked_as, strict=True):
                found = places.get(as_is, []) if name not in at and name not in ambiguous else []
                if len(found) == 1:
                    at[name] = found[0]
                    if form is str.upper:
                        respelled[name] = naming[found[0]]
                elif found:
                    ambiguous[name] = [there[0][i] or naming[i] for i in found[:_SHOWN]]
        if len(at) + len(ambiguous) == len(left):
            break
    _tell(respelled, what)
    places_of = np.array([at.get(name, -1) for name in names], dtype=np.int64)
    return NamedGenes(tuple(names), places_of, what, respelled, ambiguous, there)


def plain_gene_name(name: str) -> str:
    """Return a gene's name without blanks, quotes, the version of an Ensembl id, and the mark of a regulon."""
    bare = name.strip(_AROUND)
    if bare.startswith("ENS"):
        if match := _ID.match(bare):
            return match[1]
        if match := _OLD_PAR_Y.match(bare):
            return f"ENSG0{match[1]}"
    return regulon_factor(bare)[0] if bare.endswith((")", "_extended", "-motif", "-track")) else bare


def _places(naming: Sequence[str]) -> dict[str, list[int]]:
    places = defaultdict(list)
    for i, name in enumerate(naming):
        if name:
            places[name].append(i)
    return places


def _tell(respelled: Mapping[str, str], what: str) -> None:
    if respelled:
        some = ", ".join(f"{listed([name])} is {listed([gene])}" for name, gene in list(respelled.items())[:_SHOWN])
        n = len(respelled)
        logger.warning("%s of the %s %s called otherwise there: %s", f"{n:,}", what, "is" if n == 1 else "are", some)
