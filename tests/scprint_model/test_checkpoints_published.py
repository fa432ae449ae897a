"""Published checkpoints of many sizes and options, written here key by key as the format says."""

import json
import logging

import numpy as np
import pytest
import torch

from scprint_model import ScPrint
from scprint_model.checkpoints import describe, load_folder, read_published
from scprint_model.checkpoints.published import is_dropped, is_scprint2, our_name
from scprint_model.checkpoints.published_config import config_of, family_of
from scprint_model.checkpoints.published_tables import labels_of, vocabulary_of
from scprint_model.cli import main
from scprint_model.commands import models

GENES = ["ENSG00000141510", "ENSG00000012048", "ENSG00000999999", "ENSMUSG00000059552", "ENSMUSG00000017146"]
CLASSES = {"cell_type_ontology_term_id": 3, "sex_ontology_term_id": 2}
D, HEADS = 16, 4


def linear(state, key, rows, columns):
    state[f"{key}.weight"] = torch.randn(rows, columns) / columns**0.5
    state[f"{key}.bias"] = torch.randn(rows) / 10


def norm(state, key, width=D):
    state[f"{key}.weight"], state[f"{key}.bias"] = 1 + torch.randn(width) / 10, torch.randn(width) / 10


def block(state, key, *, kv_heads, cross=False):
    kv = 2 * kv_heads * (D // HEADS)
    if cross:
        linear(state, f"{key}.mixer.Wq", D, D)
        linear(state, f"{key}.mixer.Wkv", kv, D)
    else:
        linear(state, f"{key}.mixer.Wqkv", D + kv, D)
    linear(state, f"{key}.mixer.out_proj", D, D)
    linear(state, f"{key}.mlp.fc1", 4 * D, D)
    linear(state, f"{key}.mlp.fc2", D, 4 * D)
    norm(state, f"{key}.norm1")
    norm(state, f"{key}.norm2")


def value_encoder(state, key, layers):
    linear(state, f"{key}.0", D, 1)
    norm(state, f"{key}.1")
    for i in range(1, layers):
        linear(state, f"{key}.{4 * i}", D, D)
        if i + 1 < layers:
            norm(state, f"{key}.{4 * i + 1}")


def checkpoint(
    *,
    family="A",
    layers=2,
    kv_heads=HEADS,
    value_layers=2,
    head_widths=(D,),
    depth_token=True,
    metacell=False,
    cell_pairs=0,
    bottlenecks=None,
    outputs=3,
    gene_key="gene_encoder.embedding.weight",
    position_dims=3,
    discriminator=True,
    drop=(),
    **options,
):
    """Return a Lightning checkpoint with random weights; `options` are hyper-parameters, `drop` those to leave out."""
    torch.manual_seed(1)
    state = {gene_key: torch.randn(len(GENES), D)}
    for name in ["expr_encoder", *(["depth_encoder"] if depth_token else [])]:
        value_encoder(state, f"{name}.encoder", value_layers)
    table = torch.randn(len(GENES), D)
    state["pos_encoder.pe"] = table[:, None] if position_dims == 3 else table
    state["class_encoder.embedding.weight"] = torch.randn(1 + len(CLASSES), D)
    if metacell:
        state["metacell_encoder.embedding.weight"] = torch.randn(2, D)
    for i in range(2 * layers if cell_pairs else layers):
        block(state, f"transformer.blocks.{i}", kv_heads=kv_heads, cross=bool(cell_pairs) and i % 2 == 0)
    norm(state, "transformer.norm")
    for i in range(2 * cell_pairs):
        block(state, f"cell_transformer.blocks.{i}", kv_heads=kv_heads, cross=i % 2 == 0)
    if cell_pairs:
        norm(state, "cell_transformer.norm")
    linear(state, "expr_decoder.fc.0", D, D if depth_token else D + 1)
    norm(state, "expr_decoder.fc.1")
    linear(state, "expr_decoder.fc.4", D, D)
    norm(state, "expr_decoder.fc.5")
    linear(state, "expr_decoder.pred_var_zero", outputs, D)
    for name, n in CLASSES.items():
        width = D
        for i, wider in enumerate(head_widths):
            linear(state, f"cls_decoders.{name}.decoder.{4 * i}", wider, width)
            norm(state, f"cls_decoders.{name}.decoder.{4 * i + 1}", wider)
            width = wider
        linear(state, f"cls_decoders.{name}.out_layer", n, width)
    for name, size in (bottlenecks or {}).items():
        linear(state, f"bottleneck_mlps.{name}.project_in", size, D)
        linear(state, f"bottleneck_mlps.{name}.project_out", D, size)
    if discriminator:
        linear(state, "grad_reverse_discriminator_loss.out_layer", 7, D)
        linear(state, "mvc_decoder.gene2query", D, D)
    hparams = {
        "genes": list(GENES),
        "organisms": ["NCBITaxon:9606", "NCBITaxon:10090"],
        "gene_pos_enc": [3, 9, 4, 1, 2],
        "normalization": "sum" if family == "A" else "log",
        "d_model": D,
        "nhead": HEADS,
        "nlayers": layers,
        "layers_cls": list(head_widths),
        "classes": dict(CLASSES) if family == "A" else list(CLASSES),
        "label_decoders": {
            "cell_type_ontology_term_id": {
                0: "CL:0000084",
                1: "CL:0000236",
                2: "CL:0000540",
                3: "CL:0000542",
                4: "CL:0000000",
                -1: "unknown",
            },
            "sex_ontology_term_id": {0: "PATO:0000384", 1: "PATO:0000383", -1: "unknown"},
        },
        "labels_hierarchy": {"cell_type_ontology_term_id": {3: [0, 1], 4: [0, 1, 2]}},
        "dropout": 0.2,
        "precpt_gene_emb": "/home/somebody/gene_embeddings.parquet",
        "zinb": outputs == 3,
    }
    if family == "B":
        hparams |= {"label_counts": dict(CLASSES), "num_heads_kv": kv_heads, "compress_class_dim": bottlenecks}
    hparams |= options
    for name in drop:
        hparams.pop(name)
    return {
        "state_dict": state,
        "hyper_parameters": hparams,
        "epoch": 4,
        "global_step": 1234,
        "pytorch-lightning_version": "2.3.0",
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
        "hparams_name": "kwargs",
    }


@pytest.fixture
def write(tmp_path):
    def write(name="x.ckpt", *, edit=None, **options):
        content = checkpoint(**options)
        if edit is not None:
            edit(content)
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def outputs(model):
    genes = torch.tensor([[4, 0, 2], [1, 3, 0]])
    counts = torch.tensor([[5.0, 0, 2], [1, 1, 8]])
    with torch.inference_mode():
        return model(genes, counts, torch.tensor([90.0, 40.0]))


OPTIONS = [
    {},
    {"gene_key": "gene_encoder.0.embedding.weight", "position_dims": 2},
    {"value_layers": 3, "head_widths": (12, 8), "layers": 1, "drop_path_rate": 0.1},
    {"head_widths": (), "discriminator": False},
    {
        "drop": (
            "normalization",
            "gene_pos_enc",
            "organisms",
            "dropout",
            "labels_hierarchy",
            "zinb",
            "d_model",
            "nlayers",
        )
    },
    {"family": "B", "gene_key": "gene_encoder.embeddings.weight", "depth_token": False, "kv_heads": 2},
    {"family": "B", "kv_heads": 1, "metacell": True, "bottlenecks": {"sex_ontology_term_id": 4}},
    {"family": "B", "cell_pairs": 2, "kv_heads": 2, "depth_token": False, "metacell": True},
    {"family": "B", "cell_pairs": 1, "outputs": 1, "depth_token": False},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_layout_opens_and_is_kept(write, tmp_path, options):
    path = write(**options)
    before = path.read_bytes()
    model = ScPrint.from_pretrained(path)
    first = outputs(model)
    assert torch.isfinite(first.mean).all()
    assert not model.training
    assert path.read_bytes() == before
    model.save_pretrained(tmp_path / "ours")
    again = load_folder(tmp_path / "ours", ScPrint)
    assert again.config == model.config
    assert again.vocabulary == model.vocabulary
    second = outputs(again)
    # not bit for bit: a kernel may take another path for memory that begins elsewhere
    torch.testing.assert_close(second.mean, first.mean, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(second.cell_embeddings, first.cell_embeddings, rtol=1e-6, atol=1e-6)
    stored = torch.load(path, weights_only=True)["state_dict"]
    kept = {key: value for key, value in stored.items() if not is_dropped(key)}
    assert sum(v.numel() for v in kept.values()) == sum(v.numel() for v in again.state_dict().values())


def test_sizes_come_from_the_shapes(write):
    config = read_published(write(value_layers=3, head_widths=(12, 8))).config
    assert (config.n_genes, config.d_model, config.n_layers, config.n_heads) == (5, 16, 2, 4)
    assert (config.expression_layers, config.class_head_widths, config.normalization) == (3, (12, 8), "sum")
    assert config.class_sizes == CLASSES
    assert config.token_names == ("base", "depth", *CLASSES)
    assert (config.dropout, config.likelihood, config.depth, config.n_kv_heads) == (0.2, "zinb", "input", None)
    config = read_published(
        write(
            family="B", cell_pairs=3, kv_heads=2, depth_token=False, metacell=True, bottlenecks={next(iter(CLASSES)): 5}
        )
    ).config
    assert (config.n_layers, config.cell_transformer, config.n_kv_heads, config.depth) == (2, 3, 2, "decoder")
    assert config.token_names == ("metacell", "base", *CLASSES)
    assert config.bottleneck_sizes == {"cell_type_ontology_term_id": 5}
    assert config.normalization == "log"


def test_weights_arrive_where_they_belong(write):
    path = write(family="B", cell_pairs=1, kv_heads=2, depth_token=False)
    stored, ours = torch.load(path, weights_only=True)["state_dict"], ScPrint.from_pretrained(path).state_dict()
    pairs = {
        "transformer.blocks.2.mixer.Wkv.bias": "blocks.2.attention.kv.bias",
        "transformer.blocks.3.mixer.Wqkv.weight": "blocks.3.attention.qkv.weight",
        "cell_transformer.blocks.0.mixer.Wq.weight": "cell_blocks.0.attention.q.weight",
        "cell_transformer.norm.bias": "cell_norm.bias",
        "cls_decoders.sex_ontology_term_id.out_layer.bias": "class_heads.sex_ontology_term_id.out.bias",
        "expr_decoder.fc.0.weight": "expression_decoder.layers.0.weight",
        "class_encoder.embedding.weight": "class_tokens.weight",
    }
    for published, here in pairs.items():
        assert our_name(published) == here
        torch.testing.assert_close(ours[here], stored[published], rtol=0, atol=0)
    torch.testing.assert_close(ours["position_encoder.table"], stored["pos_encoder.pe"][:, 0], rtol=0, atol=0)


def test_families(write):
    assert read_published(write()).family == "A"
    assert read_published(write(family="B")).family == "B"
    assert family_of({"classes": {}, "num_heads_kv": None}) == "A"
    assert family_of({"classes": {}, "depth_atinput": True}) == "B"
    path = write(edit=lambda c: c["state_dict"].update({"gene_encoder.1.weight": torch.ones(D, D)}))
    with pytest.raises(ValueError, match=r"scPRINT-2 \(family C\), which is another network and not supported"):
        read_published(path)
    assert is_scprint2(["compressor.fc.weight"])
    assert not is_scprint2(["gene_encoder.0.embedding.weight", "cell_transformer.norm.bias"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_input_bins": 51, "expr_emb_style": "binned_pos"}, r"expr_emb_style = 'binned_pos'.*n_input_bins = 51"),
        ({"domain_spec_batchnorm": "dsbn"}, "domain_spec_batchnorm = 'dsbn'"),
        ({"attn_bias": "distance"}, "attn_bias = 'distance'"),
        ({"normalization": "raw"}, "normalization = 'raw'"),
        ({"prenorm": False}, "prenorm = False"),
        ({"transformer": "performer"}, "transformer = 'performer'"),
        ({"cell_emb_style": "avg-pool"}, "cell_emb_style = 'avg-pool'"),
        ({"drop": ("nhead",)}, "lack nhead: the weights do not tell"),
        ({"nhead": 5}, "nhead = 5 does not divide the width 16"),
        ({"d_model": 32}, "hyper-parameters say d_model = 32, the shapes of the weights 16"),
        ({"nlayers": 3}, "nlayers = 3, the shapes of the weights 2"),
        ({"family": "B", "num_heads_kv": 2}, "num_heads_kv = 2, the shapes of the weights 4"),
        ({"kv_heads": 3, "nhead": 2}, "Wqkv has 40 rows, which fit no number"),
        ({"classes": {**CLASSES, "sex_ontology_term_id": 9}}, "labels of sex_ontology_term_id = 9, .* 2"),
        ({"classes": {"disease": 4}}, r"name the classes \['disease'\], the weights have heads for \['cell_type"),
        ({"genes": GENES[:3]}, "name 3 genes, the gene table has 5 rows"),
        ({"genes": GENES[:3] + GENES[:2]}, "2 genes occur more than once"),
        ({"classes": 3}, "hyper-parameters are not of the published form: TypeError"),
        ({"label_decoders": {"sex_ontology_term_id": [1]}}, "not of the published form: AttributeError"),
        ({"zinb": False}, "3 outputs with zinb = False"),
        (
            {"family": "B", "compress_class_dim": {"sex_ontology_term_id": 4}},
            r"bottlenecks of \[\], compress_class_dim",
        ),
    ],
)
def test_what_this_network_cannot_do_is_refused_by_name(write, options, message):
    with pytest.raises(ValueError, match=message):
        ScPrint.from_pretrained(write(**options))


def set_weight(key, value):
    def edit(content):
        content["state_dict"][key] = value

    return edit


def without(key):
    return lambda content: content["state_dict"].pop(key)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_weight("transformer.blocks.1.mlp.fc1.weight", torch.ones(7, D)), r"is \(7, 16\), not \(64, 16\)"),
        (set_weight("transformer.norm.bias", torch.full((D,), torch.nan)), r"NaN or infinite .* transformer\.norm"),
        (set_weight("transformer.norm.weight", torch.full((D,), -torch.inf)), r"infinite weights in transformer\.norm"),
        (set_weight("new_thing.weight", torch.ones(2)), r"no place for, such as \['new_thing\.weight'\]"),
        (set_weight("transformer.norm.bias", "text"), "other things than tensors"),
        (without("transformer.blocks.0.norm2.bias"), r"1 missing, such as \['blocks\.0\.norm2\.bias'\]"),
        (without("transformer.blocks.0.norm1.weight"), r"blocks of the transformer are numbered \[1\]"),
        (set_weight("class_encoder.embedding.weight", torch.ones(9, D)), "class_encoder has 9 rows; .* need 3"),
        (set_weight("pos_encoder.pe", torch.ones(4, 1, D)), r"gene_positions has shape \(4, 16\)"),
        (set_weight("expr_decoder.fc.0.weight", torch.ones(D, D + 1)), "takes 17 values with a depth encoder"),
        (lambda c: c.pop("hyper_parameters"), "no Lightning checkpoint with hyper-parameters"),
        (lambda c: c.update(state_dict={"encoder.weight": torch.ones(2)}), r"no scPRINT network: .*encoder\.weight"),
    ],
)  # fmt: skip
def test_damaged_and_foreign_weights_are_told(write, edit, message):
    with pytest.raises(ValueError, match=message):
        ScPrint.from_pretrained(write(edit=edit))


