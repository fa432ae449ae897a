"""OmniPath, literature-curated interactions: all of it, fetched or from a file that the user has."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bengrn._content import open_content
from bengrn._wording import listed
from bengrn.fetch import Source, content_hash, fetch
from bengrn.truths import uniprot
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import TruthRecord, only

logger = logging.getLogger(__name__)

CITATION = (
    "Türei D, Korcsmáros T, Saez-Rodriguez J. OmniPath. Nat Methods 13:966 (2016); "
    "Türei D et al. Mol Syst Biol 17:e9923 (2021)"
)
LICENCE = (
    "the resources OmniPath joins keep licences of their own: cite them; academic use. Accessions are mapped to genes "
    f"by {uniprot.LICENCE}: {uniprot.CITATION}"
)
SNAPSHOT = "b47f3cd4120b92f567e1195ce9f67047dca5fa098c1c8b10343d76739bd9ccb9"
SNAPSHOT_VERSION = f"snapshot sha256:{SNAPSHOT[:12]}"
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
#: The kind of interaction that each name takes; None takes every kind.
KINDS = {"omnipath": None, "omnipath-tf-target": "transcriptional", "omnipath-ppi": "post_translational"}
_COLUMNS = ("source", "target", "is_stimulation", "is_inhibition", "type", "sources")


def _record(name: str, title: str, part: str, sizes: tuple[int, int, int, int]) -> TruthRecord:
    edges, regulators, targets, genes = sizes
    return TruthRecord(
        name=name,
        title=title,
        citation=CITATION,
        licence=LICENCE,
        version=f"as the web service sends it; sizes are those of the {SNAPSHOT_VERSION}",
        edges=edges,
        regulators=regulators,
        targets=targets,
        genes=genes,
        signed=True,
        orientation=ORIENTATION,
        paper_transpose=True,
        knows="the genes its rows mention",
        part=part,
        sources=(INTERACTIONS,),
    )


RECORDS = (
    _record("omnipath", "literature-curated interactions of every kind", "", (212944, 7485, 16227, 16505)),
    _record(
        "omnipath-tf-target",
        "its transcriptional interactions",
        "the transcriptional interactions of OmniPath",
        (110481, 1274, 15408, 15463),
    ),
    _record(
        "omnipath-ppi",
        "its post-translational interactions",
        "the post-translational interactions of OmniPath",
        (106407, 6997, 9009, 10381),
    ),
)


def load_omnipath(
    *,
    name: str = "omnipath",
    path: str | Path | None = None,
    complexes: bool = True,
    via: Literal["service", "client"] = "service",
    cache: Path | None = None,
) -> GroundTruth:
    """Load all of OmniPath: directed, UniProt accessions mapped to genes (TP53!), duplicates joined.

    Parameters
    ----------
    name
        Name of the truth. "omnipath" has transcriptional, post-translational and post-transcriptional
        interactions, "omnipath-tf-target" the transcriptional and "omnipath-ppi" the post-translational ones.
    path
        File of OmniPath's interactions (tsv, csv, each also compressed, or parquet), as its web service or its
        Python client gives them, or a folder that holds one as ``omnipath_interactions_human.tsv`` or
        ``omnipath.parquet``. Default: a folder that ``BENGRN_DATA`` names, the cache, then the web service.
    complexes
        Whether to include edges known only for a protein complex, given to each of its members. Without them
        a gene that OmniPath knows only as a member of complexes is unknown to the truth.
    via
        Way to fetch. "service" reads OmniPath's web service through this package's cache. "client" asks the
        Python package omnipath (``pip install 'bengrn[omnipath]'``), which keeps a cache of its own and
        contacts its servers as soon as it is imported.
    cache
        Another cache folder.

    Notes
    -----
    The truth states its genes, those that the chosen rows mention at all, so a network's other genes are not
    scored against it. Accessions that the table itself does not name are mapped to genes by a table of UniProt
    (CC BY 4.0) that comes with the package. "omnipath-demo" is the part between the genes of the bundled examples:
    :func:`bengrn.truths.omnipath_demo.load_omnipath_demo`.

    Raises
    ------
    ValueError
        If an option has no such value, or the file is not a table of OmniPath.
    FileNotFoundError
        If `path` does not exist, or is a folder without the table.
    ConnectionError
        If it has to be fetched and cannot be.
    """
    only(name, KINDS, "name")
    only(via, ("service", "client"), "via")
    if path is not None and via == "client":
        raise ValueError("path= reads a file and via='client' fetches: give one of them")
    from bengrn.truths.omnipath_table import all_genes

    if via == "client":
        table, version = _from_client()
    elif path is not None:
        table, version = _from_file(Path(path))
    else:
        table, version = _from_service(cache)
    kind = KINDS[name]
    if kind is not None:
        table = table[table["type"] == kind]
    edges, known, report = all_genes(table, uniprot.human_accessions())
    logger.info("OmniPath:\n%s", report)
    record = next(record for record in RECORDS if record.name == name)
    if not complexes:
        edges, known = edges[~edges["from_complex"]], known[~known["only_in_complexes"]]
    return record.truth(edges, genes=known["symbol"], version=version, part=part_of(record.part, complexes=complexes))


def is_interactions(path: Path) -> bool:
    """Say whether a file is a table of OmniPath's interactions, as `load_omnipath` reads it with ``path=``."""
    if _is_parquet(path):
        from pyarrow.parquet import read_schema

        names = read_schema(path).names
    else:
        with open_content(path) as file:
            line = file.readline().decode(errors="replace").strip()
        names = line.split("\t" if "\t" in line else ",")
    return {*_COLUMNS} <= {*names}


