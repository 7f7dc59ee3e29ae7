"""The shape and the cost of every activation, against what is known by hand and against its values."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from scipy.stats import norm

import flaxact as fa
from flaxact import facts
from flaxact.cli import main
from flaxact.quadrature import evaluate

INF = math.inf
POINTWISE = fa.names("pointwise")
ROOT2 = math.sqrt(2)
BOTH_SOFT = "left (soft), right (soft)"
BOTH_HARD = "left (hard), right (hard)"


def steepest(slope, low, high):
    return -optimize.minimize_scalar(lambda x: -slope(x), bounds=(low, high), method="bounded").fun


def silu_slope(x):
    s = special.expit(x)
    return s + x * s * (1 - s)


# Where x tanh x = 1 LiSHT is steepest, with slope x.
LISHT = optimize.brentq(lambda x: x * math.tanh(x) - 1, 0.5, 3, xtol=1e-14)
# Lipschitz constant, zeros, sides that saturate, symmetry, transcendentals a value.
BY_HAND = {
    "relu": (1, "x ≤ 0", "left (hard)", "none", 0),
    "leaky_relu(0.2)": (1, "0", "none", "none", 0),
    "leaky_relu(3)": (3, "0", "none", "none", 0),
    "identity": (1, "0", "none", "odd", 0),
    "absolute": (1, "0", "none", "even", 0),
    "squared_relu": (INF, "x ≤ 0", "left (hard)", "none", 0),
    "relu6": (1, "x ≤ 0", BOTH_HARD, "none", 0),
    "relu_n(maximum=20)": (1, "x ≤ 0", BOTH_HARD, "none", 0),
    "hard_tanh": (1, "0", BOTH_HARD, "odd", 0),
    "hard_sigmoid": (1 / 6, "x ≤ -3", BOTH_HARD, "none", 0),
    "hard_swish": (1.5, "x ≤ -3, 0", "left (hard)", "none", 0),
    "hard_shrink": (INF, "-0.5 ≤ x ≤ 0.5", "none", "odd", 0),
    "soft_shrink": (1, "-0.5 ≤ x ≤ 0.5", "none", "odd", 0),
    "thresholded_relu": (INF, "x ≤ 1", "left (hard)", "none", 0),
    "step": (INF, "x ≤ 0", BOTH_HARD, "none", 0),
    "nelu": (INF, "none", "left (soft)", "none", 0),  # it jumps over zero
    "star_relu": (INF, f"{ROOT2 / 2:.6g}", "left (hard)", "none", 0),
    "elu": (1, "0", "left (soft)", "none", 1),
    "elu(alpha=2)": (2, "0", "left (soft)", "none", 1),
    "selu": (1.0507009873554805 * 1.6732632423543772, "0", "left (soft)", "none", 1),
    "tanh": (1, "0", BOTH_SOFT, "odd", 1),
    "lecun_tanh": (1.7159 * 2 / 3, "0", BOTH_SOFT, "odd", 1),
    "sigmoid": (1 / 4, "none", BOTH_SOFT, "none", 1),
    "log_sigmoid": (1, "none", "right (soft)", "none", 2),
    "softplus": (1, "none", "left (soft)", "none", 2),
    "shifted_softplus": (1, "0", "left (soft)", "none", 2),
    "softsign": (1, "0", BOTH_SOFT, "odd", 0),
    "squareplus": (1, "none", "left (soft)", "none", 1),
    "arctan": (1, "0", BOTH_SOFT, "odd", 1),
    "erf": (2 / math.sqrt(math.pi), "0", BOTH_SOFT, "odd", None),
    "asinh": (1, "0", "none", "odd", 1),
    "bent_identity": (1.5, "0", "none", "none", 1),
    "gelu(approximate=False)": (
        norm.cdf(ROOT2) + ROOT2 * norm.pdf(ROOT2),
        "0",
        "left (soft)",
        "none",
        1,
    ),
    "silu": (steepest(silu_slope, 1, 4), "0", "left (soft)", "none", 1),
    "linearly_scaled_tanh": (LISHT, "0", "none", "even", 1),
    "tanh_shrink": (1, "0", "none", "odd", 1),
    "sine": (1, "many", "none", "odd", 1),
    "sine(frequency=3)": (3, "many", "none", "odd", None),
    "cosine": (1, "many", "none", "even", 1),
    "gcu": (INF, "many", "none", "odd", 1),
    "snake": (2, "0", "none", "none", 1),
    "sugar": (1, "x ≤ 0", "left (hard)", "none", 0),  # of the value, not of the slope it lends
    "clipped(identity, -2, 1)": (1, "0", BOTH_HARD, "none", 0),
    "scaled(tanh, output=0)": (0, "everywhere", BOTH_SOFT, None, None),
}


@pytest.mark.parametrize("text", BY_HAND)
def test_shape_and_cost_are_those_found_by_hand(text):
    activation = fa.get(text)
    slope, zeros, saturated, symmetry, transcendentals = BY_HAND[text]
    assert facts.lipschitz(activation) == pytest.approx(slope, rel=1e-6)
    assert facts.roots(activation) == zeros
    assert facts.saturation(activation) == saturated
    if symmetry is not None:
        assert facts.symmetry(activation) == symmetry
    if transcendentals is not None:
        assert facts.transcendentals(activation) == transcendentals


@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", POINTWISE)
def test_no_chord_is_steeper_than_the_lipschitz_constant_and_some_nearly_are(name):
    activation = fa.get(name)
    bound = facts.lipschitz(activation)
    rng = np.random.default_rng(0)
    x = np.sort(np.append(rng.uniform(-6, 6, 3000), 50 * rng.standard_normal(1000)))
    chords = np.abs(np.diff(evaluate(activation, x)) / np.diff(x))
    if math.isfinite(bound):
        assert chords.max() <= bound * (1 + 1e-5) + 1e-9
        assert chords.max() > 0.98 * bound
    else:  # it jumps, or gets ever steeper
        x = np.array([-1e6, -1e6 + 1, 1e6, 1e6 + 1])
        y = np.minimum(evaluate(activation, x), [1e300, 2e300] * 2)  # also where it overflows
        near = np.minimum(evaluate(activation, 1e6 + np.linspace(0, 1e-5, 101)), 1e300)
        waves = np.diff(near) / 1e-7
        steepest = max(np.abs(np.diff(y)[::2]).max(), np.abs(waves).max())
        assert activation.jumps or steepest > 1e4


@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", POINTWISE)
def test_what_saturates_comes_to_rest_within_its_range(name):
    activation = fa.get(name)
    message = facts.saturation(activation)
    for side, sign in (("left", -1), ("right", 1)):
        y = evaluate(activation, sign * np.geomspace(1e4, 1e8, 50))
        rests = bool(np.isfinite(y[-1]) and abs(y - y[-1]).max() < 2e-3)
        assert (side in message) is rests
        if f"{side} (hard)" in message:
            assert len(set(y)) == 1
    if all(map(math.isfinite, activation.range)) and activation.monotonic:
        assert "left" in message
        assert "right" in message


@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", POINTWISE)
def test_symmetry_shows_in_the_moments(name):
    activation = fa.get(name)
    computed = facts.moments(activation)
    symmetry = facts.symmetry(activation)
    x = np.random.default_rng(1).standard_normal(200) * 20
    y = evaluate(activation, x)
    mirrored = evaluate(activation, -x)
    assert (symmetry == "odd") is np.allclose(y, -mirrored, atol=1e-12)
    assert (symmetry == "even") is np.allclose(y, mirrored, atol=1e-12)
    if symmetry == "odd":
        assert abs(computed.mean) < 1e-12
    if symmetry == "even":
        assert abs(computed.slope_at_zero) < 1e-12


@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", POINTWISE)
def test_it_is_zero_where_its_roots_say(name):
    activation = fa.get(name)
    text = facts.roots(activation)
    places = [float(p) for p in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]
    inside = [p + d for p in places for d in ((-0.5,) if f"x ≤ {p:g}" in text else ())]
    y = evaluate(activation, np.array([0.0, *places, *inside]))
    # Six digits of a place are given, so that the value there is small, not zero.
    np.testing.assert_allclose(y[1:], 0, atol=1e-5)
    assert (("0" in text.split(", ")) or "≤" in text or text == "many") or y[0] != 0
    assert ("≤" in text) is (facts.moments(activation).zeros > 0)
    values = evaluate(activation, np.linspace(-20, 20, 1000))
    if text == "none" and not activation.jumps:
        assert np.all(values > 0) or np.all(values < 0) or np.abs(values).min() < 1e-12
    if text == "many":
        assert np.count_nonzero(np.diff(np.sign(values))) > 5


LEAN = ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "softplus", "softsign", "hard_tanh")


@pytest.mark.parametrize("name", LEAN)
def test_what_reads_its_output_keeps_one_array(name):
    assert 0.95 < facts.arrays_kept(fa.get(name)) < 1.1


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "sine"])
def test_what_needs_its_input_keeps_two(name):
    assert 1.9 < facts.arrays_kept(fa.get(name)) < 2.05


def test_arrays_kept_are_counted_as_they_are():
    """Of jax.nn's mish, without a derivative of its own, more stays."""
    function = fa.get("mish").spec.function
    assert function is not jax.nn.mish
    plain = type("Plain", (), {"__call__": lambda self, x: jax.nn.mish(x)})()
    assert facts.arrays_kept(plain) > 2.5


