"""ESM2 to a table: a tiny random one from transformers' own classes, and transformers run protein by protein.

Sequences: UniProt (The UniProt Consortium, Nucleic Acids Research 2025), CC BY 4.0: P61769, P69905, P07203, P01308.
"""

import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from scdataloader import GeneVocabulary
from scprint_model._cache import cache_folder
from scprint_model.cli import main
from scprint_model.gene_embeddings import build, build_table, load_table
from scprint_model.gene_embeddings.esm import load_protein_model
from scprint_model.gene_embeddings.finished_vectors import FinishedVectors

transformers = pytest.importorskip("transformers")

WIDTH, N_LAYERS, MOST = 24, 3, 64
# ESM2's vocabulary (Lin et al. 2023)
VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYWMHCXBUZO.-", "<null_1>", "<mask>"]
PROTEINS = {
    "ENSG00000166710": (
        "MSRSVALAVLALLSLSGLEAIQRTPKIQVYSRHPAENGKSNFLNCYVSGFHPSDIEVDLLKNGERIEKVEHSDLSFSKDWSFYLLYYTEFTPTEKDEYACRVNHVTLSQPKIVKWDRDM"
    ),
    "ENSG00000206172": (
        "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDLHAHKLRVDPVNFKLLSHCLLVTLAAHL"
        "PAEFTPAVHASLDKFLASVSTVLTSKYR"
    ),
    "ENSG00000233276": (  # the first half, with a selenocysteine
        "MCAARLAAAAAAAQSVYAFSARPLAGGEPVSLGSLRGKVLLIENVASLUGTTVRDYTQMNELQRRLGPRGLVVLGFPCNQFGHQENAKNEEILNSLKYVR"
    ),
    "ENSG00000254647": "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAED",  # the first half
}
PROTEINS["ENSG00000188536"] = PROTEINS["ENSG00000206172"]  # HBA2's protein is HBA1's


@pytest.fixture(scope="module")
def esm(tmp_path_factory):
    """Folder of a random ESM2 that reads 64 residues at a time."""
    folder = tmp_path_factory.mktemp("esm")
    config = transformers.EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=WIDTH, num_hidden_layers=N_LAYERS,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=MOST + 4, token_dropout=True,
        position_embedding_type="rotary", emb_layer_norm_before=False, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    return folder


@pytest.fixture(scope="module")
def alone(esm):
    """What transformers gives for one protein by itself, with its own tokenizer: the mean over the residues."""
    model = transformers.EsmModel.from_pretrained(esm, add_pooling_layer=False).eval()
    tokenizer = transformers.EsmTokenizer.from_pretrained(esm)

    def mean(sequence, layer=N_LAYERS):
        with torch.no_grad():
            output = model(**tokenizer(sequence, return_tensors="pt"), output_hidden_states=True)
        assert output.hidden_states[layer].shape == (1, len(sequence) + 2, WIDTH)
        return output.hidden_states[layer][0, 1:-1].mean(dim=0).numpy()

    return mean


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "pep.fa"
    header = ">ENSP{:011d}.1 pep gene:{}.1 transcript:ENST{:011d}.1 gene_biotype:protein_coding"
    path.write_text(
        "".join(f"{header.format(i, gene, i)}\n{text}\n" for i, (gene, text) in enumerate(PROTEINS.items()))
    )
    return path


def values(path):
    return pd.read_parquet(path)[[str(i) for i in range(WIDTH)]]


def test_means_are_those_of_transformers_whatever_the_batch(esm, alone):
    model = load_protein_model(str(esm), device="cpu")
    assert (model.max_residues, model.width, model.layer) == (MOST, WIDTH, N_LAYERS)
    assert model.source["dtype"] == "float32"
    sequences = ["MKTAYIAKQR", "M", "UXBZO", PROTEINS["ENSG00000254647"], "ACDEFGHIKLMNPQRSTVWY" * 3]
    expected = np.stack([alone(sequence) for sequence in sequences])
    assert np.abs(expected[0] - expected[4]).max() > 0.1
    np.testing.assert_allclose(model.means(sequences), expected, atol=1e-5)
    np.testing.assert_allclose(model.means(sequences[::-1]), expected[::-1], atol=1e-5)
    for sequence, row in zip(sequences, expected, strict=True):
        np.testing.assert_allclose(model.means([sequence])[0], row, atol=1e-5)


