"""XGBoost on log counts of variable genes: ``xgboost_peer.py FOLDER SEED``; prints labels and confidences as JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import xgboost
from scipy import sparse

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
genes = np.load(folder / "variable.npy")
train, test = (sparse.load_npz(folder / f"{part}.npz").tocsr()[:, genes] for part in ("train", "test"))
names, codes = np.unique(json.loads((folder / "labels.json").read_text(encoding="utf-8")), return_inverse=True)
model = xgboost.XGBClassifier(
    n_estimators=60, max_depth=4, learning_rate=0.2, subsample=0.8, colsample_bytree=0.2, n_jobs=1, random_state=seed
)
shares = model.fit(train, codes).predict_proba(test)
shares = np.column_stack([1 - shares[:, 1], shares[:, 1]]) if shares.shape[1] != len(names) else shares
print(json.dumps({"labels": names[shares.argmax(axis=1)].tolist(), "confidence": shares.max(axis=1).tolist()}))
