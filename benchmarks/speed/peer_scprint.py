"""Times the published scprint 2.3.8; run by apart.py in an environment of its own (Python 3.10, torch 2.2)."""

import contextlib
import os
import sys

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from child import arguments, tell
from scipy import sparse
from scprint import scPrint
from scprint.model import loss
from scprint.tasks import GNInfer

ORGANISM = "NCBITaxon:9606"
#: Counts of genes outside the model, which the depth of a cell includes; sorts behind all ids.
REST = "ENSG99999999999"
#: Gradients that are compared.
COMPARED = {"first": "transformer.blocks.0.mixer.Wqkv.weight", "last": "expr_decoder.pred_var_zero.weight"}


def forward(model, inputs):
    given = tensors(inputs)

    @torch.inference_mode()
    def work():
        output = model(*given[:2], req_depth=given[2], do_class=True)
        found = {"mean": output["mean"], "dispersion": output["disp"], "zero_logits": output["zero_logits"]}
        found["cell_embeddings"] = output["cell_embs"]
        found |= {name[len("cls_output_") :]: value for name, value in output.items() if name.startswith("cls_output_")}
        return {name: value.numpy() for name, value in found.items()}

    return work


def step(model, inputs):
    given = tensors(inputs)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained)
    model.train()

    def work():
        zinb(model, given).backward()
        optimiser.step()
        optimiser.zero_grad()
        return {}

    return work


def gradients(model, inputs):
    def work():
        value = zinb(model, tensors(inputs))
        value.backward()
        weights = dict(model.named_parameters())
        found = {name: weights[theirs].grad.numpy() for name, theirs in COMPARED.items()}
        return found | {"loss": value.detach().numpy()}

    return work


def zinb(model, given):
    output = model(*given[:2], req_depth=given[2], do_class=True)
    return loss.zinb(given[1], output["mean"], output["disp"], output["zero_logits"])


def network(model, inputs):
    names, counts = inputs["names"].tolist(), inputs["counts"]
    known = list(model.genes)
    place = {name: i for i, name in enumerate(known)}
    table = pd.DataFrame(
        {"organism": ORGANISM, "symbol": [*known, REST], "biotype": "protein_coding", "mt": False},
        index=pd.Index([*known, REST], name="ensembl_gene_id"),
    ).assign(ribo=False, hb=False)
    replace_gene_table(table)
    columns = np.zeros((len(counts), len(table)), np.float32)
    columns[:, [place[name] for name in names]] = counts
    columns[:, -1] = inputs["totals"] - counts.sum(axis=1)
    obs = pd.DataFrame(
        {"organism_ontology_term_id": ORGANISM, "cell_type": "all"}, index=[f"c{i}" for i in range(len(counts))]
    )
    cells = AnnData(sparse.csr_matrix(columns), obs=obs, var=table[["organism", "symbol"]])

    def work():
        reader = GNInfer(
            batch_size=int(inputs["batch_size"]),
            num_workers=0,
            how="given",
            genes=names,
            num_genes=len(names),
            max_len=len(names),
            max_cells=len(counts),
            precision="32",
            dtype=torch.float32,
            preprocess="softmax",
            head_agg="mean",
            filtration="none",
        )
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            found = reader(model, cells)
        weights = found[:, names].varp["GRN"]
        weights = weights.toarray() if sparse.issparse(weights) else np.asarray(weights)
        turned = weights.T.copy()  # there rows attend
        np.fill_diagonal(turned, 0)
        return {"network": turned}

    return work


def replace_gene_table(table):
    """Put a function that returns `table` for the one that asks a data base, wherever it was imported to."""
    import scdataloader.utils

    asks = scdataloader.utils.load_genes
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is asks:
                setattr(module, name, lambda *_, **__: table.copy())


def tensors(inputs):
    genes, counts, totals = (torch.from_numpy(inputs[name]) for name in ("genes", "counts", "totals"))
    return genes.expand(len(counts), -1), counts, totals


if __name__ == "__main__":
    what, checkpoint, path, out, repeats, warm_up = arguments()
    torch.set_num_threads(1)
    model = scPrint.load_from_checkpoint(checkpoint, transformer="normal", precpt_gene_emb=None, map_location="cpu")
    with np.load(path) as stored:
        works = {"forward": forward, "step": step, "gradients": gradients, "network": network}
        work = works[what](model.eval(), dict(stored))
    np.savez(out, **tell(work, repeats, warm_up))
