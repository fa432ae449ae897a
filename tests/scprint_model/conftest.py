"""A small untrained model and real cells for it."""

import pytest
import torch

from scdataloader import GeneVocabulary, LabelSpace, Preprocessor, datasets
from scprint_model import ModelConfig, ScPrint


@pytest.fixture(scope="session")
def retina():
    """256 real cells of 11 types."""
    return Preprocessor()(datasets.retina_1k()[:256].copy())[0]


@pytest.fixture(scope="session")
def small_model(retina):
    """An untrained model with the real vocabulary."""
    torch.manual_seed(0)
    labels = LabelSpace.from_obs([retina.obs], ["cell_type"])
    vocabulary = GeneVocabulary.for_organisms(["human"])
    config = ModelConfig(
        n_genes=len(vocabulary), d_model=16, n_layers=2, n_heads=2, class_sizes=labels.sizes, dropout=0.0
    )
    model = ScPrint(config, gene_positions=torch.tensor(vocabulary.locations)).eval()
    torch.nn.init.normal_(model.gene_encoder.table.weight)
    for block in model.blocks:
        torch.nn.init.normal_(block.attention.qkv.weight, std=0.5)  # attention that is not flat
    model.vocabulary, model.label_space = vocabulary, labels
    return model