def test_half_precision_and_double_become_float(write):
    def edit(content):
        state = content["state_dict"]
        state["transformer.norm.bias"] = state["transformer.norm.bias"].bfloat16()
        state["transformer.norm.weight"] = state["transformer.norm.weight"].double()

    model = ScPrint.from_pretrained(write(edit=edit))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_no_positions_are_no_addition(write):
    path = write(gene_pos_enc=None, edit=without("pos_encoder.pe"))
    model = ScPrint.from_pretrained(path)
    assert not model.position_encoder.table.any()
    assert model.vocabulary.locations.tolist() == [0] * 5


def test_genes():
    hparams = checkpoint()["hyper_parameters"]
    vocabulary = vocabulary_of(hparams, 5)
    assert vocabulary.ids == tuple(GENES)
    assert vocabulary.symbols == ("TP53", "BRCA1", "ENSG00000999999", "Trp53", "Brca1")
    assert vocabulary.organisms == ("NCBITaxon:9606",) * 3 + ("NCBITaxon:10090",) * 2
    assert vocabulary.locations.tolist() == [3, 9, 4, 1, 2]
    hparams |= {"genes": ["ENSG00000141510", "ENSDARG00000000001"], "gene_pos_enc": np.array([1, 2])}
    hparams |= {"organisms": ["NCBITaxon:9606", "NCBITaxon:7955"]}
    assert vocabulary_of(hparams, 2).organisms == ("NCBITaxon:9606", "NCBITaxon:7955")
    assert vocabulary_of(hparams | {"organisms": ["NCBITaxon:7955"]}, 2).organisms == (
        "NCBITaxon:9606",
        "NCBITaxon:7955",
    )
    assert vocabulary_of(hparams | {"organisms": ["human", "mouse"]}, 2).organisms[1] == "unknown"
    with pytest.raises(ValueError, match="gives 1 locations for 2 genes"):
        vocabulary_of(hparams | {"gene_pos_enc": [1]}, 2)


