"""Keep what people say of the counts that they mean: where they lie, and what to do with values that are not counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CountsChoice:
    """Choice of the raw counts of a data set, and of the cells and genes that they are taken of.

    Parameters
    ----------
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    drop_bad_cells
        Whether to leave out the cells with values that are not counts (NaN, negative, fractional), at most a tenth.
    unique_names
        Whether to number repeated names of cells, as in AAAC-1.
    organism
        Organism of the cells, where the data do not say or hold several.
    genome
        Genome whose genes are taken, where the data hold several, as GRCh38 of 10x files.

    Raises
    ------
    ValueError
        When both `layer` and another place than X are given.
    """

    layer: str | None = None
    counts: str = "X"
    round: bool = False
    drop_bad_cells: bool = False
    unique_names: bool = False
    organism: str | None = None
    genome: str | None = None

    def __post_init__(self) -> None:
        place_of_counts(self.layer, self.counts, usual="X")

    @property
    def place(self) -> str | None:
        """Name of the matrix, as `scdataloader.sources.Source` calls it; None where it has to be found."""
        return place_of_counts(self.layer, self.counts, usual="X")


def place_of_counts(layer: str | None, counts: str | None, *, usual: str) -> str | None:
    """Return the name of the matrix that is meant by a layer or a place; None for ``"auto"``.

    Raises
    ------
    ValueError
        When both are given.
    """
    if layer is None:
        return None if counts in (None, "auto") else counts
    if counts not in (None, usual):
        raise ValueError(f"layer={layer!r} and counts={counts!r} are two places of the raw counts: give one of them")
    return layer if layer.startswith("layers/") else f"layers/{layer}"


def option(name: str, value: object = True) -> str:
    """Write an option as it is given in Python and on a command line."""
    word = f"--{name.replace('_', '-')}"
    return f"{name}={value!r} ({word if value is True else f'{word} {value}'})"
