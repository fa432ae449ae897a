"""One signature for attention, whatever computes it.

Shape suffixes: b cell, q query token, t key token, h query head, g key and value head, k head width.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from scprint_model.attention.flash import attend_flash
from scprint_model.attention.flex import attend_flex
from scprint_model.attention.sdpa import attend_sdpa

Backend = Literal["auto", "sdpa", "flash", "flex"]
#: Looked up once, here: the compiler cannot trace a look at the disk.
_FLASH_IS_INSTALLED = find_spec("flash_attn") is not None


class Scope(NamedTuple):
    """Limits of what the tokens of one sequence may read.

    Attributes
    ----------
    backend
        See :func:`attend`.
    lengths
        (B,) tokens of each cell which count, the rest is padding; None: all.
    bias
        (B or 1, T, T) added to the attention logits among the sequence's own tokens, row = the token that
        attends; None: nothing.
    other
        (B, To, d) tokens of another sequence, for blocks with cross-attention; None: there is none.
    other_lengths
        (B,) as `lengths`, of `other`.
    """

    backend: Backend = "auto"
    lengths: Tensor | None = None
    bias: Tensor | None = None
    other: Tensor | None = None
    other_lengths: Tensor | None = None


#: All tokens of the own sequence, nothing else.
EVERYTHING = Scope()


def attend(
    q_bqhk: Tensor,
    k_btgk: Tensor,
    v_btgk: Tensor,
    *,
    backend: Backend = "auto",
    key_lengths: Tensor | None = None,
    query_lengths: Tensor | None = None,
    bias_bqt: Tensor | None = None,
) -> Tensor:
    """Compute softmax attention of every query over every key, scaled by 1/√(head width), without dropout.

    Parameters
    ----------
    q_bqhk
        (B, Tq, H, h) queries.
    k_btgk, v_btgk
        (B, Tk, G, h) keys and values; each of the G heads serves H / G consecutive query heads. They are not
        repeated in memory where the kernel can do without.
    backend
        ``"sdpa"``: torch's own kernels, for any device, dtype and option. ``"flash"``: flash-attn, CUDA and
        half precision only, no bias; cells of different lengths are packed. ``"flex"``: FlexAttention,
        compiled on CUDA, the one that reads a bias without spreading it over the heads; not for gradients on
        a CPU. ``"auto"``: flash where it is installed and fits, flex for a bias on CUDA, else sdpa.
    key_lengths
        (B,) read only the first so many keys of each cell; a cell with none gives zeros. None: all.
    query_lengths
        (B,) the queries of each cell whose result is used; what the others give is finite and means nothing.
    bias_bqt
        (B or 1, Tq, Tk) added to the scaled logits of all heads.

    Returns
    -------
    (B, Tq, H, h)

    Raises
    ------
    ValueError
        When the backend is unknown or cannot do what is asked.
    ImportError
        When the backend is not installed.
    """
    chosen = check_backend(backend)
    if backend == "auto":
        chosen = _fitting_backend(q_bqhk, bias_bqt)
    if chosen == "flex":
        return attend_flex(q_bqhk, k_btgk, v_btgk, key_lengths=key_lengths, bias_bqt=bias_bqt)
    if chosen == "flash":
        if not q_bqhk.is_cuda or q_bqhk.dtype not in (torch.float16, torch.bfloat16) or bias_bqt is not None:
            raise ValueError(
                f"flash attention needs CUDA, half precision and no bias, but got {q_bqhk.dtype} on {q_bqhk.device}"
                f"{'' if bias_bqt is None else ' with a bias'}: use autocast, or attention_backend='sdpa'"
            )
        return attend_flash(q_bqhk, k_btgk, v_btgk, key_lengths=key_lengths, query_lengths=query_lengths)
    return attend_sdpa(q_bqhk, k_btgk, v_btgk, key_lengths=key_lengths, bias_bqt=bias_bqt)


def check_backend(backend: str) -> Backend:
    """Return `backend` if it is one that can be asked for here.

    Raises
    ------
    ValueError
        For a name that is none.
    ImportError
        For flash-attn where it is not installed.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"attention_backend = {backend!r} must be one of {get_args(Backend)}")
    if backend == "flash" and not _FLASH_IS_INSTALLED:
        raise ImportError(
            "attention_backend = 'flash' needs flash-attn: pip install 'scprint-model[flash]', or choose 'auto'"
        )
    return backend  # type: ignore[return-value]


def _fitting_backend(q: Tensor, bias: Tensor | None) -> Backend:
    if not q.is_cuda:
        return "sdpa"
    if bias is not None:
        return "flex"
    half = q.dtype in (torch.float16, torch.bfloat16)
    return "flash" if half and _FLASH_IS_INSTALLED else "sdpa"
