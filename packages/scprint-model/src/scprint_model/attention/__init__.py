"""Attention: one signature for the kernel, and the module that projects, attends and hands out queries."""