def test_transcendentals_are_found_inside_and_where_nothing_uses_them_not_counted():
    def nested(x):
        jnp.sin(x)  # unused
        looped = jax.lax.fori_loop(0, 2, lambda i, y: jnp.exp(y), x)
        either = jax.lax.cond(True, jnp.tanh, lambda y: y, x)
        return jax.jit(jnp.log1p)(looped) + jax.checkpoint(jnp.cos)(either)

    assert facts.transcendentals(nested) == 4


def test_computed_facts_are_of_pointwise_activations():
    assert facts.computed(fa.get("softmax")) == {}
    rows = facts.computed(fa.get("relu"))
    assert rows["smoothness"] == "C0"
    assert rows["Gaussian mean"] == f"{1 / math.sqrt(2 * math.pi):.7g}"
    assert rows["E[f'²]"] == rows["second moment"] == rows["exact zeros"] == "0.5"
    assert rows["C-map slope at 1"] == "1"
    assert rows["transcendentals"] == "0"
    assert facts.computed(fa.get("hard_shrink"))["smoothness"] == "discontinuous"
    assert facts.computed(fa.get("scaled(tanh, output=0)"))["gain"] == "none"


# By hand, over activations whose facts are plain.
@pytest.mark.parametrize(
    ("where", "yes", "no"),
    [
        ("monotonic", "relu elu", "silu mish absolute softmax"),
        ("not monotonic", "silu absolute", "relu softmax"),
        ("monotonic and odd and bounded", "tanh erf softsign", "sigmoid identity sine"),
        ("not monotonic or coupled", "silu glu", "relu"),
        ("not (monotonic or coupled)", "silu", "relu glu"),
        ("monotonic and learned or stochastic", "prelu rrelu", "relu"),  # and binds before or
        ("monotonic and (learned or stochastic)", "prelu rrelu", "relu dyrelu"),
        ("not monotonic and bounded_below", "silu mish", "relu identity"),
        ("0.3 < lipschitz <= 1 and bounded_above", "tanh", "sigmoid elu selu"),
        ("lipschitz == inf", "squared_relu step", "relu"),
        ("smoothness < 0", "step hard_shrink", "relu"),
        ("smoothness >= 1 and not smooth", "elu softsign", "relu tanh"),
        ("smoothness > -1 and even", "absolute cosine", "step relu"),
        ("transcendentals == 0 and saturating", "relu softsign", "tanh leaky_relu"),
        ("pointwise and not bounded_below and bounded_above", "log_sigmoid", "identity tanh"),
        ("not coupled", "relu", "softmax"),
    ],
)
def test_select_filters(where, yes, no):
    selected = facts.select(where)
    assert set(yes.split()) <= set(selected)
    assert not set(no.split()) & set(selected)
    assert list(selected) == sorted(selected)


