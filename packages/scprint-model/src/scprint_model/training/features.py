"""Look up in the training cells, before it begins, what a training with gene features and a profile needs.

Shapes: G genes of the vocabulary, R rows of the gene table, F features, B cells.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scdataloader import CellDataModule, GeneVocabulary
from scprint_model.gene_embeddings.table import load_table, read_table, start_from_table
from scprint_model.layers.gene_encoder import GeneEncoder
from scprint_model.layers.profile_encoder import Profile
from scprint_model.layers.value_encoder import CP10K
from scprint_model.model import ScPrint
from scprint_model.noise import thin

logger = logging.getLogger(__name__)

#: Standard deviation of learned gene embeddings at the start.
LEARNED_STD = 0.5
#: Cells of each data set that the profile's statistics are of, at most: all data sets count alike.
STATISTICS_CELLS = 500
#: Added to the standard deviation that divides a gene's values: rare genes must not count for more than common ones.
PRIOR_SD = 0.2
_CHUNK = 1 << 12
#: Share of the counts that is kept to see what depth does to profiles.
THINNING = 0.25


def start_genes(
    encoder: GeneEncoder,
    vocabulary: GeneVocabulary,
    features: Path | str | None,
    embeddings: Path | str | None,
    *,
    std: float | None,
    freeze: bool,
) -> None:
    """Give a gene encoder its first tables: features, the embeddings of a table, or random rows.

    Parameters
    ----------
    encoder
        Changed.
    vocabulary
        Genes of the encoder.
    features
        Table of features; see `fill_features`.
    embeddings
        Table of embeddings; see `scprint_model.gene_embeddings.start_from_table`.
    std
        Standard deviation of the entries; None: 0.5 for what is learned, and as they are for a table's embeddings.
    freeze
        Whether to keep the rows of a table of embeddings as they are.
    """
    if features is not None:
        fill_features(encoder, features, vocabulary, std=LEARNED_STD if std is None else std)
    elif embeddings is not None:
        table, found = load_table(embeddings, vocabulary, encoder.table.embedding_dim, std=std)
        start_from_table(encoder.table, table, found, freeze=freeze)
    else:
        torch.nn.init.normal_(encoder.table.weight, std=LEARNED_STD if std is None else std)


def table_width(path: Path | str) -> int:
    """Return the number of features of a table, see `scprint_model.gene_embeddings.load_table`."""
    file = Path(path)
    if file.is_dir():
        file = next(iter(sorted(file.glob("[!.]*.parquet"))), file)
    return sum(name.isdigit() for name in read_table(file).columns)


def table_weights(path: Path | str, vocabulary: GeneVocabulary) -> Tensor | None:
    """Return what each gene counts for in a profile, (G,), 0 where the table has no row; None where it does not say."""
    if Path(path).is_dir():
        return None
    table = read_table(path)
    if "weight" not in table:
        return None
    at = vocabulary.index(table["gene_id"].tolist())
    weight_g = torch.zeros(len(vocabulary))
    known = at >= 0
    weight_g[torch.from_numpy(at[known])] = torch.from_numpy(table["weight"].to_numpy(np.float32)[known])
    return weight_g


def fill_features(encoder: GeneEncoder, path: Path | str, vocabulary: GeneVocabulary, *, std: float) -> None:
    """Put a table of features into a gene encoder, whose map then gives tokens of a given size.

    Parameters
    ----------
    encoder
        With features; changed. Its own table is set to 0.
    path
        Table of gene features: that of ``scripts/build_gene_features.py``, or any table of gene embeddings such as
        ESM2's. Genes that share a row of the encoder get the mean over those that are in the table.
    vocabulary
        Genes of the encoder.
    std
        Standard deviation of the entries of the first tokens.
    """
    features_gf, found_g = load_table(path, vocabulary, encoder.n_features, fallback="zero")
    rows = encoder.rows_of(torch.arange(len(vocabulary)))[found_g]
    counts = torch.zeros(len(encoder.features)).index_add_(0, rows, torch.ones(len(rows)))
    encoder.features.zero_().index_add_(0, rows, features_gf[found_g])
    encoder.features /= counts.clamp(min=1)[:, None]
    length = encoder.features[counts > 0].square().sum(dim=1).mean().sqrt()
    torch.nn.init.normal_(encoder.map.weight, std=float(std / length))
    torch.nn.init.zeros_(encoder.table.weight)


def train_common_rows(encoder: GeneEncoder, cells_r: Tensor, least: int) -> None:
    """Train the encoder's own row of a gene only where enough cells show it; the others stay as they are.

    Parameters
    ----------
    encoder
        Changed.
    cells_r
        (R,) training cells that express a gene of each row.
    least
        Fewest cells.
    """
    trained = (cells_r >= least)[:, None]
    weight = encoder.table.weight
    weight.partly_trained = True  # type: ignore[attr-defined]
    weight.register_hook(lambda gradient: gradient * trained.to(gradient.device))  # type: ignore[no-untyped-call]
    logger.info("%d of %d rows of genes are trained: at least %d cells show them", trained.sum(), len(trained), least)


@dataclass(frozen=True, eq=False)
class SeenCells:
    """Summary of some training cells: expressed genes of a balanced choice of them, and how often each gene is seen.

    Attributes
    ----------
    cells_r
        (R,) training cells that express a gene of each row.
    profiles
        One a data set.
    totals
        Total counts of its cells, one a data set.
    measured
        (n_datasets, G) bool: genes that each data set measures.
    """

    cells_r: Tensor
    profiles: list[Profile]
    totals: list[Tensor]
    measured: Tensor

    @classmethod
    def of(cls, data: CellDataModule, encoder: GeneEncoder, *, seed: int = 0) -> SeenCells:
        """Read them."""
        cells = data.cells
        store, vocabulary = cells.store, data.vocabulary
        genes = store.gene_map(vocabulary)
        chosen = data.train_cells
        cells_g = np.zeros(len(vocabulary), np.int64)
        for begin in range(0, len(chosen), _CHUNK):
            _, seen, _ = store.gather_csr(_rows(data, chosen[begin : begin + _CHUNK]), genes)
            cells_g += np.bincount(seen, minlength=len(vocabulary))
        rows = encoder.rows_of(torch.arange(len(vocabulary)))
        cells_r = torch.zeros(len(encoder.table.weight), dtype=torch.int64)
        cells_r.index_add_(0, rows, torch.from_numpy(cells_g))
        profiles, totals = [], []
        measured = torch.zeros(len(cells.names), len(vocabulary), dtype=torch.bool)
        rng = np.random.default_rng(seed)
        of = cells.dataset[chosen]
        for number in range(len(cells.names)):
            mine = chosen[of == number]
            mine = np.sort(rng.choice(mine, min(len(mine), STATISTICS_CELLS), replace=False))
            store_rows = _rows(data, mine)
            starts, indices, counts = store.gather_csr(store_rows, genes)
            profiles.append(
                Profile(
                    genes=torch.from_numpy(indices.astype(np.int64)),
                    counts=torch.from_numpy(counts.astype(np.float32)),
                    starts=torch.from_numpy(starts.astype(np.int64)),
                )
            )
            totals.append(torch.from_numpy(store.total_counts(store_rows).astype(np.float32)))
            tables = {int(table) for table in store.part_tables[store.part_of(store_rows)]}
            for table in tables:
                known = genes.tables[table]
                measured[number, torch.from_numpy(known[known >= 0].astype(np.int64))] = True
        return cls(cells_r, profiles, totals, measured)


@torch.no_grad()
def fill_profile(model: ScPrint, seen: SeenCells, weight_g: Tensor | None = None, *, seed: int = 0) -> Tensor:
    """Set the statistics of a network's profile encoder, and return the centre of each data set, (n_datasets, F).

    The features are divided by the square root of their standard deviation over the corpus, so that strong ones stay
    stronger than weak ones, but less so. The effect of depth is measured by thinning the cells to a quarter.

    Parameters
    ----------
    model
        Network with a profile encoder; changed.
    seen
        Training cells.
    weight_g
        Weight of each gene; None: 1/√(s + 0.2), where s is the standard deviation of its ln(1 + CP10k) within data
        sets.
    seed
        Seed for the thinning.
    """
    encoder, profile = model.gene_encoder, model.profile_encoder
    n_rows = len(profile.weight)
    total, squares, n = (torch.zeros(n_rows, dtype=torch.float64) for _ in range(3))
    for cells, totals, measured in zip(seen.profiles, seen.totals, seen.measured, strict=True):
        rows = encoder.rows_of(cells.genes)
        values = torch.log1p(cells.counts * (1e4 / totals.clamp(min=1))[cells.cells]).double()
        there = torch.zeros(n_rows, dtype=torch.float64)
        there[encoder.rows_of(measured.nonzero()[:, 0])] = len(totals)
        sums = torch.zeros(n_rows, dtype=torch.float64).index_add_(0, rows, values)
        total += sums
        squares += torch.zeros(n_rows, dtype=torch.float64).index_add_(0, rows, values.square())
        squares -= sums.square() / len(totals)
        n += there
    spread = (squares.clamp(min=0) / n.clamp(min=1)).sqrt()
    profile.mean.copy_(total / n.clamp(min=1))
    weight = (spread + PRIOR_SD).rsqrt()
    if weight_g is not None:
        weight = weight.new_zeros(n_rows)
        weight[encoder.rows_of(torch.arange(len(weight_g)))] = weight_g.double()
    profile.weight.copy_(torch.where((n > 0) & (total > 0), weight, 0))
    centres = profile.centre_of(seen.measured, encoder)
    generator = torch.Generator().manual_seed(seed)
    features, thinned = [], []
    for cells, totals, centre in zip(seen.profiles, seen.totals, centres, strict=True):
        whole = cells.centred(centre)
        features.append(profile.summed(whole, totals, encoder))
        shallow = thin(whole.counts, torch.full_like(whole.counts, THINNING), generator=generator)
        thinned.append(profile.summed(whole.with_counts(shallow), totals * THINNING, encoder))
    every = torch.cat(features)
    slope = (every - torch.cat(thinned)).mean(dim=0) / -math.log(THINNING)
    depth = (torch.cat(seen.totals).clamp(min=1) / CP10K).log()[:, None]
    profile.slope.copy_(slope)
    every = every - depth * slope
    profile.centre.copy_(every.mean(dim=0))
    spread = every.std(dim=0)
    spread = (spread / spread.square().mean().sqrt()).clamp(min=1e-6).sqrt()
    profile.spread.copy_(spread * (every / spread).std(dim=0).square().mean().sqrt())
    return centres


def look_at_cells(
    model: ScPrint, data: CellDataModule, path: Path | str, *, deviation_cells: int, seed: int
) -> Tensor | None:
    """Set what a network with gene features is to know of the training cells before it begins.

    Parameters
    ----------
    model
        Network whose features are filled; changed.
    data
        Training cells; after `setup`.
    path
        Table of gene features, whose column ``weight``, if it has one, says what a gene counts for in a profile.
    deviation_cells
        Fewest cells that have to express a gene for its own row to be trained.
    seed
        Seed for the choice of cells.

    Returns
    -------
    torch.Tensor or None
        Centre of each data set, for a network that is told profiles; see `fill_profile`.

    Raises
    ------
    ValueError
        When the network is told profiles and the batches hold none.
    """
    names = model.config.profile_tokens
    if names and not data.genes.profile:
        raise ValueError(
            f"model.architecture.profile_tokens={list(names)} needs the cells' whole profiles: set data.genes.profile "
            "to true"
        )
    seen = SeenCells.of(data, model.gene_encoder, seed=seed)
    train_common_rows(model.gene_encoder, seen.cells_r, deviation_cells)
    return fill_profile(model, seen, table_weights(path, data.vocabulary), seed=seed) if names else None


def _rows(data: CellDataModule, cells: np.ndarray) -> np.ndarray:
    """Return the rows of the store that cells of the data are."""
    return cells if data.cells.rows is None else data.cells.rows[cells]
