"""Every ground truth by name: list, describe, fetch, load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import signature
from pathlib import Path

import pandas as pd

from bengrn.fetch import fetch, locate
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import TruthRecord

# name: its module under bengrn.truths, its loader, what the loader is told beside the options
_HOME: dict[str, tuple[str, str, dict[str, object]]] = {
    "omnipath": ("omnipath", "load_omnipath", {"name": "omnipath"}),
    "omnipath-tf-target": ("omnipath", "load_omnipath", {"name": "omnipath-tf-target"}),
    "omnipath-ppi": ("omnipath", "load_omnipath", {"name": "omnipath-ppi"}),
    "omnipath-demo": ("omnipath_demo", "load_omnipath_demo", {"name": "omnipath-demo"}),
    "omnipath-demo-tf-target": ("omnipath_demo", "load_omnipath_demo", {"name": "omnipath-demo-tf-target"}),
    "omnipath-demo-ppi": ("omnipath_demo", "load_omnipath_demo", {"name": "omnipath-demo-ppi"}),
    "collectri": ("collectri", "load_collectri", {}),
    "dorothea": ("dorothea", "load_dorothea", {}),
    "trrust": ("trrust", "load_trrust", {}),
    "regnetwork": ("regnetwork", "load_regnetwork", {}),
    "mccalla": ("mccalla", "load_mccalla", {}),
    "perturb-seq": ("perturbseq", "load_perturbseq", {}),
    "encode": ("encode", "load_encode", {}),
    "beeline": ("beeline", "load_beeline", {}),
    "openproblems": ("openproblems", "load_openproblems", {}),
    "string": ("string_db", "load_string", {}),
    "dream5": ("dream5", "load_dream5", {}),
    "chea3-perturbations": ("chea3", "load_perturbations", {}),
    "remap": ("chea3", "load_remap", {}),
}
_ALIASES = {
    "chea3": "chea3-perturbations",
    "gwps": "perturb-seq",
    "perturbseq": "perturb-seq",
    "open-problems": "openproblems",
}


def load_truth(
    name: str, organism: str = "human", *, cache: str | Path | None = None, **options: object
) -> GroundTruth:
    """Load a ground truth by name.

    Parameters
    ----------
    name
        Name from :func:`list_truths`; capitals and "_" for "-" do not matter.
    organism
        Organism that the truth has. Where an option decides it (``cell`` of mccalla, ``data_set`` of beeline) it
        can be left out.
    cache
        Another cache folder than the platform's.
    **options
        Options of that truth, as its row of :func:`list_truths` or its loader says: ``path`` and
        ``complexes=False`` of omnipath, ``levels="A"`` of dorothea, ``cell`` and ``kind`` of mccalla, ``merge``
        of encode, ``min_score`` of string, ``path`` of perturb-seq, ...

    Raises
    ------
    ValueError
        If that organism has no such truth, an option has no such value, or a file is not what is
        expected.
    TypeError
        If the truth has no such option.
    ConnectionError, FileNotFoundError
        If its file cannot be fetched; see :func:`bengrn.fetch.fetch`.
    """
    key = _key(name, organism)
    _records_of(key, organism)
    module, function, told = _HOME[key]
    loader: Callable[..., GroundTruth] = getattr(import_module(f"bengrn.truths.{module}"), function)
    common = {"organism": organism, "cache": None if cache is None else Path(cache)}
    taken = signature(loader).parameters
    return loader(**told, **{key: value for key, value in common.items() if key in taken}, **options)


def truth_records(name: str | None = None, organism: str | None = None) -> tuple[TruthRecord, ...]:
    """Return what is known of the ground truths: all, those of a name, those of an organism.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name is not None:
        return _records_of(_key(name, organism), organism)
    records = tuple(record for key in _HOME for record in _of(key) if organism in (None, record.organism))
    if not records:
        raise ValueError(f"no ground truth for {organism!r}; there are: {_all_names()}")
    return records


def list_truths(*, cache: str | Path | None = None) -> pd.DataFrame:
    """List the ground truths, without reading their data: sizes are those of the records.

    Returns
    -------
    DataFrame
        One row a truth, organism and choice of options: ``name, organism, options, edges, regulators, targets,
        genes, directed, signed, available, may_ship, paper_transpose, orientation, title, citation, licence,
        version``. ``available`` is "bundled" (works offline), "cached" (all its files lie in the cache
        or an offline folder) or "to fetch". Sizes are missing
        where they are not known before fetching, ``genes`` also where the truth states no gene set.
    """
    folder = None if cache is None else Path(cache)
    table = pd.DataFrame(
        [
            {
                "name": record.name,
                "organism": record.organism,
                "options": _options(record),
                "edges": record.edges,
                "regulators": record.regulators,
                "targets": record.targets,
                "genes": record.genes,
                "directed": record.directed,
                "signed": record.signed,
                "available": "bundled" if record.bundled else _available(record, folder),
                "may_ship": record.may_ship,
                "paper_transpose": record.paper_transpose,
                "orientation": record.orientation,
                "title": record.title,
                "citation": record.citation,
                "licence": record.licence,
                "version": record.version,
            }
            for record in truth_records()
        ]
    )
    sizes = ["edges", "regulators", "targets", "genes"]
    return table.astype(dict.fromkeys(sizes, "Int64"))


