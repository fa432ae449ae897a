"""Gene tables: the packaged ones, and a folder of those that were fetched from Ensembl or registered by the user.

Tables that are not packaged are files in the cache (``$SCDATALOADER_CACHE``), named by organism and release. Nothing
is kept in the memory of one process alone, so that worker processes find the same tables.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from scdataloader._atomic import atomic_path
from scdataloader._wording import counted, listed
from scdataloader.genes.organisms import RELEASES, find, plain_name
from scdataloader.resources import packaged_file

#: NCBI taxon ids of the organisms whose gene tables are packaged, and the names people write for them.
ORGANISMS = {"NCBITaxon:9606": "human", "NCBITaxon:10090": "mouse"}
#: Columns of a gene table that hold other names of its genes, joined by "|", and what they are called in alias tables.
NAME_COLUMNS = {"approved": "symbol", "previous": "previous", "aliases": "alias", "entrez": "entrez"}
_COLUMNS = ("symbol", "biotype", "chromosome", "start")
_CHROMOSOME = re.compile(r"^(\d+|X|Y|MT?)$")
_VERSIONED = re.compile(r"^ENS[A-Z]*G\d{11}\.\d+$")
_FILE = re.compile(r"^(NCBITaxon_\d+)\.([^.]+)\.(.+)\.parquet$")
_TAXON = re.compile(r"ncbitaxon:(\d+)")


def organism_id(name: str, *, cache: Path | None = None) -> str:
    """Return the NCBI taxon id of an organism given by any usual name.

    Parameters
    ----------
    name
        ``"human"``, ``"Homo sapiens"``, ``"homo_sapiens"``, ``"NCBITaxon:9606"``; case does not matter. Common
        organisms are known (`organisms.KNOWN`), and all those whose gene table was fetched or registered.
    cache
        Folder of gene tables; by default `tables_folder`.

    Raises
    ------
    ValueError
        When it is none of those.
    """
    if known := find(name):
        return known.taxon
    wanted = plain_name(name)
    for taxon, species, _ in _tables(cache):
        if wanted in (plain_name(taxon), plain_name(species)):
            return taxon
    packaged = ", ".join(f"{label} ({taxon})" for taxon, label in ORGANISMS.items())
    raise ValueError(
        f"unknown organism {name!r}: there are gene tables for {packaged}; for another one, fetch it by its Ensembl "
        f"name (such as {_fetch_command('danio_rerio', RELEASES['vertebrates'])}) or register one of your own "
        "(scdataloader.genes.tables.register_gene_table)"
    )


def gene_table(organism: str, *, release: int | str | None = None, cache: Path | None = None) -> pd.DataFrame:
    """Return the gene table of an organism.

    Parameters
    ----------
    organism
        See `organism_id`.
    release
        Ensembl release of a table that was fetched (`fetch_gene_table`), or the name under which
        one was registered (`register_gene_table`). By default the packaged table of human and mouse, and for other
        organisms the newest release that was fetched, or else the one that was registered.
    cache
        Folder of gene tables; by default `tables_folder`.

    Returns
    -------
    pandas.DataFrame
        Index ``gene_id`` (Ensembl, no version, sorted); columns ``symbol, biotype, chromosome, start`` (base pairs,
        1-based), ``location`` (see `location_index`), and ``previous, aliases, entrez``: former symbols, other names
        and NCBI Gene ids, several joined by ``|``; ``approved`` repeats a symbol that several genes carry at the one
        that the nomenclature means. The packaged ones are GENCODE 48 (human) and M37 (mouse) with names of HGNC, MGI
        and NCBI. Treat it as read-only: it is cached.

    Raises
    ------
    ValueError
        When the organism is unknown or the table does not exist; the message says how to get it.
    """
    taxon = organism_id(organism, cache=cache)
    if release is None and taxon in ORGANISMS:
        return _packaged(ORGANISMS[taxon])
    path = _choose(taxon, release, cache)
    return _read(path, path.stat().st_mtime_ns)


def tables_folder() -> Path:
    """Return the folder of tables that were fetched or registered, in the cache."""
    from scdataloader._cache import cache_folder

    return cache_folder() / "genes"


def table_path(taxon: str, species: str, release: int | str, *, cache: Path | None = None) -> Path:
    """Return where a table is kept."""
    return (cache or tables_folder()) / f"{taxon.replace(':', '_')}.{species}.{release}.parquet"


def register_gene_table(
    table: pd.DataFrame | Path | str, organism: str, *, name: str = "own", cache: Path | None = None
) -> Path:
    """Keep a gene table of your own, so that `gene_table` finds it, in this process and all others.

    Parameters
    ----------
    table
        A table or a file of one; see `read_gene_table`.
    organism
        Name or taxon id; one that is not in `scdataloader.genes.organisms.KNOWN` is given as ``"NCBITaxon:..."``.
    name
        Its name among the organism's tables: ``gene_table(organism, release=name)``. A table that had this name before
        is replaced.
    cache
        Folder of gene tables; by default `tables_folder`.

    Raises
    ------
    ValueError
        When the table, the organism or the name cannot be used.
    """
    known = find(organism)
    taxon = _TAXON.fullmatch(plain_name(organism))
    if known is None and taxon is None:
        raise ValueError(f"unknown organism {organism!r}: give its NCBI taxon id, such as 'NCBITaxon:8090'")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name.isdigit():
        raise ValueError(f"a table cannot be named {name!r}: take letters, digits, - and _, and no bare number")
    path = (
        table_path(known.taxon, known.species, name, cache=cache)
        if known is not None
        else table_path(f"NCBITaxon:{taxon[1] if taxon else ''}", "registered", name, cache=cache)
    )
    write_gene_table(read_gene_table(table), path)
    return path


def write_gene_table(table: pd.DataFrame, path: Path) -> None:
    """Write a checked table as parquet."""
    with atomic_path(path) as temporary:
        table.reset_index().to_parquet(temporary, compression="zstd", index=False)


def read_gene_table(table: pd.DataFrame | Path | str) -> pd.DataFrame:
    """Check a gene table and bring it into the form that `gene_table` describes.

    Parameters
    ----------
    table
        A table, or a parquet, csv or tsv file (also compressed). Needed: unique Ensembl-like ids without version in the
        index or in a column ``gene_id``, and columns ``symbol, biotype, chromosome, start``. Where the symbol is
        missing, the id stands for it. ``location`` is computed if missing; ``approved, previous, aliases,
        entrez`` may be missing.

    Raises
    ------
    ValueError
        When something is missing, or ids are empty, repeated or carry versions, or a start is not a whole number.
    FileNotFoundError
        When the file does not exist.
    """
    frame = _read_any(Path(table)) if isinstance(table, str | Path) else table.copy()
    if "gene_id" not in frame:
        frame = frame.rename_axis("gene_id").reset_index()
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise ValueError(
            f"the gene table has no column {', '.join(map(repr, missing))}: it has [{listed(frame.columns)}], and "
            f"gene_id, {', '.join(_COLUMNS)} are needed"
        )
    frame["gene_id"] = _text(frame["gene_id"]).str.strip()
    ids = frame["gene_id"]
    if (ids == "").any():
        raise ValueError(
            f"{counted(int((ids == '').sum()), 'row of the gene table has', 'rows of the gene table have')} no gene_id"
        )
    if ids.duplicated().any():
        repeated = ids[ids.duplicated()].unique().tolist()
        raise ValueError(
            f"{counted(len(repeated), 'gene id occurs', 'gene ids occur')} more than once in the gene table, "
            f"such as {repeated[:3]}"
        )
    if versioned := [gene for gene in ids.tolist() if _VERSIONED.match(gene)]:
        raise ValueError(f"gene ids must be without version: {len(versioned):,} carry one, such as {versioned[:3]}")
    start = pd.to_numeric(frame["start"], errors="coerce")
    bad = ~(start.notna() & (start >= 0) & (start % 1 == 0) & (start < 2**31))
    if bad.any():
        raise ValueError(
            f"{bad.sum():,} starts in the gene table are no whole numbers of base pairs, such as "
            f"{frame['start'][bad].head(3).tolist()}"
        )
    symbol = _text(frame["symbol"]).str.strip()
    out = pd.DataFrame({"gene_id": ids, "symbol": symbol.where(symbol != "", ids)})
    out["biotype"] = _text(frame["biotype"]).astype("category")
    out["chromosome"] = _text(frame["chromosome"]).astype("category")
    out["start"] = start.astype("int32")
    if "location" in frame:
        out["location"] = frame["location"].astype("int32")
    else:
        out["location"] = location_index(out["chromosome"].astype(str).to_numpy(), out["start"].to_numpy())
    for column in NAME_COLUMNS:
        out[column] = _text(frame[column]) if column in frame else ""
    return out.set_index("gene_id").sort_index()


def _text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").astype(str)


def _read_any(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"there is no gene table {path}")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    comma = "\t" if ".tsv" in path.suffixes or ".txt" in path.suffixes else ","
    return pd.read_csv(path, sep=comma, dtype=str, keep_default_na=False)


def list_tables(*, cache: Path | None = None) -> pd.DataFrame:
    """Return the gene tables there are: ``organism`` (NCBI taxon id), ``name``, ``release``, ``path``.

    Those that are packaged have the release ``"packaged"`` and no path.
    """
    rows = [(taxon, label, "packaged", "") for taxon, label in ORGANISMS.items()]
    for taxon, species, release in _tables(cache):
        known = find(taxon)
        path = table_path(taxon, species, release, cache=cache)
        rows.append((taxon, known.name if known else species.replace("_", " "), release, str(path)))
    return pd.DataFrame(rows, columns=["organism", "name", "release", "path"])


def _tables(cache: Path | None) -> list[tuple[str, str, str]]:
    """Return taxon id, species and release of each table in the folder."""
    folder = cache or tables_folder()
    found = [match for path in sorted(folder.glob("*.parquet")) if (match := _FILE.match(path.name))]
    return [(match[1].replace("_", ":"), match[2], match[3]) for match in found]


def _choose(taxon: str, release: int | str | None, cache: Path | None) -> Path:
    there = {name: species for found, species, name in _tables(cache) if found == taxon}
    if release is None and there:
        numbers = [name for name in there if name.isdigit()]
        if not numbers and len(there) > 1:
            raise ValueError(
                f"there are several gene tables of {taxon}, say which: release={' or '.join(map(repr, there))}"
            )
        release = max(numbers, key=int) if numbers else next(iter(there))
    if str(release) in there:
        return table_path(taxon, there[str(release)], str(release), cache=cache)
    known = find(taxon)
    name = f"{known.name} ({known.scientific}, {taxon})" if known else taxon
    which = "" if release is None else f" of release {release}"
    have = f"; there are {', '.join(sorted(there))}" if there else ""
    if release is not None and not str(release).isdigit():
        raise ValueError(f"no gene table of {name} is registered as {release!r}{have}")
    species = known.species if known else next(iter(there.values()), "SPECIES")
    number = release or RELEASES[known.division if known else "vertebrates"]
    raise ValueError(
        f"there is no gene table{which} of {name}{have}: fetch it with {_fetch_command(species, number)}, or register "
        "one of your own (scdataloader.genes.tables.register_gene_table)"
    )


def _fetch_command(species: str, release: int | str) -> str:
    return f"`scdataloader genes fetch {species} --release {release}`"


@lru_cache(maxsize=4)
def _packaged(label: str) -> pd.DataFrame:
    with packaged_file(f"genes_{label}.parquet") as path:
        table = pd.read_parquet(path).set_index("gene_id")
    with packaged_file(f"aliases_{label}.parquet") as path:
        return with_names(table, pd.read_parquet(path))


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> pd.DataFrame:
    return read_gene_table(path)


def with_names(table: pd.DataFrame, names: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of other names to a gene table.

    Parameters
    ----------
    table
        Index ``gene_id``.
    names
        Columns ``gene_id, kind, name``, where kind is ``"symbol"``, ``"previous"``, ``"alias"`` or ``"entrez"``.
    """
    table = table.copy()
    for column, kind in NAME_COLUMNS.items():
        one = names[names["kind"] == kind]
        joined: dict[str, str] = {}
        for gene, name in zip(one["gene_id"].tolist(), one["name"].tolist(), strict=True):
            joined[gene] = f"{joined[gene]}|{name}" if gene in joined else name
        table[column] = [joined.get(gene, "") for gene in table.index.tolist()]
    return table


