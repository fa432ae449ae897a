"""Labels of cells: the terms of their ontologies, and the label space that a classifier is trained on."""

from scdataloader.labels.label_class import LabelClass
from scdataloader.labels.ontology import (
    CLASS_SCOPES,
    UNKNOWN,
    ancestors,
    current_term,
    describe,
    find_term,
    is_joined,
    is_unknown,
    ontology_of,
    roll_up,
    standard_label,
    term_name,
)
from scdataloader.labels.space import (
    CLASSES,
    SUFFIX,
    LabelSpace,
    check_labels,
    class_scope,
    corpus_labels,
    label_column,
)

__all__ = [
    "CLASSES",
    "CLASS_SCOPES",
    "SUFFIX",
    "UNKNOWN",
    "LabelClass",
    "LabelSpace",
    "ancestors",
    "check_labels",
    "class_scope",
    "corpus_labels",
    "current_term",
    "describe",
    "find_term",
    "is_joined",
    "is_unknown",
    "label_column",
    "ontology_of",
    "roll_up",
    "standard_label",
    "term_name",
]
