"""Fetch the gene table of any organism and release from Ensembl's public tree of files."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from scdataloader.genes.ensembl_server import GENOMES, VERTEBRATES, fetch_checked, listing
from scdataloader.genes.organisms import RELEASES, Division, find, plain_name
from scdataloader.genes.tables import (
    gene_table,
    read_gene_table,
    table_path,
    tables_folder,
    with_names,
    write_gene_table,
)

logger = logging.getLogger(__name__)


_FIELDS = {
    "gene_id": re.compile(r'gene_id "([^"]+)"'),
    "symbol": re.compile(r'gene_name "([^"]+)"'),
    "biotype": re.compile(r'gene_(?:bio)?type "([^"]+)"'),
}
_COLUMN = re.compile(r"^\s*`(\w+)`", re.MULTILINE)
_NAME = re.compile(r"(?!\d+$)[^|]{2,}")  # several are joined by "|"; numbers are NCBI's


def fetch_gene_table(
    organism: str,
    release: int | None = None,
    *,
    division: Division | None = None,
    taxon: str | None = None,
    cache: Path | None = None,
    base_url: str | None = None,
) -> pd.DataFrame:
    """Fetch a gene table from Ensembl and keep it in the cache, where `scdataloader.gene_table` finds it.

    Genes, symbols, biotypes and starts come from the GTF file, NCBI Gene ids from the table of cross references, other
    names from the dump of the core database. Files are checked against Ensembl's CHECKSUMS. A table that is in the
    cache already is returned without a look at the server: releases do not change.

    Parameters
    ----------
    organism
        Ensembl's name such as ``"danio_rerio"``, or any name that `scdataloader.genes.organisms.find` knows.
    release
        Release of Ensembl, or of Ensembl Genomes for all but vertebrates; by default one of
        `scdataloader.genes.organisms.RELEASES`.
    division
        Part of Ensembl; by default that of the organism, and vertebrates for those not in
        `scdataloader.genes.organisms.KNOWN`.
    taxon
        NCBI taxon id; by default that of the organism, or else what Ensembl's database says.
    cache
        Folder of gene tables; by default `scdataloader.genes.tables.tables_folder`.
    base_url
        Root of a mirror.

    Returns
    -------
    pandas.DataFrame
        See `scdataloader.gene_table`.

    Raises
    ------
    ValueError
        When the release or organism does not exist, or a file is damaged.
    ConnectionError
        When the server does not answer.

    References
    ----------
    Dyer et al., Ensembl 2025, Nucleic Acids Research 53:D948. Ensembl's data may be used without restriction.
    """
    known = find(organism)
    name = known.species if known else plain_name(organism).replace(" ", "_")
    taxon = taxon or (known.taxon if known else None)
    division = division or (known.division if known else "vertebrates")
    release = release or RELEASES[division]
    folder = cache or tables_folder()
    if there := sorted(folder.glob(f"{taxon.replace(':', '_') if taxon else '*'}.{name}.{release}.parquet")):
        return gene_table(there[0].name.partition(".")[0].replace("_", ":"), release=release, cache=folder)
    root = (base_url or (VERTEBRATES if division == "vertebrates" else GENOMES)).rstrip("/")
    root += f"/release-{release}" if division == "vertebrates" else f"/{division}/release-{release}"
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        genes = _genes(root, name, release, work)
        dump = _Dump.find(root, name, release, work)
        if taxon is None:
            taxon = dump.taxon() if dump is not None else None
        if taxon is None:
            raise ValueError(f"the NCBI taxon id of {name} is not told at {root}: pass taxon='NCBITaxon:...'")
        names = [_entrez(root, name, release, work)]
        if dump is not None:
            names.append(dump.synonyms(genes))
    table = read_gene_table(with_names(genes.set_index("gene_id"), pd.concat(names, ignore_index=True)))
    write_gene_table(table, table_path(taxon, name, release, cache=folder))
    return gene_table(taxon, release=release, cache=folder)


def _genes(root: str, species: str, release: int, work: Path) -> pd.DataFrame:
    url = f"{root}/gtf/{species}"
    try:
        files = listing(url)
    except FileNotFoundError as error:
        raise ValueError(
            f"Ensembl has no genes of {species!r} in release {release}: there is nothing at {url}/. Species are named "
            "as in danio_rerio, releases are numbered on their own outside the vertebrates (112 is 59 there)"
        ) from error
    # beside it lie NAME.112.chr.gtf.gz and NAME.112.abinitio.gtf.gz
    chosen = [file for file in files if file.endswith(f".{release}.gtf.gz")]
    if len(chosen) != 1:
        raise ValueError(f"one file NAME.{release}.gtf.gz was expected at {url}/, there are {chosen} among {files[:5]}")
    return read_gtf(fetch_checked(url, chosen[0], work))


def _entrez(root: str, species: str, release: int, work: Path) -> pd.DataFrame:
    """Return NCBI Gene ids as names of genes; none where Ensembl has none."""
    url = f"{root}/tsv/{species}"
    try:
        chosen = next((file for file in listing(url) if file.endswith(f".{release}.entrez.tsv.gz")), None)
    except FileNotFoundError:
        chosen = None
    if chosen is None:
        logger.warning("there are no NCBI Gene ids at %s/", url)
        return _named([], "entrez")
    with _unpacked(fetch_checked(url, chosen, work)) as file:
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    if missing := {"gene_stable_id", "xref", "db_name"} - set(table.columns):
        raise ValueError(f"{url}/{chosen} has no columns {sorted(missing)}: it has {list(table.columns)}")
    table = table[(table["db_name"] == "EntrezGene") & table["xref"].str.fullmatch(r"\d+")]
    return _named(zip(table["gene_stable_id"].tolist(), table["xref"].tolist(), strict=True), "entrez")


def _named(pairs: Any, kind: str) -> pd.DataFrame:
    frame = pd.DataFrame(sorted(set(pairs)), columns=["gene_id", "name"], dtype="str")
    return frame.assign(kind=kind)


class _Dump:
    """The text dump of an organism's core database."""

    def __init__(self, url: str, work: Path) -> None:
        self.url = url
        self._work = work

    @classmethod
    def find(cls, root: str, species: str, release: int, work: Path) -> _Dump | None:
        # homo_sapiens_core_112_38; outside the vertebrates drosophila_melanogaster_core_59_112_10
        pattern = re.compile(rf"{re.escape(species)}_core_{release}(_\d+)+[a-z]?")
        try:
            found = next((name for name in listing(f"{root}/mysql") if pattern.fullmatch(name)), None)
        except FileNotFoundError:
            found = None
        if found is None:
            logger.warning("there is no dump of the core database of %s at %s/mysql/: no aliases", species, root)
            return None
        return cls(f"{root}/mysql/{found}", work)

    def taxon(self) -> str | None:
        meta = self._table("meta", ["meta_key", "meta_value"])
        found = meta["meta_value"][meta["meta_key"] == "species.taxonomy_id"].tolist()
        return f"NCBITaxon:{found[0]}" if found else None

    def synonyms(self, genes: pd.DataFrame) -> pd.DataFrame:
        """Return the synonyms of each gene's symbol, without those that are symbols themselves."""
        table = self._table("gene", ["stable_id", "display_xref_id"])
        synonyms = self._table("external_synonym", ["xref_id", "synonym"])
        joined = table.merge(synonyms, left_on="display_xref_id", right_on="xref_id")
        symbols = set(genes["symbol"].str.upper().tolist())
        pairs = zip(joined["stable_id"].tolist(), joined["synonym"].tolist(), strict=True)
        return _named(
            ((gene, name) for gene, name in pairs if name.upper() not in symbols and _NAME.fullmatch(name)), "alias"
        )

    @cached_property
    def _columns(self) -> Mapping[str, list[str]]:
        database = self.url.rpartition("/")[2]
        with _unpacked(fetch_checked(self.url, f"{database}.sql.gz", self._work)) as file:
            text = file.read().decode()
        pattern = re.compile(r"CREATE TABLE `(\w+)` \((.*?)\n\)", re.DOTALL)
        return {match[1]: _COLUMN.findall(match[2]) for match in pattern.finditer(text)}

    def _table(self, name: str, wanted: list[str]) -> pd.DataFrame:
        columns = self._columns.get(name, [])
        if missing := [column for column in wanted if column not in columns]:
            raise ValueError(f"the table {name} of {self.url} has no columns {missing}: it has {columns}")
        with _unpacked(fetch_checked(self.url, f"{name}.txt.gz", self._work)) as file:
            return pd.read_csv(
                file, sep="\t", header=None, names=columns, usecols=wanted, dtype=str, quoting=3, escapechar="\\",
                na_filter=False, encoding_errors="replace",
            )  # fmt: skip


