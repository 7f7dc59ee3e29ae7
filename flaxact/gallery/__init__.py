"""A page of all activations, and the graph of one."""

from flaxact._lazy import listing
from flaxact.gallery.page import write
from flaxact.gallery.svg import graph

__all__ = ["graph", "write"]
__dir__ = listing(__name__)
