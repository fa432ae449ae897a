"""Low-rank parts, longer vocabularies and label spaces, the distance of batches, the split, and adapter files."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model import ModelConfig, ScPrint
from scprint_model.finetuning import add_low_rank, fingerprint, load_adapter, merge_low_rank, save_adapter
from scprint_model.finetuning.batch_effect import batch_distance
from scprint_model.finetuning.cells import divide
from scprint_model.finetuning.extend import extend, extend_vocabulary, new_rows
from scprint_model.finetuning.labels import extend_space, find_targets
from scprint_model.finetuning.low_rank import low_rank_parts
from scprint_model.metrics import label_scores, neighbour_accuracy

NEURON, INTERNEURON, AMACRINE, ROD, GLIA = "CL:0000540", "CL:0000099", "CL:0000561", "CL:0000604", "CL:0000125"


def vocabulary_of(n, *, prefix="G", start=0, locations=None, organism="NCBITaxon:9606", symbols=None):
    ids = tuple(f"{prefix}{i}" for i in range(start, start + n))
    where = np.arange(n, dtype=np.int32) if locations is None else np.array(locations, dtype=np.int32)
    return GeneVocabulary(ids, symbols or tuple(i.lower() for i in ids), (organism,) * n, where)


def model_of(labels, *, n_genes=12, gene_rows=None, **options):
    torch.manual_seed(1)
    vocabulary = vocabulary_of(n_genes)
    config = ModelConfig(
        n_genes=n_genes, d_model=16, n_layers=2, n_heads=2, class_sizes=labels.sizes, dropout=0.0, **options
    )
    model = ScPrint(config, gene_positions=torch.tensor(vocabulary.locations), gene_rows=gene_rows).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.vocabulary, model.label_space = vocabulary, labels
    return model


@pytest.fixture
def labels():
    return LabelSpace.from_obs([pd.DataFrame({"cell_type_ontology_term_id": [NEURON, AMACRINE, ROD]})], ["cell_type"])


@pytest.fixture
def model(labels):
    return model_of(labels)


@pytest.fixture
def cells():
    generator = torch.Generator().manual_seed(0)
    genes = torch.stack([torch.randperm(12, generator=generator)[:8] for _ in range(5)])
    counts = torch.poisson(torch.full((5, 8), 3.0), generator=generator)
    return genes, counts, counts.sum(dim=1) + 20


def outputs(model, cells):
    with torch.no_grad():
        made = model(*cells)
    return {"cells": made.cell_embeddings, "mean": made.mean, "zero": made.zero_logits, **made.class_logits}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def disturb(model):
    with torch.no_grad():
        for _, _, part in low_rank_parts(model):
            part.up.normal_(std=0.2)


@pytest.mark.parametrize("layout", [{}, {"cell_transformer": 1}])
def test_low_rank_parts_change_nothing_at_first_and_merge_to_the_same(labels, cells, layout):
    model = model_of(labels, **layout)
    adapted = copy.deepcopy(model)
    names = add_low_rank(adapted, rank=2, projections=["qkv", "q", "kv", "out", "fc1"])
    assert_equal(outputs(model, cells), outputs(adapted, cells))
    assert {name.split(".")[0] for name in names} == ({"blocks", "cell_blocks"} if layout else {"blocks"})
    disturb(adapted)
    apart = outputs(adapted, cells)
    assert not torch.allclose(apart["cells"], outputs(model, cells)["cells"], atol=1e-3)
    with torch.no_grad():  # the short cut of encode reads the weights on another way
        encoded = adapted.encode(*cells).cell_embeddings
    torch.testing.assert_close(encoded, apart["cells"], atol=1e-5, rtol=1e-5)
    merge_low_rank(adapted)
    assert adapted.state_dict().keys() == model.state_dict().keys()
    for key, value in outputs(adapted, cells).items():
        torch.testing.assert_close(value, apart[key], atol=1e-5, rtol=1e-5)


def test_what_is_added_is_alpha_over_rank_times_the_product(model):
    weight = model.blocks[0].attention.out.weight.detach().clone()
    assert add_low_rank(model, rank=4, alpha=6.0, projections=["out"]) == [
        "blocks.0.attention.out",
        "blocks.1.attention.out",
    ]
    disturb(model)
    part = next(low_rank_parts(model))[2]
    expected = weight.double() + 1.5 * part.up.double() @ part.down.double()
    torch.testing.assert_close(model.blocks[0].attention.out.weight.double(), expected, atol=1e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="merge_low_rank first"):
        add_low_rank(model)
    with pytest.raises(ValueError, match="merge_low_rank first"):
        fingerprint(model)


def test_low_rank_options_that_are_wrong_are_refused(model):
    with pytest.raises(ValueError, match=r"\['key'\] are not among"):
        add_low_rank(model, projections=["key"])
    with pytest.raises(ValueError, match="rank = 0"):
        add_low_rank(model, rank=0)
    with pytest.raises(ValueError, match="none of the projections"):
        add_low_rank(model, projections=["kv"])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("location", [3, 5000])  # beyond the last one, the angles of location 0 would move
def test_new_genes_leave_old_ones_as_they_are_to_the_bit(labels, cells, shared, location):
    rows = torch.arange(12) // 2 if shared else None
    model = model_of(labels, gene_rows=rows)
    added = vocabulary_of(2, prefix="N", locations=[location, 1], organism="NCBITaxon:10090", symbols=("G3", "none"))
    vocabulary = extend_vocabulary(model.vocabulary, added, [])
    assert vocabulary.ids == (*model.vocabulary.ids, "N0", "N1")
    start = new_rows(model, vocabulary, seed=0)
    table = model.gene_encoder(torch.arange(12)).detach()
    assert torch.equal(start[0], table[3])  # the symbol of G3, in capitals
    assert 0 < (start[1] - table.mean(0)).norm() < (table - table.mean(0)).norm(dim=1).min()
    assert torch.equal(start, new_rows(model, vocabulary, seed=0))
    assert not torch.equal(start[1], new_rows(model, vocabulary, seed=1)[1])
    longer = extend(model, vocabulary, labels, rows=start)
    assert_equal(outputs(model, cells), outputs(longer, cells))
    assert torch.equal(longer.gene_encoder(torch.tensor([12, 13])), start)
    with_new = (torch.cat((cells[0], torch.full((5, 1), 12)), 1), torch.cat((cells[1], torch.ones(5, 1)), 1), cells[2])
    assert outputs(longer, with_new)["mean"].shape == (5, 9)


def test_a_longer_model_can_be_saved_and_opened(model, labels, cells, tmp_path):
    vocabulary = extend_vocabulary(model.vocabulary, vocabulary_of(1, prefix="N", locations=[900]), [])
    longer = extend(model, vocabulary, labels, rows=new_rows(model, vocabulary))
    longer.save_pretrained(tmp_path / "longer")
    again = ScPrint.from_pretrained(tmp_path / "longer")
    assert_equal(outputs(longer, cells), outputs(again, cells))
    assert len(again.vocabulary) == 13


def test_proteins_bring_new_genes_to_where_the_model_has_its_own(tmp_path):
    labels = LabelSpace({})
    model = model_of(labels, n_genes=100)
    generator = np.random.default_rng(0)
    proteins = generator.normal(size=(102, 16))
    turn, shift = generator.normal(size=(16, 16)), generator.normal(size=16)
    place = torch.tensor(proteins @ turn + shift, dtype=torch.float32)
    with torch.no_grad():
        model.gene_encoder.table.weight.copy_(place[:100])
    ids = [f"G{i}" for i in range(100)] + ["N0", "N1"]
    pd.DataFrame(proteins, index=ids, columns=[str(i) for i in range(16)]).to_parquet(tmp_path / "table.parquet")
    vocabulary = extend_vocabulary(model.vocabulary, vocabulary_of(3, prefix="N"), [])
    rows = new_rows(model, vocabulary, embeddings=tmp_path / "table.parquet")
    torch.testing.assert_close(rows[:2], place[100:], atol=1e-3, rtol=1e-3)
    assert torch.equal(rows[2], new_rows(model, vocabulary)[2])  # without a protein: as without a table


def space_of(known, *columns, **obs):
    table = pd.DataFrame(obs)
    targets = find_targets([table], columns, known)
    space, codes = extend_space([table], targets, known)
    return targets, space, codes[0]


def test_new_terms_go_behind_the_old_leaves_and_below_the_old_parents(labels, model, cells):
    old = labels.classes["cell_type"]
    assert (old.leaves, old.parents) == ((AMACRINE, ROD), (NEURON,))
    terms = [GLIA, INTERNEURON, ROD, "CL:0000740", "my own type", "unknown"]
    targets, space, codes = space_of(labels, "cell_type", cell_type_ontology_term_id=terms * 2)
    new = space.classes["cell_type"]
    assert targets[0].column == "cell_type_ontology_term_id"
    assert new.leaves == (AMACRINE, ROD, GLIA, "CL:0000740", "my own type")
    assert new.parents == (NEURON, INTERNEURON)
    below = new.descendants.toarray().tolist()
    assert below == [[True, True, False, True, False], [True, False, False, False, False]]
    assert codes[:6, 0].tolist() == [2, 6, 1, 3, 4, -1]
    longer = extend(model, model.vocabulary, space)
    before, after = outputs(model, cells), outputs(longer, cells)
    assert after["cell_type"].shape == (5, 5)
    torch.testing.assert_close(after["cell_type"][:, :2], before["cell_type"], atol=1e-6, rtol=1e-6)
    assert torch.equal(longer.class_heads["cell_type"].out.weight[:2], model.class_heads["cell_type"].out.weight)
    assert torch.equal(after["cells"], before["cells"])


def test_names_that_the_network_cannot_have_get_a_prefix(labels):
    obs = {"type": ["a", "b"] * 2, "2nd": ["a", "b"] * 2, "depth": ["a", "b"] * 2}
    targets, space, _ = space_of(labels, "type", "2nd", "depth", **obs)
    assert [target.name for target in targets] == ["class_type", "class_2nd", "class_depth"]
    ModelConfig(n_genes=1, class_sizes=space.sizes)


def test_words_make_a_flat_class_and_ids_a_hierarchical_one(labels, model):
    words = ["treated", "control"] * 3
    ids = [NEURON, ROD, AMACRINE] * 2
    obs = {"my state": words, "fine_ontology_term_id": ids}
    targets, space, codes = space_of(labels, "my state", "fine", **obs)
    assert [target.name for target in targets] == ["my_state", "fine"]
    assert list(space.classes) == ["cell_type", "my_state", "fine"]
    assert space.classes["my_state"].leaves == ("control", "treated")
    assert space.classes["fine"].parents == (NEURON,)
    assert codes.tolist()[:3] == [[1, 2], [0, 1], [1, 0]]
    longer = extend(model, model.vocabulary, space, tokens={"my_state": "cell_type"})
    assert longer.token_names == ("base", "depth", "cell_type", "my_state", "fine")
    old = model.class_tokens.weight
    assert torch.equal(longer.class_tokens.weight, torch.stack((old[0], old[1], old[1], old[0])))


def test_words_for_cell_types_are_taken_as_they_are_where_they_are_no_terms():
    _, space, _ = space_of(LabelSpace({}), "cell_type", cell_type=["cluster A", "cluster B"] * 2)
    assert space.classes["cell_type"].leaves == ("cluster A", "cluster B")
    _, space, _ = space_of(LabelSpace({}), "cell_type", cell_type=["amacrine cell", "retinal rod cell"] * 2)
    assert space.classes["cell_type"].leaves == (AMACRINE, ROD)


def test_the_columns_of_published_class_names_are_found(labels):
    published = LabelSpace({"cell_type_ontology_term_id": labels.classes["cell_type"]})
    targets, space, _ = space_of(published, "cell_type", cell_type=["amacrine cell", "retinal rod cell"] * 2)
    assert (targets[0].name, targets[0].column) == ("cell_type_ontology_term_id", "cell_type")
    assert space.classes["cell_type_ontology_term_id"] is labels.classes["cell_type"]


def test_labels_that_cannot_be_learned_are_named(labels):
    with pytest.raises(ValueError, match="did you mean 'treatment'"):
        space_of(labels, "treatmnt", treatment=["a", "b"])
    with pytest.raises(ValueError, match=r"one cell each of \['b'\]"):
        space_of(labels, "state", state=["a", "a", "b"])
    with pytest.raises(ValueError, match="needs two"):
        space_of(labels, "state", state=["a", "a"])
    with pytest.raises(ValueError, match="no label that is known"):
        space_of(labels, "state", state=["unknown", None])
    with pytest.raises(ValueError, match="more than once"):
        space_of(labels, "cell_type", "cell_type_ontology_term_id", cell_type_ontology_term_id=[ROD, AMACRINE] * 2)


def slow_distance(x, batches):
    """The definition, for two batches."""
    x = x.double().numpy()
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    median = torch.tensor(squared[~np.eye(len(x), dtype=bool)]).median().item()
    kernel = np.mean([np.exp(-squared / (w * median)) for w in (0.25, 1.0, 4.0)], axis=0)
    a, b = batches.numpy() == 0, batches.numpy() == 1
    among = [kernel[np.ix_(g, g)][~np.eye(g.sum(), dtype=bool)].mean() for g in (a, b)]
    return sum(among) - 2 * kernel[np.ix_(a, b)].mean()


def test_the_distance_of_batches_is_the_mean_discrepancy():
    x = torch.randn(14, 3, generator=torch.Generator().manual_seed(0))
    batches = torch.tensor([0, 1] * 7)
    expected = slow_distance(x, batches)
    assert batch_distance(x, batches).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert batch_distance(x * 1e-3, batches).item() == pytest.approx(
        expected, rel=1e-4, abs=1e-6
    )  # nothing gained by shrinking
    moved = x + 4 * batches[:, None]
    assert batch_distance(moved, batches) > 0.3 > 4 * abs(expected)
    lost = torch.cat((moved, torch.full((2, 3), 1e3)))
    same = batch_distance(lost, torch.cat((batches, torch.tensor([-1, -1]))))
    assert same.item() == pytest.approx(batch_distance(moved, batches).item())


def test_other_cell_types_in_another_batch_are_no_batch_effect():
    x = torch.tensor([0.0] * 3 + [9.0] * 4 + [0.0] * 3 + [9.0] * 3 + [50.0] * 3)[:, None]
    batches, types = torch.tensor([0] * 7 + [1] * 9), torch.tensor([0] * 3 + [1] * 4 + [0] * 3 + [1] * 3 + [2] * 3)
    assert batch_distance(x, batches, types).item() == pytest.approx(0, abs=1e-6)
    assert batch_distance(x, batches) > 0.05
    alone = batch_distance(x.requires_grad_(), batches, batches)  # no label in both
    assert alone.item() == 0
    alone.backward()
    assert not x.grad.any()


def test_the_split_holds_out_groups_or_cells_of_each_label():
    codes = np.repeat([0, 1, 2], [50, 48, 2])
    parts = divide(codes, held_out=0.2, groups=None, seed=3)
    every = np.concatenate([parts.train, parts.validation, parts.held_out])
    assert sorted(every.tolist()) == list(range(100))
    assert abs(len(parts.held_out) - 20) <= 3
    assert set(codes[parts.train]) == {0, 1, 2}
    again = divide(codes, held_out=0.2, groups=None, seed=3)
    assert np.array_equal(parts.held_out, again.held_out)
    donors = np.array(["a", "b", "c", "d"] * 25, dtype=object)
    parts = divide(codes, held_out=0.25, groups=donors)
    assert len(set(donors[parts.held_out])) == 1
    assert len(parts.held_out) == 25
    parts = divide(codes, held_out=0.25, groups=donors, named=["d", "b"])
    assert parts.held_out.tolist() == np.flatnonzero(np.isin(donors, ["b", "d"])).tolist()
    with pytest.raises(ValueError, match=r"there is no \['e'\] among \['a', 'b', 'c', 'd'\]"):
        divide(codes, held_out=0.25, groups=donors, named=["a", "e"])
    with pytest.raises(ValueError, match="100 cells give 0 to learn from"):
        divide(codes, held_out=0.25, groups=donors, named=["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="held_out_by has one value"):
        divide(codes, held_out=0.2, groups=np.array(["a"] * 100, dtype=object))
    with pytest.raises(ValueError, match=r"held_out=1\.5"):
        divide(codes, held_out=1.5, groups=None)


def test_scores_of_a_case_worked_by_hand():
    logits = torch.eye(3)[[0, 1, 1, 2, 0]]
    labels = torch.tensor([0, 1, 0, 3, -1])  # 3: a parent of leaf 2
    scores = label_scores(logits, labels, torch.tensor([[False, False, True]]))
    assert scores == {"accuracy": 0.75, "macro_f1": pytest.approx(2 / 3), "n_cells": 4}
    points = torch.tensor([[0.0], [1.0], [10.0]])
    asked = torch.tensor([[0.4], [9.0], [0.6], [3.0]])
    told = neighbour_accuracy(points, torch.tensor([0, 0, 1]), asked, torch.tensor([0, 1, 1, -1]), n_neighbours=1)
    assert told == pytest.approx(2 / 3)


def changed_everywhere(model):
    """New genes, labels and classes, and low-rank parts that do something."""
    obs = {"cell_type_ontology_term_id": [GLIA, ROD] * 2, "state": ["a", "b"] * 2}
    _, space, _ = space_of(model.label_space, "cell_type", "state", **obs)
    vocabulary = extend_vocabulary(model.vocabulary, vocabulary_of(2, prefix="N", locations=[70, 2]), [])
    made = extend(model, vocabulary, space, rows=new_rows(model, vocabulary), tokens={"state": "cell_type"}, seed=5)
    add_low_rank(made, rank=2, alpha=3.0, projections=["qkv", "fc1"])
    disturb(made)
    with torch.no_grad():
        made.class_heads["state"].out.bias.add_(1)
        made.gene_encoder.table.weight[12:].mul_(2)
    return made


def test_an_adapter_file_gives_the_model_back_on_its_base_only(model, labels, cells, tmp_path):
    made = changed_everywhere(model)
    save_adapter(made, tmp_path / "adapter.safetensors", base=model)
    genes = torch.cat((cells[0], torch.tensor([[12], [13], [12], [13], [12]])), 1)
    cells = (genes, torch.cat((cells[1], torch.ones(5, 1)), 1), cells[2])
    apart = load_adapter(tmp_path, model, merge=False)
    assert_equal(outputs(made, cells), outputs(apart, cells))
    merged = load_adapter(tmp_path / "adapter.safetensors", model)
    for key, value in outputs(merged, cells).items():
        torch.testing.assert_close(value, outputs(made, cells)[key], atol=1e-5, rtol=1e-5)
    assert merged.vocabulary == made.vocabulary
    assert merged.label_space.classes["cell_type"].leaves == (AMACRINE, ROD, GLIA)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.norm.bias[0] += 1e-6
    with pytest.raises(ValueError, match=r"checksum .* give the model that was fine-tuned"):
        load_adapter(tmp_path, other)
    with pytest.raises(ValueError, match="does not say where its base model is"):
        load_adapter(tmp_path)
    with pytest.raises(ValueError, match="wrong base"):
        save_adapter(
            model, tmp_path / "other.safetensors", base=extend(made_plain(made), made.vocabulary, made.label_space)
        )


def made_plain(made):
    plain = copy.deepcopy(made)
    merge_low_rank(plain)
    return plain


def test_only_what_changed_is_in_the_file(model, tmp_path):
    from safetensors import safe_open

    save_adapter(changed_everywhere(model), tmp_path / "a.safetensors", base=model)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        keys = set(file.keys())
    assert {key for key in keys if key.startswith("blocks.")} == {
        f"blocks.{i}.{name}.low_rank.{half}"
        for i in range(2)
        for name in ("attention.qkv", "mlp.fc1")
        for half in ("up", "down")
    }
    assert "new:gene_encoder.table.weight" in keys
    assert not any(key.startswith(("norm", "expression", "position")) for key in keys)


def test_files_that_are_no_adapters_are_refused(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no adapter"):
        load_adapter(tmp_path / "nothing", model)
    (tmp_path / "adapter.safetensors").write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match="damaged"):
        load_adapter(tmp_path, model)
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="is no adapter"):
        load_adapter(tmp_path / "model" / "model.safetensors", model)
