"""The parameters that weight decay applies to, by their kind."""

from __future__ import annotations

import jax
import optax
from flax import nnx
from jax.tree_util import keystr, tree_flatten_with_path

from flaxact.layers.act import LEARNED
from flaxact.nnx import ActivationParam

OFFSETS = ("bias", "class_token", "positions")  # what is added to a layer's outputs


def decay_mask(params: optax.Params) -> optax.Params:
    """The parameters that weight decay applies to: the kernels; for ``mask=`` of an optax optimizer.

    Biases, normalizations and learned activation parameters are left out, as in
    ``flaxact.training``: decay would pull PReLU towards ReLU (He et al. 2015, §2.1).

    Args:
      params: parameters of Linen modules, or the state of NNX modules (``nnx.state(net,
        nnx.Param)``).

    Returns:
      A tree of the same structure, of booleans.

    >>> params = {"dense": {"kernel": 0.0, "bias": 0.0}, "act1": {"activation": {"alpha": 1.0}}}
    >>> decay_mask(params)
    {'act1': {'activation': {'alpha': False}}, 'dense': {'bias': False, 'kernel': True}}
    >>> import optax
    >>> optimizer = optax.adamw(1e-3, weight_decay=0.1, mask=decay_mask)
    """
    return jax.tree.map(lambda label: label == "kernel", labels(params))


def labels(params: optax.Params) -> optax.Params:
    """Label every parameter of a net by its kind, in a tree of the same structure.

    - "kernel": weights, and any other unnamed parameter with two axes or more;
    - "bias": vectors that are added to a layer's outputs;
    - "norm": scales and biases of normalization layers, norms of weight-normalized kernels, gains;
    - "activation": parameters that an ``Act`` learns. Weight decay would pull them towards zero,
      for example PReLU towards ReLU (He et al. 2015, §2.1).

    >>> labels({"conv": {"kernel": 0.0, "bias": 0.0}, "norm": {"scale": 1.0, "bias": 0.0}})
    {'conv': {'bias': 'bias', 'kernel': 'kernel'}, 'norm': {'bias': 'norm', 'scale': 'norm'}}
    >>> labels({"act1": {"activation": {"negative_slope": 0.25}}})
    {'act1': {'activation': {'negative_slope': 'activation'}}}
    """
    nodes, _ = tree_flatten_with_path(params, is_leaf=lambda node: isinstance(node, nnx.Variable))
    leaves, structure = jax.tree.flatten(params)
    names = [tuple(keystr((key,), simple=True) for key in path) for path, _ in nodes]
    kinds = [
        _label(path, node, getattr(leaf, "ndim", 0))
        for path, (_, node), leaf in zip(names, nodes, leaves, strict=True)
    ]
    # A normalization has no kernel, so nor has its bias one beside it.
    with_kernel = {path[:-1] for path, label in zip(names, kinds, strict=True) if label == "kernel"}
    for i, path in enumerate(names):
        if path[-1:] == ("bias",) and kinds[i] == "bias" and path[:-1] not in with_kernel:
            kinds[i] = "norm"
    return jax.tree.unflatten(structure, kinds)


def _label(path: tuple[str, ...], node: object, axes: int) -> str:
    name = path[-1] if path else ""
    if LEARNED in path or isinstance(node, ActivationParam):
        return "activation"
    if name == "scale" or name.startswith("gain"):
        return "norm"
    if name in OFFSETS:
        return "bias"
    return "kernel" if name == "kernel" or axes >= 2 else "bias"
