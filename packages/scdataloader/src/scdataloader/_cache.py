"""The folder in which a package keeps the files that it fetched: one rule for all packages."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of the files that this package fetched; it is made once there is one.

    The environment variable ``<PACKAGE>_CACHE``, such as ``GRNNDATA_CACHE``, names it. Without it, it is the package's
    folder in the platform's place for caches.
    """
    package = __name__.partition(".")[0]
    if folder := os.environ.get(f"{package.upper()}_CACHE"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache(package))
