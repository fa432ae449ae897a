"""Hold what the network gives back.

Shapes: B cells, S genes of the context, T cell tokens, d model width, H heads, h head width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from scprint_model.attention.multi_head import QueriesKeys


@dataclass(frozen=True, kw_only=True)
class CellEncoding:
    """Encoding of each cell by the network.

    Attributes
    ----------
    cell_embeddings
        (B, T, d) one output token for each of `token_names`.
    token_names
        ``"base"``, ``"depth"`` and ``"metacell"`` where the model has them, and the class names.
    cell_embedding
        (B, d) mean of all T tokens.
    class_logits
        Class name to (B, number of leaf labels).
    queries_keys
        Per self-attention layer over the genes (q, k), each (B, N, H, h) before scaling; N counts the model's
        ``captured_tokens``, then the genes. None unless asked for.
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
        (B, S) its inverse overdispersion θ: variance = mean + mean² / θ; None where the likelihood is MSE.
    zero_logits
        (B, S) log-odds of an extra zero; None unless the likelihood is zero-inflated.
    """

    mean: Tensor
    dispersion: Tensor | None
    zero_logits: Tensor | None
