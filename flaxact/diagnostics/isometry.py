"""Deep nets of equal layers at the edge of chaos, and the distance of their Jacobian from an isometry."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._lazy import listing
from flaxact.activations import get
from flaxact.errors import InputError
from flaxact.net import Images, Net, Variables
from flaxact.quadrature import evaluate, rule
from flaxact.theory import edge_of_chaos, fixed_point

__dir__ = listing(__name__)

Layers = dict[str, jax.Array]


@dataclass(frozen=True)
class DeepNet:
    """A net with hidden layers of one width, x → f(x) W + b, as in mean-field theory.

    Attributes:
      act: the pointwise activation f, as spec text.
      depth: number of hidden layers.
      width: width of each layer.
      orthogonal: whether weights are orthogonal; otherwise they are Gaussian.
      weight_std: σ_w, the weights' standard deviation times √width; orthogonal weights are
        multiplied by it.
      bias_std: σ_b.
      q: second moment of the first layer's pre-activations.
    """

    act: str
    depth: int
    width: int
    orthogonal: bool
    weight_std: float
    bias_std: float
    q: float

    def layers(self, key: jax.Array) -> Layers:
        """Random kernels (depth, width, width) and biases (depth, width)."""
        # One draw for all: the program that draws takes longer to compile than the net.
        normals = jax.random.normal(key, (self.depth, self.width + 1, self.width))
        kernels = normals[:, :-1]
        biases = self.bias_std * normals[:, -1]
        if self.orthogonal:
            bases, triangles = jnp.linalg.qr(kernels)
            signs = jnp.sign(jnp.diagonal(triangles, axis1=1, axis2=2))
            kernels = bases * signs[:, None]  # uniform over orthogonal matrices (Mezzadri 2007)
        else:
            kernels = kernels * self.width**-0.5
        return {"kernel": self.weight_std * kernels, "bias": biases}

    def propagate(self, layers: Layers, x: jax.Array) -> jax.Array:
        """Map pre-activations (..., width) of the first layer to those of the last."""
        act = get(self.act)

        def layer(x: jax.Array, own: Layers) -> tuple[jax.Array, None]:
            return act(x) @ own["kernel"] + own["bias"], None

        return jax.lax.scan(layer, x, layers)[0]  # a loop compiles in the time of one layer

    def jacobian(self, seed: int) -> np.ndarray:
        """Singular values, in descending order, of the Jacobian of a random net at a Gaussian input.

        They are computed in float32; values below their ``resolution`` are rounding noise.
        """
        matrix = _jacobian(self, jax.random.key(seed))
        return np.linalg.svd(np.asarray(matrix), compute_uv=False)

    def classifier(self, classes: int = 10) -> Net:
        """The net with a Gaussian first layer, for inputs of mean square 1, and a layer of logits."""

        def init(key: jax.Array, images: Images) -> Variables:
            inputs = math.prod(images.shape[1:])
            (key, own) = jax.random.split(key)
            normals = jax.random.normal(own, (inputs + classes, self.width))
            first = normals[:inputs] * math.sqrt(self.q / inputs)
            last = normals[inputs:].T
            last = {"kernel": last * self.width**-0.5, "bias": jnp.zeros(classes)}
            return {
                "params": {"first": {"kernel": first}, "last": last, "hidden": self.layers(key)}
            }

        def apply(
            variables: Variables, images: jax.Array, *, train: bool, key: jax.Array
        ) -> tuple[jax.Array, Variables]:
            params = variables["params"]
            x = images.reshape(len(images), -1) @ params["first"]["kernel"]
            y = get(self.act)(self.propagate(params["hidden"], x))
            return y @ params["last"]["kernel"] + params["last"]["bias"], variables

        return Net(init, apply)


@functools.partial(jax.jit, static_argnums=0)
def _jacobian(net: DeepNet, key: jax.Array) -> jax.Array:
    key, own = jax.random.split(key)
    layers = net.layers(key)
    x = math.sqrt(net.q) * jax.random.normal(own, (net.width,))
    return jax.jacfwd(lambda x: net.propagate(layers, x))(x)


def critical(
    act: str, depth: int, width: int, *, orthogonal: bool, bias_std: float = 0.0
) -> DeepNet:
    """A deep net at the edge of chaos; its pre-activations start at the fixed point of the second moment.

    Raises:
      InputError: an activation without an edge of chaos, or with pre-activations of size 0 at the
        edge, such as tanh without biases.
    """
    weight_std = edge_of_chaos(act, bias_std)
    if weight_std is None:
        raise InputError(f"{act} has no edge of chaos at bias_std {bias_std}")
    q = fixed_point(act, weight_std, bias_std, 1.0)
    if not 0 < q < math.inf:
        raise InputError(
            f"the pre-activations of {act} have second moment {q} at its edge of chaos: give a "
            "bias_std above 0"
        )
    return DeepNet(act, depth, width, orthogonal, weight_std=weight_std, bias_std=bias_std, q=q)


def resolution(singular_values: np.typing.ArrayLike) -> float:
    """The smallest singular value of a float32 matrix that exceeds rounding noise.

    This bound is the largest singular value times the number of values and float32's epsilon, as in
    ``numpy.linalg.matrix_rank``. Smaller singular values are only known to be below it.

    >>> round(resolution([2.0, 1.0, 1e-9]) * 1e7, 2)
    7.15
    """
    values = np.asarray(singular_values, np.float64)
    return float(values.max() * len(values) * np.finfo(np.float32).eps)


def relative_variance(singular_values: np.typing.ArrayLike) -> float:
    """The variance of the squared singular values over their squared mean; 0 for a scaled isometry.

    >>> relative_variance([3.0, 3.0]), relative_variance([2.0**0.5, 0.0])
    (0.0, 1.0)
    """
    squares = np.square(np.asarray(singular_values, np.float64))
    return float(squares.var() / squares.mean() ** 2)


def expected_relative_variance(net: DeepNet) -> float:
    r"""The relative variance of a wide net's Jacobian.

    A layer is the product of weights and slopes, whose squares are freely independent, and relative
    variances of products of free matrices add: :math:`L (r + \mathrm{E} f'^4 / (\mathrm{E} f'^2)^2
    - 1)`, with r = 0 for orthogonal and 1 for Gaussian weights.

    >>> expected_relative_variance(critical("relu", 50, 100, orthogonal=True))  # for any width
    50.0
    """
    act = get(net.act)
    x, weights = rule(0.0, math.sqrt(net.q), act.breaks, splits=4)
    slopes = evaluate(lambda x: jax.jvp(act, (x,), (jnp.ones_like(x),))[1], x)
    ratio = float(weights @ slopes**4) / float(weights @ slopes**2) ** 2
    return round(net.depth * (ratio - 1 + (not net.orthogonal)), 9)
