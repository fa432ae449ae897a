"""Choose what a training step computes and how its terms are weighted: the named recipes, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from scprint_model.losses.embeddings import DissimilarityKind

RecipeName = Literal["paper", "published", "published_2", "bundled"]
LabelLoss = Literal["cross_entropy", "binary"]
BottleneckTarget = Literal["counts", "shares"]
MaskedGenes = Literal["all", "regulators"]


# No slots: jsonargparse cannot read the defaults of a dataclass with slots.
@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each term; what weighs 0 is not computed. The defaults are the paper's unscaled sum.

    Attributes
    ----------
    denoising
        Likelihood of the clean counts, given down-sampled ones.
    masking
        The same given counts of which some are hidden, summed over `Recipe.mask_ratios`.
    bottleneck
        Likelihood of the clean counts, given the cell embeddings only.
    classification
        Sum of the hierarchical label losses of all classes, in the first pass of a step; see `Recipe.label_loss`.
    label_sigmoids
        Sum of the hierarchical binary cross-entropies of all classes, summed over labels and averaged over the labelled
        cells, beside `classification`: so that each label's sigmoid says whether it is right, for a cell of none, too.
    dissimilarity
        Likeness of a cell's tokens, summed over the passes.
    cell_similarity
        Elastic cell similarity (ECS) of the cells of a batch, summed over the passes.
    contrastive
        InfoNCE between the passes: a cell's embeddings of two passes should find each other; mean over the pairs.
    adversarial_classes
        Label losses of each class's head on the *other* classes' tokens, which are trained to fail it.
    adversarial_datasets
        Cross-entropy of a classifier of the data sets, which the cell embedding is trained to fail.
    log_error
        Squared error of log counts beside the likelihood, see
        :func:`scprint_model.losses.counts.log_count_error`; summed over the passes that predict counts.
    """

    denoising: float = 1.0
    masking: float = 1.0
    bottleneck: float = 1.0
    classification: float = 1.0
    label_sigmoids: float = 0.0
    dissimilarity: float = 1.0
    cell_similarity: float = 0.0
    contrastive: float = 0.0
    adversarial_classes: float = 0.0
    adversarial_datasets: float = 0.0
    log_error: float = 0.0

    def __post_init__(self) -> None:
        negative = {name: value for name, value in vars(self).items() if not 0 <= value < float("inf")}
        if negative:
            raise ValueError(f"loss weights must not be negative: {negative}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training step's loss.

    Attributes
    ----------
    weights
        Of the terms.
    noise
        Down-sampling rate r of the denoising pass; see :func:`scprint_model.noise.downsample`. This pass is left out
        where its weight is 0 and there is another.
    noise_drawn
        Draw the rate of each cell between 0 and `noise`.
    thinning
        Largest factor by which cells are made shallower before all else, in training: half of them by a factor between
        1 and this, totals included; 1: none.
    second_view
        Encode each cell a second time from the genes behind those of the first pass in the batch, which have to be half
        of them, thinned and noised anew: InfoNCE then asks that both views find each other.
    contrast_within
        Let InfoNCE compare a cell with cells of the same data set only; else it learns what tells data sets apart.
    label_loss
        ``"cross_entropy"``, as the paper has it, or ``"binary"``, as the published code: see
        `scprint_model.losses.hierarchical`.
    bottleneck_target
        ``"counts"``: their likelihood; ``"shares"``: Kullback-Leibler divergence of the genes' shares of the context,
        to which a cell's depth is nothing.
    full_pass
        Begin with a pass over the clean counts: labels are then read from it, and the bottleneck uses its cell
        embeddings. It has no count loss. Without it both come from the first and the last pass.
    mask_ratios
        One pass for each: share of the genes whose count is hidden.
    mask_genes
        Hide any gene alike, or mostly regulators.
    mask_others
        With ``mask_genes="regulators"``: how often another gene is hidden, relative to a regulator.
    mask_noise
        Down-sample the counts before they are masked, each by a rate drawn between 0 and this; the network is then
        told a total count that is lower by as much.
    dissimilarity
        Form of that term; see :func:`scprint_model.losses.embeddings.embedding_dissimilarity`.
    similarity_threshold
        Cosine that ECS draws apart from; see :func:`scprint_model.losses.embeddings.cell_similarity`.
    temperature
        Of InfoNCE.
    generated_embeddings
        Dissimilarity, ECS and InfoNCE take the cell tokens that come out of the bottleneck pass, too. (A model with a
        cell transformer has none there.)
    min_context
        In training, cut batches to a random number of genes, from this one to all, so that the network works with any
        context; 0: never.
    short_share
        Share of the steps whose batch is cut.

    Raises
    ------
    ValueError
        When a field is out of range or fields contradict each other; the message names them.
    """

    weights: LossWeights = LossWeights()
    noise: float = 0.6
    noise_drawn: bool = False
    thinning: float = 1.0
    second_view: bool = False
    contrast_within: bool = False
    label_loss: LabelLoss = "cross_entropy"
    bottleneck_target: BottleneckTarget = "counts"
    full_pass: bool = False
    mask_ratios: tuple[float, ...] = ()
    mask_genes: MaskedGenes = "all"
    mask_others: float = 0.05
    mask_noise: float = 0.0
    dissimilarity: DissimilarityKind = "cosine"
    similarity_threshold: float = 0.3
    temperature: float = 0.2
    generated_embeddings: bool = False
    min_context: int = 0
    short_share: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask_ratios", tuple(self.mask_ratios))
        shares = {name: getattr(self, name) for name in ("noise", "mask_others", "mask_noise", "short_share")}
        wrong = {name: value for name, value in shares.items() if not 0 <= value <= 1}
        if wrong:
            raise ValueError(f"{wrong} must be shares between 0 and 1")
        if not all(0 < ratio <= 1 for ratio in self.mask_ratios):
            raise ValueError(f"mask_ratios={self.mask_ratios} must be shares above 0, at most 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature} must be above 0")
        if not -1 <= self.similarity_threshold <= 1:
            raise ValueError(f"similarity_threshold={self.similarity_threshold} is a cosine, between -1 and 1")
        if self.min_context < 0:
            raise ValueError(f"min_context={self.min_context} must not be negative (0: never cut)")
        if not 1 <= self.thinning < float("inf"):
            raise ValueError(f"thinning={self.thinning} is a factor of at least 1 (1: none)")
        for name, allowed in (
            ("mask_genes", get_args(MaskedGenes)),
            ("dissimilarity", get_args(DissimilarityKind)),
            ("label_loss", get_args(LabelLoss)),
            ("bottleneck_target", get_args(BottleneckTarget)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}")
        self._check_contradictions()

    def _check_contradictions(self) -> None:
        if not self.mask_ratios and (self.mask_genes != "all" or self.mask_noise > 0):
            raise ValueError(
                f"mask_genes={self.mask_genes!r} and mask_noise={self.mask_noise} are of the masking passes, but "
                "mask_ratios is empty: set it, as [0.3]"
            )
        if self.weights.contrastive > 0 and self.n_embeddings < 2:
            raise ValueError(
                f"weights.contrastive={self.weights.contrastive} compares passes, but full_pass={self.full_pass}, "
                f"mask_ratios={self.mask_ratios}, second_view={self.second_view} and "
                f"generated_embeddings={self.generated_embeddings} leave one pass: set one of them"
            )
        if self.second_view and not self.min_context:
            raise ValueError(
                "second_view=True takes the second half of a batch's genes, but min_context=0 never cuts batches: set "
                "it"
            )
        if self.generated_embeddings and not self.weights.bottleneck:
            raise ValueError(
                "generated_embeddings=True takes the cell tokens of the bottleneck pass, but weights.bottleneck=0 "
                "leaves that out: set one of them"
            )
        if all(value == 0 for name, value in vars(self.weights).items() if name != "masking" or self.mask_ratios):
            raise ValueError("all weights are 0, so there is nothing to learn: set weights.denoising, for one")

    @property
    def denoising_pass(self) -> bool:
        """Whether a step has one."""
        return self.weights.denoising > 0 or not (self.full_pass or self.mask_ratios)

    @property
    def n_embeddings(self) -> int:
        """Passes whose cell embeddings the embedding terms see."""
        generated = self.generated_embeddings and self.weights.bottleneck > 0
        return self.full_pass + len(self.mask_ratios) + self.denoising_pass + self.second_view + generated


#: The named recipes. ``paper``: Methods, "Pretraining"; unscaled, labels by cross-entropy. ``published``: what trained
#: the published v1 weights, labels by binary cross-entropy. ``published_2``: version 2's base configuration, which
#: trained medium-v1.5. ``bundled``: ours for the model that comes with the package.
RECIPES: Mapping[RecipeName, Recipe] = {
    "paper": Recipe(),
    "published": Recipe(
        weights=LossWeights(classification=1.5, dissimilarity=0.2),
        label_loss="binary",
        generated_embeddings=True,
    ),
    "published_2": Recipe(
        weights=LossWeights(dissimilarity=0.1, cell_similarity=0.1, contrastive=0.1, log_error=0.1),
        label_loss="binary",
        full_pass=True,
        mask_ratios=(0.3,),
        mask_genes="regulators",
        mask_noise=0.5,
        dissimilarity="cosine_and_distance",
        similarity_threshold=0.4,
        generated_embeddings=True,
        min_context=400,
        short_share=0.2,
    ),
    "bundled": Recipe(
        weights=LossWeights(label_sigmoids=0.5, dissimilarity=0.1, contrastive=1.0),
        noise=0.8,
        noise_drawn=True,
        thinning=8.0,
        second_view=True,
        contrast_within=True,
        bottleneck_target="shares",
        temperature=0.1,
        min_context=64,
    ),
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """A named recipe and what to change of it; what is None stays as the recipe has it.

    Attributes
    ----------
    recipe
        ``"paper"``, ``"published"`` (v1), ``"published_2"`` or ``"bundled"``: see :data:`RECIPES`.
    weights
        Term to weight, see :class:`LossWeights`; terms not named keep theirs.
    regulators
        File with the Ensembl id of a regulator on each line, for ``mask_genes="regulators"``.
    noise, full_pass, mask_ratios, mask_genes, mask_others, mask_noise, dissimilarity, similarity_threshold
        See :class:`Recipe`.
    temperature, generated_embeddings, min_context, short_share
        See :class:`Recipe`.
    noise_drawn, thinning, second_view, contrast_within, label_loss, bottleneck_target
        See :class:`Recipe`.

    Raises
    ------
    ValueError
        When a name is unknown, a value out of range, or fields contradict each other; the message names them.

    Examples
    --------
    >>> recipe = ObjectiveConfig(recipe="published", weights={"contrastive": 0.1}, noise=0.3).resolve()
    >>> recipe.weights.classification, recipe.weights.contrastive, recipe.noise
    (1.5, 0.1, 0.3)
    """

    recipe: RecipeName = "paper"
    weights: dict[str, float] = field(default_factory=dict)
    regulators: str | None = None
    noise: float | None = None
    noise_drawn: bool | None = None
    thinning: float | None = None
    second_view: bool | None = None
    contrast_within: bool | None = None
    label_loss: LabelLoss | None = None
    bottleneck_target: BottleneckTarget | None = None
    full_pass: bool | None = None
    mask_ratios: tuple[float, ...] | None = None
    mask_genes: MaskedGenes | None = None
    mask_others: float | None = None
    mask_noise: float | None = None
    dissimilarity: DissimilarityKind | None = None
    similarity_threshold: float | None = None
    temperature: float | None = None
    generated_embeddings: bool | None = None
    min_context: int | None = None
    short_share: float | None = None

    def __post_init__(self) -> None:
        recipe = self.resolve()
        if recipe.mask_genes == "regulators" and self.regulators is None:
            raise ValueError(
                f"recipe={self.recipe!r} with mask_genes='regulators' hides mostly regulators: set regulators to a "
                "file with one Ensembl id a line, or mask_genes to 'all'"
            )
        if recipe.mask_genes == "all" and self.regulators is not None:
            raise ValueError(
                f"regulators={self.regulators!r} has no use with mask_genes='all': set mask_genes to 'regulators'"
            )

    def resolve(self) -> Recipe:
        """Return the recipe with the changes made."""
        if self.recipe not in RECIPES:
            raise ValueError(f"recipe={self.recipe!r} must be one of {tuple(RECIPES)}")
        recipe = RECIPES[self.recipe]
        terms = {f.name for f in fields(LossWeights)}
        unknown = sorted(self.weights.keys() - terms)
        if unknown:
            raise ValueError(f"weights has {unknown}, but the terms are {sorted(terms)}")
        changes: dict[str, Any] = {
            f.name: getattr(self, f.name)
            for f in fields(Recipe)
            if f.name != "weights" and getattr(self, f.name) is not None
        }
        return replace(recipe, weights=replace(recipe.weights, **self.weights), **changes)
