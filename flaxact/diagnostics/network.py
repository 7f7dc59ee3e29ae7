"""A net as a function: its Jacobian, curvature, linear regions and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.diagnostics.capture import capture
from flaxact.errors import InputError
from flaxact.layers import Act
from flaxact.net import Variables, apply_module
from flaxact.quadrature import evaluate
from flaxact.training import Recipe
from flaxact.training.optimizers import make_optimizer

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__dir__ = listing(__name__)

Params = TypeVar("Params")  # a tree of arrays
Product = Callable[[np.ndarray], np.ndarray | jax.Array]  # of a matrix with a vector


def jacobian_singular_values(
    function: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    count: int | None = None,
    *,
    smallest: bool = False,
) -> np.ndarray:
    """Singular values of a function's Jacobian at ``x``, in descending order.

    Dynamical isometry means that all of them are near 1 (Pennington et al. 2017).

    Args:
      function: from one array to one array, of any shapes.
      x: the point.
      count: how many, computed by Lanczos iterations without forming the Jacobian; None for all,
        from the whole Jacobian.
      smallest: return the smallest ``count`` of the min(inputs, outputs) instead of the largest.

    Raises:
      InputError: a count below 1, or not below the number of singular values.

    >>> jacobian_singular_values(lambda x: jnp.array([3.0, -2.0]) * x, jnp.ones(2)).tolist()
    [3.0, 2.0]
    """
    outputs = jax.eval_shape(function, x)
    if count is None:
        jacobian = (jax.jacfwd if x.size < outputs.size else jax.jacrev)(function)
        matrix = np.asarray(jax.jit(jacobian)(x)).reshape(outputs.size, x.size)
        return np.linalg.svd(matrix, compute_uv=False)
    most = min(outputs.size, x.size) - 1
    if not 1 <= count <= most:
        raise InputError(f"count must be from 1 to {most} for this Jacobian, not {count}")
    from scipy.sparse.linalg import svds

    @jax.jit
    def forward(v: jax.Array) -> jax.Array:
        return jax.jvp(function, (x,), (v.reshape(x.shape).astype(x.dtype),))[1].ravel()

    @jax.jit
    def back(v: jax.Array) -> jax.Array:
        (g,) = jax.vjp(function, x)[1](v.reshape(outputs.shape).astype(outputs.dtype))
        return g.ravel()

    operator = _operator((outputs.size, x.size), x.dtype, forward, back)
    start = np.random.default_rng(0).normal(size=most + 1)
    values = svds(
        operator, count, which="SM" if smallest else "LM", v0=start, return_singular_vectors=False
    )
    return np.sort(np.asarray(values))[::-1]


def sharpness(loss: Callable[[Params], jax.Array], params: Params, count: int = 1) -> np.ndarray:
    """The largest eigenvalues of a loss's Hessian, in descending order.

    Computed by Lanczos iterations without forming the Hessian.

    Args:
      loss: a scalar function of the parameters.
      params: the point, any tree of arrays.
      count: how many; less than the number of parameters.

    Raises:
      InputError: a count below 1, or not below the number of parameters.

    >>> sharpness(lambda w: 3 * w[0] ** 2 - w[1] ** 2 + w[2] ** 2, jnp.ones(3)).round(4).tolist()
    [6.0]
    """
    flat, unravel = ravel_pytree(params)
    if not 1 <= count < flat.size:
        raise InputError(f"count must be from 1 to {flat.size - 1}, not {count}")
    from scipy.sparse.linalg import eigsh

    @jax.jit
    def product(v: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda flat: loss(unravel(flat)))
        return jax.jvp(gradient, (flat,), (v.ravel().astype(flat.dtype),))[1]

    operator = _operator((flat.size, flat.size), flat.dtype, product, product)
    start = np.random.default_rng(0).normal(size=flat.size)
    values = eigsh(operator, count, which="LA", v0=start, return_eigenvectors=False)
    return np.sort(np.asarray(values))[::-1]


def _operator(
    shape: tuple[int, int], dtype: np.dtype, forward: Product, back: Product
) -> LinearOperator:
    from scipy.sparse.linalg import LinearOperator

    products = {
        "matvec": lambda v: np.asarray(forward(v)),
        "rmatvec": lambda v: np.asarray(back(v)),
    }
    return LinearOperator(shape, dtype=dtype, **products)  # type: ignore[call-arg]


def linear_regions(
    module: nn.Module, variables: Variables, start: ArrayLike, end: ArrayLike, points: int = 1000
) -> int:
    """Count the linear regions of a net on the line from one image to another.

    A region ends where the pre-activation of any unit crosses a break of its activation. Regions
    shorter than the spacing of the points are missed.

    Args:
      module: a model whose activations are applied through ``Act``, all of them piecewise linear.
      variables: its variables.
      start: (height, width, channels), the start of the line.
      end: the end of the line, of the same shape.
      points: number of equidistant points on the line, ends included; at least 2.

    Raises:
      InputError: fewer than 2 points, or an activation that is not piecewise linear.
    """
    if points < 2:
        raise InputError(f"linear_regions needs at least 2 points, not {points}")
    start = jnp.asarray(start, jnp.float32)
    end = jnp.asarray(end, jnp.float32)
    share = jnp.linspace(0, 1, points).reshape(-1, *(1,) * start.ndim)
    line = start + share * (end - start)
    breaks = {site: _breaks(act) for site, act in _activations(module, variables, line).items()}

    @jax.jit
    def moved(variables: Variables, line: jax.Array) -> jax.Array:
        is_border = jnp.zeros(points - 1, bool)
        for name, site in capture(module, variables, line).sites.items():
            piece = jnp.searchsorted(jnp.array(breaks[name]), site.pre)
            is_border |= jnp.any(piece[1:] != piece[:-1], (1, 2))
        return is_border

    return 1 + int(moved(variables, line).sum())


def _activations(
    module: nn.Module, variables: Variables, images: ArrayLike
) -> dict[str, Activation]:
    """The activation at each site."""
    by_site: dict[str, Activation] = {}

    def watch(next_fun, args, kwargs, context):
        if isinstance(context.module, Act) and context.method_name == "__call__":
            by_site["/".join(context.module.path)] = get(context.module.act)
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(watch):
        jax.eval_shape(lambda v, x: apply_module(module, v, x, train=False), variables, images)
    return by_site


def _breaks(activation: Activation) -> tuple[float, ...]:
    """The inputs between which an activation is linear."""
    if activation.spec.coupled:
        raise InputError(f"{activation} is not piecewise linear: it is not pointwise")
    edges = np.array([-40.0, *activation.breaks, 40.0])
    inside = edges[:-1, None] + np.diff(edges)[:, None] * np.linspace(0.01, 0.99, 33)
    values = evaluate(activation, inside.ravel()).reshape(inside.shape)
    if np.abs(np.diff(values, 2)).max() > 1e-9 * max(1, np.abs(values).max()):
        raise InputError(f"{activation} is not piecewise linear")
    return activation.breaks


def opposite_pairs(kernel: ArrayLike) -> np.ndarray:
    """For each filter, the cosine with its most opposite filter (Shang et al. 2016, §2).

    Compare with random filters: the first layers of trained ReLU nets have pairs of nearly opposite
    phase, which is the argument for CReLU.

    Args:
      kernel: ``(*window, inputs, filters)``, at least 2 filters.

    Returns:
      (filters,), from -1 to 1; nan for a filter of zeros.

    >>> opposite_pairs(np.array([[1.0, -2.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
    [-1.0, -1.0, 0.0]
    """
    filters = np.asarray(kernel, np.float64).reshape(-1, np.shape(kernel)[-1])
    lengths = np.linalg.norm(filters, axis=0)
    with np.errstate(invalid="ignore"):
        filters = filters / lengths
    cosines = filters.T @ filters
    np.fill_diagonal(cosines, np.inf)
    least = np.min(np.where(np.isnan(cosines), np.inf, cosines), axis=1)
    return np.where(lengths > 0, least, np.nan)


def parameter_figures(
    module: nn.Module,
    variables: Variables,
    images: ArrayLike,
    labels: ArrayLike,
    recipe: Recipe,
    *,
    steps_per_epoch: int = 1000,
) -> dict[str, dict[str, float]]:
    """The norm of each parameter, of its gradient and of an optimizer's first step.

    Args:
      module: a Linen model.
      variables: its variables.
      images: (batch, height, width, channels), pixels from 0 to 255 in any dtype.
      labels: (batch,), for the mean cross-entropy in test mode, without dropout.
      recipe: gives the optimizer of the step, the learning rate and the weight decay.
      steps_per_epoch: converts the recipe's epochs to steps.

    Returns:
      By parameter path: ``norm``, ``gradient_norm``, ``gradient_to_weight`` and
        ``update_to_weight``. The ratios are ``inf`` or nan for a parameter that is 0.
    """
    optimizer = make_optimizer(
        recipe, steps_per_epoch, learning_rate=recipe.learning_rate, momentum=recipe.momentum
    )

    @jax.jit
    def norms(
        variables: Variables, images: jax.Array, labels: jax.Array
    ) -> list[dict[str, jax.Array]]:
        captured = capture(module, variables, images, labels)
        params = variables["params"]
        loss = optax.softmax_cross_entropy_with_integer_labels(captured.logits, labels).mean()
        grads = captured.gradients
        assert grads is not None  # as there are labels
        steps, _ = optimizer.update(grads, optimizer.init(params), params, value=loss)
        return [jax.tree.map(jnp.linalg.norm, _flat(tree)) for tree in (params, grads, steps)]

    weights, gradients, steps = norms(variables, jnp.asarray(images), jnp.asarray(labels))
    figures = {}
    for name, weight in weights.items():
        size, gradient, step = (np.float64(v) for v in (weight, gradients[name], steps[name]))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = float(gradient / size), float(step / size)
        values = (float(size), float(gradient), *ratios)
        keys = ("norm", "gradient_norm", "gradient_to_weight", "update_to_weight")
        figures[name] = dict(zip(keys, values, strict=True))
    return figures


def _flat(tree: optax.Params) -> dict[str, jax.Array]:
    return {k: jnp.ravel(v) for k, v in flatten_dict(tree, sep="/").items()}  # type: ignore[arg-type]
