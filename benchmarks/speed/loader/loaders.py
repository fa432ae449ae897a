"""Which loaders are measured, each at the settings that were found best for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / "peers"

#: The peers share one torch, so that their environments share its files.
TORCH = "torch==2.15.0"


@dataclass(frozen=True)
class Loader:
    """A loader and its settings.

    Attributes
    ----------
    name
        In the tables.
    script
        Measures it; see ``peers/measure.py``.
    kind
        ``"ours"``, ``"limit"``, ``"exact"`` (each cell of a batch drawn by itself) or ``"blocks"`` (neighbours in a
        file are drawn together).
    requirements
        Its own environment; empty for the workspace's.
    variant
        Settings, as its script takes them.
    corpus
        Name of the folder with the corpus in its format; empty where it reads the files as they are.
    workers
        What to try with two cores: worker processes of a DataLoader, for ours and the limit threads; 0 is none.
    random_expressed
        Whether it can choose expressed genes at random.
    cold
        Whether reading from disk can be measured: not of data in memory.
    at_once
        Cells that it reads together before it gives the first of them: windows are multiples of that.
    cold_cells
        Cells of a cold window, at least `at_once`. Fewer where missing pages are read by faults: the system reads
        128 kB to megabytes around each, and soon has all of this small corpus in memory, as not of a large one.
    in_order
        Whether its sequential reading follows the order of the files.
    settings
        In words.
    """

    name: str
    script: Path
    kind: str
    requirements: tuple[str, ...] = ()
    variant: str = ""
    corpus: str = ""
    workers: tuple[int, ...] = (0,)
    random_expressed: bool = False
    cold: bool = True
    at_once: int = 64
    cold_cells: int = 4096
    in_order: bool = True
    settings: str = ""

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return "".join(letter if letter.isalnum() else "_" for letter in self.name)


_ANNDATA = ("scdataset==0.3.0", "anndata==0.13.4", TORCH)
_ANNBATCH = ("annbatch==0.3.1", "zarrs==0.2.3", TORCH)

LOADERS = (
    Loader(
        "plain gather (limit)", HERE / "limit.py", "limit", corpus="limit", workers=(2,), random_expressed=True,
        settings="one compiled loop over memory-mapped 16-bit CSR rows; cold: page faults, no read-around",
    ),
    Loader(
        "scdataloader: store", HERE / "ours.py", "ours", variant="store", corpus="ours", workers=(2,),
        random_expressed=True, settings="1 core: no thread, 2 cores: 2 threads; cold: 4 batches announced to the disk",
    ),
    Loader(
        "scdataloader: h5ad in place", HERE / "ours.py", "ours", variant="h5ad", workers=(2,),
        random_expressed=True, settings="uncompressed files, memory-mapped; as above",
    ),
    Loader(
        "scdataloader: AnnData in memory", HERE / "ours.py", "ours", variant="memory", workers=(2,),
        random_expressed=True, cold=False, settings="as above",
    ),
    Loader(
        "scdataloader 2.1.3 (published)", PEERS / "scdataloader_published.py", "exact",
        ("scdataloader==2.1.3", "pyarrow<24", "setuptools<81", TORCH), corpus="published", workers=(2,),
        random_expressed=True, settings="its cache of categories; 2 cores: 2 workers",
    ),
    Loader(
        "lamindb 2.12.1 MappedCollection", PEERS / "lamindb_mapped.py", "exact", ("lamindb==2.12.1", TORCH),
        workers=(2,), settings="its cache of categories; 2 cores: 2 workers",
    ),
    Loader(
        "anndata 0.13.4 AnnLoader", PEERS / "annloader.py", "exact", _ANNDATA,
        settings="backed AnnCollection, no converter",
    ),
    Loader(
        "scDataset 0.3.0, cells", PEERS / "scdataset_peer.py", "exact", _ANNDATA, variant="1", at_once=4096,
        settings="backed AnnCollection, block 1, 64 batches fetched at once; no workers, which were slower",
    ),
    Loader(
        "scDataset 0.3.0, blocks", PEERS / "scdataset_peer.py", "blocks", _ANNDATA, variant="16", at_once=4096,
        settings="backed AnnCollection, blocks of 16 cells, 64 batches fetched at once; no workers, which were slower",
    ),
    Loader(
        "annbatch 0.3.1, cells", PEERS / "annbatch_peer.py", "exact", _ANNBATCH, variant="1x4096", corpus="annbatch",
        at_once=4096, in_order=False, settings="sharded zarr, zarrs; 4,096 chunks of 1 cell at once",
    ),
    Loader(
        "annbatch 0.3.1, chunks", PEERS / "annbatch_peer.py", "blocks", _ANNBATCH, variant="512x32", corpus="annbatch",
        at_once=16_384, in_order=False,
        settings="sharded zarr, zarrs; 32 chunks of 512 cells at once; weighted: 128 of 32, store sorted by class",
    ),
    Loader(
        "bionemo-scdl 0.1.3", PEERS / "scdl.py", "exact", ("bionemo-scdl==0.1.3", TORCH), corpus="scdl",
        cold_cells=512,
        settings="memory-mapped CSR, collation without its sparse tensors; no workers, which were slower",
    ),
)  # fmt: skip
