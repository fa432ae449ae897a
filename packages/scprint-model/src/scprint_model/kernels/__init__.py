"""Triton kernels, each beside the plain-torch twin that runs wherever they are not asked for."""
