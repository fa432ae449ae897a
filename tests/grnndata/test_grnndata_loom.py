"""Loom files of SCENIC: regulons become edges from their factor; counts and activities come along."""

import logging

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnndata
from grnndata.loom import read_loom, regulon_factor, regulons_to_matrix

GENES = ["ATF3", "REST", "A", "B", "C", "D"]
CELLS = ["w", "x", "y", "z"]
COUNTS = np.random.default_rng(0).poisson(1.0, size=(6, 4)).astype(float)
# Rows: genes; one field a regulon.
REGULONS = np.array(
    [(0, 0, 1), (0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 0, 0)],
    dtype=[("ATF3(+)", "<i8"), ("REST(-)", "<i8"), ("ATF3_extended (12g)", "<i8")],
)
AUC = np.array(
    [(0.1, 0.0, 1.0), (0.2, 0.5, 0.0), (0.3, 0.0, 0.0), (0.4, 0.0, 0.0)],
    dtype=[(name, "<f8") for name in REGULONS.dtype.names],
)
EDGES = {
    ("ATF3", "A", 1.0),
    ("ATF3", "B", 1.0),
    ("ATF3", "ATF3", 1.0),
    ("ATF3", "C", 1.0),
    ("REST", "A", -1.0),
    ("REST", "C", -1.0),
}


def write_loom(path, *, rows=None, columns=None, matrix=COUNTS, layers=None, text=None):
    """Lay a file out as loompy 3.0.8 does (checked against files which that wrote)."""
    rows = {"Gene": GENES, "Accession": list("abcdef"), "Regulons": REGULONS} if rows is None else rows
    columns = {"CellID": CELLS, "nGene": [1, 2, 3, 4], "RegulonsAUC": AUC} if columns is None else columns
    text = h5py.string_dtype() if text is None else text
    with h5py.File(path, "w") as file:
        file.create_dataset("attrs/LOOM_SPEC_VERSION", data="3.0.0", dtype=h5py.string_dtype())
        file.create_dataset("attrs/MetaData", data="{}", dtype=h5py.string_dtype())
        if matrix is not None:
            file.create_dataset(
                "matrix", data=matrix, chunks=tuple(min(64, n) for n in matrix.shape), compression="gzip"
            )
        for group in ("layers", "row_graphs", "col_graphs"):
            file.create_group(group)
        for key, layer in (layers or {}).items():
            file.create_dataset(f"layers/{key}", data=layer)
        for group, attributes in (("row_attrs", rows), ("col_attrs", columns)):
            file.create_group(group)
            for key, values in attributes.items():
                array = np.asarray(values)
                if array.dtype.kind == "U":
                    file.create_dataset(f"{group}/{key}", data=array.astype("S").astype(text), dtype=text)
                else:
                    file.create_dataset(f"{group}/{key}", data=array)
    return path


def edge_set(grn):
    return {tuple(edge) for edge in grn.edges().to_numpy().tolist()}


@pytest.mark.parametrize("text", [h5py.string_dtype(), h5py.string_dtype("ascii"), h5py.string_dtype(length=8)])
def test_regulons_become_edges(text, tmp_path):
    grn = read_loom(write_loom(tmp_path / "scenic.loom", text=text))
    assert isinstance(grn, grnndata.GRNAnnData)
    assert edge_set(grn) == EDGES
    assert grn.var_names.tolist() == GENES
    assert grn.obs_names.tolist() == CELLS
    assert sp.issparse(grn.X)
    np.testing.assert_array_equal(grn.X.toarray(), COUNTS.T)
    assert grn.X.dtype == np.float64
    assert grn.obs["nGene"].tolist() == [1, 2, 3, 4]
    assert grn.var["Accession"].tolist() == list("abcdef")
    assert list(grn.varm) == []  # the regulons are the network
    auc = grn.obsm["RegulonsAUC"]
    assert auc.columns.tolist() == list(REGULONS.dtype.names)
    assert auc.loc["x"].tolist() == [0.2, 0.5, 0.0]
    assert grn.uns["grn"]["method"] == "SCENIC"
    assert grn.uns["grn"]["parameters"] == {"file": "scenic.loom", "regulons": "Regulons"}


