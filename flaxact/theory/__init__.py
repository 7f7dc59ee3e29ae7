"""Theory of an activation before any data: moments, maps of wide random nets, and their phases."""

from flaxact._lazy import attach
from flaxact.theory.maps import correlation_map, variance_map
from flaxact.theory.moments import Moments, fixed_point, gaussian_moments, lends_slope
from flaxact.theory.phases import (
    DepthScales,
    born_dead_bound,
    chi_1,
    depth_scales,
    edge_of_chaos,
)

__all__ = [
    "DepthScales",
    "Moments",
    "born_dead_bound",
    "chi_1",
    "correlation_map",
    "depth_scales",
    "edge_of_chaos",
    "fixed_point",
    "gaussian_moments",
    "lends_slope",
    "variance_map",
]
__getattr__, __dir__ = attach(__name__)
