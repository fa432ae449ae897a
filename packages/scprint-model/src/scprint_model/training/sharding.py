"""A network whose weights are parted among processes (fully sharded data parallel, FSDP2)."""

from __future__ import annotations

from typing import Any, cast

import lightning
import torch
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor

from scprint_model.model import ScPrint

#: Methods of the network that the objective and validation call beside ``forward``.
_METHODS = ("encode", "generate", "classify")


def need_whole_weights(callback: str, trainer: lightning.Trainer) -> None:
    """Refuse strategies under which no process holds whole weights, for a callback of this name.

    Raises
    ------
    ValueError
        When the strategy parts the weights among processes.
    """
    if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
        raise ValueError(
            f"{callback} needs whole weights, which {type(trainer.strategy).__name__} parts among the "
            "processes: leave it out, or use the strategy ddp"
        )


def shard(network: ScPrint, mesh: Any) -> None:
    """Part the weights, gradients and optimiser states of a network among the processes of a mesh.

    Each block's weights are gathered while it works, the others' are not: memory falls with the number of processes.

    Parameters
    ----------
    network
        Changed. It must be the same in all processes.
    mesh
        One-dimensional ``torch.distributed.DeviceMesh``.

    Raises
    ------
    ValueError
        When only some rows of the gene table are trained: which, would be lost.
    """
    if getattr(network.gene_encoder.table.weight, "partly_trained", False):
        raise ValueError(
            "freeze_gene_embeddings: true with genes that are not in the table trains some rows only, which cannot be "
            "kept up under ModelParallelStrategy: set freeze_gene_embeddings to false, or use the strategy ddp"
        )
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for name in ("blocks", "cell_blocks"):
        for block in getattr(network, name, ()):
            fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    for name in _METHODS:
        register_fsdp_forward_method(network, name)


def whole_copy(network: ScPrint) -> ScPrint | None:
    """Return an unparted copy of a parted network on the CPU, in the first process; None in the others.

    All processes have to call it.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights = get_model_state_dict(network, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if torch.distributed.get_rank() != 0 or network.vocabulary is None:
        return None
    copy = ScPrint(
        network.config,
        gene_positions=torch.tensor(network.vocabulary.locations),
        gene_rows=cast("Tensor | None", weights.get("gene_encoder.rows")),
    )
    copy.load_state_dict(weights)
    copy.vocabulary, copy.label_space = network.vocabulary, network.label_space
    return copy


def whole(value: Tensor) -> Tensor:
    """Return a tensor that is parted among processes as a whole; others as they are."""
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather()
