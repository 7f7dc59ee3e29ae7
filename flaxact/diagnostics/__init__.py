"""Diagnostics: what a net's activations look like, site by site, and why one trains better."""

from flaxact.diagnostics.capture import Captured, Site, capture
from flaxact.diagnostics.measures import measure
from flaxact.diagnostics.probe import make_probe, probe

__all__ = ["Captured", "Site", "capture", "make_probe", "measure", "probe"]
