"""Two processes draw as one, started by torch or by Fabric; Lightning's are in the tests of the data module."""

import sys

import pytest
import torch
from torch.distributed import FileStore, destroy_process_group, init_process_group

from scdataloader import CellDataModule, CellStore, Drawing, Holdout, Preprocessor, datasets
from scdataloader.sampling import Place


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "store"
    clean, _ = Preprocessor.preset("inference", min_genes=200)(datasets.retina_1k()[:120, ::4].copy())
    CellStore.build([("retina", clean)], folder)
    return str(folder)


def make(store):
    data = CellDataModule(
        store=store, classes=["cell_type"], organisms=["human"], context=20, batch_size=8,
        holdout=Holdout(val_fraction=0.1), drawing=Drawing(cells_per_epoch=48),
    )  # fmt: skip
    data.setup("fit")
    return data


def seen(loader):
    return [(batch["genes"] * batch["counts"]).sum(dim=1) for batch in loader]


def two_epochs(store, folder, rank):
    """Leave in a file what a process draws in two epochs, the second after a stop in the middle of the first."""
    loader = make(store).train_dataloader()
    batches = iter(loader)
    drawn = [(batch["genes"] * batch["counts"]).sum(dim=1) for _, batch in zip(range(2), batches, strict=False)]
    again = make(store).train_dataloader()
    again.load_state_dict(loader.state_dict())
    torch.save([*drawn, *seen(again), *seen(again)], f"{folder}/{rank}.pt")


def under_torch(rank, store, folder):
    init_process_group("gloo", store=FileStore(f"{folder}/rendezvous", 2), rank=rank, world_size=2)
    two_epochs(store, folder, rank)
    destroy_process_group()


def under_fabric(store, folder):
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    fabric.launch(lambda fabric: two_epochs(store, folder, fabric.global_rank))


@pytest.mark.parametrize("start", ["torch", "fabric"])
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
def test_two_processes_draw_as_one_and_another_epoch_each_time(store, tmp_path, start):
    if start == "torch":
        torch.multiprocessing.start_processes(under_torch, (store, str(tmp_path)), nprocs=2, start_method="fork")
    else:
        under_fabric(store, str(tmp_path))
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    alone = make(store).train_dataloader()
    both = [*seen(alone), *seen(alone)]
    assert len(both) == 12
    for rank, part in enumerate(parts):
        assert len(part) == 6
        assert all(torch.equal(one, other) for one, other in zip(part, both[rank::2], strict=True))
    assert not torch.equal(both[0], both[6])


def test_who_says_the_rank_and_the_epoch():
    trainer = type("Trainer", (), {"global_rank": 1, "world_size": 3, "current_epoch": 7})()
    assert (Place().ranks, Place().epoch) == ((0, 1), None)
    assert (Place(trainer=lambda: trainer).ranks, Place(trainer=lambda: trainer).epoch) == ((1, 3), 7)
    assert Place(2, 4, trainer=lambda: trainer).ranks == (2, 4)


def test_the_epoch_that_was_chosen_is_drawn_whatever_the_trainer_says(store):
    data = make(store)
    plain = data.train_dataloader()
    epochs = [seen(plain) for _ in range(3)]
    data.trainer = type("Trainer", (), {"global_rank": 0, "world_size": 1, "current_epoch": 2})()
    loader = data.train_dataloader()
    assert torch.equal(torch.cat(seen(loader)), torch.cat(epochs[2]))
    loader.set_epoch(1)
    assert torch.equal(torch.cat(seen(loader)), torch.cat(epochs[1]))
    assert torch.equal(torch.cat(seen(loader)), torch.cat(epochs[2]))
