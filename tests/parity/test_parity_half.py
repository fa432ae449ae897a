"""In half precision the network stays within stated bounds of the published float32 numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

#: Relative error (Frobenius norm of the difference over the norm): of the embeddings, and of everything else.
BOUNDS = {torch.bfloat16: (0.01, 0.03), torch.float16: (0.0015, 0.005)}


@pytest.mark.parametrize("dtype", list(BOUNDS), ids=str)
@pytest.mark.parametrize(("fixture", "case"), [("tiny_v1", "A_"), ("tiny_v23", "")])
@torch.no_grad()
def test_autocast(request: pytest.FixtureRequest, fixture: str, case: str, dtype: torch.dtype) -> None:
    model, arrays = request.getfixturevalue(fixture), request.getfixturevalue(f"{fixture}_forward")
    batch = [torch.from_numpy(arrays[f"{case}in_{name}"]) for name in ("gene_pos", "expression", "depth")]
    metacell = torch.from_numpy(arrays[f"{case}in_metacell"]) if model.config.metacell_token else None
    with torch.autocast("cpu", dtype):
        output = model(*batch, metacell=metacell)
    order = [1, 0, *range(2, len(output.token_names))] if fixture == "tiny_v1" else slice(None)
    values = {"mean": output.mean, "disp": output.dispersion.log(), "zero_logits": output.zero_logits}
    values |= {f"cls_output_{name}": logits for name, logits in output.class_logits.items()}
    values["cell_embs"] = output.cell_embeddings[:, order]
    for name, half in values.items():
        exact = arrays[f"{case}out_{name}"]
        exact = np.log(exact) if name == "disp" else exact
        error = np.linalg.norm(half.float().numpy() - exact) / np.linalg.norm(exact)
        assert error < BOUNDS[dtype][name != "cell_embs"], name
