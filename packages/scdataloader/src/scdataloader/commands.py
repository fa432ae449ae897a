"""The work of each command of ``scdataloader``: thin over the Python API, one function a command."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from scdataloader._command_line import check_output, with_folder
from scdataloader._provenance import beside
from scdataloader._wording import counted, listed
from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.preprocess import Preprocessor

#: Files that hold no cells, and those that may.
_NO_CELLS, _TABLES = (".html", ".json", ".png", ".svg", ".pdf"), (".csv", ".tsv")


def check(files: list[str], *, preprocessor: Preprocessor, lost: Path | None = None) -> int:
    """Say whether files can be used, what cleaning would remove, or all that is wrong.

    The exit status is 2 if one of them cannot be used.

    Parameters
    ----------
    files
        Files, folders, globs, addresses to look at.
    preprocessor
        Settings of the cleaning.
    lost
        Table to write (csv), with the gene names that would be lost and why.
    """
    from scdataloader.preprocess import RefusedError
    from scdataloader.sources import find_sources

    if lost is not None:
        check_output(lost, *files)
        beside(lost)
    uris = find_sources(files)
    refused: dict[str, list[str]] = {}
    organisms: dict[str, str] = {}
    for uri in uris:
        try:
            clean, report = preprocessor(uri)
        except RefusedError as error:
            refused[uri] = _reasons(uri, preprocessor, str(error))
            sys.stdout.write(f"{error.report}\n" if len(uris) > 1 else "")
            continue
        organisms[uri] = str(clean.obs["organism_ontology_term_id"].iloc[0])
        sys.stdout.write(f"{report}\nready to use\n")
    if lost is not None and organisms:
        _write_lost(organisms, preprocessor, lost)
        sys.stdout.write(f"lost gene names written to {lost}\n")
        _tell("check", asdict(preprocessor), list(organisms), lost)
    if not refused:
        return 0
    if len(uris) == 1 and len(refused[uris[0]]) == 1:
        raise ValueError(refused[uris[0]][0])
    for uri, reasons in refused.items():
        sys.stdout.write("".join([f"{uri} cannot be used\n", *(f"  - {reason}\n" for reason in reasons)]))
    raise ValueError(f"{len(refused):,} of {counted(len(uris), 'file')} cannot be used: {listed(refused)}")


def _reasons(uri: str, preprocessor: Preprocessor, first: str) -> list[str]:
    """Return all reasons for which a file was refused, that of the refusal among them."""
    from scdataloader.preprocess.reasons import all_reasons
    from scdataloader.sources import open_source

    with open_source(uri, genome=preprocessor.genome) as source:
        found = all_reasons(preprocessor, source)
    return found if first in found else [*found, first]


def _write_lost(organisms: dict[str, str], preprocessor: Preprocessor, path: Path) -> None:
    import pandas as pd

    from scdataloader._atomic import atomic_path
    from scdataloader.expression import take_counts
    from scdataloader.genes.columns import gene_columns
    from scdataloader.genes.tables import gene_table
    from scdataloader.sources import open_source

    tables = []
    for uri, organism in organisms.items():
        with open_source(uri, genome=preprocessor.genome) as source:
            counts = take_counts(source, preprocessor.choice, undo_log=preprocessor.undo_log).counts
            known = gene_table(organism, release=preprocessor.gene_release)
            table = gene_columns(counts.matrix.var, known, organism=organism).mapping.to_frame()
        tables.append(table if len(organisms) == 1 else table.assign(file=uri))
    every = pd.concat(tables)
    with atomic_path(path) as temporary:
        every[every["gene_id"].isna()].to_csv(temporary, index=False)


def preprocess(
    files: list[str],
    *,
    out: Path,
    preprocessor: Preprocessor,
    workers: int = 1,
    dask: str | None = None,
    keep_going: bool = False,
    overwrite: bool = False,
    register: str | None = None,
) -> int:
    """Write clean copies of files, with tables and a page of what was removed.

    A run that was stopped goes on.

    Parameters
    ----------
    files
        Files, folders, globs, addresses, census:ID, lamin:NAME.
    out
        Folder for the clean copies, report.csv, summary.csv and report.html.
    preprocessor
        Settings of the cleaning.
    workers
        Number of files that are cleaned at a time, each by a process of its own.
    dask
        Address of a Dask scheduler to work on instead.
    keep_going
        Whether to go on after a file that fails; the exit status is then 1.
    overwrite
        Whether to make every file anew, also those that a former run has made.
    register
        Name of a collection in the connected lamindb instance, of which the outputs become a version.
    """
    from scdataloader.preprocess import preprocess_files
    from scdataloader.sources import find_sources, unique_names

    check_output(out, is_folder=True)
    uris = find_sources(files)
    corpus = preprocess_files(
        uris,
        out,
        preprocessor,
        names=unique_names(uris),
        workers=workers,
        client=dask,
        keep_going=keep_going,
        overwrite=overwrite,
    )
    corpus.write(out)
    for file in corpus.files:
        if file.report is not None:
            sys.stdout.write(f"{file.report}\n")
    sys.stdout.write(f"{corpus}\nwritten to {out}: see report.html\n")
    if register is not None:
        from scdataloader.sources.lamin import register as register_files

        made = [out / f"{file.name}.h5ad" for file in corpus.files if file.status != "failed"]
        sys.stdout.write(f"registered as {register_files(made, collection=register)}\n")
    return 0 if corpus.ok else 1


def labels(
    files: list[str],
    *,
    classes: list[str] | None = None,
    out: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Print the labels of files as trees, with counts of cells.

    Parameters
    ----------
    files
        Files, folders, globs, addresses; only their tables of cells are read.
    classes
        Label classes such as cell_type or disease; by default all the usual ones that the files have.
    out
        File for the label space, to train on (json).
    plot
        Picture to draw each tree on, with the class added to its name where there are several.
    """
    from scdataloader._atomic import atomic_path
    from scdataloader.labels.space import CLASSES, LabelSpace, label_column
    from scdataloader.labels.tree import draw_tree, label_counts, tree_text
    from scdataloader.sources import open_source
    from scdataloader.sources.find import find_sources

    for path in (out, plot):
        if path is not None:
            check_output(path, *files)
            beside(path)
    tables = []
    for uri in (uris := find_sources(files)):
        with open_source(uri) as source:
            tables.append(source.obs)
    chosen = classes or [name for name in CLASSES if any(label_column(table.columns, name) for table in tables)]
    if not chosen:
        raise ValueError(f"the files have labels of none of {list(CLASSES)}: name the columns with --classes")
    space = LabelSpace.from_obs(tables, chosen, min_leaves=0)
    for name, label_class in space.classes.items():
        counts = label_counts(tables, name, label_class)
        sys.stdout.write(f"{name}\n{tree_text(label_class, counts)}\n")
        if plot is not None and label_class.leaves:
            path = with_folder(plot) if len(chosen) == 1 else plot.with_stem(f"{plot.stem}-{name}")
            draw_tree(label_class, counts, path)
            sys.stdout.write(f"drawn to {path}\n")
            _tell("labels", {"classes": [name]}, uris, path)
    if out is not None:
        with atomic_path(with_folder(out)) as temporary:
            space.save(temporary)
        sys.stdout.write(f"label space written to {out}\n")
        _tell("labels", {"classes": chosen}, uris, out)
    return 0