def read_gtf(path: Path) -> pd.DataFrame:
    """Return the genes of a GTF file: ``gene_id, symbol, biotype, chromosome, start``; starts count from 1.

    Files of before Ensembl 75 have no lines for genes: there a gene starts with its first exon.

    Raises
    ------
    ValueError
        When the file is damaged or holds no genes.
    """
    rows = list(_gtf_genes(path, b"\tgene\t"))
    if not rows:
        exons = pd.DataFrame(_gtf_genes(path, b"\texon\t"))
        if exons.empty:
            raise ValueError(f"{path.name} holds no genes")
        first = exons.groupby("gene_id")["start"].min()
        exons = exons.drop_duplicates("gene_id")
        return exons.assign(start=exons["gene_id"].map(first)).reset_index(drop=True)
    return pd.DataFrame(rows)


def _gtf_genes(path: Path, feature: bytes) -> Iterator[dict[str, Any]]:
    with _unpacked(path) as file:
        for line in file:
            if feature not in line or line.startswith(b"#"):
                continue
            columns = line.decode().rstrip("\n").split("\t")
            found = {key: match[1] if (match := field.search(columns[8])) else "" for key, field in _FIELDS.items()}
            if not found["gene_id"]:
                raise ValueError(f"{path.name} has a gene without gene_id: {line[:200].decode()!r}")
            found["symbol"] = found["symbol"] or found["gene_id"]
            # before release 76 the biotype stood in the column of the source
            yield found | {
                "biotype": found["biotype"] or columns[1],
                "chromosome": columns[0],
                "start": int(columns[3]),
            }


@contextmanager
def _unpacked(path: Path) -> Iterator[gzip.GzipFile]:
    try:
        with gzip.open(path, "rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged or cut off: {error}") from error
