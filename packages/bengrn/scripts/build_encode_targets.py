"""Build the bundled ENCODE targets of transcription factors from their JSON.

    python build_encode_targets.py --targets encode_tf_targets.json.gz --out encode_tf_targets.parquet

Input: an object whose keys are "FACTOR CELL" and whose values are lists of target symbols. Names stay as
published; the loader maps them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bengrn._content import open_content
from bengrn.fetch import content_hash


def table(targets: dict[str, list[str]]) -> pa.Table:
    """Return one row a factor, cell and target, sorted; columns ``factor, cell, target``."""
    rows = sorted({(*key.split(" ", 1), target) for key, names in targets.items() for target in names})
    return pa.table(
        {
            name: pa.array([row[place] for row in rows]).dictionary_encode()
            for place, name in enumerate(("factor", "cell", "target"))
        }
    )


def main(argv: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("targets", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    with open_content(args.targets) as file:
        edges = table(json.load(file))
    edges = edges.replace_schema_metadata({"version": f"json sha256:{content_hash(args.targets)[:12]}"})
    partial = args.out.with_name(args.out.name + ".part")
    pq.write_table(edges, partial, compression="zstd", compression_level=19)
    partial.replace(args.out)
    print(f"{edges.num_rows:,} edges, {args.out.stat().st_size:,} bytes, sha256 {_digest(args.out)}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
