"""Labels of cells: the terms of their ontologies, and the label space that a classifier is trained on."""

from scdataloader.labels.space import (
    CLASSES,
    SUFFIX,
    LabelClass,
    LabelSpace,
    check_labels,
    class_scope,
    corpus_labels,
    label_column,
)

__all__ = [
    "CLASSES",
    "SUFFIX",
    "LabelClass",
    "LabelSpace",
    "check_labels",
    "class_scope",
    "corpus_labels",
    "label_column",
]
