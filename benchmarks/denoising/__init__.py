"""Denoising beside its rivals."""
