"""One training step: which passes the network makes over a batch, and how their losses add up.

Shapes: B cells, S genes of the context, C label classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from scdataloader import CellBatch, GeneVocabulary, LabelSpace
from scprint_model.layers.value_encoder import CP10K
from scprint_model.losses.counts import count_loss, log_count_error, share_divergence
from scprint_model.losses.embeddings import (
    DatasetClassifier,
    cell_similarity,
    embedding_dissimilarity,
    info_nce,
    others_mean,
)
from scprint_model.losses.hierarchical import hierarchical_cross_entropy, hierarchical_loss
from scprint_model.model import CellEncoding, ScPrint, ScPrintOutput
from scprint_model.noise import downsample
from scprint_model.training.failures import bad_counts, check_batch
from scprint_model.training.passes import (
    Context,
    context_of,
    draw_length,
    hidden_genes,
    noised,
    thinned,
    thinned_total,
    with_centre,
)
from scprint_model.training.recipes import RECIPES, LossWeights, ObjectiveConfig, Recipe
from scprint_model.training.regulator_file import read_regulators

__all__ = ["LossWeights", "Objective", "ObjectiveConfig", "Recipe", "read_regulators"]


class Objective(nn.Module):
    """One training step's loss: denoise, rebuild from the embedding, classify; and what a recipe adds.

    In its plainest form the network sees down-sampled counts with the cell's true total count. What it then says of
    the clean counts is the denoising loss; its cell embeddings are classified, and alone have to give the clean counts
    back.

    Parameters
    ----------
    label_space
        Labels of the batches, in order.
    recipe
        Passes, terms and weights; or what to change of a named one.
    weights, noise, min_context
        In place of the recipe's.
    regulators
        (n_genes,) bool, for ``mask_genes="regulators"``; see :func:`read_regulators`.
    d_model, n_datasets
        Width of the model and number of data sets, for the term ``adversarial_datasets``. Its classifier is then a part
        of this module, whose parameters have to be trained with the model's.

    Raises
    ------
    ValueError
        When something that the recipe needs is not given.

    Notes
    -----
    scPRINT paper, Methods, "Pretraining".
    """

    #: (n_genes,) bool, or None.
    regulators: Tensor | None
    #: (n_datasets, F) mean profile over the genes that each data set measures, where the model is told profiles; set by
    #: whoever trains, see `scprint_model.training.features`.
    centres: Tensor | None

    def __init__(
        self,
        label_space: LabelSpace,
        recipe: Recipe | ObjectiveConfig = RECIPES["paper"],
        *,
        weights: LossWeights | None = None,
        noise: float | None = None,
        min_context: int | None = None,
        regulators: Tensor | None = None,
        d_model: int | None = None,
        n_datasets: int | None = None,
    ) -> None:
        super().__init__()
        base = recipe.resolve() if isinstance(recipe, ObjectiveConfig) else recipe
        given = {"weights": weights, "noise": noise, "min_context": min_context}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.recipe = replace(base, **changes)
        self.label_space = label_space
        self.class_names = list(label_space.classes)
        for name, labels in label_space.classes.items():
            self.register_buffer(f"_{name}", torch.from_numpy(labels.descendants.toarray()), persistent=False)
            self.register_buffer(f"_own_{name}", torch.from_numpy(labels.own_outputs), persistent=False)
        if self.recipe.mask_genes == "regulators" and regulators is None:
            raise ValueError("mask_genes='regulators' needs regulators, a bool for each gene of the vocabulary")
        self.register_buffer("regulators", regulators, persistent=False)
        self.register_buffer("centres", None, persistent=False)
        if self.weights.adversarial_classes and len(self.class_names) < 2:
            raise ValueError(
                f"weights.adversarial_classes={self.weights.adversarial_classes} needs two classes; the label space "
                f"has {self.class_names}"
            )
        self.dataset_classifier: DatasetClassifier | None = None
        if self.weights.adversarial_datasets:
            if d_model is None or n_datasets is None:
                raise ValueError(
                    f"weights.adversarial_datasets={self.weights.adversarial_datasets} needs d_model and n_datasets, "
                    f"which are {d_model} and {n_datasets}"
                )
            self.dataset_classifier = DatasetClassifier(d_model, n_datasets)

    @property
    def weights(self) -> LossWeights:
        """Weights of the terms."""
        return self.recipe.weights

    @property
    def n_datasets(self) -> int | None:
        """Data sets told apart by the adversarial classifier; None where there is none."""
        return None if self.dataset_classifier is None else self.dataset_classifier.n_datasets

    def forward(
        self,
        model: ScPrint,
        batch: CellBatch,
        *,
        generator: torch.Generator | None = None,
        length_generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return each term that has a weight, unweighted, and their weighted sum under ``"loss"``; scalars.

        Parameters
        ----------
        model
            The network.
        batch
            Clean counts and labels.
        generator
            Source of noise and masks; None: torch's global one.
        length_generator
            Source of the number of genes that a batch is cut to; None: `generator`. Processes that train together give
            generators in the same state, so that all have batches of one length.

        Raises
        ------
        ValueError
            On the CPU, as :func:`scprint_model.training.failures.check_batch`. On other devices the loss of
            such a batch is NaN: the host would have to wait in every step.
        """
        if batch["counts"].device.type == "cpu" and not torch.compiler.is_compiling():
            check_batch(batch, self.label_space, n_datasets=self.n_datasets)
        recipe, length, second = self.recipe, None, None
        if self.training:
            n_genes = batch["genes"].shape[1]
            if recipe.second_view:
                n_genes //= 2
            of_length = generator if length_generator is None else length_generator
            length = draw_length(n_genes, recipe.min_context, recipe.short_share, generator=of_length)
            length = n_genes if length is None and recipe.second_view else length
        context = with_centre(context_of(batch, length), batch, self.centres)
        if recipe.second_view:
            behind = 0 if length is None else length
            second = with_centre(context_of(batch, length, after=behind), batch, self.centres)
        if self.training and recipe.thinning > 1:
            sizes = (recipe.thinning, model.config.n_genes)
            context = thinned(context, *sizes, generator=generator)
            second = None if second is None else thinned(second, *sizes, generator=generator)
        passes = self.passes(model, context, second=second, generator=generator)
        terms = self.terms(model, batch, context, passes)
        weighted = [self.weight(name) * value for name, value in terms.items()]
        loss = torch.where(bad_counts(batch).any(), torch.nan, torch.stack(weighted).sum())
        return {"loss": loss, **terms}

    def weight(self, term: str) -> float:
        """Return the weight of a term of :meth:`terms`."""
        return float(getattr(self.weights, term))

    def terms(
        self, model: ScPrint, batch: CellBatch, context: Context, passes: dict[str, CellEncoding]
    ) -> dict[str, Tensor]:
        """Return each term that has a weight, unweighted; scalars. A subclass adds its own here and to :meth:`weight`.

        Parameters
        ----------
        model
            The network.
        batch
            Batch as it came, for labels and data sets.
        context
            Part of it that the first passes saw.
        passes
            Output of the first passes, see :meth:`passes`.
        """
        terms = self._count_terms(model, context, passes)
        groups = batch["dataset"] if self.recipe.contrast_within else None
        terms |= self._embedding_terms(model, list(passes.values()), groups)
        first = next(iter(passes.values()))
        if self.weights.classification:
            terms["classification"] = self.classification(first.class_logits, batch["labels"])
        if self.weights.label_sigmoids:
            terms["label_sigmoids"] = self.label_sigmoids(first.class_logits, batch["labels"])
        if self.weights.adversarial_classes:
            terms["adversarial_classes"] = self._adversarial_classes(model, first, batch["labels"])
        if self.dataset_classifier is not None:
            terms["adversarial_datasets"] = self._adversarial_datasets(first, batch["dataset"])
        return terms

    def classification(self, class_logits: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Sum of the hierarchical losses of all classes, a scalar; labels (B, C)."""
        losses = [
            self._classification(name, class_logits[name], labels[:, i]) for i, name in enumerate(self.class_names)
        ]
        return torch.stack(losses).sum() if losses else labels.new_zeros((), dtype=torch.float32)

    def label_sigmoids(self, class_logits: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Sum of the binary losses of all classes, each a mean over the labelled cells; labels (B, C)."""
        losses = [self.sigmoids(name, class_logits[name], labels[:, i]) for i, name in enumerate(self.class_names)]
        return torch.stack(losses).sum() if losses else labels.new_zeros((), dtype=torch.float32)

    def cross_entropy(self, name: str, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of one class, a mean over the labelled cells; logits (B, n) on any device, labels (B,)."""
        return hierarchical_cross_entropy(logits, labels, self._hierarchy(name, logits.device)[0])

    def sigmoids(self, name: str, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary loss of one class, summed over labels, a mean over the labelled cells; as `cross_entropy`."""
        below, own = self._hierarchy(name, logits.device)
        return hierarchical_loss(logits, labels, below, own=own, per_labelled_cell=True)

    def _classification(self, name: str, logits: Tensor, labels: Tensor) -> Tensor:
        if self.recipe.label_loss == "cross_entropy":
            return self.cross_entropy(name, logits, labels)
        below, own = self._hierarchy(name, logits.device)
        return hierarchical_loss(logits, labels, below, own=own)

    def _hierarchy(self, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return which outputs lie below each coarser label of a class, and the place of its own."""
        return self.get_buffer(f"_{name}").to(device), self.get_buffer(f"_own_{name}").to(device)

    def passes(
        self,
        model: ScPrint,
        context: Context,
        *,
        second: Context | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, CellEncoding]:
        """Let the network look at a context as often as the recipe says.

        Returns
        -------
        dict
            In order, as far as the recipe has them: ``full`` (no counts predicted), ``masking 0``, ``masking 1`` …,
            ``denoising``, ``second view``, ``bottleneck``.
        """
        recipe, passes = self.recipe, dict[str, CellEncoding]()
        genes, lengths, expected = context.genes, context.lengths, context.context_total
        if recipe.full_pass:
            passes["full"] = model.encode(
                genes, context.counts, context.total_counts, lengths=lengths, profile=context.profile
            )
        for i, ratio in enumerate(recipe.mask_ratios):
            counts, totals = context.counts, context.total_counts
            if recipe.mask_noise:
                counts = downsample(counts, recipe.mask_noise, each=True, generator=generator)
                totals = thinned_total(context, counts)
            mask = hidden_genes(
                genes, ratio, regulators=self.regulators, others=recipe.mask_others, generator=generator
            )
            passes[f"masking {i}"] = model(genes, counts, totals, mask=mask, expected_total=expected, lengths=lengths)
        n_genes = model.config.n_genes
        if recipe.denoising_pass:
            noisy = noised(context, recipe.noise, n_genes, drawn=recipe.noise_drawn, generator=generator)
            shown: dict[str, Any] = {"profile": noisy.profile, "shown_total": noisy.shown_total, "lengths": lengths}
            arguments = (genes, noisy.counts, context.total_counts)
            passes["denoising"] = (
                model(*arguments, expected_total=expected, **shown)
                if self._says_counts()
                else model.encode(*arguments, **shown)
            )
        source = passes["full"] if recipe.full_pass else list(passes.values())[-1]
        if second is not None:
            noisy = noised(second, recipe.noise, n_genes, drawn=recipe.noise_drawn, generator=generator)
            shown = {"profile": noisy.profile, "shown_total": noisy.shown_total, "lengths": second.lengths}
            passes["second view"] = model.encode(second.genes, noisy.counts, second.total_counts, **shown, classes=())
        if self.weights.bottleneck:
            totals = context.total_counts
            if recipe.bottleneck_target == "shares":  # nothing of the depth
                totals, expected = torch.full_like(totals, CP10K), torch.ones_like(totals)
            passes["bottleneck"] = model.generate(
                genes, source.cell_embeddings, totals, expected_total=expected, lengths=lengths
            )
        return passes

    def _says_counts(self) -> bool:
        return self.weights.denoising > 0 or self.weights.log_error > 0

    def _count_terms(self, model: ScPrint, context: Context, passes: dict[str, CellEncoding]) -> dict[str, Tensor]:
        """Likelihood of the clean counts in each pass that predicts them, and their log error."""
        likelihood, log_errors = model.config.likelihood, list[Tensor]()
        if self.weights.log_error and likelihood == "mse":
            raise ValueError(
                f"weights.log_error={self.weights.log_error} stands beside a likelihood, but the model's likelihood is "
                "'mse', which is that error itself: set one of the two"
            )
        sums: dict[str, list[Tensor]] = {}
        for name, output in passes.items():
            if not isinstance(output, ScPrintOutput):
                continue
            term = name.split()[0]
            if term == "bottleneck" and self.recipe.bottleneck_target == "shares":
                sums[term] = [share_divergence(context.counts, output.mean, real=context.real)]
                continue
            if getattr(self.weights, term):
                loss = count_loss(context.counts, output.mean, output.dispersion, output.zero_logits, real=context.real)
                sums.setdefault(term, []).append(loss)
            if self.weights.log_error:
                log_errors.append(log_count_error(context.counts, output.mean, output.zero_logits, real=context.real))
        if log_errors:
            sums["log_error"] = log_errors
        return {term: torch.stack(losses).sum() for term, losses in sums.items()}

    def _embedding_terms(
        self, model: ScPrint, encodings: list[CellEncoding], groups: Tensor | None
    ) -> dict[str, Tensor]:
        """Dissimilarity, ECS and InfoNCE of the passes that have cell embeddings of their own."""
        weights, recipe = self.weights, self.recipe
        if weights.bottleneck and (not recipe.generated_embeddings or model.config.cell_transformer):
            encodings = encodings[:-1]
        terms: dict[str, Tensor] = {}
        if weights.dissimilarity:
            losses = [embedding_dissimilarity(e.cell_embeddings, kind=recipe.dissimilarity) for e in encodings]
            terms["dissimilarity"] = torch.stack(losses).sum()
        if weights.cell_similarity:
            losses = [cell_similarity(e.cell_embedding, threshold=recipe.similarity_threshold) for e in encodings]
            terms["cell_similarity"] = torch.stack(losses).sum()
        if weights.contrastive:
            if len(encodings) < 2:
                raise ValueError(
                    f"weights.contrastive={weights.contrastive} compares passes, but a model with a cell transformer "
                    "has no embeddings of the bottleneck pass: set full_pass or mask_ratios"
                )
            losses = [
                info_nce(one.cell_embedding, other.cell_embedding, temperature=recipe.temperature, groups=groups)
                for i, one in enumerate(encodings)
                for other in encodings[i + 1 :]
            ]
            terms["contrastive"] = torch.stack(losses).mean()
        return terms

    def _adversarial_classes(self, model: ScPrint, encoding: CellEncoding, labels: Tensor) -> Tensor:
        """Label losses of each class's head on the mean of the other classes' tokens, whose gradient is reversed."""
        places = [encoding.token_names.index(name) for name in self.class_names]
        others = others_mean(torch.stack([encoding.cell_embeddings[:, place] for place in places], dim=1))
        logits = {name: model.class_heads[name](others[:, i]) for i, name in enumerate(self.class_names)}
        return self.classification(logits, labels)

    def _adversarial_datasets(self, encoding: CellEncoding, dataset: Tensor) -> Tensor:
        assert self.dataset_classifier is not None  # noqa: S101  (for the type checker)
        n = self.dataset_classifier.n_datasets
        loss = cross_entropy(self.dataset_classifier(encoding.cell_embedding), dataset.clamp(0, n - 1))
        return torch.where(((dataset < 0) | (dataset >= n)).any(), torch.nan, loss)


def build_objective(
    config: ObjectiveConfig, label_space: LabelSpace, *, vocabulary: GeneVocabulary, d_model: int, n_datasets: int
) -> Objective:
    """Make the objective of a training, with the files that its config names.

    Parameters
    ----------
    config
        Recipe and changes.
    label_space, vocabulary
        The model's.
    d_model
        The model's width.
    n_datasets
        Data sets that the training's cells come from.
    """
    regulators = None if config.regulators is None else read_regulators(config.regulators, vocabulary)
    return Objective(label_space, config, regulators=regulators, d_model=d_model, n_datasets=n_datasets)