def genes(
    action: Literal["list", "fetch", "register"] = "list",
    organism: str | None = None,
    *,
    release: int | None = None,
    table: Path | None = None,
) -> int:
    """List the gene tables there are, fetch one from Ensembl, or register one of your own.

    Parameters
    ----------
    action
        Action: list, fetch or register; by default list.
    organism
        Organism of the table: danio_rerio, zebrafish or NCBITaxon:7955.
    release
        Release of Ensembl to fetch.
    table
        File to register: csv, tsv or parquet with gene_id, symbol, biotype, chromosome, start.
    """
    from scdataloader.genes.tables import list_tables, register_gene_table

    if action == "list":
        sys.stdout.write(f"{list_tables().to_string(index=False)}\n")
        return 0
    if organism is None:
        raise ValueError(f"say whose table, as in: scdataloader genes {action} danio_rerio")
    if action == "register":
        if table is None:
            raise ValueError("say which file to register: --table FILE")
        sys.stdout.write(f"registered as {register_gene_table(table, organism)}\n")
        return 0
    from scdataloader.genes.ensembl import fetch_gene_table

    found = fetch_gene_table(organism, release)
    sys.stdout.write(f"{len(found):,} genes of {organism}\n")
    return 0


def download(ids: list[str], *, release: str = "stable") -> int:
    """Fetch data sets of the CELLxGENE census.

    Prints where they are.

    Parameters
    ----------
    ids
        Ids of data sets.
    release
        Release of the census: stable, latest, or a date such as 2025-01-30.
    """
    from scdataloader.sources.census import download_dataset

    for dataset in ids:
        sys.stdout.write(f"{download_dataset(dataset, release=release)}\n")
    return 0