def test_the_recipe_of_the_pyscenic_authors_gives_the_same(tmp_path):
    # https://github.com/aertslab/pySCENIC/issues/202: genes of a regulon from a loom file.
    rng = np.random.default_rng(1)
    genes = [f"g{i}" for i in range(50)]
    names = [f"{gene}(+)" for gene in genes[:20]]
    members = np.zeros(50, dtype=[(name, "<i8") for name in names])
    for name in names:
        members[name] = rng.random(50) < 0.3
    frame = pd.DataFrame(members, index=genes)
    expected = {(n.removesuffix("(+)"), gene, 1.0) for n in names for gene in frame.index[frame[n] == 1]}
    path = write_loom(
        tmp_path / "r.loom",
        rows={"Gene": genes, "Regulons": members},
        matrix=np.zeros((50, 4), dtype=np.int32),
    )
    assert edge_set(read_loom(path)) == expected


def test_h5ad_round_trip(tmp_path):
    grn = read_loom(write_loom(tmp_path / "scenic.loom", layers={"spliced": COUNTS.astype(np.int32) * 2}))
    assert grn.layers["spliced"].dtype == np.int32
    np.testing.assert_array_equal(grn.layers["spliced"].toarray(), 2 * COUNTS.T)
    grn.write_h5ad(tmp_path / "scenic.h5ad")
    again = grnndata.read_h5ad(tmp_path / "scenic.h5ad")
    assert edge_set(again) == EDGES
    np.testing.assert_array_equal(again.X.toarray(), COUNTS.T)
    pd.testing.assert_frame_equal(again.obsm["RegulonsAUC"], grn.obsm["RegulonsAUC"], check_index_type=False)


def test_without_cells(tmp_path):
    path = write_loom(tmp_path / "scenic.loom", columns={})
    grn = read_loom(path, with_cells=False)
    assert grn.shape == (0, 6)
    assert edge_set(grn) == EDGES
    with pytest.raises(ValueError, match=r"scenic\.loom: there is no column attribute 'CellID'.*cell_attribute="):
        read_loom(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ATF3(+)", ("ATF3", 1)),
        ("ATF3_(+)", ("ATF3", 1)),
        ("ATF3(-)", ("ATF3", -1)),
        ("ATF3_(-)", ("ATF3", -1)),
        ("ATF3 (12g)", ("ATF3", 1)),
        ("Dlx1_extended (190g)", ("Dlx1", 1)),
        ("Abd-B_(17g)", ("Abd-B", 1)),
        ("Abd-B_(+)-motif", ("Abd-B", 1)),
        ("Abd-B_(-)-track", ("Abd-B", -1)),
        ("E(spl)m3-HLH_(+)-motif", ("E(spl)m3-HLH", 1)),
        ("NKX2-1", ("NKX2-1", 1)),
    ],
)
def test_names_of_regulons(name, expected):
    assert regulon_factor(name) == expected


def test_several_regulons_of_a_factor(caplog):
    # T is in the activating, the extended and the repressing regulon of F; U only in the repressing one.
    members = np.array(
        [(0, 0, 0), (1, 1, 1), (0, 0, 1)], dtype=[("F(+)", "i1"), ("F_extended (9g)", "<f4"), ("F(-)", "?")]
    )
    with caplog.at_level(logging.WARNING):
        matrix = regulons_to_matrix(members, pd.Index(["F", "T", "U"]))
    assert matrix.toarray().tolist() == [[0, 1, -1], [0, 0, 0], [0, 0, 0]]
    assert matrix.dtype == np.float32
    assert "1 pairs are in an activating and in a repressing regulon" in caplog.text


