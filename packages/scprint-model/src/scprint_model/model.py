"""The network: genes and counts of a cell in; cell embeddings, labels and the counts' distribution out.

Shapes: B cells, S genes of the context, T cell tokens, d model width, H heads, h head width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.attention.attend import Backend, Scope, check_backend
from scprint_model.attention.multi_head import QueriesKeys
from scprint_model.checkpoints.open import Pretrained
from scprint_model.config import BLOCK_NORM_EPS, ModelConfig
from scprint_model.inputs import check_bias, check_cells, check_context, real_genes
from scprint_model.layers.block import build_blocks, run_blocks
from scprint_model.layers.bottleneck import Bottleneck
from scprint_model.layers.class_head import AllTokensHead, ClassHead
from scprint_model.layers.expression_decoder import ExpressionDecoder
from scprint_model.layers.gene_encoder import GeneEncoder
from scprint_model.layers.initialise import initialise
from scprint_model.layers.position_encoder import PositionEncoder
from scprint_model.layers.profile_encoder import Profile, ProfileEncoder
from scprint_model.layers.value_encoder import ValueEncoder, normalise_counts
from scprint_model.outputs import CellEncoding, ScPrintOutput

__all__ = ["CellEncoding", "ScPrint", "ScPrintOutput"]


class ScPrint(Pretrained):
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
        #: What is known of its origin and training, JSON-able.
        self.card: dict[str, Any] = {}
        #: Name and checksum under which it was loaded, by which results say what made them.
        self.origin: dict[str, str] = {}
        #: Keep only the tokens between blocks for the gradient and compute the rest again: less memory, more time.
        self.gradient_checkpointing = False
        self._attention_backend: Backend = "auto"
        d, dropout, n_layers = config.d_model, config.dropout, config.expression_layers
        # Encoders: which gene, where it lies, how much of it, how deep the cell; what is asked about the cell.
        self.gene_encoder = GeneEncoder(config.n_genes, d, gene_rows, n_features=config.gene_features)
        self.position_encoder = PositionEncoder(gene_positions, config.n_genes, d, scale=config.position_scale)
        # A share of the context needs no spread: it is so small that the layer norm's eps keeps it linear.
        typical_count = 0 if config.normalization == "sum" else 2
        self.expression_encoder = ValueEncoder(d, n_layers=n_layers, dropout=dropout, typical_value=typical_count)
        if config.depth == "input":
            n_layers = config.depth_layers or n_layers
            self.depth_encoder = ValueEncoder(d, n_layers=n_layers, dropout=dropout, typical_value=12)
        if config.metacell_token:
            self.metacell_tokens = nn.Embedding(2, d)
        self.class_tokens = nn.Embedding(1 + len(config.class_sizes), d)
        if config.profile_tokens:
            self.profile_encoder = ProfileEncoder.of(config, len(self.gene_encoder.table.weight))
        # Transformer: one sequence of cell and gene tokens, or the genes' own and one for the cell tokens.
        apart = config.cell_transformer > 0
        self.blocks = build_blocks(config, config.n_layers * (2 if apart else 1), alternate=apart)
        self.norm = nn.LayerNorm(d, eps=BLOCK_NORM_EPS)
        stacks = [self.blocks]
        if apart:
            self.cell_blocks = build_blocks(config, 2 * config.cell_transformer, alternate=True)
            self.cell_norm = nn.LayerNorm(d, eps=BLOCK_NORM_EPS)
            stacks.append(self.cell_blocks)
        # Decoders.
        self.bottlenecks = nn.ModuleDict({name: Bottleneck(d, size) for name, size in config.bottleneck_sizes.items()})
        told_depth = config.depth == "decoder"
        self.expression_decoder = ExpressionDecoder(
            d, likelihood=config.likelihood, told_depth=told_depth, dropout=dropout
        )
        self.class_heads = nn.ModuleDict(
            {
                name: AllTokensHead(len(config.token_names), d, n_labels)
                if name in config.all_token_classes
                else ClassHead(d, config.hidden_widths, n_labels, dropout=dropout)
                for name, n_labels in config.class_sizes.items()
            }
        )
        initialise(self, stacks, class_bias=config.class_bias)

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of the T cell tokens."""
        return self.config.token_names

    @property
    def captured_tokens(self) -> tuple[str, ...]:
        """Names of the cell tokens which stand before the genes in captured queries and keys."""
        return () if self.config.cell_transformer else self.token_names

    @property
    def attention_backend(self) -> Backend:
        """The kernel that computes the attention; see :func:`scprint_model.attention.attend.attend`."""
        return self._attention_backend

    @attention_backend.setter
    def attention_backend(self, backend: str) -> None:
        self._attention_backend = check_backend(backend)

    def forward(
        self,
        genes: Tensor,
        counts: Tensor,
        total_counts: Tensor,
        *,
        mask: Tensor | None = None,
        metacell: Tensor | None = None,
        depth_multiplier: float | Tensor | None = None,
        expected_total: Tensor | None = None,
        lengths: Tensor | None = None,
        gene_bias: Tensor | None = None,
        profile: Profile | None = None,
        shown_total: Tensor | None = None,
        capture_qk: bool = False,
        classes: Iterable[str] | None = None,
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
        metacell
            (B,) 1 where the counts are a sum over several cells, else 0, for a model with a metacell token;
            None: all 0.
        depth_multiplier
            Factor of the depth at which the profile is asked for: a number or (B,). It scales both the total count
            that the model is told and the sum of the predicted means.
        expected_total
            (B,) what the predicted means sum to; None: the sum of `counts` (times `depth_multiplier`). In
            training on noised counts this is the sum before the noise.
        lengths
            (B,) genes of each cell, for cells with fewer than S: what stands behind is padding (any valid
            index, any count) and not read. The mean is 0 there; dispersion and zero logits mean nothing.
        gene_bias
            (S, S) or (B, S, S) added to the attention logits between genes, in every layer and head; row = who attends.
        profile
            All expressed genes of the cells, for a model that is told of them; None: those of the context.
        shown_total
            (B,) total of the cells as they are shown, for ``"cp10k"``: less, where noised; None: `total_counts`.
        capture_qk
            Whether to return each layer's queries and keys.
        classes
            Classes whose logits are computed; None: all.

        Raises
        ------
        ValueError
            When shapes do not fit, both `depth_multiplier` and `expected_total` are given, `metacell` is given to a
            model without such a token, or the model has no such class.
        """
        if depth_multiplier is not None and expected_total is not None:
            raise ValueError("depth_multiplier and expected_total both set the sum of the means: give one of them")
        multiplier = 1.0 if depth_multiplier is None else depth_multiplier
        shown_total = total_counts if shown_total is None else shown_total
        total_counts = total_counts * multiplier
        counts, real = check_context(genes, counts, total_counts, lengths)
        gene_tokens = self._gene_tokens(genes, counts, mask, shown_total)
        cell_tokens = self._cell_tokens(total_counts, metacell)
        cell_tokens = self._tell_profile(cell_tokens, profile, shown_total, genes, counts, mask)
        scope = self._scope(genes, lengths, gene_bias)
        cells, gene_tokens, queries_keys = self._transform(cell_tokens, gene_tokens, scope, capture=capture_qk)
        if expected_total is None:
            expected_total = counts.sum(dim=-1) * multiplier
        parameters = self.expression_decoder(gene_tokens, total_counts, expected_total, real)
        return ScPrintOutput(**self._cell_fields(self._squeeze(cells), classes, queries_keys), **parameters._asdict())

    def encode(
        self,
        genes: Tensor,
        counts: Tensor,
        total_counts: Tensor,
        *,
        mask: Tensor | None = None,
        metacell: Tensor | None = None,
        depth_multiplier: float | Tensor | None = None,
        lengths: Tensor | None = None,
        gene_bias: Tensor | None = None,
        profile: Profile | None = None,
        shown_total: Tensor | None = None,
        capture_qk: bool = False,
        classes: Iterable[str] | None = None,
    ) -> CellEncoding:
        """Encode the cells as :meth:`forward`, without the counts' distribution, which saves most of the last block."""
        shown_total = total_counts if shown_total is None else shown_total
        total_counts = total_counts * (1.0 if depth_multiplier is None else depth_multiplier)
        counts, _ = check_context(genes, counts, total_counts, lengths)
        gene_tokens = self._gene_tokens(genes, counts, mask, shown_total)
        cell_tokens = self._cell_tokens(total_counts, metacell)
        cell_tokens = self._tell_profile(cell_tokens, profile, shown_total, genes, counts, mask)
        scope = self._scope(genes, lengths, gene_bias)
        cells, _, queries_keys = self._transform(
            cell_tokens, gene_tokens, scope, cells_only=not capture_qk, capture=capture_qk
        )
        return CellEncoding(**self._cell_fields(self._squeeze(cells), classes, queries_keys))

    def generate(
        self,
        genes: Tensor,
        cell_embeddings: Tensor,
        total_counts: Tensor,
        *,
        expected_total: Tensor | None = None,
        lengths: Tensor | None = None,
        gene_bias: Tensor | None = None,
        classes: Iterable[str] | None = None,
    ) -> ScPrintOutput:
        """Predict the counts from the cell embeddings alone (the bottleneck task).

        Parameters
        ----------
        genes
            (B, S) int64 vocabulary indices; any genes, not only those the cells were encoded with.
        cell_embeddings
            (B, T, d) output tokens of :meth:`forward` or :meth:`encode`; they take the place of the cell
            tokens.
        total_counts
            (B,) total count of the profile asked for. A model with depth at the decoder is told it; one with depth
            at the input reads its depth token instead.
        expected_total
            (B,) what the predicted means sum to over these genes; None: `total_counts`.
        lengths, gene_bias, classes
            Options of :meth:`forward`.

        Returns
        -------
        ScPrintOutput
            Its cell fields are those of this pass; with a cell transformer, which this pass does not run, they are
            those of `cell_embeddings`.

        Raises
        ------
        ValueError
            When shapes do not fit.

        Notes
        -----
        scPRINT paper, Methods, "The bottleneck learning task".
        """
        check_cells(self.config, genes, cell_embeddings, total_counts)
        gene_tokens = self.gene_encoder(genes) + self.position_encoder(genes)
        scope = self._scope(genes, lengths, gene_bias)
        if self.config.cell_transformer:
            scope = scope._replace(other=cell_embeddings)
            gene_tokens, _ = run_blocks(self.blocks, gene_tokens, scope, checkpointing=self.gradient_checkpointing)
            cells, gene_tokens = cell_embeddings, self.norm(gene_tokens)
        else:
            cells, gene_tokens, _ = self._transform(cell_embeddings, gene_tokens, scope)
            cells = self._squeeze(cells)
        shared = total_counts if expected_total is None else expected_total
        parameters = self.expression_decoder(gene_tokens, total_counts, shared, real_genes(genes, lengths))
        return ScPrintOutput(**self._cell_fields(cells, classes), **parameters._asdict())

    def classify(self, cell_embeddings: Tensor, classes: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the logits of the leaf labels of all classes, or of these alone, from (B, T, d) cell embeddings."""
        names = tuple(self.class_heads if classes is None else classes)
        if missing := [name for name in names if name not in self.class_heads]:
            raise ValueError(f"classes {missing} are not of the model, which has {list(self.class_heads)}")
        return {name: self.class_heads[name](self._tokens_of(name, cell_embeddings)) for name in names}

    def _tokens_of(self, name: str, cell_embeddings: Tensor) -> Tensor:
        """Return what a class's head reads: (B, T, d) all tokens, or (B, d) the class's own."""
        if name in self.config.all_token_classes:
            return cell_embeddings
        return cell_embeddings[:, self.token_names.index(name)]

    def _gene_tokens(self, genes: Tensor, counts: Tensor, mask: Tensor | None, shown_total: Tensor) -> Tensor:
        """(B, S, d): which gene, where it lies, how much of it."""
        expression = self.expression_encoder(normalise_counts(counts.float(), self.config.normalization, shown_total))
        if mask is not None:
            expression = expression * (1 - mask.to(expression.dtype))[..., None]
        return self.gene_encoder(genes) + self.position_encoder(genes) + expression

    def _cell_tokens(self, total_counts: Tensor, metacell: Tensor | None) -> Tensor:
        """(B, T, d): what the model is told and asked about the cell, in the order of `token_names`."""
        placeholders = self.class_tokens.weight.expand(len(total_counts), -1, -1)
        special = {"base": placeholders[:, :1]}
        if self.config.depth == "input":
            special["depth"] = self.depth_encoder(torch.log2(1 + total_counts.float()))[:, None]
        if self.config.metacell_token:
            kind = torch.zeros_like(total_counts) if metacell is None else metacell
            special["metacell"] = self.metacell_tokens(kind.long())[:, None]
        elif metacell is not None:
            raise ValueError("metacell is given, but the model has no metacell token (config.metacell_token)")
        ordered = [special[name] for name in self.token_names[: len(special)]]
        return torch.cat((*ordered, placeholders[:, 1:]), dim=1)

    def _tell_profile(self, cells: Tensor, profile: Profile | None, shown_total: Tensor, *context: Any) -> Tensor:
        """Add what the profile says to the tokens that are told of it; without one, the context stands for it."""
        if not self.config.profile_tokens:
            return cells
        told = self.profile_encoder(profile or Profile.of_context(*context), shown_total, self.gene_encoder)
        at = [self.token_names.index(name) for name in self.config.profile_tokens]
        return cells.index_add(1, torch.tensor(at, device=cells.device), told.to(cells.dtype))

    def _transform(
        self,
        cells: Tensor,
        genes: Tensor,
        scope: Scope,
        *,
        cells_only: bool = False,
        capture: bool = False,
    ) -> tuple[Tensor, Tensor, tuple[QueriesKeys, ...] | None]:
        """(B, T, d) and (B, S, d) tokens to output tokens of both (no genes if `cells_only`) and (q, k) pairs."""
        n_cell_tokens, again = cells.shape[1], self.gradient_checkpointing
        if self.config.cell_transformer:
            genes, captured = run_blocks(self.blocks, genes, scope, capture=capture, checkpointing=again)
            genes = self.norm(genes)
            reading = Scope(backend=scope.backend, other=genes, other_lengths=scope.lengths)
            cells, _ = run_blocks(self.cell_blocks, cells, reading, checkpointing=again)
            cells = self.cell_norm(cells)
        else:
            lengths = None if scope.lengths is None else scope.lengths + n_cell_tokens
            bias = None
            if scope.bias is not None:
                bias = nn.functional.pad(scope.bias, (n_cell_tokens, 0, n_cell_tokens, 0))
            x, captured = run_blocks(
                self.blocks,
                torch.cat((cells, genes), dim=1),
                scope._replace(lengths=lengths, bias=bias),
                n_outputs=n_cell_tokens if cells_only else None,
                capture=capture,
                checkpointing=again,
            )
            x = self.norm(x)
            cells, genes = x[:, :n_cell_tokens], x[:, n_cell_tokens:]
        return cells, genes, captured if capture else None

    def _squeeze(self, cells: Tensor) -> Tensor:
        """Replace the class tokens that have a bottleneck by what comes through it."""
        if not self.bottlenecks:
            return cells
        tokens = list(cells.unbind(dim=1))
        for name, bottleneck in self.bottlenecks.items():
            at = self.token_names.index(name)
            tokens[at] = bottleneck(tokens[at])
        return torch.stack(tokens, dim=1)

    def _cell_fields(
        self, cells: Tensor, classes: Iterable[str] | None, queries_keys: tuple[QueriesKeys, ...] | None = None
    ) -> dict[str, Any]:
        return {
            "cell_embeddings": cells,
            "token_names": self.token_names,
            "cell_embedding": cells.mean(dim=1),
            "class_logits": self.classify(cells, classes),
            "queries_keys": queries_keys,
        }

    def _scope(self, genes: Tensor, lengths: Tensor | None, gene_bias: Tensor | None) -> Scope:
        return Scope(backend=self._attention_backend, lengths=lengths, bias=check_bias(genes, gene_bias))
