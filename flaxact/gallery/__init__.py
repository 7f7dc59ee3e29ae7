"""A page of all activations, and the graph of one."""

from flaxact._lazy import listing
from flaxact.gallery.card import card
from flaxact.gallery.explorer import write_explorer
from flaxact.gallery.page import write
from flaxact.gallery.svg import graph

__all__ = ["card", "graph", "write", "write_explorer"]
__dir__ = listing(__name__)
