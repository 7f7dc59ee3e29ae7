"""States of groups of members, to the host and back: by path, stacked over members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from flaxact.errors import InputError
from flaxact.training.devices import Place, put


def arrays(groups: Sequence[Any], mapped: bool) -> dict[str, np.ndarray]:
    """Every leaf by its path, (members, ...); random keys as their data."""
    join = np.concatenate if mapped else np.stack
    flat = [tree_flatten_with_path(group)[0] for group in groups]
    return {
        _name(path): join([np.asarray(_data(leaf)) for _, leaf in leaves])
        for leaves in zip(*flat, strict=True)
        for path in [leaves[0][0]]
    }


def states(
    found: dict[str, np.ndarray], shapes: Sequence[Any], places: Sequence[Place], mapped: bool
) -> list[Any]:
    """The groups whose ``arrays`` these are.

    Args:
      found: by path, stacked over members.
      shapes: of each group's state.
      places: where each goes.
      mapped: whether a group's leaves have an axis of members.

    Raises:
      InputError: the arrays are not those of such states.
    """
    groups, first = [], 0
    for shape, place in zip(shapes, places, strict=True):
        leaves, structure = tree_flatten_with_path(shape)
        size = leaves[0][1].shape[0] if mapped else 1
        chosen = slice(first, first + size) if mapped else first
        first += size
        made = [_restored(found, _name(path), leaf, chosen, place) for path, leaf in leaves]
        groups.append(jax.tree.unflatten(structure, made))
    return groups


def _restored(
    found: dict[str, np.ndarray], name: str, wanted: Any, chosen: Any, place: Place
) -> Any:
    is_key = jnp.issubdtype(wanted.dtype, jax.dtypes.prng_key)
    of = jax.eval_shape(jax.random.key_data, wanted) if is_key else wanted
    array = found[name][chosen] if name in found else None
    if array is None or array.shape != of.shape or array.dtype != of.dtype:
        got = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise InputError(
            f"the checkpoint has {got} for {name}, where {of.dtype} {of.shape} is needed"
        )
    placed = put(array, place.state)
    return jax.random.wrap_key_data(placed) if is_key else placed


def stacked(groups: Sequence[Any], mapped: bool) -> Any:
    """One state, stacked over all members, on the device of the first; a copy."""
    if mapped and len(groups) == 1:
        return jax.tree.map(jnp.copy, groups[0])
    join = jnp.concatenate if mapped else jnp.stack
    at = jax.tree.leaves(groups[0])[0].sharding
    moved = [groups[0], *(jax.device_put(group, at) for group in groups[1:])]
    return jax.tree.map(lambda *leaves: join(leaves), *moved)


def _data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _name(path: Any) -> str:
    return keystr(path, simple=True, separator="/")