@pytest.mark.parametrize("kind", [int, str])
def test_labels_keep_the_stored_codes(kind):
    decoder = {
        kind(k): v for k, v in checkpoint()["hyper_parameters"]["label_decoders"]["cell_type_ontology_term_id"].items()
    }
    hierarchy = {kind(3): [kind(1), kind(0)], kind(4): [0, 1, 2]}
    hparams = {"label_decoders": {"cell_type": decoder}, "labels_hierarchy": {"cell_type": hierarchy}}
    space = labels_of(hparams, {"cell_type": 3}).classes["cell_type"]
    assert space.leaves == ("CL:0000084", "CL:0000236", "CL:0000540")
    assert space.parents == ("CL:0000542", "CL:0000000")
    assert space.descendants.toarray().tolist() == [[True, True, False], [True, True, True]]
    assert space.names["CL:0000084"] == "T cell"
    assert dict(space.names)["CL:0000540"] == "neuron"
    assert space.decode([2, 3, -1]) == ["CL:0000540", "CL:0000542", "unknown"]
    assert space.encode(["T cell", "CL:0000542", "hepatocyte"]).tolist() == [0, 3, -1]


def test_labels_without_names_and_with_contradictions():
    space = labels_of({"label_decoders": {"batch": {0: "x", 2: "x"}}}, {"batch": 3}).classes["batch"]
    assert space.leaves == ("x", "batch:1", "x (code 2)")
    assert space.names["x (code 2)"] == "x (code 2)"
    assert labels_of({}, {"sex": 2}).classes["sex"].leaves == ("sex:0", "sex:1")
    with pytest.raises(ValueError, match="codes that are no numbers"):
        labels_of({"label_decoders": {"sex": {"male": 0}}}, {"sex": 2})
    with pytest.raises(ValueError, match=r"with 2 leaf labels, coarser ones are numbered \[2\] and lie above \[7\]"):
        labels_of({"labels_hierarchy": {"sex": {2: [0, 7]}}}, {"sex": 2})
    with pytest.raises(ValueError, match="numbered up to 99999999999, but there are 1"):
        labels_of({"label_decoders": {"sex": {99999999999: "x"}}}, {"sex": 2})