def test_the_last_layer_is_after_the_final_norm_and_others_are_not(esm, alone):
    text = "MKTAYIAKQR"
    norm = load_protein_model(str(esm), device="cpu").network.encoder.emb_layer_norm_after
    for layer in (1, 2):
        model = load_protein_model(str(esm), layer=layer, device="cpu")
        np.testing.assert_allclose(model.means([text])[0], alone(text, layer), atol=1e-5)
    last = load_protein_model(str(esm), layer=3, device="cpu").means([text])[0]
    # each residue of the last layer was normed: the mean of the norm's outputs sums to that of its bias
    assert float(last.sum()) == pytest.approx(norm.bias.sum().item(), abs=1e-4)
    assert abs(float(model.means([text])[0].sum())) > 1e-2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(esm, alone, dtype):
    model = load_protein_model(str(esm), dtype=dtype, device="cpu")
    sequences = [PROTEINS["ENSG00000254647"], "MKTAYIAKQR"]
    expected = np.stack([alone(sequence) for sequence in sequences])
    got = model.means(sequences)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, expected, atol=0.05)
    assert np.abs(got.numpy() - expected).max() > 1e-6  # it was half precision


def test_a_table(esm, alone, fasta, tmp_path):
    out = build_table(tmp_path / "new" / "out.parquet", fasta=fasta, protein_model=str(esm), device="cpu")
    table = pd.read_parquet(out)
    assert table.index.tolist() == sorted(PROTEINS)
    assert table.index.name == "gene_id"
    assert table.loc["ENSG00000188536", "protein"] == "ENSP00000000004"
    assert table["n_residues"].tolist() == [len(PROTEINS[gene]) for gene in sorted(PROTEINS)]
    for gene, text in PROTEINS.items():
        # pieces side by side, of lengths that differ by one at most; every residue counts once
        n = -(-len(text) // MOST)
        edges = [len(text) * k // n for k in range(n + 1)]
        parts = [text[a:b] for a, b in itertools.pairwise(edges)]
        mean = sum(len(part) * alone(part) for part in parts) / len(text)
        np.testing.assert_allclose(values(out).loc[gene], mean, atol=1e-5)
    facts = table.attrs
    assert (facts["model"], facts["layer"], facts["n_layers"], facts["width"]) == (str(esm), 3, 3, WIDTH)
    assert (facts["isoform"], facts["long"], facts["dtype"]) == ("canonical", "windows", "float32")
    assert facts["chosen_by"]["longest"] == 5
    assert len(facts["source_sha256"]) == 64
    assert facts["revision"].startswith("sha256:")
    assert [p.name for p in out.parent.iterdir()] == ["out.parquet"]


def test_long_proteins_can_be_cut(esm, alone, fasta, tmp_path):
    out = build_table(tmp_path / "out.parquet", fasta=fasta, protein_model=str(esm), long="cut", device="cpu")
    for gene, text in PROTEINS.items():
        np.testing.assert_allclose(values(out).loc[gene], alone(text[:MOST]), atol=1e-5)


def test_the_batch_size_and_the_order_of_the_file_change_nothing(esm, fasta, tmp_path):
    first = build_table(tmp_path / "a.parquet", fasta=fasta, protein_model=str(esm), device="cpu")
    small = build_table(tmp_path / "b.parquet", fasta=fasta, protein_model=str(esm), tokens=70, device="cpu")
    text = fasta.read_text().split(">")[1:]
    turned = tmp_path / "turned.fa"
    turned.write_text("".join(f">{record}" for record in reversed(text)))
    other = build_table(tmp_path / "c.parquet", fasta=turned, protein_model=str(esm), device="cpu")
    for path in (small, other):
        np.testing.assert_allclose(values(path), values(first), atol=1e-5)
        assert values(path).index.equals(values(first).index)


def test_a_killed_run_continues_and_gives_the_same(esm, fasta, tmp_path, monkeypatch):
    options = {"fasta": fasta, "protein_model": str(esm), "tokens": 70, "device": "cpu"}
    whole = build_table(tmp_path / "whole.parquet", **options)
    monkeypatch.setattr(build, "KEEP_EVERY", 1)
    calls = []
    means = build.ProteinModel.means

    def counted(self, sequences):
        calls.append(len(sequences))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return means(self, sequences)

    monkeypatch.setattr(build.ProteinModel, "means", counted)
    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        build_table(out, **options)
    assert not out.exists()
    kept = tmp_path / "out.parquet.parts"
    assert len(list(kept.glob("part-*.npz"))) == 3
    damaged = sorted(kept.glob("part-*.npz"))[0]
    damaged.write_bytes(damaged.read_bytes()[:50])
    calls[:] = [0] * 10
    build_table(out, **options)
    # 2 + 3 + 2 + 1 pieces of the four different sequences; two parts were whole
    assert sum(calls) == 8 - 2
    assert values(out).equals(values(whole))
    assert pd.read_parquet(out).attrs == pd.read_parquet(whole).attrs
    assert not kept.exists()
    calls[:] = [0] * 10
    build_table(out, **options)  # it is there already
    assert sum(calls) == 0


def test_what_is_computed_is_kept_when_a_run_breaks_off(esm, fasta, tmp_path, monkeypatch):
    means = build.ProteinModel.means
    calls = []

    def fails(self, sequences):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("does not fit: tokens=")
        return means(self, sequences)

    monkeypatch.setattr(build.ProteinModel, "means", fails)
    out = tmp_path / "out.parquet"
    with pytest.raises(MemoryError):
        build_table(out, fasta=fasta, protein_model=str(esm), tokens=70, device="cpu")
    (part,) = (tmp_path / "out.parquet.parts").glob("part-*.npz")
    assert len(np.load(part)["index"]) == 2
    monkeypatch.undo()
    build_table(out, fasta=fasta, protein_model=str(esm), tokens=300, device="cpu")  # with another batch size, too


def test_another_run_does_not_continue_this_one(esm, fasta, tmp_path):
    out = tmp_path / "out.parquet"
    FinishedVectors(tmp_path / "out.parquet.parts", {"model": "other", "layer": 3})
    with pytest.raises(ValueError, match=r"beginning of another run \(.*model: 'other', now "):
        build_table(out, fasta=fasta, protein_model=str(esm), device="cpu")
    (tmp_path / "b.parquet.parts").mkdir()
    (tmp_path / "b.parquet.parts" / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="in use for something else"):
        build_table(tmp_path / "b.parquet", fasta=fasta, protein_model=str(esm), device="cpu")


def test_a_table_made_in_another_way_is_made_anew(esm, fasta, tmp_path):
    out = build_table(tmp_path / "out.parquet", fasta=fasta, protein_model=str(esm), layer=1, device="cpu")
    before = values(out)
    build_table(out, fasta=fasta, protein_model=str(esm), layer=2, device="cpu")
    assert np.abs(values(out) - before).to_numpy().max() > 0.1


def test_vectors_that_are_not_finite(esm, fasta, tmp_path):
    weights = transformers.EsmModel.from_pretrained(esm, add_pooling_layer=False)
    torch.nn.init.constant_(weights.embeddings.word_embeddings.weight[VOCABULARY.index("U")], torch.nan)
    broken = tmp_path / "broken"
    weights.save_pretrained(broken)
    (broken / "vocab.txt").write_text("\n".join(VOCABULARY))
    with pytest.raises(
        ValueError, match=r"protein piece MCAARLAAAAAAAQSVYAFS... \(50 residues\) is not finite in float32"
    ):
        build_table(tmp_path / "out.parquet", fasta=fasta, protein_model=str(broken), device="cpu")


def test_models_that_cannot_be_used(esm, tmp_path):
    with pytest.raises(ValueError, match="has the layers 1 to 3, not 33"):
        load_protein_model(str(esm), layer=33)
    with pytest.raises(ValueError, match="there is no device 'tpu9'"):
        load_protein_model(str(esm), device="tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="there is no device 'cuda:1'"):
            load_protein_model(str(esm), device="cuda:1")
    with pytest.raises(OSError, match=r"the protein model .*missing' cannot be had: give a name on the hub"):
        load_protein_model(str(tmp_path / "missing"))
    folder = tmp_path / "bert"
    transformers.BertConfig().save_pretrained(folder)
    with pytest.raises(ValueError, match="a model of the kind 'bert': one of ESM2 is needed"):
        load_protein_model(str(folder))
    lacking = tmp_path / "lacking"
    shutil.copytree(esm, lacking)
    weights = {key: value for key, value in load_file(lacking / "model.safetensors").items() if "layer.2." not in key}
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 16 weights, such as \['encoder.layer.2"):
        load_protein_model(str(lacking))
    config = transformers.EsmConfig.from_pretrained(esm)
    config.intermediate_size = 16
    config.save_pretrained(lacking)
    with pytest.raises(ValueError, match=r"the weights of .*lacking do not fit its config"):
        load_protein_model(str(lacking))


def test_files_as_they_are_on_the_hub(esm, tmp_path):
    """There the weights carry a prefix, and a head for the training of ESM2 is with them."""
    config = transformers.EsmConfig.from_pretrained(esm)
    model = transformers.EsmForMaskedLM(config)
    model.esm.load_state_dict(transformers.EsmModel.from_pretrained(esm, add_pooling_layer=False).state_dict())
    model.save_pretrained(tmp_path)
    shutil.copy(esm / "vocab.txt", tmp_path)
    assert all(not key.startswith("encoder.") for key in load_file(tmp_path / "model.safetensors"))
    got = load_protein_model(str(tmp_path), device="cpu").means(["MKTAYIAKQR"])
    torch.testing.assert_close(got, load_protein_model(str(esm), device="cpu").means(["MKTAYIAKQR"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either a FASTA file or an organism"),
        ({"fasta": "x.fa", "organism": "human"}, "give either a FASTA file or an organism"),
        ({"fasta": "x.fa", "release": 112}, "mean nothing with fasta="),
        ({"fasta": "x.fa", "canonical": "c.tsv", "isoform": "first"}, "leave canonical= away"),
        ({"fasta": "x.fa", "tokens": 2}, "tokens=2: a batch needs 3"),
    ],
)
def test_options_that_contradict_each_other(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        build_table(tmp_path / "out.parquet", **options)


def test_the_command(esm, fasta, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    canonical = tmp_path / "canonical.tsv"
    canonical.write_text("G\tENST00000000003.1\tEnsembl Canonical\n")
    options = ["--fasta", str(fasta), "--protein-model", str(esm), "--canonical", str(canonical), "--device", "cpu"]
    assert main(["gene-embeddings", str(out), *options]) == 0
    assert capsys.readouterr().out == f"{out}; what made it: {out}.json\n"
    attrs = pd.read_parquet(out).attrs
    assert attrs["chosen_by"] == {"canonical": 1, "longest": 4, "first": 0, "without_gene": 0}
    assert json.loads(json.dumps(attrs)) == attrs
    assert main(["gene-embeddings", str(tmp_path / "out.csv"), *options]) == 2
    assert "call it NAME.parquet" in capsys.readouterr().err
    assert main(["gene-embeddings", str(tmp_path / "b.parquet"), "--fasta", str(tmp_path / "no.fa")]) == 2
    assert "no.fa" in capsys.readouterr().err


def test_from_a_species_to_the_rows_of_a_model(esm, fasta, tmp_path, monkeypatch):
    """The fetched files decide on genes, isoforms and organism; the server itself is tested elsewhere."""
    canonical = tmp_path / "canonical.tsv"
    canonical.write_text("\n".join(f"G\tENST{i:011d}.1" for i in range(5)))
    asked = []

    def fetch(organism, release, *, division, base_url, cache):
        assert cache == cache_folder() / "proteins"
        asked.append((organism, release, division, base_url))
        from scdataloader.genes import EnsemblProteins

        return EnsemblProteins(fasta, canonical, "NCBITaxon:9606", 112)

    monkeypatch.setattr(build, "fetch_proteins", fetch)
    out = build_table(tmp_path / "out.parquet", organism="human", release=112, protein_model=str(esm), device="cpu")
    assert asked == [("human", 112, None, None)]
    table = pd.read_parquet(out)
    assert set(table["organism"]) == {"NCBITaxon:9606"}
    assert (table.attrs["release"], table.attrs["chosen_by"]["canonical"]) == (112, 5)
    vocabulary = GeneVocabulary.for_organisms(["human"])
    rows, found = load_table(out, vocabulary, WIDTH)
    assert int(found.sum()) == 5
    for gene in PROTEINS:
        np.testing.assert_allclose(rows[vocabulary.index([gene])[0]], values(out).loc[gene], atol=1e-6)
    assert load_table(out, vocabulary, 8)[0].shape == (len(vocabulary), 8)


def test_real_proteins(esm, alone, shared, tmp_path):
    """UniProt's file of all human proteins, of which 60 genes are wanted, titin (34,350 residues) among them."""
    mapping = pd.read_csv(shared / "data/protein/human_gene_to_swissprot.tsv.gz", sep="\t").iloc[::400]
    titin = pd.DataFrame({"ensembl_id": ["ENSG00000155657"], "uniprot": ["Q8WZ42"]})
    genes = tmp_path / "genes.tsv"
    wanted = pd.concat([mapping, titin])
    wanted.to_csv(genes, sep="\t", index=False)
    fasta = shared / "data/protein/human_swissprot.fasta.gz"
    options = {"protein_model": str(esm), "long": "cut", "device": "cpu"}
    out = build_table(tmp_path / "out.parquet", fasta=fasta, genes=genes, **options)
    table = pd.read_parquet(out)
    assert sorted(table.index) == sorted(wanted["ensembl_id"])
    assert table.loc["ENSG00000155657", "n_residues"] == 34_350
    lengths = wanted.set_index("ensembl_id")["length"].dropna().astype(int)
    pd.testing.assert_series_equal(table["n_residues"][lengths.index], lengths, check_names=False, check_dtype=False)
    rows, found = load_table(out, GeneVocabulary.for_organisms(["human"]), 16)
    assert int(found.sum()) >= 0.9 * len(table)
    assert rows.isfinite().all()
