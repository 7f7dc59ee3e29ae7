"""What public reports ask for that no other test holds, and that docs/results/reports.md names tests."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxact as fa

PAGE = Path(__file__).parents[1] / "docs" / "results" / "reports.md"
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE.read_text())


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_the_page_names_is_there(file, name):
    assert f"\ndef {name}(" in Path(__file__).with_name(file).read_text()


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_the_derivative_at_nan_does_not_depend_on_the_place(name):
    """Vector instructions take some numbers at once, and the rest one by one: 33 has a rest."""
    function = fa.get(name)
    slopes = np.asarray(jax.grad(lambda x: function(x).sum())(jnp.full(33, jnp.nan)))
    np.testing.assert_array_equal(slopes, np.full(33, slopes[0]))


@pytest.mark.parametrize("name", fa.names("stochastic"))
@pytest.mark.parametrize("key", [3, "a", jnp.ones(2), np.float32(1)], ids=repr)
def test_what_is_no_key_is_refused_in_a_line(name, key):
    with pytest.raises(fa.InputError, match=f"{name} needs a JAX random key"):
        fa.get(name)(jnp.ones(3), key=key)
