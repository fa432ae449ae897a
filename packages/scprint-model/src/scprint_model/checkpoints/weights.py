"""Weights into a network, without the random start that they would overwrite, and without a second copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.checkpoints.label_confidence import LabelConfidence
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.config import ModelConfig

_RANDOM = frozenset(
    {
        Tensor.normal_,
        Tensor.uniform_,
        nn.init.kaiming_normal_,
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.trunc_normal_,
        nn.init.uniform_,
        nn.init.xavier_normal_,
        nn.init.xavier_uniform_,
    }
)


class StoredNetwork(nn.Module):
    """A network as files hold it: what it is made of beside its weights, and what is known of it.

    Attributes
    ----------
    config
        Sizes and options.
    vocabulary, label_space
        Meaning of the gene indices and label codes; set by whoever trains or loads the network.
    context
        Largest number of genes per cell in training, where that is known; tasks use as many unless told otherwise.
    card
        Facts of its origin and training, JSON-able.
    standardisation
        Mean and spread of its cell tokens; None in files of older versions.
    confidence
        Class to when its labels are to be trusted; empty in files of older versions, and for classes of which too
        little is known.
    origin
        Name and checksum under which it was loaded; see `scprint_model.checkpoints.identity`.
    """

    config: ModelConfig
    vocabulary: GeneVocabulary | None
    label_space: LabelSpace | None
    context: int | None
    card: dict[str, Any]
    origin: dict[str, str]
    standardisation: Standardisation | None = None
    confidence: Mapping[str, LabelConfidence] = MappingProxyType({})


class _NoRandomStart(TorchFunctionMode):
    """Leaves new weights as they are: memory that nobody writes to takes no room."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build[N: StoredNetwork](
    network: Callable[..., N],
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    *,
    locations: Tensor,
    what: str,
    names: Mapping[str, str] | None = None,
) -> N:
    """Return a network with these weights, float32, in evaluation mode.

    Parameters
    ----------
    network
        Class of the network, such as `ScPrint`.
    config
        Config of the network.
    weights
        State dict, taken over as it is where it is float32.
    locations
        (n_genes,) genome location indices, used where the weights bring no table of positions.
    what
        For messages: where the weights are from.
    names
        Names of the keys there, for messages.

    Raises
    ------
    ValueError
        When keys are missing or left over, shapes do not fit, or a weight is NaN or infinite.
    """
    called = {key: (names or {}).get(key, key) for key in weights}
    check_finite({called[key]: value for key, value in weights.items()}, what)
    ready = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    positions = ready.get("position_encoder.table", locations)
    with _NoRandomStart():
        try:
            model = network(config, gene_positions=positions, gene_rows=ready.get("gene_encoder.rows"))
        except ValueError as error:
            raise ValueError(f"the weights in {what} do not fit its config: {error}") from error
    expected = {key: value.shape for key, value in model.state_dict().items()}
    missing = [key for key in expected if key not in ready]
    extra = [called[key] for key in ready if key not in expected]
    wrong = [
        f"{called[key]} is {tuple(ready[key].shape)}, not {tuple(shape)}"
        for key, shape in expected.items()
        if key in ready and ready[key].shape != shape
    ]
    if missing or extra or wrong:
        problems = [
            *(
                f"{len(some)} {word}, such as {some[:3]}"
                for some, word in ((missing, "missing"), (extra, "left over"))
                if some
            ),
            *wrong[:5],
        ]
        raise ValueError(f"the weights in {what} do not fit its config: {'; '.join(problems)}")
    model.load_state_dict(ready, strict=True, assign=True)
    return model.eval()


def check_finite(weights: Mapping[str, Tensor], what: str) -> None:
    """Raise ValueError naming the tensors that hold NaN or infinite values."""
    bad = []
    for key, value in weights.items():
        if value.is_floating_point() and value.numel():
            low, high = torch.aminmax(value)
            if not (torch.isfinite(low) and torch.isfinite(high)):
                bad.append(key)
    if bad:
        shown = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        raise ValueError(f"{what} holds NaN or infinite weights in {shown}: such a network gives no numbers")
