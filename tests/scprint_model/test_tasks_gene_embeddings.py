"""The gene embeddings of a model, as a table that another training can start from."""

import numpy as np
import pytest

from scprint_model.cli import main
from scprint_model.gene_embeddings import load_table
from scprint_model.tasks import gene_embeddings


def test_rows_are_those_of_the_gene_table(small_model):
    vocabulary = small_model.vocabulary
    table = gene_embeddings(small_model)
    assert table.shape == (len(vocabulary), 18)  # symbol, organism, 16 wide
    weight = small_model.gene_encoder.table.weight.detach().numpy()
    np.testing.assert_array_equal(table[[str(i) for i in range(16)]].to_numpy(), weight)
    some = gene_embeddings(small_model, [vocabulary.symbols[700], vocabulary.ids[3]])
    np.testing.assert_array_equal(some["5"].to_numpy(), weight[[700, 3], 5])
    assert some.index.tolist() == [vocabulary.ids[700], vocabulary.ids[3]]
    with pytest.raises(ValueError, match=r"1 of 1 genes are not known to the model, such as \['nothing'\]"):
        gene_embeddings(small_model, ["nothing"])


def test_another_training_starts_from_them(small_model, tmp_path, capsys):
    small_model.save_pretrained(tmp_path / "model")
    out = tmp_path / "genes.parquet"
    assert main(["gene-embeddings", str(out), "--model", str(tmp_path / "model")]) == 0
    assert capsys.readouterr().out == f"{out}; what made it: {out}.json\n"
    rows, found = load_table(out, small_model.vocabulary, 16)
    assert found.all()
    np.testing.assert_allclose(rows.numpy(), small_model.gene_encoder.table.weight.detach().numpy(), rtol=1e-6)


def test_shared_rows_give_the_same_vector():
    from scprint_model import ScPrint

    model = ScPrint.from_pretrained()  # human and mouse share rows by symbol
    symbols = dict(zip(model.vocabulary.symbols, model.vocabulary.ids, strict=True))
    human, mouse = gene_embeddings(model, [symbols["ACTB"], symbols["Actb"]])["0"]
    assert human == mouse
