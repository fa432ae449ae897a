"""Geneformer: networks from the attention of its layers, and embeddings of cells, with weights that the user has."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn._wording import counted, listed
from bengrn.gene_names import without_version
from bengrn.methods.deep import checked_share, device_of, need, seed_of

if TYPE_CHECKING:
    from anndata import AnnData
    from torch import Tensor

    from bengrn.methods.deep.cells import Known, OneCell
    from bengrn.methods.deep.geneformer_files import Dictionaries
    from grnndata import GRNAnnData

logger = logging.getLogger(__name__)

#: Tokens that are computed together.
_TOKENS = 4096


class Geneformer:
    """Infer a network from the attention of Geneformer, averaged over heads, layers and cells; embed cells.

    A cell shows the genes that it expresses, ranked by their count over the gene's median. Its attention is mapped back
    to the genes, and a pair of genes is averaged over the cells that show both (Kalfon et al. 2025, Methods,
    "Geneformer").
    The paper does not say of which layers: all is this package's reading, and `layers` chooses others. A gene that
    attends is the target, the gene that it attends to the regulator.

    Parameters
    ----------
    folder
        Hugging Face folder of the model: ``config.json`` with ``model.safetensors`` or ``pytorch_model.bin``.
    dictionaries
        Folder of the model's gene dictionaries, see
        :func:`bengrn.methods.deep.geneformer_files.read_dictionaries`; the model's own when None.
    layers
        Numbers of the layers whose attention is averaged, from 0; negative ones count from the last; all when None.
    least_known
        Least share of the data's genes that the model has to know, 0 to 1.
    device
        Device of PyTorch, such as "cpu" or "cuda"; "auto" takes a GPU where there is one.

    Raises
    ------
    ImportError
        If PyTorch, transformers or scdataloader is not installed.
    FileNotFoundError, ValueError
        If the folder is incomplete or a file does not fit.
    """

    name = "geneformer"
    takes, directed, deterministic = "counts", True, False
    reference = "Theodoris et al., Nature 618:616-624 (2023), doi 10.1038/s41586-023-06139-9"
    licence, needs = "BSD-3-Clause", "bengrn[deep] and the model's folder; never tried on a published weight file"
    imports = ("torch",)

    def __init__(
        self,
        folder: str,
        *,
        dictionaries: str | None = None,
        layers: list[int] | None = None,
        least_known: float = 0.5,
        device: str = "auto",
    ) -> None:
        need("torch", "transformers", "scdataloader")
        if layers is not None and not layers:
            raise ValueError("layers names no layer: give at least one, or None for all")
        self._folder = Path(folder)
        self._genes = Path(dictionaries or folder)
        self._layers = layers
        self._least = checked_share(least_known)
        self._device = device_of(device)

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GRNAnnData:
        """Return the network of all cells of `adata`.

        Parameters
        ----------
        adata
            Raw counts over human Ensembl ids, or over symbols where there is a dictionary of them.
        regulators
            Names of the genes that may have outgoing edges; all genes when None.
        rng
            Generator or seed for the order of genes of equal rank.

        Returns
        -------
        GRNAnnData
            Cells × genes that have a token and a median, with the network. Row = regulator. A pair of genes that no
            cell shows together has weight 0.

        Raises
        ------
        ValueError
            If a value is not a count, or the model knows too few of the genes.
        """
        import torch

        from bengrn.methods.deep.known_network import as_result

        known = self._known(adata)
        n = len(known.places)
        total = torch.zeros((n, n), dtype=torch.float32, device=self._device)
        shown: list[NDArray[np.int64]] = []
        for _, ranked in self._steps(adata, known, rng):
            tokens, mask = self._padded(ranked, known)
            sums = [torch.zeros((len(one), len(one)), device=self._device) for one in ranked]
            with self._watched(sums):
                self._run(tokens, mask)
            for one, places in zip(sums, ranked, strict=True):
                at = torch.as_tensor(places, device=self._device)
                total.index_put_((at[:, None], at[None, :]), one / self._n_watched, accumulate=True)
            shown += ranked
        weights = _mean(total.cpu().numpy(), shown).T
        settings = {"folder": str(self._folder), "layers": self._layers}
        return as_result(adata, known.places, weights, self.name, regulators, settings)

    def embed(self, adata: AnnData, *, layer: int = -1, seed: int = 0) -> NDArray[np.float32]:
        """Return an embedding of each cell.

        Parameters
        ----------
        adata
            Cells as for :meth:`infer`.
        layer
            Layer to read: 0 for the last one, -1 for the one before, as the published tool counts.
        seed
            Seed for the order of genes of equal rank.

        Returns
        -------
        numpy.ndarray
            (cells, width of the model): the row of ``<cls>`` in models that have that token, else the mean over the
            cell's genes. A cell without a known gene is NaN.

        Raises
        ------
        ValueError
            If the layer does not exist.
        """
        n_layers = self._model.config.num_hidden_layers
        if not -n_layers <= layer <= 0:
            raise ValueError(f"layer is 0 (the last) to {-n_layers}, got {layer}")
        known = self._known(adata)
        found = np.full((adata.n_obs, self._model.config.hidden_size), np.nan, dtype=np.float32)
        for cells, ranked in self._steps(adata, known, seed):
            tokens, mask = self._padded(ranked, known)
            states = self._run(tokens, mask, hidden=True)[n_layers + layer].float()
            for i, (cell, places) in enumerate(zip(cells, ranked, strict=True)):
                row = states[i, 0] if self._special else states[i, : len(places)].mean(dim=0)
                found[cell.at] = row.cpu().numpy()
        return found

    @cached_property
    def _tables(self) -> Dictionaries:
        from bengrn.methods.deep.geneformer_files import read_dictionaries

        return read_dictionaries(self._genes)

    @property
    def _special(self) -> bool:
        """Whether ``<cls>`` stands before a cell's genes and ``<eos>`` after them."""
        return "<cls>" in self._tables.tokens and "<eos>" in self._tables.tokens

    @cached_property
    def _model(self) -> Any:
        return _read_bert(self._folder, max(self._tables.tokens.values()) + 1).to(self._device)

    @property
    def _watched_layers(self) -> list[int]:
        n = self._model.config.num_hidden_layers
        if self._layers is None:
            return list(range(n))
        odd = [i for i in self._layers if not -n <= i < n]
        if odd:
            raise ValueError(f"the model has {n} layers, and no {listed(odd)}")
        return sorted({i % n for i in self._layers})

    @property
    def _n_watched(self) -> int:
        return len(self._watched_layers)

    def _known(self, adata: AnnData) -> Known:
        from bengrn.methods.deep.cells import checked_values, known_genes

        values = checked_values(adata, self.name, whole=True)
        names = adata.var_names.astype(str)
        tables = self._tables
        ids = [tables.symbols.get(name, name).upper() for name in without_version(names)]
        ids = [tables.canonical.get(name, name) for name in ids]
        tokens = [tables.tokens.get(name, -1) if name in tables.medians else -1 for name in ids]
        return known_genes(values, np.array(tokens, dtype=np.int64), names.tolist(), self.name, self._least)

    def _steps(
        self, adata: AnnData, known: Known, rng: np.random.Generator | int | None
    ) -> Iterator[tuple[list[OneCell], list[NDArray[np.int64]]]]:
        """Yield cells that are computed together, with the places of their genes among the known ones, by rank."""
        from bengrn.methods.deep.cells import each_cell
        from scdataloader.collate import rank_value

        by_token = {
            token: self._tables.medians[gene]
            for gene, token in self._tables.tokens.items()
            if gene in self._tables.medians
        }
        medians = np.array([by_token[token] for token in known.tokens.tolist()])
        most = self._model.config.max_position_embeddings - (2 if self._special else 0)
        cells: list[OneCell] = []
        ranked: list[NDArray[np.int64]] = []
        # Cells of equal length together: little padding. The order still follows from the cells' content.
        every = sorted(
            each_cell(known, adata.var_names.astype(str).tolist(), seed_of(rng)), key=lambda one: len(one.genes)
        )
        empty = sum(not len(cell.genes) for cell in every)
        if empty:
            logger.warning("%s no gene that %s knows", counted(empty, "cell expresses", "cells express"), self.name)
        for cell in every[empty:]:
            places = rank_value(cell.genes, cell.values, medians, most, cell.rng)
            if cells and (len(cells) + 1) * (len(places) + 2) > _TOKENS:
                yield cells, ranked
                cells, ranked = [], []
            cells.append(cell)
            ranked.append(places)
        if cells:
            yield cells, ranked

    def _padded(self, ranked: Sequence[NDArray[np.int64]], known: Known) -> tuple[Tensor, Tensor]:
        import torch

        tables = self._tables.tokens
        rows = [known.tokens[places] for places in ranked]
        if self._special:
            rows = [np.concatenate([[tables["<cls>"]], row, [tables["<eos>"]]]) for row in rows]
        tokens = np.full((len(rows), max(map(len, rows))), tables["<pad>"], dtype=np.int64)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        length = np.array([len(row) for row in rows])
        mask = np.arange(tokens.shape[1]) < length[:, None]
        return torch.as_tensor(tokens).to(self._device), torch.as_tensor(mask.astype(np.int64)).to(self._device)

    def _run(self, tokens: Tensor, mask: Tensor, *, hidden: bool = False) -> Any:
        import torch

        kind = tokens.device.type
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            return self._model(input_ids=tokens, attention_mask=mask, output_hidden_states=hidden).hidden_states

    def _watched(self, sums: list[Tensor]) -> _Hooks:
        layers = [self._model.encoder.layer[i].attention.self for i in self._watched_layers]
        return _Hooks(layers, sums, (1, 1) if self._special else (0, 0))


