"""A table of gene embeddings as rows of the model: pooling by hand, names, duplicates, genes without protein."""

import numpy as np
import pandas as pd
import pytest
import torch

from scdataloader import GeneVocabulary
from scprint_model.gene_embeddings import load_table, read_table

HUMAN, MOUSE = "NCBITaxon:9606", "NCBITaxon:10090"
# INS, B2M, HBA1, TP53 of human; Ins2 of mouse
IDS = ("ENSG00000254647", "ENSG00000166710", "ENSG00000206172", "ENSG00000141510", "ENSMUSG00000000215")


@pytest.fixture
def vocabulary():
    return GeneVocabulary(
        ids=IDS,
        symbols=("INS", "B2M", "HBA1", "TP53", "Ins2"),
        organisms=(HUMAN,) * 4 + (MOUSE,),
        locations=np.arange(1, 6, dtype=np.int32),
    )


@pytest.fixture
def human():
    return GeneVocabulary(ids=IDS[:2], symbols=("INS", "B2M"), organisms=(HUMAN,) * 2, locations=np.ones(2, np.int32))


def save(path, ids, values, **texts):
    frame = pd.DataFrame(np.asarray(values, dtype=np.float32), index=pd.Index(ids, name="gene_id"))
    frame.columns = [str(i) for i in range(frame.shape[1])]
    for name, column in reversed(texts.items()):
        frame.insert(0, name, column)
    frame.to_parquet(path)
    return path


def test_pooling_by_hand(tmp_path, human):
    path = save(tmp_path / "t.parquet", IDS[:2], [[0, 1, 2, 3, 4, 5], [6, 0, 0, 0, 0, 0]])
    rows, found = load_table(path, human, 3)
    assert rows.tolist() == [[0.5, 2.5, 4.5], [3, 0, 0]]
    assert found.tolist() == [True, True]
    # 6 to 4: [0, 1.5) -> 0..1, [1.5, 3) -> 1..2, [3, 4.5) -> 3..4, [4.5, 6) -> 4..5
    rows, _ = load_table(path, human, 4)
    assert rows.tolist() == [[0.5, 1.5, 3.5, 4.5], [3, 0, 0, 0]]
    rows, _ = load_table(path, human, 2, via=4)
    assert rows.tolist() == [[1.0, 4.0], [1.5, 0]]  # straight: [1, 4], [2, 0]
    assert load_table(path, human, 2)[0].tolist() == [[1, 4], [2, 0]]


