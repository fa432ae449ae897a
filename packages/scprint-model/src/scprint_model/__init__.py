"""A transformer for single-cell RNA-seq: embed, annotate, denoise, and infer gene networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scprint_model._lazy import lazy_names

if TYPE_CHECKING:
    from scprint_model import tasks
    from scprint_model.config import ModelConfig
    from scprint_model.demo.run import run_demo
    from scprint_model.finetuning import finetune, load_adapter
    from scprint_model.model import ScPrint, ScPrintOutput
    from scprint_model.networks import infer, select_heads
    from scprint_model.plugin import ScPrintMethod

__all__ = [
    "ModelConfig",
    "ScPrint",
    "ScPrintMethod",
    "ScPrintOutput",
    "__version__",
    "finetune",
    "infer",
    "load_adapter",
    "run_demo",
    "select_heads",
    "tasks",
]

_HOME = {
    "ModelConfig": "config",
    "ScPrint": "model",
    "ScPrintMethod": "plugin",
    "ScPrintOutput": "model",
    "finetune": "finetuning",
    "infer": "networks",
    "load_adapter": "finetuning",
    "run_demo": "demo.run",
    "select_heads": "networks",
    "tasks": "tasks",
}

# loaded on first use: torch takes seconds to import
__getattr__, __dir__ = lazy_names(__name__, _HOME)
