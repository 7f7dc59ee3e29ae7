"""Programs that take little time to compile, for tests of what is computed and not of how fast.

Most of the time of the tests is XLA's. Accuracy, memory and speed are of programs compiled as users' are:
there ``jax.jit`` is to be used.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np


def _known(options: dict[str, bool]) -> dict[str, bool]:
    """The options, if this version of XLA has them."""
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


# Another generator of code, in half the time and as good; jax 0.12 has it no longer.
OPTIMISED = _known({"xla_cpu_use_fusion_emitters": False})
# Without these passes at all (level 0) a training step with elu came out as nan, by this generator alone.
QUICK = {
    "xla_backend_optimization_level": 1,
    "xla_llvm_disable_expensive_passes": True,
    **OPTIMISED,
}
jit = functools.partial(jax.jit, compiler_options=QUICK)
# A rounding on the way to a result of half precision shows, which XLA otherwise may leave out.
rounding_jit = functools.partial(
    jax.jit, compiler_options=QUICK | {"xla_allow_excess_precision": False}
)


def derivatives(f, order: int):
    """A function's value and its derivatives up to an order at every element, by forward mode."""
    if order == 0:
        return lambda x: (f(x),)
    below = derivatives(f, order - 1)

    def found(x):
        values, slopes = jax.jvp(below, (x,), (jnp.ones_like(x),))
        return (*values, slopes[-1])

    return found


def check_gradients(f, args, order: int = 1, tolerance: float = 1e-5) -> None:
    """As ``jax.test_util.check_grads``, in one program: both modes against central differences.

    Args:
      f: of arrays, or trees of them, in float64.
      args: where, a tuple.
      order: 2 for the derivatives of the derivatives by either mode too.
      tolerance: absolute and relative.
    """
    with jax.enable_x64(True):
        for found, wanted in jit(functools.partial(_pairs, f, order))(args):
            chex.assert_trees_all_close(found, wanted, rtol=tolerance, atol=tolerance)


def _pairs(f, order: int, args) -> list[tuple]:
    """Derivatives in a random direction, and what they are to be."""
    step = 1e-4
    rng = np.random.default_rng(order)

    def drawn(tree):
        return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), tree)

    def dot(one, other):
        return sum(map(jnp.vdot, *map(jax.tree.leaves, (one, other))))

    direction = drawn(args)
    above, below = (
        f(*jax.tree.map(lambda x, d, h=h: x + h * d, args, direction)) for h in (step, -step)
    )
    slope = jax.tree.map(lambda a, b: (a - b) / (2 * step), above, below)
    weights = drawn(slope)

    def forward(*args):
        return jax.jvp(f, args, direction)[1]

    def reverse(*args):
        return jax.vjp(f, *args)[1](weights)

    actual = [(forward(*args), slope), (dot(reverse(*args), direction), dot(weights, slope))]
    further = (forward, reverse) if order > 1 else ()
    return actual + [pair for g in further for pair in _pairs(g, order - 1, args)]