def test_config_needs_no_data(write):
    content = checkpoint()
    meta = {key: value.to("meta") for key, value in content["state_dict"].items()}
    assert config_of(content["hyper_parameters"], meta) == read_published(write()).config


def test_the_card_says_where_the_weights_are_from(write, tmp_path, caplog):
    path = write()
    model = ScPrint.from_pretrained(path)
    model.save_pretrained(tmp_path / "ours", card={"data_sets": ["one"]})
    card = json.loads((tmp_path / "ours/card.json").read_text())
    known = describe(path)
    assert card["source"] == {
        "file": "x.ckpt", "format": "published, family A (v1: scprint 1.x)", "sha256": known["sha256"]
    }  # fmt: skip
    assert card["training"] == {"epoch": 4, "step": 1234, "lightning": "2.3.0"}
    assert card["dropped"] == {"grad_reverse_discriminator_loss": 7 * D + 7, "mvc_decoder": D * D + D}
    assert card["options"]["nhead"] == HEADS
    assert "genes" not in card["options"]
    assert card["data_sets"] == ["one"]
    page = (tmp_path / "ours/README.md").read_text()
    assert page.startswith("---\nlibrary_name: scprint-model\n")
    assert known["sha256"] in page
    assert "5 genes: 3 of NCBITaxon:9606, 2 of NCBITaxon:10090" in page
    assert str(tmp_path) not in page + json.dumps(card)
    path.write_bytes(b"something else")
    with caplog.at_level(logging.WARNING):
        model.save_pretrained(tmp_path / "later")
    assert "is not what it was when it was opened" in caplog.text
    assert "sha256" not in json.loads((tmp_path / "later/card.json").read_text())["source"]


