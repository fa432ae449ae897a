"""A transformer for single-cell RNA-seq: embed, annotate, denoise, and infer gene networks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scprint_model import tasks
    from scprint_model.config import ModelConfig
    from scprint_model.demo.run import run_demo
    from scprint_model.model import ScPrint, ScPrintOutput
    from scprint_model.networks import infer
    from scprint_model.plugin import ScPrintMethod

__all__ = [
    "ModelConfig",
    "ScPrint",
    "ScPrintMethod",
    "ScPrintOutput",
    "__version__",
    "infer",
    "run_demo",
    "tasks",
]

_HOME = {
    "ModelConfig": "config",
    "ScPrint": "model",
    "ScPrintMethod": "plugin",
    "ScPrintOutput": "model",
    "infer": "networks",
    "run_demo": "demo.run",
}


def __getattr__(name: str) -> Any:
    # loaded on first use: torch takes seconds to import
    if name == "__version__":
        from importlib.metadata import version

        return version("scprint-model")
    if name == "tasks":
        return import_module("scprint_model.tasks")
    if name in _HOME:
        return getattr(import_module(f"scprint_model.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scprint_model' has no attribute {name!r}")
