"""Linen layers: ``Act``, through which models apply activations, and the layers of the model zoo."""

from flaxact._lazy import attach
from flaxact.layers.act import HYPERPARAMETERS, LEARNED, Act
from flaxact.layers.conv_dense import Conv, Dense, LocalConv, MeanOnlyBatchNorm
from flaxact.layers.pooling import adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool
from flaxact.layers.response_norm import cross_map_response_norm, response_norm

TYPE_CHECKING = False
if TYPE_CHECKING:  # at the first use, since it loads flax.nnx
    from flaxact.layers.decay import decay_mask, labels

__all__ = [
    "HYPERPARAMETERS", "LEARNED", "Act", "Conv", "Dense", "LocalConv", "MeanOnlyBatchNorm",
    "adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "cross_map_response_norm", "decay_mask",
    "labels", "max_pool", "response_norm",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
