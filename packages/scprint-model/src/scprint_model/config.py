"""Sizes and options of the network, checked for contradictions when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Normalization = Literal["sum", "log"]

#: Layer norms inside the transformer, and those of the small MLPs around it: the published weights need both.
BLOCK_NORM_EPS = 1e-6
MLP_NORM_EPS = 1e-5

#: Cell tokens which stand before one token for each class.
LEADING_TOKENS = ("base", "depth")


# No slots: jsonargparse cannot read the defaults of a dataclass with slots.
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides the shape and the arithmetic of a :class:`~scprint_model.model.ScPrint`.

    Parameters
    ----------
    n_genes
        Genes in the vocabulary: the ids given to the network are ``0 .. n_genes - 1``.
    d_model
        Width of every token.
    n_layers
        Transformer blocks.
    n_heads
        Attention heads; must divide `d_model`.
    n_kv_heads
        Key and value heads shared by groups of query heads (grouped-query attention); None: as many as
        `n_heads`.
    class_sizes
        Class name (cell type, disease, …) to its number of leaf labels. The order is the order of the cell
        tokens.
    expression_layers
        Linear layers in the encoders of a count and of the total count (at least 2).
    class_head_widths
        Hidden widths of each class head; None: one layer of `d_model`; ``()``: a single linear map.
    normalization
        What becomes of a raw count before its encoder: ``"log"`` is log2(1 + x), ``"sum"`` is x over the sum
        of the cell's counts in the context.
    dropout
        Rate inside the small MLPs and before each residual addition.
    drop_path
        Stochastic depth: the rate rises linearly from 0 at the first block to this at the last.

    Raises
    ------
    ValueError
        When a field is out of range or two fields contradict each other; the message names them.

    Notes
    -----
    scPRINT paper, Methods, "Architecture".
    """

    n_genes: int
    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int | None = None
    class_sizes: dict[str, int] = field(default_factory=dict)
    expression_layers: int = 2
    class_head_widths: tuple[int, ...] | None = None
    normalization: Normalization = "log"
    dropout: float = 0.1
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        # From JSON, YAML and mappings of other kinds: the same config must compare equal whatever it came
        # from.
        object.__setattr__(self, "class_sizes", dict(self.class_sizes))
        if self.class_head_widths is not None:
            object.__setattr__(self, "class_head_widths", tuple(self.class_head_widths))
        problems = [*self._size_problems(), *self._rate_problems(), *self._class_problems()]
        if problems:
            raise ValueError("ModelConfig contradicts itself: " + "; ".join(problems))

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Key and value heads in use."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Hidden widths of the class heads in use."""
        return (self.d_model,) if self.class_head_widths is None else self.class_head_widths

    @property
    def token_names(self) -> tuple[str, ...]:
        """Names of the cell tokens, in the order of ``cell_embeddings``."""
        return (*LEADING_TOKENS, *self.class_sizes)

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON-able values; :meth:`from_dict` gives the config back."""
        values = asdict(self)
        if self.class_head_widths is not None:
            values["class_head_widths"] = list(self.class_head_widths)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build from :meth:`to_dict`'s output.

        Raises
        ------
        ValueError
            When a key is not a field, or a field has no default and no value.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown model config fields {unknown}; known ones are {sorted(known)}")
        if "n_genes" not in values:
            raise ValueError("the model config lacks n_genes, the number of genes in the vocabulary")
        return cls(**values)

    def _size_problems(self) -> list[str]:
        problems = [
            f"{name} = {getattr(self, name)} must be at least {least}"
            for name, least in (("n_genes", 1), ("d_model", 2), ("n_layers", 1), ("n_heads", 1))
            if getattr(self, name) < least
        ]
        if problems:
            return problems
        if self.d_model % 2:
            problems.append(f"d_model = {self.d_model} must be even (sine and cosine pairs encode the position)")
        if self.d_model % self.n_heads:
            problems.append(f"n_heads = {self.n_heads} does not divide d_model = {self.d_model}")
        if self.n_kv_heads is not None and (self.n_kv_heads < 1 or self.n_heads % self.n_kv_heads):
            problems.append(f"n_kv_heads = {self.n_kv_heads} does not divide n_heads = {self.n_heads}")
        if self.expression_layers < 2:
            problems.append(f"expression_layers = {self.expression_layers} must be at least 2")
        if any(width < 1 for width in self.hidden_widths):
            problems.append(f"class_head_widths = {self.class_head_widths} must be positive")
        return problems

    def _rate_problems(self) -> list[str]:
        problems = [
            f"{name} = {getattr(self, name)} must be in [0, 1)"
            for name in ("dropout", "drop_path")
            if not 0 <= getattr(self, name) < 1
        ]
        if self.normalization not in get_args(Normalization):
            problems.append(f"normalization = {self.normalization!r} must be one of {get_args(Normalization)}")
        if self.drop_path > 0 and self.n_layers == 1:
            problems.append(f"drop_path = {self.drop_path} has no effect with n_layers = 1 (the first block keeps all)")
        return problems

    def _class_problems(self) -> list[str]:
        problems = [
            f"class_sizes[{name!r}] = {size} must be at least 1" for name, size in self.class_sizes.items() if size < 1
        ]
        for name in self.class_sizes:
            if name in LEADING_TOKENS:
                problems.append(f"class_sizes has {name!r}, which is the name of a cell token of its own")
            elif not name.isidentifier():
                problems.append(f"class_sizes has {name!r}: class names must be Python identifiers")
        return problems