def test_factors_that_are_no_genes(tmp_path, caplog):
    regulons = np.ones(6, dtype=[("ATF3(+)", "<i8"), ("MYC(+)", "<i8"), ("SOX2_(-)", "<i8")])
    path = write_loom(tmp_path / "r.loom", rows={"Gene": GENES, "Regulons": regulons})
    with pytest.raises(
        ValueError, match=r"factors of 2 regulons .* 6 genes: MYC\(\+\), SOX2_\(-\); pass missing='drop'"
    ):
        read_loom(path)
    with caplog.at_level(logging.WARNING):
        grn = read_loom(path, missing="drop")
    assert edge_set(grn) == {("ATF3", gene, 1.0) for gene in GENES}
    assert "left out 2 regulons" in caplog.text
    with pytest.raises(ValueError, match="missing must be 'error' or 'drop'"):
        read_loom(path, missing="add")


def test_regulons_of_motifs_and_tracks(tmp_path):
    tracks = np.ones(6, dtype=[("REST_(+)-track", "<i8")])
    rows = {"Gene": GENES, "MotifRegulons": REGULONS, "TrackRegulons": tracks}
    path = write_loom(tmp_path / "scope.loom", rows=rows)
    with pytest.raises(ValueError, match="choose with regulons='MotifRegulons' or 'TrackRegulons'"):
        read_loom(path)
    grn = read_loom(path, regulons="TrackRegulons")
    assert edge_set(grn) == {("REST", gene, 1.0) for gene in GENES}
    assert grn.varm["MotifRegulons"]["REST(-)"].tolist() == REGULONS["REST(-)"].tolist()
    with pytest.raises(ValueError, match=r"no row attribute 'Regulons' .*\['MotifRegulons', 'TrackRegulons'\]"):
        read_loom(path, regulons="Regulons")
    del rows["TrackRegulons"]
    assert edge_set(read_loom(write_loom(path, rows=rows))) == EDGES


def test_no_members_and_no_genes(tmp_path):
    path = tmp_path / "r.loom"
    write_loom(path, rows={"Gene": GENES, "Regulons": np.zeros(6, dtype=REGULONS.dtype)})
    assert read_loom(path).n_edges == 0
    one = {"Gene": ["ATF3"], "Regulons": np.ones(1, dtype=[("ATF3(+)", "<i8")])}
    assert edge_set(read_loom(write_loom(path, rows=one, matrix=np.ones((1, 4))))) == {("ATF3", "ATF3", 1.0)}


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "bad.loom"
    with pytest.raises(FileNotFoundError, match=r"no file .*bad\.loom"):
        read_loom(path)
    path.write_text("Gene,Regulon")
    with pytest.raises(ValueError, match=r"bad\.loom is not a loom file"):
        read_loom(path)
    write_loom(path, matrix=None)
    with pytest.raises(ValueError, match=r"bad\.loom: this is no loom file: it needs /matrix"):
        read_loom(path)
    cases = [
        ({"Gene": GENES}, "there are no regulons: none of the row attributes Regulons, MotifRegulons"),
        ({"Gene": GENES, "Regulons": np.ones(6)}, "there are no regulons"),
        ({"Name": GENES, "Regulons": REGULONS}, r"no row attribute 'Gene' with names: .*gene_attribute= \(Name\)"),
        ({"Gene": [*GENES[:5], "ATF3"], "Regulons": REGULONS}, "1 gene name occurs more than once: ATF3"),
        ({"Gene": GENES, "Regulons": REGULONS[:5]}, r"/row_attrs/Regulons has shape \(5,\), but /matrix has 6"),
    ]
    for rows, message in cases:
        with pytest.raises(ValueError, match=message):
            read_loom(write_loom(path, rows=rows))
    named = {"Name": GENES, "Regulons": REGULONS}
    grn = read_loom(
        write_loom(path, rows=named, columns={"Barcode": CELLS}), gene_attribute="Name", cell_attribute="Barcode"
    )
    assert edge_set(grn) == EDGES
    assert grn.obs_names.tolist() == CELLS
