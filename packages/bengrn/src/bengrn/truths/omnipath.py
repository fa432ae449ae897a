"""OmniPath, literature-curated interactions: the part between the genes of the bundled example, or all of it."""

from __future__ import annotations

import logging
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import TruthRecord, only

logger = logging.getLogger(__name__)

CITATION = (
    "Türei D, Korcsmáros T, Saez-Rodriguez J. OmniPath. Nat Methods 13:966 (2016); "
    "Türei D et al. Mol Syst Biol 17:e9923 (2021)"
)
LICENCE = "the resources OmniPath joins keep licences of their own: cite them; academic use"
SNAPSHOT = "b47f3cd4120b92f567e1195ce9f67047dca5fa098c1c8b10343d76739bd9ccb9"
ORIENTATION = (
    "biology: row = source, as stored. The paper scores the transpose (its networks have few columns that regulate "
    "many rows, OmniPath has many sources with few targets each): transpose=True gives its numbers; report both"
)
_DATASETS = "omnipath,pathwayextra,kinaseextra,ligrecextra,collectri,dorothea,tf_target,lncrna_mrna"
INTERACTIONS = Source(
    name="omnipath_interactions_human.tsv",
    url=(
        f"https://omnipathdb.org/interactions?genesymbols=1&datasets={_DATASETS}&dorothea_levels=A,B,C,D"
        "&organisms=9606&fields=sources,type&license=academic&format=tsv"
    ),
    copies=(("omnipath.parquet", SNAPSHOT),),
    page="https://omnipathdb.org",
)
ACCESSIONS = Source(
    name="uniprot_human.tsv",
    url=(
        "https://rest.uniprot.org/uniprotkb/stream?query=(reviewed:true)+AND+(organism_id:9606)"
        "&format=tsv&fields=accession,gene_primary"
    ),
    copies=(("human_gene_to_swissprot.tsv.gz", None),),
    page="https://www.uniprot.org/proteomes/UP000005640",
)
_KINDS = {"omnipath": None, "omnipath-tf-target": "transcriptional", "omnipath-ppi": "post_translational"}


def _record(name: str, title: str, sizes: tuple[int, int, int, int]) -> TruthRecord:
    edges, regulators, targets, genes = sizes
    return TruthRecord(
        name=name,
        title=title,
        citation=CITATION,
        licence=LICENCE,
        version=f"snapshot sha256:{SNAPSHOT[:12]}",
        may_ship=True,
        edges=edges,
        regulators=regulators,
        targets=targets,
        genes=genes,
        signed=True,
        orientation=ORIENTATION,
        paper_transpose=True,
        knows="the genes its rows mention; bundled: of the bundled example's genes only",
        sources=(INTERACTIONS, ACCESSIONS),
        bundled=True,
    )


RECORDS = (
    _record("omnipath", "literature-curated interactions of every kind", (14088, 1103, 2211, 2990)),
    _record("omnipath-tf-target", "its transcriptional interactions", (4997, 191, 1703, 2990)),
    _record("omnipath-ppi", "its post-translational interactions", (9268, 1012, 1455, 2990)),
)


def load_omnipath(
    *,
    name: str = "omnipath",
    full: bool = False,
    complexes: bool = True,
    via: Literal["service", "client"] = "service",
    cache: Path | None = None,
) -> GroundTruth:
    """Load OmniPath: directed, UniProt accessions mapped to genes (TP53!), duplicates joined.

    Parameters
    ----------
    name
        "omnipath": transcriptional, post-translational and post-transcriptional interactions.
        "omnipath-tf-target", "omnipath-ppi": the transcriptional or the post-translational ones.
    full
        False: the bundled part, edges between the genes of the bundled example, with symbols and Ensembl ids.
        True: everything, named by symbols; fetched, or read from ``omnipath.parquet`` in an offline folder.
    complexes
        Whether to include edges known only for a protein complex, given to each of its members. Without them
        a gene that OmniPath knows only as a member of complexes is unknown to the truth.
    via
        With `full`: "service" reads OmniPath's web service through this package's cache; "client" asks the
        Python package omnipath (``pip install 'bengrn[omnipath]'``), which keeps a cache of its own and
        contacts its servers as soon as it is imported.
    cache
        Another cache folder.

    Notes
    -----
    The truth states its genes, those that the chosen rows mention at all (bundled: of the example's genes), so
    a network's other genes are not scored against it. In the bundled part a pair of several kinds has one
    sign, of all its rows.

    Raises
    ------
    ValueError
        If an option has no such value.
    """
    only(name, _KINDS, "name")
    only(via, ("service", "client"), "via")
    record = next(record for record in RECORDS if record.name == name)
    if not full:
        if via == "client":
            raise ValueError("via='client' fetches everything: give full=True with it")
        return _bundled(record, _KINDS[name], complexes=complexes)
    from bengrn.truths.omnipath_table import all_genes

    table, accessions, version = _from_client() if via == "client" else _from_service(cache)
    kind = _KINDS[name]
    if kind is not None:
        table = table[table["type"] == kind]
    edges, known, report = all_genes(table, accessions)
    logger.info("OmniPath:\n%s", report)
    if not complexes:
        edges, known = edges[~edges["from_complex"]], known[~known["only_in_complexes"]]
    return record.truth(edges, genes=known["symbol"], version=version)


