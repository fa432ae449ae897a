"""Run tests under several kernels of this processor, which round differently: what passes here passes elsewhere.

    python tests/kernels.py tests/bengrn/test_bengrn_methods.py [options of pytest]

Each run is a process with other instruction sets in NumPy, OpenBLAS (numpy, scipy), PyTorch, oneDNN and MKL, and
another number of threads. On a processor other than x86-64 only the threads differ.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path


def kernels() -> dict[str, dict[str, str]]:
    """Environment variables by name of the run."""
    runs = {"default, 1 thread": {"OMP_NUM_THREADS": "1"}, "default, 2 threads": {"OMP_NUM_THREADS": "2"}}
    if platform.machine() not in ("x86_64", "AMD64"):
        return runs
    from numpy._core._multiarray_umath import __cpu_dispatch__ as optional  # by the names of this version of NumPy

    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if cpu.exists() else set()
    runs["SSE"] = {
        **{"OPENBLAS_CORETYPE": "Nehalem", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"},
        **{"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": " ".join(optional), "OMP_NUM_THREADS": "2"},
    }
    runs["SSE3"] = runs["SSE"] | {"OPENBLAS_CORETYPE": "Prescott", "OMP_NUM_THREADS": "1"}
    if "avx" in flags:
        runs["AVX"] = runs["SSE"] | {"OPENBLAS_CORETYPE": "Sandybridge", "MKL_CBWR": "AVX", "ONEDNN_MAX_CPU_ISA": "AVX"}
    if "avx2" in flags:
        wide = {"MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}
        runs["AVX2, Haswell"] = wide | {"OPENBLAS_CORETYPE": "Haswell"}
        runs["AVX2, Zen"] = wide | {"OPENBLAS_CORETYPE": "Zen"}
    if "avx512f" in flags:
        wide = {"MKL_CBWR": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"}
        runs["AVX-512"] = wide | {"OPENBLAS_CORETYPE": "SkylakeX", "OMP_NUM_THREADS": "1"}
    return runs


def main(arguments: list[str]) -> int:
    """Run pytest once for each kernel; 1 when a run failed."""
    failed = []
    for name, variables in kernels().items():
        sys.stdout.write(f"== {name}: {' '.join(f'{key}={value!r}' for key, value in variables.items())}" + "\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *arguments]
        if subprocess.run(command, env=os.environ | variables, check=False).returncode:
            failed.append(name)
    sys.stdout.write(f"failed under: {'; '.join(failed)}\n" if failed else "passed under every kernel\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
