"""Several processes: two under torchrun train as one does, and a killed one leaves checkpoints that open."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from scprint_model import ScPrint
from scprint_model.cli import main

#: Without dropout and noise, which differ by process; each cell's genes depend on itself only.
CONFIG = {
    "seed_everything": 0,
    "trainer": {
        "accelerator": "cpu", "strategy": "auto", "max_steps": 500, "logger": False, "num_sanity_val_steps": 0,
        "limit_val_batches": 0, "gradient_clip_val": 1.0, "enable_progress_bar": False, "enable_model_summary": False,
    },
    "model": {"d_model": 16, "n_layers": 2, "n_heads": 2, "dropout": 0.0, "objective": {"noise": 0.0},
              "schedule": "constant", "warmup_steps": 2, "learning_rate": 0.003},
    "data": {"classes": ["cell_type"], "organisms": ["human"], "context": 48, "genes": {"choice": "most_expressed"},
             "holdout": {"val_fraction": 0.1}, "drawing": {"cells_per_epoch": 6400}},
}  # fmt: skip
STEPS = 6


def write_config(folder, corpus, batch_size, **trainer):
    checkpoint = {"dirpath": str(folder), "filename": "{step}", "every_n_train_steps": 1, "save_top_k": -1}
    callbacks = [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": checkpoint}]
    config = CONFIG | {
        "trainer": CONFIG["trainer"] | {"callbacks": callbacks, **trainer},
        "data": CONFIG["data"] | {"files": [corpus], "batch_size": batch_size},
    }
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    return str(path)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def children(process):
    """Process ids of the ranks, by their local rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            environment = dict(item.partition(b"=")[::2] for item in (entry / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if parent == process.pid and b"LOCAL_RANK" in environment:
            found[int(environment[b"LOCAL_RANK"])] = int(entry.name)
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory, retina):
    """Two processes of 8 cells, one of which is killed after some steps; and one process of 16 cells."""
    if not Path("/proc/self").is_dir():
        pytest.skip("finds the processes in /proc")
    folder = tmp_path_factory.mktemp("ranks")
    corpus = str(folder / "retina.h5ad")
    retina.write_h5ad(corpus)
    config = write_config(folder / "two", corpus, 8, strategy="ddp", devices=2)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
               str(free_port()), "-m", "scprint_model.cli", "fit", "--config", config]  # fmt: skip
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        one = write_config(folder / "one", corpus, 16, max_steps=STEPS)
        assert main(["fit", "--config", one]) == 0
        end = time.monotonic() + 300
        while not (folder / f"two/step={STEPS + 2}.ckpt").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        os.kill(children(process)[0], signal.SIGKILL)  # the one that writes
        status = process.wait(timeout=120)
    finally:
        process.kill()
        log.close()
    return folder, status


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module .* returned a view tensor")
def test_weights_parted_among_processes_train_as_whole_ones(tmp_path, retina, monkeypatch):
    # one process only, so the parts are wholes; that two agree with one was tried by hand
    corpus = str(tmp_path / "retina.h5ad")
    retina.write_h5ad(corpus)
    strategy = {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy",
                "init_args": {"data_parallel_size": 1, "tensor_parallel_size": 1}}  # fmt: skip
    saved = {}
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    for name, chosen in (("whole", "auto"), ("parts", strategy)):
        folder = tmp_path / name
        save = [{"class_path": "scprint_model.training.saving.SavePretrained", "init_args": {"folder": str(folder)}}]
        config = write_config(tmp_path / name, corpus, 16, max_steps=3, limit_val_batches=1, strategy=chosen, devices=1,
                              callbacks=save, enable_checkpointing=False)  # fmt: skip
        try:
            assert main(["fit", "--config", config]) == 0
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
        saved[name] = ScPrint.from_pretrained(folder).state_dict()
    assert saved["whole"].keys() == saved["parts"].keys()
    for key, value in saved["whole"].items():
        torch.testing.assert_close(saved["parts"][key], value, rtol=0, atol=1e-3, msg=key)
    total = sum(float((saved["parts"][key] - value).abs().sum()) for key, value in saved["whole"].items())
    assert total < 1e-5 * sum(float(value.abs().sum()) for value in saved["whole"].values())


def load(path):
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(two):
    folder, _ = two
    one, other = (load(folder / name / "step=1.ckpt")["optimizer_states"][0]["state"] for name in ("one", "two"))
    largest = max(float(state["exp_avg"].abs().max()) for state in one.values())
    assert largest > 1e-3
    for i, state in one.items():  # after one step, a tenth of the gradient
        torch.testing.assert_close(other[i]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-6 * largest)


def test_weights_of_two_processes_are_those_of_one(two):
    folder, _ = two
    one, other = (load(folder / name / f"step={STEPS}.ckpt") for name in ("one", "two"))
    first = load(folder / "one/step=1.ckpt")["state_dict"]
    flat = [torch.cat([c[name].flatten() for name in first]) for c in (one["state_dict"], other["state_dict"], first)]
    moved, apart = (flat[0] - flat[2]).norm(), (flat[0] - flat[1]).norm()
    # AdamW gives entries whose gradient is rounding a step as large as to the others
    assert apart < 0.01 * moved
    assert one["global_step"] == other["global_step"] == STEPS


def test_a_killed_process_leaves_checkpoints_that_open_and_continue(two, tmp_path, capsys):
    folder, status = two
    assert status != 0
    written = sorted((folder / "two").glob("step=*.ckpt"), key=lambda path: load(path)["global_step"])
    assert [load(path)["global_step"] for path in written] == list(range(1, len(written) + 1))
    assert len(written) >= STEPS + 2
    corpus = str(folder / "retina.h5ad")
    last = len(written)
    config = write_config(tmp_path / "rest", corpus, 8, max_steps=last + 1)
    assert main(["fit", "--config", config, "--ckpt_path", str(written[-1])]) == 2
    assert "with 400 batches an epoch, this one has 800" in capsys.readouterr().err
    config = write_config(tmp_path / "rest", corpus, 16, max_steps=last + 1)
    assert main(["fit", "--config", config, "--ckpt_path", str(written[-1])]) == 0
    assert load(tmp_path / f"rest/step={last + 1}.ckpt")["global_step"] == last + 1
