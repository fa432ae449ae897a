"""Build the table of gene features that a model can start from: co-expression in a corpus beside protein sequences.

    python packages/scprint-model/scripts/build_gene_features.py runs/bundled/corpus runs/bundled/features.parquet \
        --proteins ../shared/data/protein/human_swissprot.fasta.gz \
        --genes ../shared/data/protein/human_gene_to_swissprot.tsv.gz \
        --orthologs ../shared/data/genes/Ensembl105_Human2Mouse_Genes.csv.gz

The first half of the columns are principal axes of ln(1 + CP10k), centred in each data set, genes weighted by
1/√(standard deviation + 0.2). The second half are singular vectors of the 4-mers of the proteins over 7 classes of
residues, weighted by inverse document frequency; mouse genes have the protein of their human ortholog. Each half of
a row has length 1, or 0 where nothing is known. Genes of the same symbol in both organisms share their row. The column
`weight` is what a gene counts for in a cell's profile. The same input gives the same bytes on one machine.
"""

from __future__ import annotations

import argparse
import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader import CellStore, GeneVocabulary

logger = logging.getLogger(__name__)

#: Added to the standard deviation that divides a gene's values: rare genes must not count for more than common ones.
PRIOR_SD = 0.2
#: Residues of similar size and charge (Shen et al. 2007, PNAS 104:4337).
RESIDUE_CLASSES = ("AGV", "ILFP", "YMTS", "HNQW", "RK", "DE", "C")
WORD = 4
#: Rounds of subspace iteration, and further vectors in them.
ROUNDS, SPARE = 4, 12