def test_select_by_moments():
    zero_mean = set(facts.select("zero_mean"))
    assert {"tanh", "selu", "star_relu", "identity"} <= zero_mean
    assert not {"relu", "gelu", "softmax", "elu"} & zero_mean
    odd = {n for n in POINTWISE if facts.symmetry(fa.get(n)) == "odd"}
    assert odd <= zero_mean
    sparse = facts.select("zeros >= 0.5 and mean > 0.39 and slope_at_zero == 0.5")
    assert {"relu", "relu6"} & set(sparse) == {"relu"}  # relu6 is cut, at one in 10⁹
    assert set(facts.select("sparse")) == set(facts.select("zeros > 0"))


def test_a_computed_fact_of_what_is_not_pointwise_is_unknown_either_way():
    assert "softmax" not in facts.select("even")
    assert "softmax" not in facts.select("not even")
    assert "softmax" in facts.select("coupled or even")
    assert "softmax" in facts.select("not (pointwise and even)")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("monotnic", "unknown fact 'monotnic'; did you mean 'monotonic'"),
        ("learned and meen < 1", "did you mean 'mean'"),  # also where the rest decides
        ("mean", "mean is a number: compare it"),
        ("monotonic and gain", "gain is a number: compare it"),
        ("odd == 1", "odd is yes or no"),
        ("1", "cannot read"),
        ("monotonic and 1", "cannot read"),
        ("", "cannot read"),
        ("mean <", "cannot read"),
        ("mean < 'a'", "cannot read"),
        ("mean < True", "cannot read"),
        ("mean in 3", "cannot read"),
        ("mean + 1 < 2", "cannot read"),
        ("mean < 1j", "cannot read"),
        ("1and monotonic", "cannot read"),
        ("monotonic if odd else even", "cannot read"),
        ("monotonic; odd", "cannot read"),
        ("odd\x00", "cannot read"),
        ("__import__('os').system('touch executed')", "cannot read"),
        ("(lambda: 1)() < 2", "cannot read"),
        ("mean.__class__ < 1", "cannot read"),
        ("[mean for mean in ()] < 1", "cannot read"),
        ("(odd := 1)", "cannot read"),
        ("f'{odd}' < 1", "cannot read"),
        ("not " * 5000 + "odd", "cannot read"),
        ("(" * 5000 + "odd" + ")" * 5000, "cannot read"),
        ("9" * 5000 + " < mean", "cannot read"),
    ],
)
def test_a_condition_that_cannot_be_read(where, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fa.InputError, match=said) as caught:
        facts.select(where)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=40))