def _bundled(record: TruthRecord, kind: str | None, *, complexes: bool) -> GroundTruth:
    import pyarrow.parquet as pq

    data = files("bengrn.truths") / "data"
    with as_file(data / "omnipath_demo.parquet") as path:
        table = pq.read_table(path)
    with as_file(data / "omnipath_demo_genes.tsv") as path:
        genes = pd.read_csv(path, sep="\t", keep_default_na=False)
    edges = table.to_pandas()
    if not complexes:
        edges = edges[~edges["from_complex"]]
        genes = genes[~genes["only_in_complexes"]]
    if kind is not None:
        edges = edges[edges["kind"].str.split(";").map(lambda kinds: kind in kinds)]
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return record.truth(edges, genes=genes["symbol"], gene_ids=genes["gene_id"], version=metadata["version"])


def _from_service(cache: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    path = fetch(INTERACTIONS, cache=cache)
    if path.suffix == ".parquet":
        # This snapshot has one name column, in which the renaming to symbols missed many accessions.
        return (
            pd.read_parquet(path),
            read_accessions(fetch(ACCESSIONS, cache=cache)),
            f"snapshot sha256:{SNAPSHOT[:12]}",
        )
    with open_content(path) as file:
        table = pd.read_csv(file, sep="\t", keep_default_na=False, na_values=[""], low_memory=False)
    if "source_genesymbol" not in table.columns or "type" not in table.columns:
        raise ValueError(
            f"{path} has the columns {list(table.columns)}: OmniPath's table needs source_genesymbol and type too. "
            f"Delete it, to be fetched anew from {INTERACTIONS.url}"
        )
    date = time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))
    return _as_flags(table), _no_accessions(), f"web service, {date}"


def _from_client() -> tuple[pd.DataFrame, pd.DataFrame, str]:
    try:
        import omnipath  # type: ignore[import-not-found]  # an extra
    except ImportError as error:
        raise ImportError(
            "via='client' needs the package omnipath: pip install 'bengrn[omnipath]', or take via='service'"
        ) from error
    table: pd.DataFrame = omnipath.interactions.AllInteractions.get(
        organisms="human", genesymbols=True, fields=["sources", "type"], dorothea_levels=["A", "B", "C", "D"]
    )
    version = f"omnipath client {getattr(omnipath, '__version__', '')}, {time.strftime('%Y-%m-%d', time.gmtime())}"
    return _as_flags(table), _no_accessions(), version


def _as_flags(table: pd.DataFrame) -> pd.DataFrame:
    """Make booleans of the two flags, which the service writes as True, 1, or text."""
    flags: dict[str, Any] = {
        name: table[name].astype(str).str.lower().isin(("true", "1", "1.0"))
        for name in ("is_stimulation", "is_inhibition")
    }
    return table.assign(**flags)


def read_accessions(path: Path) -> pd.DataFrame:
    """Read which UniProt accession is which gene: ``uniprot, symbol, name_match``.

    Takes UniProt's own table (Entry, Gene Names (primary)) or one with the columns themselves.
    """
    with open_content(path) as file:
        table = pd.read_csv(file, sep="\t", keep_default_na=False, na_values=[""])
    if "Entry" in table.columns:
        table = table.rename(columns={"Entry": "uniprot", "Gene Names (primary)": "symbol"}).dropna(subset=["symbol"])
        table["symbol"] = table["symbol"].str.split(r";\s*", regex=True)
        # A protein that several genes encode is no name of any one of them.
        table["name_match"] = table["symbol"].map(len) == 1
        table = table.explode("symbol")
    return table[["uniprot", "symbol", "name_match"]].reset_index(drop=True)


def _no_accessions() -> pd.DataFrame:
    return pd.DataFrame({"uniprot": pd.Series(dtype=str), "symbol": pd.Series(dtype=str), "name_match": []}).astype(
        {"name_match": bool}
    )