def test_the_published_way(tmp_path, human):
    """1,280 to 1,024 to d: value i is the mean over floor(i n / m) .. ceil((i + 1) n / m)."""
    values = np.random.default_rng(0).normal(size=(2, 1280)).astype(np.float32)
    path = save(tmp_path / "t.parquet", IDS[:2], values)

    def pool(x, m):
        n = len(x)
        return np.array([x[i * n // m : -(-(i + 1) * n // m)].mean() for i in range(m)])

    expected = np.array([pool(pool(row.astype(np.float64), 1024), 200) for row in values])
    rows, _ = load_table(path, human, 200, via=1024)
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert not np.allclose(load_table(path, human, 200)[0], expected, atol=1e-3)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz", "t.tsv"])
def test_the_published_form(tmp_path, vocabulary, name):
    """The index holds gene ids, the columns are 0, 1, ...: numbers in a csv's header, strings in parquet."""
    frame = pd.DataFrame([[1.0, 3.0], [5.0, 7.0]], index=[IDS[1], IDS[4]])
    if name == "t.parquet":
        frame.set_axis(["0", "1"], axis=1).to_parquet(tmp_path / name)
    else:
        frame.to_csv(tmp_path / name, sep="\t" if name == "t.tsv" else ",")
    rows, found = load_table(tmp_path / name, vocabulary, 1)
    assert found.tolist() == [False, True, False, False, True]
    assert rows[found].tolist() == [[2.0], [6.0]]


def test_versions_duplicates_and_par_y(tmp_path, vocabulary):
    ids = [
        f"{IDS[0]}.7",
        IDS[1],
        f"{IDS[1]}.3_PAR_Y",
        IDS[2],
        IDS[2],
        f"{IDS[3]}.1",
        f"{IDS[3]}.2_PAR_Y",
        "ENSG00000999999",
    ]
    path = save(tmp_path / "t.parquet", ids, [[1], [2], [90], [3], [5], [10], [20], [7]])
    rows, found = load_table(path, vocabulary, 1, fallback="zero")
    # the very id goes before PAR_Y's copy; several rows of a gene are averaged
    assert rows[:, 0].tolist() == [1, 2, 4, 15, 0]
    assert found.tolist() == [True, True, True, True, False]


def test_symbols_of_each_organism(tmp_path, vocabulary):
    path = save(
        tmp_path / "t.parquet",
        ["INS", "Ins2", "P53", "B2M"],
        [[1], [2], [3], [4]],
        organism=[HUMAN, MOUSE, HUMAN, MOUSE],  # P53: an alias of TP53; B2m of mouse is not in this vocabulary
    )
    rows, found = load_table(path, vocabulary, 1, fallback="zero")
    assert rows[:, 0].tolist() == [1, 0, 0, 3, 2]
    assert found.tolist() == [True, False, False, True, True]


def test_symbols_without_organism_need_a_vocabulary_of_one(tmp_path, vocabulary, human):
    path = save(tmp_path / "t.parquet", ["INS", "B2M"], [[1], [2]])
    assert load_table(path, human, 1)[0][:, 0].tolist() == [1, 2]
    with pytest.raises(ValueError, match="none of the 5 genes"):
        load_table(path, vocabulary, 1)


def test_symbols_of_an_organism_without_gene_table(tmp_path):
    vocabulary = GeneVocabulary(
        ids=("X1", "X2"), symbols=("abc", "def"), organisms=("NCBITaxon:8090",) * 2, locations=np.ones(2, np.int32)
    )
    path = save(tmp_path / "t.parquet", ["def"], [[3]])
    rows, found = load_table(path, vocabulary, 1, fallback="zero")
    assert (rows[:, 0].tolist(), found.tolist()) == ([0, 3], [False, True])


def test_a_folder_of_tables(tmp_path, vocabulary):
    save(tmp_path / "human.parquet", IDS[:4], [[1, 1], [2, 2], [3, 3], [4, 4]])
    save(tmp_path / "mouse.parquet", IDS[4:], [[5, 5]])
    rows, found = load_table(tmp_path, vocabulary, 1)
    assert (rows[:, 0].tolist(), found.all().item()) == ([1, 2, 3, 4, 5], True)
    save(tmp_path / "mouse.parquet", IDS[4:], [[5]])
    with pytest.raises(ValueError, match=r"differ in width.*'human.parquet': 2, 'mouse.parquet': 1"):
        load_table(tmp_path, vocabulary, 1)


def test_genes_without_protein(tmp_path, vocabulary):
    values = np.random.default_rng(1).normal(3, 2, size=(3, 64))
    path = save(tmp_path / "t.parquet", IDS[:3], values)
    mean, found = load_table(path, vocabulary, 64, fallback="mean")
    assert found.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(mean[3], values.mean(axis=0), rtol=1e-5)
    torch.testing.assert_close(mean[4], mean[3])  # no mouse gene is in the table: the mean of all
    noisy, _ = load_table(path, vocabulary, 64)
    torch.testing.assert_close(noisy[:3], mean[:3])
    z = (noisy[3:] - mean[3:]) / (0.1 * torch.tensor(values.std(axis=0)))
    assert 0.7 < float(z.std()) < 1.3
    assert not torch.equal(noisy[3], noisy[4])
    torch.testing.assert_close(load_table(path, vocabulary, 64)[0], noisy, rtol=0, atol=0)
    assert not torch.equal(load_table(path, vocabulary, 64, seed=1)[0][3], noisy[3])
    # the noise is the gene's own, wherever it stands
    other = GeneVocabulary(
        ids=IDS[3::-1], symbols=vocabulary.symbols[3::-1], organisms=(HUMAN,) * 4, locations=np.ones(4, np.int32)
    )
    torch.testing.assert_close(load_table(path, other, 64)[0][0], noisy[3])
    assert load_table(path, vocabulary, 64, fallback="zero")[0][3:].abs().sum() == 0


def test_scaling(tmp_path, vocabulary):
    path = save(tmp_path / "t.parquet", IDS[:3], np.random.default_rng(2).normal(3, 2, size=(3, 50)))
    plain, found = load_table(path, vocabulary, 20)
    scaled, _ = load_table(path, vocabulary, 20, std=0.02)
    assert float(scaled[found].std(correction=0)) == pytest.approx(0.02)
    factor = scaled[0, 0] / plain[0, 0]
    torch.testing.assert_close(scaled, plain * factor)  # genes without protein, too
    with pytest.raises(ValueError, match="must be positive, std=0"):
        load_table(path, vocabulary, 20, std=0)


def test_tables_that_cannot_be_used(tmp_path, vocabulary):
    path = tmp_path / "t.parquet"
    with pytest.raises(FileNotFoundError, match="there is no table of gene embeddings"):
        load_table(path, vocabulary, 2)
    save(path, ["ENSDARG00000000001"], [[1, 2]])
    with pytest.raises(ValueError, match=r"none of the 5 genes, such as .* is in .*ENSDARG00000000001"):
        load_table(path, vocabulary, 2)
    save(path, IDS[:2], [[1, 2], [np.nan, 1]])
    with pytest.raises(ValueError, match=r"1 gene has NaN or infinite values, such as \['ENSG00000166710'\]"):
        load_table(path, vocabulary, 2)
    save(path, [IDS[0], "ENSG00000999999"], [[1, 2], [np.nan, 1]])
    assert load_table(path, vocabulary, 2)[1].sum() == 1  # not of a gene that is used
    with pytest.raises(ValueError, match=r"rows of 2 cannot be averaged down to 4 .* take a larger ESM2"):
        load_table(path, vocabulary, 4)
    with pytest.raises(ValueError, match="rows of 2 cannot be averaged down to 1,024"):
        load_table(path, vocabulary, 2, via=1024)
    pd.DataFrame({"1": [1.0], "2": [2.0]}, index=[IDS[0]]).to_parquet(path)
    with pytest.raises(ValueError, match=r"columns must be 0, 1, ... without gaps; they are \['1', '2'\]"):
        read_table(path)
    pd.DataFrame({"0": ["a"]}, index=[IDS[0]]).to_parquet(path)
    with pytest.raises(ValueError, match="1 columns hold no numbers"):
        read_table(path)
    pd.DataFrame({"0": [1.0]}).to_parquet(path)
    with pytest.raises(ValueError, match="has no gene ids"):
        read_table(path)