def location_index(chromosomes: np.ndarray, starts: np.ndarray, *, gap: int = 10_000) -> np.ndarray:
    """Return a number for each gene's place along the genome: genes whose starts are close share one.

    Walking along each chromosome, a gene that starts less than `gap` base pairs after the one before it has the same
    location; otherwise the number goes up by one, as it does at each new chromosome. Numbers start at 1.

    Parameters
    ----------
    chromosomes
        Names, shape (n_genes,). 1, 2, ... X, Y, MT come first, in that order, then all others by name.
    starts
        Start of each gene in base pairs, shape (n_genes,).
    gap
        Smallest distance in base pairs that starts a new location.

    Returns
    -------
    numpy.ndarray
        int32, shape (n_genes,), in the order of the input.

    References
    ----------
    Kalfon et al. 2025, Methods, "Expression encoder", 2.
    """

    def rank(name: str) -> tuple[int, int, str]:
        if not _CHROMOSOME.match(name):
            return (2, 0, name)
        return (0, int(name), "") if name.isdigit() else (1, "XYM".index(name[0]), "")

    names = np.asarray(chromosomes).astype(str)
    ordered = {name: i for i, name in enumerate(sorted(set(names), key=rank))}
    chromosome = np.array([ordered[name] for name in names])
    start = np.asarray(starts, dtype=np.int64)
    order = np.lexsort((start, chromosome))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(chromosome[order]) != 0) | (np.diff(start[order]) >= gap)
    out = np.empty(len(order), dtype=np.int32)
    out[order] = np.cumsum(new)
    return out