def describe_truth(name: str, organism: str | None = None, *, cache: str | Path | None = None) -> str:
    """Say in words what a ground truth is, how to load each form of it, and where its files lie.

    Raises
    ------
    ValueError
        If the truth does not exist.
    """
    folder = None if cache is None else Path(cache)
    return "\n\n".join(_describe(record, folder) for record in truth_records(name, organism))


def fetch_truths(
    names: str | Iterable[str], organism: str | None = None, *, cache: str | Path | None = None
) -> pd.DataFrame:
    """Fetch every file of ground truths, so that loading them needs no network.

    Parameters
    ----------
    names
        Names of :func:`list_truths`.
    organism
        Organism whose files are fetched; all when None.
    cache
        Another cache folder than the platform's.

    Returns
    -------
    DataFrame
        One row a file: ``name, organism, file, path, bytes``. Empty for a truth that comes with the package.

    Raises
    ------
    ValueError
        If a truth does not exist, or a server sends something else than expected.
    ConnectionError, FileNotFoundError
        If a file cannot be fetched; files fetched before it stay.
    """
    folder = None if cache is None else Path(cache)
    wanted = [
        record
        for name in ([names] if isinstance(names, str) else list(names))
        for record in truth_records(name, organism)
    ]
    rows: dict[str, dict[str, object]] = {}
    for record in wanted:
        for source in record.sources:
            if source.name not in rows:
                path = fetch(source, cache=folder)
                rows[source.name] = {
                    "name": record.name,
                    "organism": record.organism,
                    "file": source.name,
                    "path": str(path),
                    "bytes": path.stat().st_size,
                }
    return pd.DataFrame(list(rows.values()), columns=["name", "organism", "file", "path", "bytes"])


def _key(name: str, organism: str | None) -> str:
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = _ALIASES.get(key, key)
    if key not in _HOME:
        of = "" if organism is None else f" for {organism!r}"
        raise ValueError(f"no ground truth {name!r}{of}; there are: {_all_names()}")
    return key


def _of(key: str) -> tuple[TruthRecord, ...]:
    records: tuple[TruthRecord, ...] = import_module(f"bengrn.truths.{_HOME[key][0]}").RECORDS
    return tuple(record for record in records if record.name == key)


def _records_of(key: str, organism: str | None) -> tuple[TruthRecord, ...]:
    records = _of(key)
    found = tuple(record for record in records if organism in (None, record.organism))
    if not found:
        raise ValueError(
            f"no ground truth {key!r} for {organism!r}, only for "
            f"{', '.join(sorted({record.organism for record in records}))}; there are: {_all_names()}"
        )
    return found


def _all_names() -> str:
    return ", ".join(
        f"{key} ({', '.join(dict.fromkeys(record.organism for record in _of(key)))})" for key in sorted(_HOME)
    )


def _available(record: TruthRecord, cache: Path | None) -> str:
    return "cached" if all(locate(source, cache=cache) for source in record.sources) else "to fetch"


def _options(record: TruthRecord) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in record.options.items())


def _describe(record: TruthRecord, cache: Path | None) -> str:
    call = ", ".join(filter(None, [repr(record.name), repr(record.organism), _options(record)]))
    counts = {"edges": record.edges, "regulators": record.regulators, "targets": record.targets}
    size = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)
    lines = [
        f"load_truth({call}): {record.title}",
        f"  size: {size or 'not known before fetching'}; version {record.version}",
        f"  {'directed' if record.directed else 'undirected'}, {'signed' if record.signed else 'unsigned'}; "
        f"knows: {record.knows}",
        f"  orientation: {record.orientation}",
        f"  cite: {record.citation}",
        f"  licence: {record.licence}",
    ]
    if record.part:
        lines.append(f"  part: {record.part}")
    if record.bundled:
        lines.append("  comes with the package")
    for source in record.sources:
        found = locate(source, cache=cache)
        checked = f"checked against {source.known_hash}" if source.known_hash else "not pinned: may change"
        lines.append(
            f"  file {source.name}: " + (f"at {found[0]}" if found else f"to fetch from {source.url or source.page}")
        )
        lines.append(f"    {checked}")
    return "\n".join(lines)
