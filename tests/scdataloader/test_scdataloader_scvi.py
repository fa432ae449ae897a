"""Data for scvi-tools, given to the real one."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader.scvi import scvi_ready


@pytest.fixture
def messy():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "donor": ["b", "a", None, "b", "a", "a"],
            "cell_type": pd.Categorical(["x", "y", "x", None, "x", "y"], categories=["y", "x", "unused"]),
            "n": range(6),
        },
        index=["c0", "c1", "c1", "c3", "c4", "c5"],
    )
    var = pd.DataFrame(index=["g0", "g1", "g1", "g3", "g4", "g5", "g6"])
    adata = anndata.AnnData(rng.poisson(2, (6, 7)).astype(np.int64), obs=obs, var=var)
    adata.obsm["X_pca"] = np.zeros((6, 2))
    return adata


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:Observation names are not unique")
def test_ready_object(messy):
    before = messy.copy()
    ready = scvi_ready(messy, batch="donor", labels="cell_type")
    assert isinstance(ready.X, sparse.csr_matrix)
    assert ready.X.dtype == np.float32
    assert (ready.X.toarray() == messy.X).all()
    assert ready.obs["donor"].tolist() == ["b", "a", "unknown", "b", "a", "a"]
    assert ready.obs["donor"].cat.categories.tolist() == ["a", "b", "unknown"]
    assert ready.obs["cell_type"].cat.categories.tolist() == ["unknown", "x", "y"]
    assert ready.obs_names.is_unique
    assert ready.var_names.is_unique
    assert not ready.obsm
    assert messy.obs_names.tolist() == before.obs_names.tolist()
    assert messy.obs["donor"].isna().sum() == 1


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:Observation names are not unique")
def test_what_cannot_be_used_is_named(messy):
    with pytest.raises(ValueError, match=r"no column 'sample'; it has \['donor', 'cell_type', 'n'\]"):
        scvi_ready(messy, batch="sample")
    messy.X = np.log1p(messy.X)
    with pytest.raises(ValueError, match="not raw counts"):
        scvi_ready(messy)


@pytest.mark.filterwarnings("ignore")  # scvi-tools' own
def test_scvi_registers_it(messy):
    scvi = pytest.importorskip("scvi")
    ready = scvi_ready(messy, batch="donor", labels="cell_type")
    scvi.model.SCVI.setup_anndata(ready, batch_key="donor", labels_key="cell_type")
    manager = scvi.model.SCVI(ready, n_latent=2, n_hidden=4).adata_manager
    assert (manager.get_from_registry("X").toarray() == messy.X).all()
    assert manager.get_from_registry("batch").ravel().tolist() == [1, 0, 2, 1, 0, 0]
    assert manager.get_from_registry("labels").ravel().tolist() == [1, 2, 1, 0, 1, 2]
    scvi.model.SCANVI.setup_anndata(ready, batch_key="donor", labels_key="cell_type", unlabeled_category="unknown")
