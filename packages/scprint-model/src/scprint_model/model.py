"""The network: genes and counts of a cell in; cell embeddings, labels and the counts' distribution out.

Shapes: B cells, S genes of the context, T cell tokens, d model width, H heads, h head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.attention.multi_head import QueriesKeys
from scprint_model.config import BLOCK_NORM_EPS, LEADING_TOKENS, ModelConfig
from scprint_model.layers.block import Block
from scprint_model.layers.class_head import ClassHead
from scprint_model.layers.gene_encoder import GeneEncoder
from scprint_model.layers.initialise import initialise
from scprint_model.layers.position_encoder import PositionEncoder
from scprint_model.layers.value_encoder import ValueEncoder, normalise_counts
from scprint_model.layers.zinb_decoder import ZinbDecoder


@dataclass(frozen=True, kw_only=True)
class CellEncoding:
    """What the network knows about each cell.

    Attributes
    ----------
    cell_embeddings
        (B, T, d) one output token for each of `token_names`.
    token_names
        ``"base"``, ``"depth"``, then the class names.
    cell_embedding
        (B, d) mean of all T tokens.
    class_logits
        Class name to (B, number of leaf labels).
    queries_keys
        Per layer (q, k), each (B, T + S, H, h) before scaling, cell tokens first; None unless asked for.
    """

    cell_embeddings: Tensor
    token_names: tuple[str, ...]
    cell_embedding: Tensor
    class_logits: dict[str, Tensor]
    queries_keys: tuple[QueriesKeys, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ScPrintOutput(CellEncoding):
    """The encoding and the distribution of the counts.

    Attributes
    ----------
    mean
        (B, S) mean of the negative binomial: a softmax over the context times the counts to share out.
    dispersion
        (B, S) its inverse overdispersion θ: variance = mean + mean² / θ.
    zero_logits
        (B, S) log-odds of an extra zero.
    """

    mean: Tensor
    dispersion: Tensor
    zero_logits: Tensor


class ScPrint(nn.Module):
    """A bidirectional transformer over the genes of a cell and a few tokens for the cell itself.

    Parameters
    ----------
    config
        Sizes and options.
    gene_positions
        (n_genes,) location index of each gene along its genome, or a ready (n_genes, d) table of position
        encodings; see :class:`~scprint_model.layers.position_encoder.PositionEncoder`.
    gene_rows
        (n_genes,) row of the gene table for each gene, where genes share rows; None: one row each.

    Raises
    ------
    ValueError
        When `gene_positions` or `gene_rows` does not fit the config.

    Notes
    -----
    scPRINT paper, Methods, "Architecture".

    Examples
    --------
    >>> import torch
    >>> config = ModelConfig(n_genes=10, d_model=16, n_layers=2, n_heads=2, class_sizes={"sex": 2})
    >>> model = ScPrint(config, gene_positions=torch.arange(10)).eval()
    >>> genes = torch.tensor([[3, 1, 4]])
    >>> output = model(genes, torch.tensor([[5.0, 0.0, 7.0]]), torch.tensor([100.0]))
    >>> output.cell_embeddings.shape, output.token_names
    (torch.Size([1, 3, 16]), ('base', 'depth', 'sex'))
    """

    def __init__(self, config: ModelConfig, *, gene_positions: Tensor, gene_rows: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        #: What the gene indices and label codes mean; set by whoever trains or loads the model.
        self.vocabulary: GeneVocabulary | None = None
        self.label_space: LabelSpace | None = None
        #: Most genes per cell that it saw in training, where that is known; tasks use as many unless told otherwise.
        self.context: int | None = None
        d, dropout = config.d_model, config.dropout
        # Encoders: which gene, where it lies, how much of it, how deep the cell; and what is asked about the
        # cell.
        self.gene_encoder = GeneEncoder(config.n_genes, d, gene_rows)
        self.position_encoder = PositionEncoder(gene_positions, config.n_genes, d)
        # A share of the context needs no spread: it is so small that the layer norm's eps keeps it linear.
        self.expression_encoder = ValueEncoder(
            d,
            n_layers=config.expression_layers,
            dropout=dropout,
            typical_value=2 if config.normalization == "log" else 0,
        )
        self.depth_encoder = ValueEncoder(d, n_layers=config.expression_layers, dropout=dropout, typical_value=12)
        self.class_tokens = nn.Embedding(1 + len(config.class_sizes), d)
        # Transformer.
        rates = torch.linspace(0, config.drop_path, config.n_layers).tolist()
        self.blocks = nn.ModuleList(Block(config, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(d, eps=BLOCK_NORM_EPS)
        # Decoders.
        self.expression_decoder = ZinbDecoder(d, dropout=dropout)
        self.class_heads = nn.ModuleDict(
            {
                name: ClassHead(d, config.hidden_widths, n_labels, dropout=dropout)
                for name, n_labels in config.class_sizes.items()
            }
        )
        initialise(self, n_layers=config.n_layers)

    @classmethod
    def from_pretrained(cls, what: Path | str = "bundled") -> ScPrint:
        """Load a trained model, ready for use on the CPU.

        Parameters
        ----------
        what
            ``"bundled"``: the small model that comes with the package; else a folder written by
            :func:`~scprint_model.checkpoints.save_folder`.

        Raises
        ------
        FileNotFoundError, ValueError
            When the folder holds no model, or a damaged one.
        """
        from scprint_model.checkpoints.folder import load_folder
        from scprint_model.pretrained import bundled_folder

        return load_folder(bundled_folder() if str(what) == "bundled" else what)

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of the T cell tokens."""
        return self.config.token_names

    def forward(
        self,
        genes: Tensor,
        counts: Tensor,
        total_counts: Tensor,
        *,
        mask: Tensor | None = None,
        depth_multiplier: float | Tensor | None = None,
        expected_total: Tensor | None = None,
        capture_qk: bool = False,
    ) -> ScPrintOutput:
        """Encode the cells and predict the distribution of their counts.

        Parameters
        ----------
        genes
            (B, S) int64 vocabulary indices.
        counts
            (B, S) raw counts.
        total_counts
            (B,) raw counts of the whole cell, genes outside the context included.
        mask
            (B, S) true (or 1) where the count is hidden: the gene's token then says which gene it is, no
            more.
        depth_multiplier
            Ask for the profile at so many times the depth: a number or (B,). It scales both the total count
            that the model is told and the sum of the predicted means.
        expected_total
            (B,) what the predicted means sum to; None: the sum of `counts` (times `depth_multiplier`). In
            training on noised counts this is the sum before the noise.
        capture_qk
            Return each layer's queries and keys.

        Raises
        ------
        ValueError
            When shapes do not fit, or both `depth_multiplier` and `expected_total` are given.
        """
        if depth_multiplier is not None and expected_total is not None:
            raise ValueError("depth_multiplier and expected_total both set the sum of the means: give one of them")
        self._check_context(genes, counts, total_counts)
        multiplier = 1.0 if depth_multiplier is None else depth_multiplier
        tokens = self._tokens(genes, counts, total_counts * multiplier, mask)
        cells, gene_tokens, queries_keys = self._transform(tokens, capture=capture_qk)
        totals = counts.sum(dim=-1) * multiplier if expected_total is None else expected_total
        return self._output(cells, gene_tokens, totals, queries_keys)

    def encode(
        self,
        genes: Tensor,
        counts: Tensor,
        total_counts: Tensor,
        *,
        mask: Tensor | None = None,
        capture_qk: bool = False,
    ) -> CellEncoding:
        """Do as :meth:`forward` without the counts' distribution, which saves most of the last block."""
        self._check_context(genes, counts, total_counts)
        tokens = self._tokens(genes, counts, total_counts, mask)
        cells, _, queries_keys = self._transform(tokens, cells_only=not capture_qk, capture=capture_qk)
        return CellEncoding(
            cell_embeddings=cells,
            token_names=self.token_names,
            cell_embedding=cells.mean(dim=1),
            class_logits=self.classify(cells),
            queries_keys=queries_keys,
        )

    def generate(self, genes: Tensor, cell_embeddings: Tensor, total_counts: Tensor) -> ScPrintOutput:
        """Predict the counts from the cell embeddings alone (the bottleneck task).

        Parameters
        ----------
        genes
            (B, S) int64 vocabulary indices; any genes, not only those the cells were encoded with.
        cell_embeddings
            (B, T, d) output tokens of :meth:`forward` or :meth:`encode`; they take the place of the cell
            tokens.
        total_counts
            (B,) what the predicted means sum to over these genes.

        Raises
        ------
        ValueError
            When shapes do not fit.

        Notes
        -----
        scPRINT paper, Methods, "The bottleneck learning task".
        """
        expected = (genes.shape[0], len(self.token_names), self.config.d_model)
        if cell_embeddings.shape != expected:
            raise ValueError(
                f"cell_embeddings has shape {tuple(cell_embeddings.shape)}; these genes and this "
                f"model need {expected} (tokens {', '.join(self.token_names)})"
            )
        if total_counts.shape != genes.shape[:1]:
            raise ValueError(f"total_counts has shape {tuple(total_counts.shape)}; it needs ({genes.shape[0]},)")
        gene_tokens = self.gene_encoder(genes) + self.position_encoder(genes)
        cells, gene_tokens, _ = self._transform(torch.cat((cell_embeddings, gene_tokens), dim=1))
        return self._output(cells, gene_tokens, total_counts, None)

    def classify(self, cell_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, d) cell embeddings to the logits of each class's leaf labels."""
        first = len(LEADING_TOKENS)
        return {name: head(cell_embeddings[:, first + i]) for i, (name, head) in enumerate(self.class_heads.items())}

    def _tokens(self, genes: Tensor, counts: Tensor, total_counts: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T + S, d): base, depth and class tokens, then the genes'."""
        expression = self.expression_encoder(normalise_counts(counts.float(), self.config.normalization))
        if mask is not None:
            expression = expression * (1 - mask.to(expression.dtype))[..., None]
        gene_tokens = self.gene_encoder(genes) + self.position_encoder(genes) + expression
        depth_token = self.depth_encoder(torch.log2(1 + total_counts.float()))[:, None]
        placeholders = self.class_tokens.weight.expand(len(genes), -1, -1)
        return torch.cat((placeholders[:, :1], depth_token, placeholders[:, 1:], gene_tokens), dim=1)

    def _transform(
        self, x: Tensor, *, cells_only: bool = False, capture: bool = False
    ) -> tuple[Tensor, Tensor, tuple[QueriesKeys, ...] | None]:
        """(B, T + S, d) tokens to cell tokens (B, T, d), gene tokens (B, S, d; or none), (q, k) pairs."""
        n_cell_tokens = len(self.token_names)
        captured: list[QueriesKeys] = []
        for i, block in enumerate(self.blocks):
            is_last = i == len(self.blocks) - 1
            n_queries = n_cell_tokens if cells_only and is_last else None
            x, queries_keys = block(x, n_queries=n_queries, capture=capture)
            if queries_keys is not None:
                captured.append(queries_keys)
        x = self.norm(x)
        return x[:, :n_cell_tokens], x[:, n_cell_tokens:], tuple(captured) if capture else None

    def _output(
        self, cells: Tensor, gene_tokens: Tensor, totals: Tensor, queries_keys: tuple[QueriesKeys, ...] | None
    ) -> ScPrintOutput:
        mean, dispersion, zero_logits = self.expression_decoder(gene_tokens, totals.float())
        return ScPrintOutput(
            mean=mean,
            dispersion=dispersion,
            zero_logits=zero_logits,
            cell_embeddings=cells,
            token_names=self.token_names,
            cell_embedding=cells.mean(dim=1),
            class_logits=self.classify(cells),
            queries_keys=queries_keys,
        )

    @staticmethod
    def _check_context(genes: Tensor, counts: Tensor, total_counts: Tensor) -> None:
        if genes.ndim != 2 or counts.shape != genes.shape or total_counts.shape != genes.shape[:1]:
            raise ValueError(
                f"genes {tuple(genes.shape)}, counts {tuple(counts.shape)} and total_counts "
                f"{tuple(total_counts.shape)} must have the shapes (B, S), (B, S) and (B,)"
            )
