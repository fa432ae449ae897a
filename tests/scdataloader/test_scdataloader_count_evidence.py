"""What speaks against whole numbers being raw counts: nothing of raw data, and the right thing of each other kind."""

import re

import anndata
import numpy as np
import pytest
from scipy import sparse

from scdataloader import datasets
from scdataloader.count_evidence import CountEvidence, count_warnings

SCALED = "cells lack numbers that raw counts have"
SAME = "the total counts of the cells are nearly the same"


@pytest.fixture(scope="module")
def retina():
    return sparse.csr_matrix(datasets.retina_1k().X, dtype=np.float32)


def rounded(counts, target):
    """Scale each cell to one total and round, as counts per million are."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    out = sparse.csr_matrix(sparse.diags_array(target / totals) @ counts.astype(np.float64))
    out.data = np.rint(out.data)
    out.eliminate_zeros()
    return out


def drawn(counts, depth, seed=0):
    """Draw each cell down to one depth."""
    rng = np.random.default_rng(seed)
    rows = [rng.multivariate_hypergeometric(row.toarray().ravel().astype(int), depth) for row in counts]
    return sparse.csr_matrix(np.stack(rows))


def test_raw_counts_have_nothing_against_them(retina):
    assert count_warnings(retina) == []
    assert count_warnings(retina.astype(np.uint16)) == []
    assert count_warnings(sparse.csr_matrix(retina[:, ::10])) == []


@pytest.mark.slow
def test_nothing_is_said_of_any_raw_data_set(shared):
    rows = [line.split("|") for line in (shared / "data/MANIFEST.md").read_text().splitlines()]
    kinds = {
        cells[1].strip(): cells[5].strip() for cells in rows if len(cells) > 5 and cells[1].strip().endswith("h5ad")
    }
    raw = [name for name, kind in kinds.items() if kind in ("yes", "recovered")]
    assert len(raw) >= 40
    assert any("merfish" in name for name in raw)
    said = {}
    for name in raw:
        counts = sparse.csr_matrix(anndata.read_h5ad(shared / "data/expression" / name).X)
        # also of some genes alone, as of a panel
        said[name] = count_warnings(counts) + count_warnings(sparse.csr_matrix(counts[:, ::3]))
    assert {name: warnings for name, warnings in said.items() if warnings} == {}


@pytest.mark.slow
@pytest.mark.parametrize("target", [1e4, 1e5, 1e6])
def test_every_data_set_is_told_once_it_is_scaled_and_rounded(shared, target):
    # UMIs of many genes and of few, reads of Smart-seq, a panel of MERFISH
    for name in (
        "human_celllines_cellbench",
        "mouse_marrow_paul15",
        "mouse_embryo_deng",
        "mouse_brain_merfish_1122genes",
    ):
        counts = sparse.csr_matrix(anndata.read_h5ad(shared / f"data/expression/{name}.h5ad").X)
        assert count_warnings(rounded(counts, target)), name


def test_rounded_counts_per_million_are_told_with_the_numbers(retina):
    scaled, same = count_warnings(rounded(retina, 1e6))
    assert scaled.startswith("1,000 of 1,000 cells lack numbers")
    example = re.search(r"no gene has a count of 1, and ([\d,]+) genes have ([\d,]+)\)", scaled)
    most = rounded(retina, 1e6)[np.diff(retina.indptr).argmax()].data
    numbers, times = np.unique(most, return_counts=True)
    assert [int(text.replace(",", "")) for text in example.groups()] == [times.max(), numbers[times.argmax()]]
    totals = np.asarray(rounded(retina, 1e6).sum(axis=1)).ravel()
    assert f"of {np.median(totals):,.0f}, and their numbers of expressed genes" in same


def test_a_number_that_no_gene_has_is_named(retina):
    # with a scale of 1.3, counts of 1, 2, 3 become 1, 3, 4
    scaled = retina.copy()
    scaled.data = np.rint(scaled.data * 1.3)
    (warning,) = count_warnings(scaled)
    assert SCALED in warning
    assert "no gene has a count of 2," in warning
    assert "genes have 3)" in warning


def test_genes_left_out_after_scaling_hide_nothing(retina):
    (warning,) = [text for text in count_warnings(sparse.csr_matrix(rounded(retina, 1e6)[:, ::3])) if SCALED in text]
    assert "in one, no gene has a count of 1" in warning


def test_scaled_cells_among_raw_ones_are_told(retina):
    mixed = sparse.vstack([retina[:900], rounded(retina[900:], 1e6)], format="csr")
    (warning,) = count_warnings(mixed)
    assert warning.startswith("100 of 1,000 cells lack")


def test_multiples_are_told_with_their_divisor(retina):
    (warning,) = count_warnings(retina * 6)
    assert warning.startswith(f"every count is a multiple of 6 ({retina.nnz:,} positive counts of 1,000 cells)")
    assert count_warnings(sparse.vstack([retina[:1], retina[1:] * 6], format="csr")) != [warning]


def test_ones_alone_are_told(retina):
    ones = (retina > 0).astype(np.int8)
    (warning,) = count_warnings(sparse.csr_matrix(ones))
    assert warning.startswith(f"every count is 0 or 1 ({retina.nnz:,} positive counts of 1,000 cells)")


def test_cells_drawn_to_one_depth_are_told(retina):
    some = retina[np.asarray(retina.sum(axis=1)).ravel() >= 2000][:60]
    (warning,) = count_warnings(drawn(some, 2000))
    assert warning.startswith(f"{SAME}: half of them lie within 0.0% of 2,000")
    assert SCALED not in warning


def test_blocks_say_what_the_whole_says(retina):
    scaled = rounded(retina, 1e4)
    evidence = CountEvidence()
    for begin in range(0, 1000, 300):
        evidence.add(sparse.csr_matrix(scaled[begin : begin + 300]))
    whole = count_warnings(scaled)
    assert len(whole) == 2
    # the example is the first block's
    assert [re.sub(r"\(in one.*?\)", "", text) for text in evidence.warnings()] == [
        re.sub(r"\(in one.*?\)", "", text) for text in whole
    ]


def test_explicit_zeros_and_empty_cells_change_nothing(retina):
    with_zeros = sparse.csr_matrix(
        (
            np.append(retina.data, np.zeros(5)),
            np.append(retina.indices, np.arange(5)),
            np.append(retina.indptr, retina.nnz + 5),
        ),
        shape=(1001, retina.shape[1]),
    )
    assert count_warnings(with_zeros) == []
    assert count_warnings(with_zeros * 2) == count_warnings(retina * 2)


def test_few_cells_and_few_counts_prove_nothing(retina):
    assert count_warnings(sparse.csr_matrix(rounded(retina[:19], 1e6))) == []
    assert count_warnings(sparse.csr_matrix(np.eye(999))) == []
    assert count_warnings(sparse.csr_matrix((100, 5))) == []
    assert CountEvidence().warnings() == []