class _Hooks:
    """Add each watched layer's attention to the cells' sums while the model runs."""

    def __init__(self, layers: Sequence[Any], sums: list[Tensor], skip: tuple[int, int]) -> None:
        self._layers, self._sums, self._skip = layers, sums, skip
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        self._handles = [one.register_forward_pre_hook(self._add, with_kwargs=True) for one in self._layers]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _add(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from bengrn.methods.deep.attention import add_attention

        x = args[0] if args else kwargs["hidden_states"]
        heads, width = layer.num_attention_heads, layer.attention_head_size
        query, key = (part(x).unflatten(-1, (heads, width)).transpose(1, 2) for part in (layer.query, layer.key))
        for i, total in enumerate(self._sums):
            n = len(total) + sum(self._skip)
            add_attention(query[i, :, :n], key[i, :, :n], total, scale=width**-0.5, skip=self._skip)


def _mean(total: NDArray[np.float32], shown: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Divide sums over cells by the numbers of cells that show both genes; 0 where none does."""
    n = len(total)
    ends = np.cumsum([0, *map(len, shown)])
    places = np.concatenate(shown) if len(shown) else np.zeros(0, dtype=np.int64)
    presence = sp.csr_matrix((np.ones(len(places), dtype=np.float32), places, ends), shape=(len(shown), n)).tocsc()
    turned = presence.T.tocsr()
    for start in range(0, n, 1024):
        part = slice(start, start + 1024)
        number = np.asarray((turned[part] @ presence).todense(), dtype=np.float32)
        total[part] /= np.maximum(number, 1.0)
    return total


def _read_bert(folder: Path, n_tokens: int) -> Any:
    """Read the layers of a BERT model, and refuse it if a weight is missing, unknown or of another shape."""
    from transformers import BertConfig, BertModel
    from transformers.utils import logging as theirs

    weights = [name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()]
    if not (folder / "config.json").is_file() or not weights:
        has_config = (folder / "config.json").is_file()
        missing = "model.safetensors (or pytorch_model.bin)" if has_config else "config.json"
        there = f"has no {missing}" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(f"{folder} {there}: a Geneformer model is a folder with settings and weights")
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    if config.vocab_size < n_tokens:
        raise ValueError(
            f"the dictionary has tokens up to {n_tokens - 1:,} and the model {config.vocab_size:,} of them: "
            "they are of different versions"
        )
    transformers: Any = BertModel  # its own types do not say that it tells of the weights, too
    verbosity: Any = theirs
    level = verbosity.get_verbosity()
    verbosity.set_verbosity_error()  # what it would warn of is refused below, by name
    try:
        model, told = transformers.from_pretrained(
            folder,
            config=config,
            add_pooling_layer=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below
            use_safetensors="model.safetensors" in weights,
            weights_only=True,
            attn_implementation="sdpa",
        )
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ValueError(f"{folder} is no BERT model that can be read: {str(error).splitlines()[0]}") from error
    finally:
        verbosity.set_verbosity(level)
    unknown = [name for name in told["unexpected_keys"] if not _is_beside(name)]
    faults = {
        "missing": list(told["missing_keys"]),
        "unknown": unknown,
        "of another shape": [str(one[0]) if isinstance(one, tuple) else str(one) for one in told["mismatched_keys"]],
    }
    said = [f"{len(names)} {fault}: {listed(sorted(names))}" for fault, names in faults.items() if names]
    if said:
        raise ValueError(f"{folder / weights[0]} does not fit its config.json; weights {'; '.join(said)}")
    return model.eval()


def _is_beside(name: str) -> bool:
    """Say whether a weight belongs to what stands on top of the layers, or to a buffer of old files."""
    return name.startswith(("cls.", "classifier", "bert.pooler.", "pooler.")) or name.endswith("position_ids")
