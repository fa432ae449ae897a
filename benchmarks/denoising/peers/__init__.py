"""Scripts that run in environments of their own; they import nothing of the workspace.

Each is called with a folder and a seed. There are ``counts.npz`` (cells × genes), and the places of the cells and genes
whose profiles are asked for, ``cells.npy`` and ``genes.npy``. It writes ``profiles.npy``, (cells, genes), on any scale
of its own for each cell, and prints JSON.
"""
