"""ESM2: the mean over the residues of a protein.

Shape suffixes: b sequences of a batch, t tokens, d width of the protein model.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

DType = Literal["auto", "float32", "bfloat16", "float16"]
_LETTERS = "ACDEFGHIKLMNPQRSTVWYUOBZX"


@dataclass(frozen=True, eq=False)
class ProteinModel:
    """A loaded ESM2.

    Attributes
    ----------
    network
        `transformers.EsmModel`, in evaluation mode.
    codes
        (256,) int64: token of each letter, by its code point; -1 where there is none.
    ends
        Tokens before and behind a sequence.
    padding
        Token of padding.
    layer
        Whose output is averaged; the last one's is after the final layer norm, as in ESM's own tools.
    source
        What was loaded, JSON-able: ``model, revision`` (commit on the hub, else the hash of the weights), ``layer,
        n_layers, width, dtype``.
    """

    network: Any
    codes: Tensor
    ends: tuple[int, int]
    padding: int
    layer: int
    source: dict[str, Any]

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.source["width"])

    @property
    def max_residues(self) -> int:
        """Most residues that the model was made for: 1,022 for ESM2, besides the two ends."""
        config = self.network.config
        return int(config.max_position_embeddings) - int(config.pad_token_id) - 3

    @torch.inference_mode()
    def means(self, sequences: Sequence[str]) -> Tensor:
        """Return the mean output over each sequence's residues, (b, d) float32 on the CPU.

        The two ends and the padding do not count. The result does not depend on what else is in the batch.

        Raises
        ------
        MemoryError
            When the batch does not fit into the GPU's memory.
        """
        try:
            return self._means(sequences)
        except torch.OutOfMemoryError as error:
            longest = max(map(len, sequences))
            raise MemoryError(
                f"{len(sequences)} proteins of up to {longest:,} residues do not fit into the memory of "
                f"{self.network.device}: give fewer tokens a batch (tokens=), or half precision (dtype='bfloat16'); "
                "what is computed is kept, and the same call continues"
            ) from error

    def _means(self, sequences: Sequence[str]) -> Tensor:
        lengths_b = torch.tensor([len(sequence) for sequence in sequences])
        tokens_bt = torch.full((len(sequences), int(lengths_b.max()) + 2), self.padding)
        for row, sequence in zip(tokens_bt, sequences, strict=True):
            letters = torch.frombuffer(bytearray(sequence, "ascii"), dtype=torch.uint8).long()
            row[0], row[len(sequence) + 1] = self.ends
            row[1 : len(sequence) + 1] = self.codes[letters]
        device = self.network.device
        place_t = torch.arange(tokens_bt.shape[1])
        attended_bt = (place_t < lengths_b[:, None] + 2).long()
        residue_bt = ((place_t > 0) & (place_t <= lengths_b[:, None])).to(device)
        is_last = self.layer == self.source["n_layers"]
        # autocast keeps the rotary frequencies, norms and the residual stream in float32; weights in half precision
        # would put the angles of far residues off by radians
        kind = getattr(torch, self.source["dtype"])
        with torch.autocast(device.type, dtype=kind, enabled=kind != torch.float32):
            output = self.network(
                input_ids=tokens_bt.to(device), attention_mask=attended_bt.to(device), output_hidden_states=not is_last
            )
        hidden_btd = output.last_hidden_state if is_last else output.hidden_states[self.layer]
        # float32: half precision cannot add up a thousand residues
        total_bd = (hidden_btd.float() * residue_bt[..., None]).sum(dim=1)
        return (total_bd / lengths_b.to(device)[:, None]).cpu()


def load_protein_model(
    model: str,
    *,
    revision: str | None = None,
    layer: int | None = None,
    dtype: DType = "auto",
    device: str = "auto",
) -> ProteinModel:
    """Load an ESM2 of any size.

    Parameters
    ----------
    model
        Name on the hub, such as ``"facebook/esm2_t33_650M_UR50D"``, or a folder as transformers writes it.
    revision
        Commit, tag or branch on the hub.
    layer
        Layer whose output is taken, 1 to the number of layers; None: the last (33 of the 650M model), as published.
    dtype
        Type of the matrix products; sums, norms and weights are float32. ``"auto"``: bfloat16 on a GPU (float16 where
        it knows no bfloat16), float32 elsewhere.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``; ``"auto"``: a GPU where there is one.

    Raises
    ------
    ImportError
        When transformers is not installed.
    OSError
        When the weights cannot be had.
    ValueError
        When it is not an ESM model, lacks weights or the layer, or when the device does not exist.
    """
    try:
        from transformers import AutoConfig, EsmModel, EsmTokenizer
    except ImportError as error:
        raise ImportError("transformers is needed for ESM2: pip install 'scprint-model[esm]'") from error
    reader: Any = EsmModel
    at = revision or "main"
    place, kind = _place(device, dtype)
    try:
        config = AutoConfig.from_pretrained(model, revision=at)
        if config.model_type != "esm":
            raise ValueError(f"{model} is a model of the kind {config.model_type!r}: one of ESM2 is needed")
        network, loaded = reader.from_pretrained(model, revision=at, add_pooling_layer=False, output_loading_info=True)
        tokenizer: Any = EsmTokenizer.from_pretrained(model, revision=at)
    except OSError as error:
        raise OSError(
            f"the protein model {model!r} cannot be had: give a name on the hub such as "
            f"'facebook/esm2_t33_650M_UR50D', or a folder with its files ({error})"
        ) from error
    except RuntimeError as error:
        raise ValueError(f"the weights of {model} do not fit its config: {error}") from error
    # the head for contacts is not used
    if missing := sorted(key for key in loaded["missing_keys"] if not key.startswith("contact_head")):
        raise ValueError(f"{model} lacks {len(missing)} weights, such as {missing[:3]}: its files are not whole")
    n_layers = int(config.num_hidden_layers)
    chosen = n_layers if layer is None else layer
    if not 1 <= chosen <= n_layers:
        raise ValueError(f"{model} has the layers 1 to {n_layers}, not {layer}")
    known = tokenizer.get_vocab()
    codes = torch.full((256,), -1)
    for letter in _LETTERS:
        codes[ord(letter)] = known.get(letter, known["X"])
    return ProteinModel(
        network=network.eval().to(device=place, dtype=torch.float32),
        codes=codes,
        ends=(int(tokenizer.cls_token_id), int(tokenizer.eos_token_id)),
        padding=int(tokenizer.pad_token_id),
        layer=chosen,
        source={
            "model": str(model),
            "revision": getattr(config, "_commit_hash", None) or _weights_hash(Path(model)),
            "layer": chosen,
            "n_layers": n_layers,
            "width": int(config.hidden_size),
            "dtype": kind,
        },
    )


def _place(device: str, dtype: DType) -> tuple[torch.device, str]:
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}: give cpu, cuda, cuda:1, ... or auto") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {name!r}: torch sees {torch.cuda.device_count()} GPUs")
    if dtype != "auto":
        return place, dtype
    if place.type != "cuda":
        return place, "float32"
    return place, "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _weights_hash(folder: Path) -> str | None:
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]) if folder.is_dir() else []
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