def test_any_text_is_refused_or_filters(text):
    try:
        selected = facts.select(text)
    except fa.InputError:
        return
    assert set(selected) <= set(fa.names())


def test_the_command_lists_what_meets_a_condition(capsys):
    assert main(["list", "--where", "monotonic and bounded and not coupled and not smooth"]) == 0
    lines = capsys.readouterr().out.split()
    assert "hard_tanh" in lines
    assert not {"tanh", "relu", "softmax"} & set(lines)
    assert main(["list", "--where", "monotnic"]) == 2
    assert "did you mean 'monotonic'" in capsys.readouterr().err


def test_the_command_describes_all_that_is_asked_for(capsys, tmp_path):
    graph = tmp_path / "selu.svg"
    assert main(["describe", "selu", "--full", "--graph", str(graph)]) == 0
    text = capsys.readouterr().out
    for row in (
        "formula",
        "range",
        "monotonic",
        "kinks at",
        "source",
        "smoothness",
        "Lipschitz constant",
        "zeros",
        "saturates",
        "Gaussian mean",
        "Gaussian variance",
        "second moment",
        "E[f'²]",
        "gain",
        "C-map slope at 0",
        "C-map slope at 1",
        "fixed point q*",
        "arrays kept backward",
        "transcendentals",
    ):
        assert f"\n  {row} " in text
    assert re.search(r"fixed point q\* +1\n", text)
    assert graph.read_text().count("<polyline") >= 3
    assert main(["cite", "selu"]) == 0
    assert capsys.readouterr().out.startswith("@")
    assert main(["describe", "relu", "--graph", str(tmp_path)]) == 2
    assert "cannot write" in capsys.readouterr().err
