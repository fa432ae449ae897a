"""Gene features and the profile that cell tokens are told: by hand, and what must not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scprint_model.config import ModelConfig
from scprint_model.layers.gene_encoder import GeneEncoder
from scprint_model.layers.profile_encoder import Profile, ProfileEncoder
from scprint_model.layers.value_encoder import normalise_counts
from scprint_model.model import ScPrint
from scprint_model.training.features import fill_features, train_common_rows
from scprint_model.training.optimizer import parameter_groups, set_apart

N_GENES, N_FEATURES = 12, 6


def told_network(**options: Any) -> ScPrint:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "n_genes": N_GENES,
        "d_model": 16,
        "n_layers": 1,
        "n_heads": 2,
        "class_sizes": {"cell_type": 3},
        "normalization": "cp10k",
        "depth": "decoder",
        "gene_features": N_FEATURES,
        "profile_tokens": ("base", "cell_type"),
        "profile_features": 4,
    }
    model = ScPrint(ModelConfig(**{**fields, **options}), gene_positions=torch.arange(N_GENES))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.gene_encoder.features.normal_()
    if model.config.profile_tokens:
        for name, value in (("weight", 1.5), ("mean", 0.4), ("spread", 2.0)):
            getattr(model.profile_encoder, name).fill_(value)
    return model.eval()


def profile_of_three() -> Profile:
    genes = torch.tensor([0, 3, 7, 1, 2, 3, 4, 5])
    return Profile(genes=genes, counts=torch.arange(1.0, 9), starts=torch.tensor([0, 3, 3, 8]))


def test_a_gene_is_its_features_mapped_and_a_deviation_of_its_own() -> None:
    encoder = GeneEncoder(4, 3, torch.tensor([0, 1, 0, 2]), n_features=2)
    encoder.features.copy_(torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]]))
    encoder.table.weight.data.copy_(torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    encoder.map.weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    expected = torch.tensor([[[1.5, 2.0, 3.0], [0.0, 0.0, 0.0], [1.5, 2.0, 3.0], [3.0, -1.0, 3.0]]])
    torch.testing.assert_close(encoder(torch.arange(4)[None]), expected)  # gene 1 is known by nothing: no noise


def test_profile_by_the_slow_way() -> None:
    model, profile = told_network(), profile_of_three()
    told, genes = model.profile_encoder, model.gene_encoder
    told.slope.copy_(torch.arange(4.0))
    totals = torch.tensor([20.0, 5.0, 100.0])
    found = told.summed(profile, totals, genes)
    features = genes.features[:, :4].numpy()
    for cell, (begin, end) in enumerate([(0, 3), (3, 3), (3, 8)]):
        values = np.zeros(N_GENES)
        values[profile.genes[begin:end]] = np.log1p(profile.counts[begin:end].numpy() * 1e4 / float(totals[cell]))
        by_hand = 1.5 * ((values - 0.4) @ features)
        by_hand = by_hand / np.linalg.norm(by_hand) * 2 - np.log(float(totals[cell]) / 1e4) * np.arange(4.0)
        np.testing.assert_allclose(found[cell], by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_derivatives_forwards_are_those_backwards_and_of_the_same_values() -> None:
    model, profile = told_network(), profile_of_three()
    totals = torch.tensor([20.0, 5.0, 100.0])

    def summed(counts: torch.Tensor) -> torch.Tensor:
        return model.profile_encoder.summed(profile.with_counts(counts), totals, model.gene_encoder)

    backwards = torch.autograd.functional.jacobian(summed, profile.counts)  # type: ignore[no-untyped-call]
    assert backwards.abs().max() > 0.01

    def change(direction: torch.Tensor) -> torch.Tensor:
        values, derivative = torch.func.jvp(summed, (profile.counts,), (direction,))
        torch.testing.assert_close(values, summed(profile.counts))
        return derivative

    for i, direction in enumerate(torch.eye(8)):
        torch.testing.assert_close(change(direction), backwards[..., i], atol=1e-5, rtol=1e-4)
    several = torch.func.vmap(lambda one: torch.func.jvp(summed, (profile.counts,), (one,))[1])(torch.eye(8))
    torch.testing.assert_close(several, backwards.permute(2, 0, 1), atol=1e-5, rtol=1e-4)


def test_genes_that_were_not_measured_say_nothing() -> None:
    """Of a panel, the corpus' mean is taken off for its own genes only: what it leaves out is not taken for 0."""
    model = told_network()
    measured = torch.zeros(2, N_GENES, dtype=torch.bool)
    measured[0, [1, 4, 5]] = True
    measured[1] = True
    features = model.gene_encoder.features[:, :4]
    centres = model.profile_encoder.centre_of(measured, model.gene_encoder)
    torch.testing.assert_close(centres, 0.6 * torch.stack((features[[1, 4, 5]].sum(0), features.sum(0))))
    profile = Profile(genes=torch.tensor([1, 4]), counts=torch.tensor([2.0, 1.0]), starts=torch.tensor([0, 2]))
    total = torch.tensor([1e4])
    found = model.profile_encoder.summed(profile.centred(centres[0]), total, model.gene_encoder)[0]
    values = torch.tensor([np.log1p(2.0), np.log1p(1.0), 0.0]) - 0.4
    by_hand = 1.5 * (values.float() @ features[[1, 4, 5]])
    torch.testing.assert_close(found, by_hand / by_hand.norm() * 2, rtol=1e-4, atol=1e-4)


