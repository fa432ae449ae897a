"""Opening a checkpoint of the size of large-v1 (78 million weights), beside reading the file; time and peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

from scdataloader import GeneVocabulary
from scprint_model import ModelConfig, ScPrint

CLASSES = {"cell_type": 424, "disease": 62, "assay": 26, "self_reported_ethnicity": 20, "sex": 2, "organism": 2}
#: Our names of weights to the published ones.
NAMES = (
    ("gene_encoder.table.", "gene_encoder.embedding."),
    ("position_encoder.table", "pos_encoder.pe"),
    ("expression_encoder.layers.", "expr_encoder.encoder."),
    ("depth_encoder.layers.", "depth_encoder.encoder."),
    ("class_tokens.", "class_encoder.embedding."),
    ("expression_decoder.layers.", "expr_decoder.fc."),
    ("expression_decoder.out.", "expr_decoder.pred_var_zero."),
    (".attention.qkv.", ".mixer.Wqkv."),
    (".attention.out.", ".mixer.out_proj."),
)

#: Run in a process of its own, since peak memory is that of a process; what is imported does not count.
CHILD = r"""
import json, re, sys, time
from pathlib import Path
import torch
from scprint_model.model import ScPrint
torch.set_num_threads(1)
work, what = sys.argv[1:]
def peak():  # of this program; getrusage counts what it was forked from
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
begin = time.perf_counter()
kept = Path(what).read_bytes() if work == "read" else ScPrint.from_pretrained(what)
seconds = time.perf_counter() - begin
print(json.dumps([seconds, peak() - before]))
"""


def checkpoint_times(repeats: int = 5) -> pd.DataFrame:
    """Return seconds (best of `repeats`) and peak memory beyond the imports, page cache warm."""
    with tempfile.TemporaryDirectory() as name:
        published, ours = Path(name) / "large-v1.ckpt", Path(name) / "ours"
        size = write_large(published)
        from scprint_model.checkpoints import save_folder
        from scprint_model.model import ScPrint

        save_folder(ScPrint.from_pretrained(published), ours, card={})
        rows = []
        for label, work, path in (
            ("read the published file", "read", published),
            ("open the published file", "open", published),
            ("read our file", "read", ours / "model.safetensors"),
            ("open our folder", "open", ours),
        ):
            runs = [_run(work, path) for _ in range(repeats)]
            seconds, memory = min(run[0] for run in runs), min(run[1] for run in runs)
            rows.append({"work": label, "seconds": seconds, "peak memory / weights": memory / size})
    return pd.DataFrame(rows)


def write_large(path: Path) -> int:
    """Write a file like large-v1, with random weights; return the bytes of its weights."""
    torch.manual_seed(0)
    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    locations = torch.tensor(vocabulary.locations)
    table = torch.rand(len(vocabulary), 512)
    classes = {f"{name}_ontology_term_id": n for name, n in CLASSES.items()}
    config = ModelConfig(n_genes=len(vocabulary), d_model=512, n_layers=16, n_heads=8, class_sizes=classes)
    state = {}
    for key, value in ScPrint(config, gene_positions=table).state_dict().items():
        if key.startswith("class_heads."):
            _, label, part, rest = key.split(".", 3)
            key = f"cls_decoders.{label}.{'decoder' if part == 'layers' else 'out_layer'}.{rest}"
        elif key.startswith(("blocks.", "norm.")):
            key = f"transformer.{key}"
        for mine, theirs in NAMES:
            key = key.replace(mine, theirs)
        state[key] = value[:, None] if key == "pos_encoder.pe" else value
    hparams = {
        "genes": list(vocabulary.ids),
        "gene_pos_enc": locations.tolist(),
        "organisms": ["NCBITaxon:9606", "NCBITaxon:10090"],
        "d_model": 512,
        "nhead": 8,
        "nlayers": 16,
        "classes": classes,
        "label_decoders": {name: {i: f"X:{i}" for i in range(n)} for name, n in classes.items()},
    }
    torch.save({"state_dict": state, "hyper_parameters": hparams, "epoch": 0, "global_step": 0}, path)
    return sum(value.numel() * value.element_size() for value in state.values())


def _run(work: str, path: Path) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", CHILD, work, str(path)], capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout)
    return float(seconds), float(memory)


if __name__ == "__main__":
    print(checkpoint_times().to_string(index=False))
