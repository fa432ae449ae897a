"""Sizes and options of the network, checked for contradictions when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Normalization = Literal["sum", "log", "cp10k"]
Depth = Literal["input", "decoder"]
Likelihood = Literal["zinb", "nb", "mse"]
TokenOrder = Literal["base_first", "depth_first"]

#: Layer norms inside the transformer, and those of the small MLPs around it: the published weights need both.
BLOCK_NORM_EPS = 1e-6
MLP_NORM_EPS = 1e-5

#: Names that cell tokens have which stand for no class.
SPECIAL_TOKENS = ("base", "depth", "metacell")

#: The named sizes, as published; heads are 64 wide in all of them.
SIZES: dict[str, dict[str, int]] = {
    "small": {"d_model": 128, "n_layers": 4, "n_heads": 2},
    "medium": {"d_model": 256, "n_layers": 8, "n_heads": 4},
    "large": {"d_model": 512, "n_layers": 16, "n_heads": 8},
    "xlarge": {"d_model": 2560, "n_layers": 36, "n_heads": 40, "n_kv_heads": 10},
}


#: Fields that the first models did not have.
_LATER = (
    "all_token_classes",
    "gene_features",
    "position_scale",
    "profile_tokens",
    "profile_features",
    "profile_dropout",
    "class_bias",
)


# No slots: jsonargparse cannot read the defaults of a dataclass with slots.
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All settings that decide the shape and the arithmetic of a :class:`~scprint_model.model.ScPrint`.

    Parameters
    ----------
    n_genes
        Number of genes in the vocabulary: the ids given to the network are ``0 .. n_genes - 1``.
    d_model
        Width of every token.
    n_layers
        Number of transformer blocks; with a `cell_transformer`, of pairs of a cross- and a self-attention block.
    n_heads
        Number of attention heads; must divide `d_model`.
    n_kv_heads
        Number of key and value heads shared by groups of query heads (grouped-query attention); None: as many as
        `n_heads`.
    class_sizes
        Class name (cell type, disease, …) to its number of leaf labels. The order is the order of the cell
        tokens.
    all_token_classes
        Classes whose head is one linear map of all cell tokens, as `scprint_model.finetune` makes them. The head of
        any other class is an MLP on the token of its own.
    expression_layers
        Number of linear layers in the encoder of a count (at least 2).
    class_head_widths
        Hidden widths of each class head; None: one layer of `d_model`; ``()``: a single linear map.
    normalization
        Scale of a raw count before its encoder: ``"log"`` is log2(1 + x), ``"sum"`` is x over the sum
        of the cell's counts in the context, ``"cp10k"`` is ln(1 + x per 10,000 counts of the cell), which says
        nothing of the cell's depth.
    dropout
        Dropout rate inside the small MLPs and before each residual addition.
    drop_path
        Rate of stochastic depth at the last block; it rises linearly from 0 at the first.
    depth
        Place where the cell's total count goes in: ``"input"`` is a cell token of its own, ``"decoder"`` is
        log2(1 + total) beside every gene's output token in the expression decoder.
    depth_layers
        Number of linear layers in the encoder of the total count (at least 2); None: as many as `expression_layers`.
    metacell_token
        Whether to have a cell token that says whether the counts are one cell's or a sum over several.
    cell_transformer
        Number of block pairs of a second transformer for the cell tokens. 0: cell and gene tokens share one sequence.
        n > 0: genes have a sequence of their own, which the cell tokens read in n pairs of a cross- and a
        self-attention block; the genes' cross-attention blocks read the cell tokens when counts are generated from
        these.
    bottleneck_sizes
        Class name to the number of two-level codes its token is squeezed through; classes not named keep
        their token as it is.
    likelihood
        Parameters that the expression decoder gives: ``"zinb"`` mean, dispersion and zero logits, ``"nb"``
        mean and dispersion, ``"mse"`` the mean alone.
    token_order
        ``"base_first"``: base, depth, metacell, classes; ``"depth_first"``: depth, metacell, base, classes.
        It changes no number, only where a cell token stands.
    gene_features
        Number of columns of a fixed table of gene features, which a learned linear map turns to tokens; the learned
        table of gene embeddings is then added, and starts at 0. 0: no features.
    position_scale
        Factor of the location encoding; 0 leaves it out.
    profile_tokens
        Cell tokens that are told the cell's whole profile, as one linear map of the features of all its expressed
        genes; ``"base"`` and names of classes.
    profile_features
        Number of features, the first ones, that a profile is the sum of; None: all.
    profile_dropout
        Share of the cells to which the profile is not told in training.
    class_bias
        First bias of the class heads. With hundreds of labels each of which has a sigmoid, -4 spares the training the
        first hundred steps, in which it would only learn that most labels are wrong.

    Raises
    ------
    ValueError
        When a field is out of range or two fields contradict each other; the message names them.

    Notes
    -----
    scPRINT paper, Methods, "Architecture".

    Examples
    --------
    >>> ModelConfig.small(n_genes=10, class_sizes={"sex": 2}, dropout=0.0).d_model
    128
    """

    n_genes: int
    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int | None = None
    class_sizes: dict[str, int] = field(default_factory=dict)
    all_token_classes: tuple[str, ...] = ()
    expression_layers: int = 2
    class_head_widths: tuple[int, ...] | None = None
    normalization: Normalization = "log"
    dropout: float = 0.1
    drop_path: float = 0.0
    depth: Depth = "input"
    depth_layers: int | None = None
    metacell_token: bool = False
    cell_transformer: int = 0
    bottleneck_sizes: dict[str, int] = field(default_factory=dict)
    likelihood: Likelihood = "zinb"
    token_order: TokenOrder = "base_first"
    gene_features: int = 0
    position_scale: float = 1.0
    profile_tokens: tuple[str, ...] = ()
    profile_features: int | None = None
    profile_dropout: float = 0.3
    class_bias: float = -0.13

    def __post_init__(self) -> None:
        # From JSON, YAML and mappings of other kinds: the same config must compare equal whatever it came
        # from.
        object.__setattr__(self, "class_sizes", dict(self.class_sizes))
        object.__setattr__(self, "bottleneck_sizes", dict(self.bottleneck_sizes))
        for name in ("all_token_classes", "profile_tokens"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.class_head_widths is not None:
            object.__setattr__(self, "class_head_widths", tuple(self.class_head_widths))
        problems = [
            *self._size_problems(),
            *self._choice_problems(),
            *self._rate_problems(),
            *self._class_problems(),
        ]
        if problems:
            raise ValueError("ModelConfig contradicts itself: " + "; ".join(problems))

    @classmethod
    def small(cls, *, n_genes: int, **options: Any) -> ModelConfig:
        """Return a config of width 128, 4 layers, 2 heads: 0.8 million weights beside the gene table.

        `options` are other fields.
        """
        return cls(n_genes=n_genes, **{**SIZES["small"], **options})

    @classmethod
    def medium(cls, *, n_genes: int, **options: Any) -> ModelConfig:
        """Return a config of width 256, 8 layers, 4 heads: 6 million weights beside the gene table.

        `options` are other fields.
        """
        return cls(n_genes=n_genes, **{**SIZES["medium"], **options})

    @classmethod
    def large(cls, *, n_genes: int, **options: Any) -> ModelConfig:
        """Return a config of width 512, 16 layers, 8 heads: 50 million weights beside the gene table.

        `options` are other fields.
        """
        return cls(n_genes=n_genes, **{**SIZES["large"], **options})

    @classmethod
    def xlarge(cls, *, n_genes: int, **options: Any) -> ModelConfig:
        """Return a config of width 2,560, 36 layers, 40 heads in 10 groups: 2.5 billion weights.

        `options` are other fields.
        """
        return cls(n_genes=n_genes, **{**SIZES["xlarge"], **options})

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
        told = (*(("depth",) if self.depth == "input" else ()), *(("metacell",) if self.metacell_token else ()))
        special = ("base", *told) if self.token_order == "base_first" else (*told, "base")
        return (*special, *self.class_sizes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values; :meth:`from_dict` gives the config back."""
        values = asdict(self)
        if self.class_head_widths is not None:
            values["class_head_widths"] = list(self.class_head_widths)
        # left out where they are as ever: the checksum of a model from before there were such options stays
        for item in fields(self):
            if item.name in _LATER and values[item.name] == item.default:
                del values[item.name]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

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
        if self.gene_features < 0 or not 0 <= self.position_scale < float("inf"):
            problems.append(
                f"gene_features = {self.gene_features} and position_scale = {self.position_scale} must not be negative"
            )
        if self.cell_transformer < 0:
            problems.append(f"cell_transformer = {self.cell_transformer} must be 0 or the number of its block pairs")
        if self.expression_layers < 2:
            problems.append(f"expression_layers = {self.expression_layers} must be at least 2")
        if self.depth_layers is not None and self.depth_layers < 2:
            problems.append(f"depth_layers = {self.depth_layers} must be at least 2")
        if self.depth_layers is not None and self.depth != "input":
            problems.append(
                f"depth_layers = {self.depth_layers} has no effect with depth = {self.depth!r} (no encoder)"
            )
        if any(width < 1 for width in self.hidden_widths):
            problems.append(f"class_head_widths = {self.class_head_widths} must be positive")
        return problems

    def _choice_problems(self) -> list[str]:
        choices = (
            ("normalization", Normalization),
            ("depth", Depth),
            ("likelihood", Likelihood),
            ("token_order", TokenOrder),
        )
        return [
            f"{name} = {getattr(self, name)!r} must be one of {get_args(options)}"
            for name, options in choices
            if getattr(self, name) not in get_args(options)
        ]

    def _rate_problems(self) -> list[str]:
        problems = [
            f"{name} = {getattr(self, name)} must be in [0, 1)"
            for name in ("dropout", "drop_path", "profile_dropout")
            if not 0 <= getattr(self, name) < 1
        ]
        if self.drop_path > 0 and self.n_layers == 1 and not self.cell_transformer:
            problems.append(f"drop_path = {self.drop_path} has no effect with n_layers = 1 (the first block keeps all)")
        return problems

    def _class_problems(self) -> list[str]:
        problems = [
            f"class_sizes[{name!r}] = {size} must be at least 1" for name, size in self.class_sizes.items() if size < 1
        ]
        for name in self.class_sizes:
            if name in SPECIAL_TOKENS:
                problems.append(f"class_sizes has {name!r}, which is the name of a cell token of its own")
            elif not name.isidentifier():
                problems.append(f"class_sizes has {name!r}: class names must be Python identifiers")
        problems += [
            f"all_token_classes has {name!r}, which class_sizes {list(self.class_sizes)} has not"
            for name in self.all_token_classes
            if name not in self.class_sizes
        ]
        tellable = ("base", *self.class_sizes)
        problems += [
            f"profile_tokens has {name!r}, which is none of {list(tellable)}"
            for name in self.profile_tokens
            if name not in tellable
        ]
        if self.profile_features is not None and not 0 < self.profile_features <= self.gene_features:
            problems.append(
                f"profile_features = {self.profile_features} must lie between 1 and gene_features, which is "
                f"{self.gene_features}"
            )
        if self.profile_tokens and not self.gene_features:
            problems.append(
                f"profile_tokens = {self.profile_tokens} needs gene_features, of which the profile is the sum"
            )
        for name, size in self.bottleneck_sizes.items():
            if name not in self.class_sizes:
                problems.append(f"bottleneck_sizes has {name!r}, which class_sizes {list(self.class_sizes)} has not")
            elif size < 1:
                problems.append(f"bottleneck_sizes[{name!r}] = {size} must be at least 1")
        return problems