def part_of(part: str, *, complexes: bool) -> str:
    """Say which part of OmniPath it is, edges of complexes left out or not."""
    return part if complexes else "; ".join(filter(None, [part, "without edges known only for protein complexes"]))


def _from_file(path: Path) -> tuple[pd.DataFrame, str]:
    if path.is_dir():
        names = [INTERACTIONS.name, *(name for name, _ in INTERACTIONS.copies), f"{INTERACTIONS.name}.gz"]
        found = [path / name for name in names if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"the folder {path} holds none of {', '.join(names)}: name the file itself")
        path = found[0]
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return _read(path), _version(path)


def _from_service(cache: Path | None) -> tuple[pd.DataFrame, str]:
    try:
        path = fetch(INTERACTIONS, cache=cache)
    except (ConnectionError, FileNotFoundError) as error:
        raise type(error)(
            f"{error}. A file of OmniPath's interactions that you have is read with path=…. The truth 'omnipath-demo', "
            "the part between the genes of the bundled examples, needs no connection"
        ) from error
    if path.suffix == ".parquet":
        return _read(path), _version(path)
    try:
        table = _read(path)
    except ValueError as error:
        raise ValueError(f"{error}. Delete it, to be fetched anew from {INTERACTIONS.url}") from error
    date = time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))
    return table, f"web service, {date}, sha256:{content_hash(path)[:12]}"


def _version(path: Path) -> str:
    digest = content_hash(path)
    return SNAPSHOT_VERSION if digest == SNAPSHOT else f"{path.name}, sha256:{digest[:12]}"


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read(path: Path) -> pd.DataFrame:
    if _is_parquet(path):
        table = pd.read_parquet(path)
    else:
        with open_content(path) as file:
            separator = "\t" if b"\t" in file.readline() else ","
        with open_content(path) as file:
            table = pd.read_csv(file, sep=separator, keep_default_na=False, na_values=[""], low_memory=False)
    missing = [column for column in _COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(
            f"{path} has the columns {listed(table.columns)}: OmniPath's table of interactions has "
            f"{', '.join(missing)} too"
        )
    return _as_flags(table)


def _from_client() -> tuple[pd.DataFrame, str]:
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
    return _as_flags(table), version


def _as_flags(table: pd.DataFrame) -> pd.DataFrame:
    """Make booleans of the two flags, which the service writes as True, 1, or text."""
    flags: dict[str, Any] = {
        name: table[name].astype(str).str.lower().isin(("true", "1", "1.0"))
        for name in ("is_stimulation", "is_inhibition")
    }
    return table.assign(**flags)
