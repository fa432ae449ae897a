"""PyTorch, or a word on how to get it: only what makes tensors needs it."""

try:
    import torch as torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("batches of tensors need PyTorch: pip install 'scdataloader[torch]'") from error
