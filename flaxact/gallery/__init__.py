"""A page of every activation; the graph of one, and its card for a notebook."""

from flaxact._lazy import listing
from flaxact.gallery.card import card
from flaxact.gallery.page import write
from flaxact.gallery.svg import graph

__all__ = ["card", "graph", "write"]
__dir__ = listing(__name__)