def test_tokens_that_are_told_and_those_that_are_not() -> None:
    model = told_network()
    genes, counts = torch.arange(6)[None].repeat(3, 1), torch.ones(3, 6)
    totals = torch.full((3,), 50.0)
    cells = model._cell_tokens(totals, None)
    told = model._tell_profile(cells, profile_of_three(), totals)
    assert model.token_names == ("base", "cell_type")
    assert (told != cells).any(dim=2).all()
    other = told_network(profile_tokens=("cell_type",))
    cells = other._cell_tokens(totals, None)
    changed = (other._tell_profile(cells, profile_of_three(), totals) != cells).any(dim=2)
    assert changed.tolist() == [[False, True]] * 3
    # without a profile, the context stands for it
    whole = Profile.of_context(genes, counts)
    given = model.encode(genes, counts, totals, profile=whole).cell_embeddings
    torch.testing.assert_close(model.encode(genes, counts, totals).cell_embeddings, given)


def test_depth_is_nothing_to_a_network_that_is_told_shares() -> None:
    model = told_network()
    genes, counts = torch.arange(8)[None], torch.tensor([[3.0, 0, 1, 5, 2, 2, 0, 9]])
    shallow = model.encode(genes, counts, torch.tensor([60.0])).cell_embeddings
    deep = model.encode(genes, 10 * counts, torch.tensor([600.0])).cell_embeddings
    torch.testing.assert_close(shallow, deep, rtol=1e-4, atol=1e-5)
    told = normalise_counts(counts, "cp10k", torch.tensor([44.0]))
    torch.testing.assert_close(told, torch.log1p(counts * 1e4 / 44))


def test_dropped_profiles_in_training() -> None:
    torch.manual_seed(3)
    told = ProfileEncoder(N_GENES, 4, n_tokens=1, d_model=8, dropout=0.3)
    told.weight.fill_(1.0)
    genes = GeneEncoder(N_GENES, 8, n_features=4)
    genes.features.normal_()
    profile = Profile.of_context(torch.randint(0, N_GENES, (400, 5)), torch.ones(400, 5))
    dropped = (told.train()(profile, None, genes) == 0).all(dim=2).float().mean()
    assert 0.22 < dropped < 0.38
    assert not (told.eval()(profile, None, genes) == 0).all(dim=2).any()


def test_contradictions() -> None:
    with pytest.raises(ValueError, match="needs gene_features"):
        ModelConfig(n_genes=3, profile_tokens=("base",))
    with pytest.raises(ValueError, match="profile_tokens has 'sex', which is none of"):
        ModelConfig(n_genes=3, gene_features=2, profile_tokens=("sex",))
    with pytest.raises(ValueError, match="profile_features = 5 must lie between 1 and"):
        ModelConfig(n_genes=3, gene_features=2, profile_features=5)
    plain = ModelConfig(n_genes=3).to_dict()
    assert not {"gene_features", "profile_tokens", "position_scale"} & plain.keys()  # the checksum stays
    assert ModelConfig.from_dict(told_network().config.to_dict()) == told_network().config


def test_rows_of_rare_genes_stay_at_zero_and_decay_has_no_part_in_it() -> None:
    torch.manual_seed(0)
    encoder = GeneEncoder(4, 3, n_features=2)
    encoder.features.normal_()
    torch.nn.init.zeros_(encoder.table.weight)
    train_common_rows(encoder, torch.tensor([600, 3, 500, 499]), 500)
    groups = parameter_groups(encoder, weight_decay=0.1, decay_all=False)
    groups = set_apart(groups, encoder.table.weight, 0.01, weight_decay=0.1)
    assert groups[-1] == {"params": [encoder.table.weight], "weight_decay": 0.1, "lr": 0.01}
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        encoder(torch.arange(4)[None]).sum().backward()
        optimizer.step()
    assert (encoder.table.weight != 0).any(dim=1).tolist() == [True, False, True, False]


def test_a_table_fills_the_rows_that_genes_share(tmp_path: Any) -> None:
    import pandas as pd

    from scdataloader import GeneVocabulary

    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    rows = torch.tensor(vocabulary.shared_rows)
    human, mouse = (vocabulary.ids.index(gene) for gene in ("ENSG00000163914", "ENSMUSG00000030324"))  # RHO and Rho
    assert rows[human] == rows[mouse]
    table = pd.DataFrame({"gene_id": [vocabulary.ids[human]], "0": [3.0], "1": [4.0]})
    table.to_parquet(tmp_path / "features.parquet")
    encoder = GeneEncoder(len(vocabulary), 8, rows, n_features=2)
    fill_features(encoder, tmp_path / "features.parquet", vocabulary, std=0.5)
    assert encoder.features[rows[mouse]].tolist() == [3.0, 4.0]
    assert int((encoder.features != 0).any(dim=1).sum()) == 1
    assert not encoder.table.weight.any()
    tokens = encoder(torch.tensor([[mouse, human]]))
    torch.testing.assert_close(tokens[0, 0], tokens[0, 1])
    assert float(encoder.map.weight.detach().std() * 5) == pytest.approx(0.5, rel=0.6)  # 16 draws
