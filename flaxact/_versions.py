"""Differences of the oldest supported JAX and Flax.

The rest of flaxact is written for the newest. `docs/versions.md` lists the tested versions.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from flaxact._lazy import jax
from flaxact.errors import InputError


def enable_x64(on: bool) -> AbstractContextManager[None]:
    """A context with or without float64: ``jax.enable_x64``, new in JAX 0.8."""
    context: Any = getattr(jax, "enable_x64", None)
    if context is None:
        from jax import experimental

        context = vars(experimental)["enable_x64"]
    return context(on)


def allow_vmapped_convolutions_on_meshes() -> None:
    """Let a transposed, vmapped convolution compile for several devices in JAX 0.7.

    There the ``vmap`` rule raises NotImplementedError for any output sharding, and the transpose
    sets one on every mesh. On a mesh with automatic axes the sharding has no meaning, so it is
    dropped here.
    """
    from jax import lax
    from jax.interpreters import batching

    rules: Any = batching.primitive_batchers
    rule = rules.get(lax.conv_general_dilated_p) if isinstance(rules, dict) else None
    if rule is None or hasattr(rule, "rule_of_jax"):  # JAX 0.8 and newer keep it elsewhere
        return

    def without_sharding(*args: Any, out_sharding: Any, **kwargs: Any) -> Any:
        if out_sharding is not None and out_sharding.mesh.abstract_mesh.are_all_axes_auto:
            out_sharding = None
        return rule(*args, out_sharding=out_sharding, **kwargs)

    without_sharding.rule_of_jax = rule
    rules[lax.conv_general_dilated_p] = without_sharding


def check_nnx_capture() -> None:
    """Check that Flax can capture the intermediate values of an NNX module.

    Raises:
      InputError: Flax is older than 0.12.6.
    """
    import flax
    from flax import nnx

    if not hasattr(nnx, "capture"):
        raise InputError(
            f"flaxact.diagnostics.nnx needs flax 0.12.6 or newer, and this is {flax.__version__}: "
            'pip install -U "flax>=0.12.6" (it needs jax 0.8.1 or newer), or probe a Linen module'
        )
