"""Diagnostics: what a net's activations look like, site by site."""

from flaxact.diagnostics.probe import probe

__all__ = ["probe"]
