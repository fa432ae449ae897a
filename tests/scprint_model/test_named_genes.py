"""Every option of every task that names genes, by each name that a gene has."""

import logging

import numpy as np
import pytest

from grnndata import tl
from scdataloader import gene_table
from scdataloader.genes import map_identifiers
from scprint_model import infer
from scprint_model.genes import match_genes, shared_genes
from scprint_model.named_genes import genes_of_data, genes_of_model
from scprint_model.tasks import denoise, encode, gene_embeddings, generate, impute, perturb


@pytest.fixture(scope="module")
def cells(small_model, retina):
    """5 cells with 60 genes, by their ids."""
    rods = retina[retina.obs["cell_type"] == "retinal rod cell"][:5]
    known = rods[:, shared_genes(small_model.vocabulary, rods)]
    return known[:, tl.most_variable_genes(known, 60)].copy()


@pytest.fixture(scope="module")
def by_symbol(cells):
    """The same cells, whose genes are called by their symbols alone."""
    renamed = cells.copy()
    renamed.var_names = renamed.var["symbol"].astype(str).tolist()
    renamed.var = renamed.var[[]]
    return renamed


@pytest.fixture(scope="module")
def embedded(small_model, cells):
    return encode(small_model, cells)


@pytest.fixture(scope="module")
def aliases():
    """One alias, and of no other gene, for each gene that has any."""
    table = gene_table("human")
    of_gene = {gene: names.split("|")[0] for gene, names in table["aliases"].items() if names}
    found = map_identifiers(list(of_gene.values()), table)
    once = set(table["symbol"][~table["symbol"].duplicated(keep=False)].index) & set(found.ids)
    return {gene: name for gene, name in of_gene.items() if gene in once}


def called(genes, aliases):
    """Return the ways to name genes, each as a list of names."""
    symbols = gene_table("human").loc[genes, "symbol"].tolist()
    return {
        "id": genes,
        "versioned id": [f"{gene}.17" for gene in genes],
        "symbol": symbols,
        "capitalised": [name.capitalize() for name in symbols],
        "lower case": [name.lower() for name in symbols],
        "regulon": [f"{name}(+)" for name in symbols],
        "blanks": [f" {name}\t" for name in symbols],
        "alias": [aliases[gene] for gene in genes],
    }


def run(option, model, cells, embedded, names):
    """Return the names in the result of the genes that an option took."""
    task = option.split()[0]
    every = set(cells.var_names)
    if option == "infer genes":
        return set(infer(model, cells, genes=names).var_names)
    if option == "infer regulators":
        return set(infer(model, cells, genes=list(cells.var_names), regulators=names).regulators)
    if option == "perturb genes":
        return every - set(perturb(model, cells, genes=names, to=3, panel=list(every), n_edges=0).profile.index)
    if option == "perturb panel":
        # which needs 50 genes or more
        others = set() if isinstance(names, str) or not names else set(cells.var_names[5:])
        panel = names if isinstance(names, str) else [*names, *others]
        return (
            set(perturb(model, cells, genes=[cells.var_names[0]], to=3, panel=panel, n_edges=0).profile.index) - others
        )
    if task == "denoise":
        return set(denoise(model, cells, genes=names).var_names)
    if task == "impute":
        return set(impute(model, cells, genes=names).var_names)
    if task == "generate":
        return set(generate(model, embedded, genes=names, total_counts=100).var_names)
    return set(gene_embeddings(model, names).index)


OF_DATA = ["infer genes", "infer regulators", "denoise genes", "perturb genes", "perturb panel"]
OF_MODEL = ["impute genes", "generate genes", "gene_embeddings genes"]


@pytest.mark.parametrize("option", [*OF_DATA, *OF_MODEL])
def test_every_option_takes_every_name(small_model, cells, by_symbol, embedded, aliases, option, caplog):
    there = list(cells.var_names[1:5])
    new = sorted(set(small_model.vocabulary.ids[:3000]) - set(cells.var_names))
    genes = [gene for gene in (new if "impute" in option else there) if gene in aliases][:2]
    for data in (cells, by_symbol) if option in OF_DATA else (cells,):
        ids = gene_table("human").loc[genes]
        expected = set(ids["symbol"] if data is by_symbol and option in OF_DATA else genes)
        for kind, names in called(genes, aliases).items():
            assert run(option, small_model, data, embedded, names) == expected, kind
        told = "not " + ("in the data or not " if option in OF_DATA else "") + "known to the model"
        some, none = [*ids["symbol"], "OTX22", "XYZZY9"], ["OTX22", "XYZZY9"]
        if option == "infer regulators":
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert run(option, small_model, data, embedded, some) == expected
            assert f"2 of 4 regulators used; 2 are {told}, such as ['OTX22', 'XYZZY9']" in caplog.text
            told = "none of the 2 regulators"
        else:
            with pytest.raises(ValueError, match=rf"2 of \d+ genes.* are {told}, such as \['OTX22', 'XYZZY9'\]"):
                run(option, small_model, data, embedded, some)
            told = rf"2 of \d+ genes.* are {told}"
        with pytest.raises(ValueError, match=rf"{told}, such as \['OTX22', 'XYZZY9'\]"):
            run(option, small_model, data, embedded, none)
        with pytest.raises((ValueError, TypeError), match=r"must be .*a list"):
            run(option, small_model, data, embedded, "CRX")
        with pytest.raises(ValueError, match=r"names no gene|at least 2 genes, here are 0"):
            run(option, small_model, data, embedded, [])