def co_expression(
    store: CellStore, vocabulary: GeneVocabulary, n: int, *, most_cells: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's correlations with n components of the cells, and the weight by which their sum gives these.

    float64, shapes (n_rows, n) and (n_rows,). The sum over a cell's genes of ln(1 + CP10k) times weight times the row
    scaled to length 1 is the cell's place on the components, each times its standard deviation.
    """
    rng = np.random.default_rng(seed)
    genes = store.gene_map(vocabulary)
    row_of_gene = np.asarray(vocabulary.shared_rows)
    n_rows = int(row_of_gene.max()) + 1
    blocks, means, first = [], [], 0
    square, cells = np.zeros(n_rows), np.zeros(n_rows)
    for number, size in enumerate(store.dataset_sizes):
        chosen = np.arange(first, first + size)
        first += size
        if size > most_cells:
            chosen = np.sort(rng.choice(chosen, most_cells, replace=False))
        ends, columns, counts = store.gather_csr(chosen, genes)
        totals = np.maximum(store.total_counts(chosen).astype(np.float64), 1)
        values = np.log1p(counts * np.repeat(1e4 / totals, np.diff(ends)))
        shape = (len(chosen), n_rows)
        block = sparse.csr_matrix((values.astype(np.float32), row_of_gene[columns], ends), shape=shape)
        block.sum_duplicates()
        mean = np.asarray(block.mean(axis=0)).ravel()
        seen = mean > 0
        square += np.asarray(block.multiply(block).sum(axis=0)).ravel() - len(chosen) * mean**2
        cells += len(chosen) * seen
        blocks.append(block)
        means.append(mean)
        logger.info("%s: %d cells", store.datasets[number], len(chosen))
    weight = 1 / np.sqrt(np.sqrt(square.clip(0) / cells.clip(1)) + PRIOR_SD)
    axes = np.linalg.qr(rng.standard_normal((n_rows, n + SPARE)))[0]
    values = np.zeros(n + SPARE)
    for _ in range(ROUNDS):
        product = np.zeros_like(axes)
        weighted = (axes * weight[:, None]).astype(np.float32)
        for block, mean in zip(blocks, means, strict=True):
            scores = block @ weighted - mean @ weighted
            product += block.T @ scores - np.outer(mean, scores.sum(axis=0))
        axes, triangle = np.linalg.qr(product * weight[:, None])
        values = np.abs(np.diag(triangle))
    order = np.argsort(-values, kind="stable")[:n]
    axes = axes[:, order] * np.sqrt(values[order] / values[order[0]])
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n)])
    return axes, weight * np.linalg.norm(axes, axis=1)


def protein_words(sequences: list[str], n: int) -> np.ndarray:
    """Return n singular vectors of the words of residue classes, float64, shape (n_sequences, n)."""
    code = np.full(256, -1)
    for number, letters in enumerate(RESIDUE_CLASSES):
        code[[ord(letter) for letter in letters]] = number
    n_classes = len(RESIDUE_CLASSES)
    rows, columns = [], []
    for i, sequence in enumerate(sequences):
        letters = code[np.frombuffer(sequence.encode("ascii"), np.uint8)]
        windows = (
            np.lib.stride_tricks.sliding_window_view(letters, WORD) if len(letters) >= WORD else np.empty((0, WORD))
        )
        windows = windows[(windows >= 0).all(axis=1)]
        words = windows @ (n_classes ** np.arange(WORD))
        rows.append(np.full(len(words), i))
        columns.append(words)
    row, column = np.concatenate(rows), np.concatenate(columns).astype(np.int64)
    counts = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(sequences), n_classes**WORD))
    counts.sum_duplicates()
    frequent = np.asarray((counts > 0).sum(axis=0)).ravel()
    values = np.log1p(counts.toarray()) * np.log((1 + len(sequences)) / (1 + frequent))
    values /= np.linalg.norm(values, axis=1, keepdims=True).clip(1e-12)
    values -= values.mean(axis=0)
    eigenvalues, axes = np.linalg.eigh(values.T @ values)
    axes = axes[:, np.argsort(-eigenvalues, kind="stable")[:n]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n)])
    return values @ axes


def proteins(fasta: Path, table: Path) -> dict[str, str]:
    """Return the sequence of each human gene."""
    sequences: dict[str, list[str]] = {}
    with gzip.open(fasta, "rt") as file:
        for line in file:
            if line.startswith(">"):
                current = sequences.setdefault(line.split("|")[1], [])
            else:
                current.append(line.strip())
    frame = pd.read_csv(table, sep="\t")
    pairs = zip(frame["ensembl_id"], frame["uniprot"], strict=True)
    return {str(gene): "".join(sequences[accession]) for gene, accession in pairs if accession in sequences}


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of 0 stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-9)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="store of cells")
    parser.add_argument("out", type=Path, help="table to write (parquet)")
    parser.add_argument("--proteins", type=Path, required=True, help="sequences of human proteins (fasta.gz)")
    parser.add_argument("--genes", type=Path, required=True, help="table of human genes and their proteins")
    parser.add_argument("--orthologs", type=Path, required=True, help="table of human genes and their mouse orthologs")
    parser.add_argument("--columns", type=int, default=128, help="columns of each half")
    parser.add_argument("--most-cells", type=int, default=3000, help="cells of each data set, at most")
    parser.add_argument("--seed", type=int, default=0, help="seed")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    row_of_gene = np.asarray(vocabulary.shared_rows)
    store = CellStore.open(given.corpus)
    axes, weight = co_expression(store, vocabulary, given.columns, most_cells=given.most_cells, seed=given.seed)
    sequence_of = proteins(given.proteins, given.genes)
    names = [name for name in sequence_of if name in set(vocabulary.ids)]
    words = unit(protein_words([sequence_of[name] for name in names], given.columns))
    at = {name: i for i, name in enumerate(names)}
    # symbols of human genes and of their mouse orthologs, without a header
    human_of = {
        mouse: human for human, mouse in pd.read_csv(given.orthologs, header=None, dtype=str).dropna().to_numpy()
    }
    id_of = {symbol: gene for symbol, gene in zip(vocabulary.symbols, vocabulary.ids, strict=True) if gene in at}
    table = np.zeros((len(vocabulary), 2 * given.columns), np.float32)
    table[:, : given.columns] = unit(axes)[row_of_gene]
    of_row: dict[int, int] = {}
    for gene, symbol, row in zip(vocabulary.ids, vocabulary.symbols, row_of_gene.tolist(), strict=True):
        protein = at.get(gene, at.get(id_of.get(human_of.get(symbol, ""), ""), -1))
        if protein >= 0:
            of_row.setdefault(row, protein)
    for i, row in enumerate(row_of_gene.tolist()):
        if row in of_row:
            table[i, given.columns :] = words[of_row[row]]
    known = table.any(axis=1)
    halves = [int(table[:, part].any(axis=1).sum()) for part in (slice(given.columns), slice(given.columns, None))]
    logger.info("%d of %d genes have features: %d by co-expression, %d by protein", known.sum(), len(known), *halves)
    # as coarse as half precision, in which models are stored: what is trained with is what is kept
    frame = pd.DataFrame(
        table[known].astype(np.float16).astype(np.float32), columns=[str(i) for i in range(table.shape[1])]
    )
    frame.insert(0, "weight", weight[row_of_gene][known].astype(np.float32))
    frame.insert(0, "gene_id", [gene for gene, there in zip(vocabulary.ids, known, strict=True) if there])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(given.out, index=False)


if __name__ == "__main__":
    main()