def build(
    files: list[str], *, out: Path, choice: CountsChoice | None = None, workers: int = 1, add: bool = False
) -> int:
    """Write preprocessed files as one cell store.

    It gives weighted random batches at memory speed. A build that was stopped goes on.

    Parameters
    ----------
    files
        Preprocessed files, folders of them, globs.
    out
        Folder of the store.
    choice
        Raw counts that are meant.
    workers
        Number of files that are converted at a time, each by a process of its own.
    add
        Whether to add the files to the store that is there.
    """
    from scdataloader.sources import find_sources, unique_names
    from scdataloader.store import CellStore
    from scdataloader.store.store import describe

    check_output(out, is_folder=True)
    uris = find_sources(files)
    named = list(zip(unique_names(uris), uris, strict=True))
    if add:
        store = CellStore.open(out)
        store.add(named, workers=workers, choice=choice)
    else:
        CellStore.build(named, out, workers=workers, choice=choice)
    sys.stdout.write(f"{describe(CellStore.open(out))}\n")
    return 0


def inspect(path: str) -> int:
    """Say what a cell store, or a file, holds, and what made it.

    Parameters
    ----------
    path
        Folder of a store; or a file of cells, a table, page or picture.
    """
    from scdataloader._provenance import read, text
    from scdataloader.store import open_store
    from scdataloader.store.store import describe

    place = Path(path)
    steps = read(place) if place.exists() else []
    has_cells = not steps if place.suffix in _TABLES else place.suffix not in _NO_CELLS
    if has_cells or not place.exists():
        sys.stdout.write(f"{describe(open_store(path))}\nwhat made it\n")
    sys.stdout.write(f"{text(steps)}\n")
    return 0


def _tell(command: str, options: dict[str, object], files: list[str], out: Path) -> None:
    """Write what made a table or picture beside it, and say where; of the files no more is read than for it."""
    from scdataloader._provenance import read, step, write

    inputs = [
        {"file": Path(file).name} | ({"steps": made} if Path(file).exists() and (made := read(file)) else {})
        for file in files
    ]
    write(beside(out), [step(f"scdataloader {command}", options, inputs=inputs)])
    sys.stdout.write(f"what made it: {beside(out)}\n")


def verify(store: str, *, quarantine: bool = False) -> int:
    """Compare a cell store with its checksums.

    Every byte is read; the exit status is 1 if any differ.

    Parameters
    ----------
    store
        Folder of the store.
    quarantine
        Whether to set damaged shards aside, so that the rest can be read; building again with the same inputs replaces
        them.
    """
    from scdataloader.store import verify_table

    table = verify_table(store, quarantine=quarantine)
    damaged = table[table["problem"] != ""]
    sys.stdout.write(f"{len(table):,} shards of {table['cells'].sum():,} cells, {len(damaged):,} damaged\n")
    if len(damaged):
        sys.stdout.write(f"{damaged.to_string(index=False)}\n")
    return 1 if len(damaged) else 0


def export(store: str, out: Path) -> int:
    """Write all cells of a store as one h5ad or zarr file.

    Parameters
    ----------
    store
        Folder of the store.
    out
        File to write, .h5ad or .zarr.
    """
    from scdataloader.store import CellStore

    kinds = {".h5ad": "h5ad", ".zarr": "zarr"}
    if out.suffix not in kinds:
        raise ValueError(f"{out} must end in .h5ad or .zarr")
    check_output(out, store, is_folder=out.suffix == ".zarr")
    CellStore.open(store).export(with_folder(out), format=kinds[out.suffix])
    sys.stdout.write(f"written to {out}\n")
    return 0