def test_the_record_and_the_log_say_which_regulators_were_used(small_model, cells, caplog):
    names, symbols = cells.var_names.tolist(), cells.var["symbol"].tolist()
    asked = [symbols[3], names[7], symbols[3], "XYZZY9", *names[40:42]]
    with caplog.at_level(logging.WARNING):
        network = infer(small_model, cells, genes=names[:30], regulators=asked)
    told = network.uns["grn"]["parameters"]
    assert told["regulators"] == [names[3], names[7]]
    assert told["regulators_outside"] == names[40:42]
    assert told["regulators_missing"] == ["XYZZY9"]
    assert network.regulators.tolist() == [names[3], names[7]]
    assert "2 of 5 regulators used; 2 are not among the genes of the network" in caplog.text
    assert "(keep_regulators=True adds them); 1 is not in the data or not known to the model" in caplog.text
    whole = infer(small_model, cells, genes=names[:30])
    np.testing.assert_array_equal(network.grn[[3, 7]], whole.grn[[3, 7]])
    assert "regulators" not in whole.uns["grn"]["parameters"]


def test_regulators_that_are_kept_are_genes_of_the_network(small_model, cells, caplog):
    names = cells.var_names.tolist()
    with caplog.at_level(logging.WARNING):
        network = infer(
            small_model, cells, genes=names[:30], regulators=[*names[40:42], names[3]], keep_regulators=True
        )
    assert "regulators used" not in caplog.text
    assert network.var_names.tolist() == [*names[:30], *names[40:42]]
    assert network.regulators.tolist() == [names[3], *names[40:42]]
    assert network.uns["grn"]["parameters"]["keep_regulators"]
    same = infer(small_model, cells, genes=[*names[:30], *names[40:42]])
    np.testing.assert_array_equal(network.grn[[3, 30, 31]], same.grn[[3, 30, 31]])
    with pytest.raises(ValueError, match="keep_regulators=True adds the genes of regulators="):
        infer(small_model, cells, keep_regulators=True)


def test_a_network_without_any_of_its_regulators_is_refused(small_model, retina):
    cells = retina[:40]
    kinds = cells.obs["cell_type"].value_counts().index[:2].tolist()
    own = [infer(small_model, cells, groupby="cell_type", group=kind, n_genes=20).var_names for kind in kinds]
    only_first = own[0][~own[0].isin(own[1])][:3].tolist()
    options = {"groupby": "cell_type", "group": kinds, "n_genes": 20, "across": False, "regulators": only_first}
    found = rf"none of the 3 regulators is among the 20 genes of the network of {kinds[1]!r}, but 3 are in the data"
    with pytest.raises(ValueError, match=found):
        infer(small_model, cells, **options)
    kept = infer(small_model, cells, **options, keep_regulators=True)
    for kind in kinds:
        assert set(kept.networks[kind].regulators) == set(only_first)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_names_of_repeated_columns_and_of_other_organisms(small_model, cells):
    from scprint_model import ScPrint

    vocabulary = small_model.vocabulary
    doubled = cells[:, [*range(60), 4]].copy()
    doubled.var_names = [*(f"{name}.1" for name in cells.var_names), f"{cells.var_names[4]}.2"]
    known = match_genes(vocabulary, doubled)
    asked = [f"{cells.var_names[4]}.2", cells.var_names[5]]
    assert genes_of_data(vocabulary, doubled, known, asked).at.tolist() == [4, 5]
    both = ScPrint.from_pretrained("bundled").vocabulary  # human and mouse
    human, mouse = (both.ids[i] for i in (both.symbols.index("RHO"), both.symbols.index("Rho")))
    assert [both.ids[i] for i in genes_of_model(both, ["RHO", "Rho"]).at] == [human, mouse]
    assert genes_of_model(both, ["rho"]).ambiguous == {"rho": [human, mouse]}
    of_mouse = genes_of_model(both, ["RHO", human], organisms=["NCBITaxon:10090"])
    assert [both.ids[i] for i in of_mouse.at] == [mouse, human]
