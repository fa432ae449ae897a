"""The layers of scGPT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, embedding, layer_norm, linear, relu, scaled_dot_product_attention

if TYPE_CHECKING:
    from bengrn.methods.deep.scgpt_files import Weights

_EPS, _EPS_OF_SUM = 1e-5, 6.1e-5
#: Largest value of expression that the model looks at.
_MOST = 512.0


class ScGPTLayers:
    """The layers of scGPT, which normalise after each part, as functions of its weights.

    Parameters
    ----------
    weights
        Weights of :func:`bengrn.methods.deep.scgpt_files.read_scgpt`.
    device
        Device of PyTorch.
    """

    def __init__(self, weights: Weights, device: str) -> None:
        self._of = {name: one.to(device) for name, one in weights.tensors.items()}
        self._layers, self._heads = weights.n_layers, weights.n_heads
        self._pad = weights.tokens["<pad>"]
        self.width = self._of["encoder.embedding.weight"].shape[1]

    def before_last(self, tokens: Tensor, values: Tensor) -> Tensor:
        """Return what the last layer is given, (cells, tokens, width)."""
        return self._run(tokens, values, self._layers - 1)

    def all_layers(self, tokens: Tensor, values: Tensor) -> Tensor:
        """Return the last layer's output, (cells, tokens, width)."""
        return self._run(tokens, values, self._layers)

    def last_products(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys of the last layer, (cells, heads, tokens, width of a head) each."""
        query, key, _ = self._projected(x, f"transformer_encoder.layers.{self._layers - 1}")
        return query, key

    def _run(self, tokens: Tensor, values: Tensor, n_layers: int) -> Tensor:
        kind = tokens.device.type
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            x = self._input(tokens, values)
            real = tokens != self._pad
            mask = None if bool(real.all()) else real[:, None, None, :]
            for i in range(n_layers):
                x = self._layer(x, f"transformer_encoder.layers.{i}", mask)
            return x

    def _input(self, tokens: Tensor, values: Tensor) -> Tensor:
        genes = self._norm("encoder.enc_norm", embedding(tokens, self._of["encoder.embedding.weight"]))
        inner = relu(self._linear("value_encoder.linear1", values.clamp(max=_MOST)[..., None]))
        x = genes + self._norm("value_encoder.norm", self._linear("value_encoder.linear2", inner))
        if "bn.weight" in self._of:
            mean, variance, weight, bias = (
                self._of["bn." + name] for name in ("running_mean", "running_var", "weight", "bias")
            )
            x = batch_norm(x.transpose(1, 2), mean, variance, weight, bias, eps=_EPS_OF_SUM).transpose(1, 2)
        return x

    def _layer(self, x: Tensor, name: str, mask: Tensor | None) -> Tensor:
        query, key, value = self._projected(x, name)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self._norm(
            f"{name}.norm1", x + self._linear(f"{name}.self_attn.out_proj", mixed.transpose(1, 2).flatten(2))
        )
        inner = relu(self._linear(f"{name}.linear1", x))
        return self._norm(f"{name}.norm2", x + self._linear(f"{name}.linear2", inner))

    def _projected(self, x: Tensor, name: str) -> list[Tensor]:
        x = linear(
            x,
            self._of[f"{name}.self_attn.in_proj_weight"].to(x.dtype),
            self._of[f"{name}.self_attn.in_proj_bias"].to(x.dtype),
        )
        return [
            part.view(*part.shape[:-1], self._heads, self.width // self._heads).transpose(1, 2)
            for part in x.chunk(3, dim=-1)
        ]

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self._of[name + ".weight"], self._of[name + ".bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return layer_norm(x, (self.width,), self._of[name + ".weight"], self._of[name + ".bias"], _EPS)
