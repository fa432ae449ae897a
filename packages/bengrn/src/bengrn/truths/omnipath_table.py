"""Turn OmniPath's interactions into edges between genes: names mapped, complexes expanded, duplicates joined."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COMPLEX = "COMPLEX:"
ACCESSION = r"^(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-\d+)?$"
NOT_A_GENE = r"^(?:MIMAT|MI\d|hsa-|CHEBI|CID|SID|DB\d)"
COLUMNS = ["source", "target", "source_id", "target_id", "sign", "kind", "from_complex", "resources"]


@dataclass
class Report:
    """A record of what each step did to the number of rows."""

    lines: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, step: str, before: int, after: int) -> None:
        """Note one step."""
        self.lines.append((step, before, after))

    def __str__(self) -> str:
        """Return one line a step."""
        width = max(len(step) for step, _, _ in self.lines)
        return "\n".join(f"{step:<{width}} {after - before:>+9,} -> {after:>9,}" for step, before, after in self.lines)


def gene_names(uniprot: pd.DataFrame, genes: pd.DataFrame) -> pd.Series:
    """Map every name OmniPath may use for a gene of the list to its Ensembl id.

    Symbols of the list come first; one that two genes share names neither. An accession shared by several
    genes goes to the one whose name matches the protein's; where that leaves several or none, the accession
    is not used.
    """
    repeated = genes["gene_id"][genes["gene_id"].duplicated()]
    if len(repeated):
        raise ValueError(f"the gene list repeats {len(repeated):,} ids, first {repeated.iloc[0]}: give each gene once")
    best = uniprot.sort_values("name_match", ascending=False, kind="stable")
    ties = best.groupby("uniprot")["name_match"].transform("sum")
    size = best.groupby("uniprot")["name_match"].transform("size")
    best = best[(size == 1) | ((ties == 1) & best["name_match"])]
    by_accession = best.set_index("uniprot")["ensembl_id"]
    by_accession = by_accession[by_accession.isin(genes["gene_id"])]
    by_symbol = genes[~genes["symbol"].duplicated(keep=False)].set_index("symbol")["gene_id"]
    names = pd.concat([by_symbol, by_accession])
    return names[~names.index.duplicated()]


def expand_complexes(edges: pd.DataFrame) -> pd.DataFrame:
    """Give every edge of a complex to each of its members, marked in the column ``from_complex``."""
    edges = edges.reset_index(drop=True)
    edges[["source", "target"]] = edges[["source", "target"]].fillna("")  # no name is that of no gene
    edges["from_complex"] = edges["source"].str.startswith(COMPLEX) | edges["target"].str.startswith(COMPLEX)
    for side in ("source", "target"):
        is_complex = edges[side].str.startswith(COMPLEX).to_numpy()
        members = edges.loc[is_complex, side].str.removeprefix(COMPLEX).str.split("_")
        times = np.ones(len(edges), dtype=np.int64)
        times[is_complex] = members.map(len)
        edges = edges.loc[np.repeat(edges.index, times)].reset_index(drop=True)
        edges.loc[np.repeat(is_complex, times), side] = [name for names in members for name in names]
    return edges


def merge(edges: pd.DataFrame) -> pd.DataFrame:
    """Join the rows of a gene pair; a complex speaks only where no row names the genes themselves."""
    pair = ["source_id", "target_id"]
    direct = edges.groupby(pair)["from_complex"].transform("min")
    edges = edges[edges["from_complex"] == direct]
    grouped = edges.groupby(pair, sort=True)
    merged = grouped.agg(
        stimulation=("is_stimulation", "max"), inhibition=("is_inhibition", "max"), from_complex=("from_complex", "max")
    )
    # Groups come out in the order of the pairs, as their numbers do.
    number = grouped.ngroup().to_numpy()
    merged["kind"] = _joined(number, edges["type"])
    merged["resources"] = _joined(number, edges["sources"])
    merged = merged.reset_index()
    merged["sign"] = (merged["stimulation"].astype(int) - merged["inhibition"].astype(int)).astype("int8")
    return merged


def _joined(group: NDArray[np.integer], values: pd.Series) -> list[str]:
    """Join the distinct parts of ";"-separated values per group, sorted; groups are numbered from 0."""
    # Few texts are distinct, and most groups have one: those alone are taken apart.
    codes, texts = pd.factorize(values.fillna("").astype(str))
    parts = [frozenset(filter(None, text.split(";"))) for text in texts]
    joined = [";".join(sorted(part)) for part in parts]
    groups, codes = np.divmod(np.unique(group * max(len(texts), 1) + codes), max(len(texts), 1))
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    found = [joined[code] for code in codes[starts]]
    ends = np.append(starts[1:], len(groups))
    for number in np.flatnonzero(ends - starts > 1):
        several = codes[starts[number] : ends[number]]
        found[number] = ";".join(sorted(frozenset[str]().union(*(parts[code] for code in several))))
    return found


def _told_of_names(edges: pd.DataFrame, ids: pd.Series, understood: set[str]) -> pd.DataFrame:
    """Return what is known of each name once, not of each edge: its gene, and whether it is none or not mapped."""
    names = pd.concat([edges["source"], edges["target"]]).drop_duplicates()
    bare = names.str.replace(r"-\d+$", "", regex=True)
    told = {
        # The suffix marks a protein's isoform, but symbols such as HLA-A or RNA5-8S may end alike: try them whole.
        "gene_id": names.map(ids).fillna(bare.map(ids)),
        "no_gene": names.str.contains(NOT_A_GENE),
        "unmapped": names.str.contains(ACCESSION) & ~bare.isin(understood),
    }
    return pd.DataFrame(told).set_axis(names)


def build(
    omnipath: pd.DataFrame, uniprot: pd.DataFrame, genes: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, Report]:
    """Return the edges between the genes of a list, those of the list that OmniPath mentions, and the report.

    Parameters
    ----------
    omnipath
        Columns ``source, target`` (symbols, UniProt accessions, "COMPLEX:A_B"), ``is_stimulation,
        is_inhibition, type, sources``.
    uniprot
        Gene of each accession: ``ensembl_id, symbol, uniprot, name_match``.
    genes
        The list: ``gene_id`` (as ``uniprot.ensembl_id``) and ``symbol``.

    Returns
    -------
    edges
        ``source, target, source_id, target_id, sign, kind, from_complex, resources``, one row a pair.
    known
        ``gene_id, symbol, only_in_complexes``.
    report
        What each step did to the number of rows.
    """
    genes = genes.assign(symbol=genes["symbol"].fillna(genes["gene_id"]))
    report = Report()
    report.add("rows read", 0, len(omnipath))
    edges = omnipath[["source", "target", "is_stimulation", "is_inhibition", "type", "sources"]]
    expanded = expand_complexes(edges)
    report.add("complexes expanded into members", len(edges), len(expanded))

    def step(name: str, keep: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
        report.add(name, len(rows), int(keep.sum()))
        return rows[keep]

    # Symbols such as R3HDM1 look like accessions.
    understood = {*uniprot["uniprot"], *uniprot["symbol"], *genes["symbol"]}
    told = _told_of_names(expanded, gene_names(uniprot, genes), understood)
    of_source, of_target = (told.loc[expanded[side]].set_axis(expanded.index) for side in ("source", "target"))
    expanded = expanded.assign(source_id=of_source["gene_id"], target_id=of_target["gene_id"])
    edges = step("miRNA and small molecules dropped", ~(of_source["no_gene"] | of_target["no_gene"]), expanded)
    everywhere = pd.concat(
        [
            edges[[f"{side}_id", "from_complex"]].rename(columns={f"{side}_id": "gene_id"}).dropna()
            for side in ("source", "target")
        ]
    )
    unmapped = (of_source["unmapped"] | of_target["unmapped"]).loc[edges.index]
    edges = step("UniProt accessions without a gene", ~unmapped, edges)
    edges = step("genes outside the list", edges["source_id"].notna() & edges["target_id"].notna(), edges)
    edges = step("self edges", edges["source_id"] != edges["target_id"], edges)
    merged = merge(edges)
    report.add("rows of one gene pair merged", len(edges), len(merged))

    symbol = genes.set_index("gene_id")["symbol"]
    merged["source"], merged["target"] = merged["source_id"].map(symbol), merged["target_id"].map(symbol)
    only_in_complexes = everywhere.groupby("gene_id")["from_complex"].min()
    known = genes[genes["gene_id"].isin(only_in_complexes.index)][["gene_id", "symbol"]]
    known = known.assign(only_in_complexes=known["gene_id"].map(only_in_complexes)).sort_values("gene_id")
    return merged[COLUMNS], known, report


def all_genes(omnipath: pd.DataFrame, accessions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, Report]:
    """Return every edge between genes, named by symbols: :func:`build` without a list.

    Parameters
    ----------
    omnipath
        Table as for :func:`build`, or as the web service sends it, with ``source_genesymbol`` and
        ``target_genesymbol``.
    accessions
        ``uniprot, symbol, name_match``; accessions that the table itself explains need not be in it.
    """
    if "source_genesymbol" in omnipath.columns:
        # What the table says of itself comes first: a gene's name may have changed since.
        explained = _explained(omnipath)
        others = accessions[~accessions["uniprot"].isin(explained["uniprot"])]
        accessions = pd.concat([explained, others], ignore_index=True)
    accessions = accessions.dropna(subset=["uniprot", "symbol"])
    accessions = accessions.groupby(["uniprot", "symbol"])[["name_match"]].max().reset_index()
    # A symbol stands for itself, so symbols are the ids of this list.
    names = pd.concat([omnipath["source"], omnipath["target"]]).dropna().drop_duplicates()
    mentioned = names.str.removeprefix(COMPLEX).str.split("_").explode().drop_duplicates()
    accession = mentioned.str.contains(ACCESSION) & ~mentioned.isin(accessions["symbol"])
    symbols = pd.concat([accessions["symbol"], mentioned[~accession]]).drop_duplicates()
    symbols = symbols[~symbols.str.contains(NOT_A_GENE) & (symbols != "")]
    genes = pd.DataFrame({"gene_id": symbols, "symbol": symbols}).reset_index(drop=True)
    edges, known, report = build(omnipath, accessions.assign(ensembl_id=accessions["symbol"]), genes)
    return edges.drop(columns=["source_id", "target_id"]), known.drop(columns="gene_id"), report


def _explained(omnipath: pd.DataFrame) -> pd.DataFrame:
    """Read off the table which accession is which symbol: rows of single proteins give both."""
    pairs = pd.DataFrame(
        {
            "uniprot": pd.concat([omnipath["source"], omnipath["target"]], ignore_index=True),
            "symbol": pd.concat([omnipath["source_genesymbol"], omnipath["target_genesymbol"]], ignore_index=True),
        }
    ).drop_duplicates()
    single = pairs["uniprot"].str.contains(ACCESSION, na=False) & pairs["symbol"].notna()
    return pairs[single & (pairs["uniprot"] != pairs["symbol"])].assign(name_match=True)
