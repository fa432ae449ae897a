"""scGPT: networks from the attention of its last layer, and embeddings of cells, with weights that the user has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.deep import checked_share, device_of, need, seed_of

if TYPE_CHECKING:
    from anndata import AnnData

    from bengrn.methods.deep.cells import Known, OneCell
    from bengrn.methods.deep.scgpt_files import Weights
    from bengrn.methods.deep.scgpt_layers import ScGPTLayers
    from grnndata import GRNAnnData

#: Tokens that are computed together.
_TOKENS = 4096


class ScGPT:
    """Infer a network from the attention of scGPT's last layer, averaged over heads and cells; embed cells.

    The network is the reading of the scPRINT paper (Kalfon et al. 2025, Methods, "scGPT"): a softmax over products that
    are not divided by the square root of the heads' width, the cell's own token left out. A gene that attends is the
    target, the gene that it attends to the regulator. All genes of the data that have a token are shown in each cell,
    with their zeros.

    Parameters
    ----------
    folder
        Folder of the model, with ``args.json``, ``vocab.json`` and ``best_model.pt``.
    least_known
        Least share of the data's genes that the model has to know, 0 to 1.
    device
        Device of PyTorch, such as "cpu" or "cuda"; "auto" takes a GPU where there is one.

    Raises
    ------
    ImportError
        If PyTorch or scdataloader is not installed.
    FileNotFoundError, ValueError
        If the folder is incomplete or does not fit, see :func:`bengrn.methods.deep.scgpt_files.read_scgpt`.
    """

    name = "scgpt"
    takes, directed, deterministic = "any", True, False
    reference = "Cui et al., Nat. Methods 21:1470-1480 (2024), doi 10.1038/s41592-024-02201-0"
    licence, needs = "BSD-3-Clause", "bengrn[deep] and the model's folder; never tried on a published weight file"
    imports = ("torch",)

    def __init__(self, folder: str, *, least_known: float = 0.5, device: str = "auto") -> None:
        need("torch", "scdataloader")
        self._folder = folder
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
            Counts, or other values that rise with them, over symbols (in ``var["symbol"]``, ``var["feature_name"]`` or
            as names) or human Ensembl ids.
        regulators
            Names of the genes that may have outgoing edges; all genes when None.
        rng
            Generator or seed for the bins of equal values.

        Returns
        -------
        GRNAnnData
            Cells × genes that have a token, with the network. Row = regulator.

        Raises
        ------
        ValueError
            If a value is negative or not finite, or the model knows too few of the genes.
        """
        import torch

        from bengrn.methods.deep.attention import add_attention
        from bengrn.methods.deep.cells import each_cell
        from bengrn.methods.deep.known_network import as_result

        known = self._known(adata)
        names = adata.var_names.astype(str).tolist()
        n = len(known.places)
        total = torch.zeros((n, n), dtype=torch.float32, device=self._device)
        tokens = torch.as_tensor(np.append(self._weights.tokens["<cls>"], known.tokens))[None].to(self._device)
        per_step = max(1, _TOKENS // (n + 1))
        batch: list[OneCell] = []
        cells = list(each_cell(known, names, seed_of(rng)))
        for i, cell in enumerate(cells, start=1):
            batch.append(cell)
            if len(batch) < per_step and i < len(cells):
                continue
            values = torch.as_tensor(np.stack([self._shown(one, n) for one in batch])).to(self._device)
            x = self._model.before_last(tokens.expand(len(batch), -1), values)
            for query, key in zip(*self._model.last_products(x), strict=True):
                add_attention(query, key, total, scale=1.0, skip=(1, 0))
            batch = []
        weights = (total / len(cells)).T.cpu().numpy()
        return as_result(adata, known.places, weights, self.name, regulators, {"folder": str(self._folder)})

    def embed(self, adata: AnnData, *, seed: int = 0) -> NDArray[np.float32]:
        """Return an embedding of each cell: the last layer's row of the cell's token, of length 1.

        A cell shows its expressed genes; where there are more than the model takes, a part of them drawn at random.

        Parameters
        ----------
        adata
            Cells as for :meth:`infer`.
        seed
            Seed for the bins of equal values and the draw of genes.

        Returns
        -------
        numpy.ndarray
            (cells, width of the model).
        """
        import torch

        from bengrn.methods.deep.cells import each_cell

        known = self._known(adata)
        most = self._weights.max_length - 1
        found = np.zeros((adata.n_obs, self._model.width), dtype=np.float32)
        cells = list(each_cell(known, adata.var_names.astype(str).tolist(), seed))
        cells.sort(key=lambda cell: len(cell.genes))  # equal lengths together: little padding
        start = 0
        while start < len(cells):
            # The last of a step is the longest.
            stop = start + 1
            while stop < len(cells) and (stop + 1 - start) * (min(len(cells[stop].genes), most) + 1) <= _TOKENS:
                stop += 1
            part = cells[start:stop]
            width = min(len(part[-1].genes), most) + 1
            tokens = np.full((len(part), width), self._weights.tokens["<pad>"], dtype=np.int64)
            tokens[:, 0] = self._weights.tokens["<cls>"]
            values = np.full((len(part), width), self._weights.pad_value, dtype=np.float32)
            for row, cell in enumerate(part):
                bins = self._bins(cell)
                at = np.sort(cell.rng.permutation(len(bins))[:most]) if len(bins) > most else slice(None)
                n = len(bins[at])
                tokens[row, 1 : n + 1] = known.tokens[cell.genes[at]]
                values[row, 1 : n + 1] = bins[at]
            x = self._model.all_layers(
                torch.as_tensor(tokens).to(self._device), torch.as_tensor(values).to(self._device)
            )
            vectors = torch.nn.functional.normalize(x[:, 0].float(), dim=1).cpu().numpy()
            found[[cell.at for cell in part]] = vectors
            start = stop
        return found

    @cached_property
    def _weights(self) -> Weights:
        from bengrn.methods.deep.scgpt_files import read_scgpt

        return read_scgpt(self._folder)

    @cached_property
    def _model(self) -> ScGPTLayers:
        from bengrn.methods.deep.scgpt_layers import ScGPTLayers

        return ScGPTLayers(self._weights, self._device)

    def _known(self, adata: AnnData) -> Known:
        from bengrn.methods.deep.cells import checked_values, known_genes
        from bengrn.methods.deep.names import symbols

        values = checked_values(adata, self.name, whole=False)
        table = self._weights.tokens
        names = adata.var_names.astype(str)
        # Symbols that several genes share have the Ensembl id behind them.
        tokens = [
            next((table[name] for name in (f"{symbol}_{name}", symbol, name) if name in table), -1)
            for symbol, name in zip(symbols(adata), names, strict=True)
        ]
        return known_genes(values, np.array(tokens, dtype=np.int64), names.tolist(), self.name, self._least)

    def _bins(self, cell: OneCell) -> NDArray[np.float32]:
        from scdataloader.collate import bin_values

        return bin_values(cell.values, self._weights.n_bins, cell.rng).astype(np.float32)

    def _shown(self, cell: OneCell, n: int) -> NDArray[np.float32]:
        values = np.zeros(n + 1, dtype=np.float32)
        values[0] = self._weights.pad_value
        values[cell.genes + 1] = self._bins(cell)
        return values