def test_convert_and_inspect(write, tmp_path, capsys):
    path = write(family="B", depth_token=False)
    assert main(["convert", str(path), str(tmp_path / "ours"), "--dtype", "bfloat16"]) == 0
    assert "weights, 0.0 MB, from {'file': 'x.ckpt', 'format': 'published, family B" in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    published = json.loads(capsys.readouterr().out)
    assert main(["inspect", str(tmp_path / "ours"), "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert published["card"]["source"]["sha256"] == published["sha256"] == ours["card"]["source"]["sha256"]
    for key in ("weights", "config", "genes", "labels", "tokens"):
        assert published[key] == ours[key]
    assert published["labels"]["cell_type_ontology_term_id"] == {
        "leaves": 3, "coarser": 2, "first": ["CL:0000084", "CL:0000236", "CL:0000540"]
    }  # fmt: skip
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "- training: epoch 4, step 1,234, lightning 2.3.0" in shown
    assert "- dropped: grad_reverse_discriminator_loss 119, mvc_decoder 272" in shown
    assert "2 layers, 4 heads, width 16" in shown
    with pytest.raises(ValueError, match="in the format of this package already"):
        models.convert(str(tmp_path / "ours"), tmp_path / "twice")
    with pytest.raises(ValueError, match=r"lists no training data sets.*'GSE1'"):
        models.inspect(str(path), find="GSE1")


def test_find_a_data_set(capsys):
    assert main(["inspect", "bundled", "--find", "WU2020"]) == 0
    assert capsys.readouterr().out == "human_tcells_wu2020\n"
    assert main(["inspect", "bundled", "--find", "retina"]) == 1
    assert "'retina' is not among its 40 data sets" in capsys.readouterr().out
