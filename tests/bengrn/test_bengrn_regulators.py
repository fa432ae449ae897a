"""Lists of regulators: every name of a gene is understood, and what is not there is said."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest

import bengrn
from bengrn.enrichment.hubs import hub_rankings
from bengrn.methods.correlation import PEARSON
from bengrn.methods.random import RANDOM
from bengrn.network import as_network
from grnndata import GRNAnnData

IDS = ["ENSG00000105392", "ENSG00000163914", "ENSG00000129535", "ENSG00000141510"]
SYMBOLS = ["CRX", "RHO", "NRL", "TP53"]
NAMES = {
    "id": IDS[:2],
    "versioned id": [f"{gene}.3" for gene in IDS[:2]],
    "symbol": SYMBOLS[:2],
    "other case": ["crx", "Rho"],
    "regulon": ["CRX(+)", "RHO_(-)"],
}


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    cells = anndata.AnnData(rng.poisson(3.0, (30, 4)).astype(np.float32), var=pd.DataFrame(index=IDS))
    cells.var["symbol"] = SYMBOLS
    weights = rng.random((4, 4)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return GRNAnnData(cells, weights)


@pytest.fixture
def truth():
    edges = pd.DataFrame({"source": ["CRX", "NRL", "TP53"], "target": ["RHO", "RHO", "CRX"]})
    return bengrn.GroundTruth.from_edges(edges)


@pytest.mark.parametrize("kind", NAMES)
def test_each_name_is_understood(network, truth, kind):
    names = NAMES[kind]
    by_symbol = bengrn.score(network, truth, regulators=SYMBOLS[:2])
    scores = bengrn.score(network, truth, regulators=names)
    assert scores.universe.regulators.tolist() == ["CRX", "RHO"]
    assert (scores.ap, scores.n_pairs) == (by_symbol.ap, 6)
    assert not any("asked for" in note for note in scores.notes)
    values, _ = hub_rankings(as_network(network), ["out_strength"], regulators=names)
    assert len(values["out_strength"]) == 2
    for method in (PEARSON, RANDOM):
        inferred = method.infer(network, regulators=names)
        assert set(inferred.regulators) == set(IDS[:2])


def test_names_that_are_not_there_are_told(network, truth, caplog):
    some = ["CRX", "NRL", "TP54", "nobody"]
    scores = bengrn.score(network, truth, regulators=some)
    assert scores.universe.regulators.tolist() == ["CRX", "NRL"]
    told = (
        "2 of the 4 regulators asked for are not scored, as the network or the truth lacks them, such as "
        "['TP54', 'nobody']; near names are ['TP53'] for 'TP54'"
    )
    assert told in scores.notes
    with caplog.at_level(logging.WARNING):
        hub_rankings(as_network(network), ["out_strength"], regulators=some)
    assert "2 of the 4 regulators are not genes of the network, such as ['TP54', 'nobody']" in caplog.text
    with pytest.raises(ValueError, match=r"2 of 4 regulators are not in var_names \(first: 'TP54'\).*near names are"):
        PEARSON.infer(network, regulators=some)
    none = r"none of the 1 regulators \(TP54, \.\.\.\) is a gene of the network.*near names are \['TP53'\]"
    with pytest.raises(ValueError, match=none):
        bengrn.score(network, truth, regulators=["TP54"])
    with pytest.raises(ValueError, match=none):
        hub_rankings(as_network(network), ["out_strength"], regulators=["TP54"])
