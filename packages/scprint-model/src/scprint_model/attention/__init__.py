"""Attention: one signature over several kernels, and the modules that project, attend and hand out queries."""
