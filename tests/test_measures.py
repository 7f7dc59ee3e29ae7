"""Each measure against NumPy, on arrays and in nets whose derivatives are written out by hand."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy import stats

import flaxact as fa
from flaxact.cli import main
from flaxact.cli.probe import listed
from flaxact.diagnostics import Site, capture, make_probe, pictures, probe
from flaxact.diagnostics.measures import catalogue, summary
from flaxact.diagnostics.record import Recorder, read
from flaxact.layers import Act
from flaxact.net import from_linen
from flaxact.training import Recipe, run
from tests.trainings import SMALL, Convolutional, Perceptron

RNG = np.random.default_rng(0)
PRE = RNG.normal(0.3, 2.0, (40, 3, 5)).astype(np.float32)
PRE[..., 4] = -np.abs(PRE[..., 4])  # a unit that relu leaves dead
POST = np.maximum(PRE, 0)
SLOPE = (PRE > 0).astype(np.float32)
GRADIENT = RNG.normal(size=PRE.shape).astype(np.float32)
SITE = Site(*map(jnp.asarray, (PRE, POST, SLOPE, GRADIENT)))
ROWS = POST.reshape(-1, 5).astype(np.float64)
UNITS = [row for row in ROWS.T if row.any()]


def sparseness(values):
    """Vinje & Gallant 2000, eq. 1."""
    n = len(values)
    return (1 - np.mean(np.abs(values)) ** 2 / np.mean(values**2)) / (1 - 1 / n)


def cosines():
    flat = POST.reshape(40, -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return np.mean((flat @ flat.T)[~np.eye(40, dtype=bool)])


def entropy():
    values = np.linalg.svd(ROWS, compute_uv=False)
    return np.exp(stats.entropy(values[values > 0]))


EXPECTED = {
    "mean": POST.mean(),
    "variance": POST.var(),
    "second_moment": np.mean(POST**2),
    "skew": stats.skew(POST, None),
    "kurtosis": stats.kurtosis(POST, None, fisher=False),
    "pre_mean": PRE.mean(),
    "pre_variance": PRE.var(),
    "pre_second_moment": np.mean(PRE**2),
    "pre_skew": stats.skew(PRE, None),
    "pre_kurtosis": stats.kurtosis(PRE, None, fisher=False),
    "mean_to_std": np.sqrt(np.mean(ROWS.mean(0) ** 2) / np.mean(ROWS.var(0))),
    "zeros": np.mean(PRE <= 0),
    "zeros_spread_over_units": np.std(np.mean(POST == 0, (0, 1))),
    "zeros_spread_over_examples": np.std(np.mean(POST == 0, (1, 2))),
    "lifetime_sparseness": np.mean([sparseness(unit) for unit in UNITS]),
    "population_sparseness": np.mean([sparseness(row) for row in ROWS if row.any()]),
    "dead": 1 / 5,
    "saturated_low": np.mean(PRE < 0),
    "saturated_high": 0.0,
    "slope_second_moment": np.mean(PRE > 0),
    "gradient_norm": np.sqrt(np.mean(np.sum(GRADIENT**2, (1, 2)))),
    "effective_rank": entropy(),
    "condition_number": np.inf,
    "cosine": cosines(),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", catalogue)
def test_measures_are_numpys(name):
    assert float(catalogue[name](SITE)) == pytest.approx(EXPECTED[name], rel=2e-4, abs=1e-6)
    assert summary(name).endswith(".")


def test_condition_number_of_outputs_with_a_known_spectrum():
    """Rows whose second-moment matrix has eigenvalues 1 to 25."""
    basis = np.linalg.qr(RNG.normal(size=(60, 4)))[0]
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    rows = basis * np.sqrt(60 * np.array([1.0, 4.0, 9.0, 25.0])) @ turn
    site = Site(*[jnp.asarray(rows[:, None], jnp.float32)] * 2, None, None)
    assert float(catalogue["condition_number"](site)) == pytest.approx(25, rel=1e-3)


def test_a_shift_of_the_outputs_worsens_the_condition():
    """LeCun et al. 1998, §4.3: a mean adds an eigenvalue along it."""
    rows = RNG.normal(size=(2000, 1, 8)).astype(np.float32)
    numbers = [
        float(catalogue["condition_number"](Site(*[jnp.asarray(rows + c)] * 2, None, None)))
        for c in (0.0, 1.0, 3.0)
    ]
    assert numbers[0] < 2
    assert numbers[1] == pytest.approx(1 + 8, rel=0.3)
    assert numbers[2] == pytest.approx(1 + 8 * 9, rel=0.3)


def test_what_needs_labels_or_a_slope_is_nan_without():
    site = Site(SITE.pre, SITE.post, None, None)
    for name in ("gradient_norm", "slope_second_moment", "saturated_low"):
        assert np.isnan(float(catalogue[name](site)))


def images(count=12):
    return jnp.asarray(SMALL.train.images[:count]), jnp.asarray(SMALL.train.labels[:count])


def test_capture_gives_a_perceptrons_arrays_and_gradients():
    """Back-propagation written out."""
    module = Perceptron(fa.get("tanh"))
    x, y = images()
    variables = from_linen(module).init(jax.random.key(0), x)
    captured = capture(module, variables, x, y)
    params = jax.tree.map(np.asarray, variables["params"])
    h0 = np.asarray(x, np.float32).reshape(len(x), -1) / 255
    z1 = h0 @ params["dense1"]["kernel"]
    z2 = np.tanh(z1) @ params["dense2"]["kernel"]
    logits = np.tanh(z2) @ params["logits"]["kernel"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    g2 = (p - np.eye(3)[np.asarray(y)]) @ params["logits"]["kernel"].T
    g1 = (g2 * (1 - np.tanh(z2) ** 2)) @ params["dense2"]["kernel"].T
    assert list(captured.sites) == ["act1", "act2"]
    for name, z, g in (("act1", z1, g1), ("act2", z2, g2)):
        site = captured.sites[name]
        np.testing.assert_allclose(site.pre[:, 0], z, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(site.post[:, 0], np.tanh(z), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(site.slope[:, 0], 1 - np.tanh(z) ** 2, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(site.gradient[:, 0], g, rtol=1e-3, atol=1e-6)

    def loss(params):
        out, _ = from_linen(module).apply(
            {"params": params}, x.astype(jnp.float32), train=False, key=jax.random.key(0)
        )
        return -jnp.mean(jax.nn.log_softmax(out)[jnp.arange(len(y)), y])

    chex.assert_trees_all_close(
        captured.gradients, jax.grad(loss)(variables["params"]), rtol=1e-4, atol=1e-7
    )


def test_capture_of_a_site_used_twice_and_of_one_that_is_coupled():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            act = Act("relu", name="act")
            soft = Act("softmax", name="soft")
            return soft(act(act(x) - 1.0))

    x = jnp.asarray(PRE[:, 0])
    y = jnp.asarray(RNG.integers(0, 5, 40))
    sites = capture(Twice(), {}, x, y).sites
    np.testing.assert_array_equal(
        sites["act"].pre, np.stack([x, np.maximum(x, 0) - np.float32(1)], 1)
    )
    assert sites["soft"].slope is None
    g = np.asarray(sites["act"].gradient)
    np.testing.assert_allclose(g[:, 0], g[:, 1] * (np.maximum(x, 0) > 1), rtol=1e-5, atol=1e-8)


def test_probe_is_mapped_over_members_and_names_are_checked():
    module = Convolutional(fa.get("relu"))
    x, y = images()
    each = [from_linen(module).init(jax.random.key(i), x) for i in range(2)]
    measure = make_probe(module, ["mean", "gradient_norm"])
    stacked = jax.vmap(measure, (0, None, None))(jax.tree.map(lambda *a: jnp.stack(a), *each), x, y)
    for i, variables in enumerate(each):
        alone = probe(module, variables, x, y, measures=["mean", "gradient_norm"])
        for name, value in alone["act1"].items():
            assert float(stacked["act1"][name][i]) == pytest.approx(value, rel=1e-4)
    with pytest.raises(fa.InputError, match="did you mean 'zeros'"):
        probe(module, each[0], x, measures=["zeroes"])


def test_probe_in_training_normalises_with_the_batch():
    module = Convolutional(fa.get("identity"))
    x, _ = images()
    variables = from_linen(module).init(jax.random.key(0), x)
    trained = probe(module, variables, x, measures=["pre_mean", "pre_variance"], train=True)
    assert trained["act1"]["pre_mean"] == pytest.approx(0, abs=1e-5)
    assert trained["act1"]["pre_variance"] == pytest.approx(1, rel=1e-2)
    tested = probe(module, variables, x, measures=["pre_variance"])
    assert tested["act1"]["pre_variance"] < 0.9


def test_a_recorder_writes_every_members_figures_and_goes_on_after_a_stop(tmp_path):
    module = Convolutional(fa.get("relu"))
    x, y = images()
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.01)
    net = from_linen(module)

    def record(folder):
        return Recorder(folder / "probes.jsonl", module, x, y, steps=2)

    for epoch in run(
        net, recipe, SMALL, [0, 1], folder=tmp_path / "a", watch=record(tmp_path / "a")
    ):
        last = epoch
    rows = read(tmp_path / "a" / "probes.jsonl")
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
    stopped = run(net, recipe, SMALL, [0, 1], folder=tmp_path / "b", watch=record(tmp_path / "b"))
    for epoch in stopped:
        if epoch.number == 2:
            break
    stopped.close()
    list(run(net, recipe, SMALL, [0, 1], folder=tmp_path / "b", watch=record(tmp_path / "b")))
    again = read(tmp_path / "b" / "probes.jsonl")
    assert [row["sites"] for row in again] == [row["sites"] for row in rows]
    assert last.number == 3
    everything = [v for row in rows for m in row["sites"]["act1"].values() for v in m]
    assert len(everything) == 5 * 9 * 2
    assert all(v is not None for v in everything)
    figure = pictures.layers_by_epoch(rows, "zeros", member=1)
    (shades,) = figure.axes[0].images
    np.testing.assert_allclose(
        shades.get_array()[0], [row["sites"]["act1"]["zeros"][1] for row in rows]
    )


def test_a_recorder_takes_functions_that_give_a_value_a_unit(tmp_path):
    module = Convolutional(fa.get("relu"))
    x, _ = images()

    def unit_means(site):
        return site.post.mean((0, 1))

    file = tmp_path / "probes.jsonl"
    record = Recorder(file, module, x, measures=[unit_means, "mean"])
    recipe = Recipe(epochs=1, batch_size=16)
    list(run(from_linen(module), recipe, SMALL, [0, 1], folder=tmp_path / "a", watch=record))
    for site in read(file)[-1]["sites"].values():
        assert np.shape(site["unit_means"])[0] == 2
        np.testing.assert_allclose(np.mean(site["unit_means"], 1), site["mean"], rtol=1e-5)


def test_pictures_hold_what_they_are_given():
    sites = {"a": {"zeros": 0.25}, "b": {"zeros": None}}
    (line,) = pictures.over_depth({"net": sites}, "zeros").axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), [0.25, np.nan])
    both = pictures.predicted_and_measured({"a": {"zeros": 0.5}}, {"a": {"zeros": 0.25}}, "zeros")
    theory, measured = both.axes[0].lines
    assert (theory.get_ydata()[0], measured.get_ydata()[0]) == (0.5, 0.25)
    widths = [0.5, 1.0, 1.3, 1.5]
    edge = pictures.phase_diagram("relu", widths, [0.1, 0.2])
    assert edge.axes[0].get_title().startswith("relu")
    shown = edge.axes[0].collections[0].get_array().filled(np.nan)
    wanted = [[np.log2(max(w**2 / 2, 1 / 8)) if w < 2**0.5 else np.nan for w in widths]] * 2
    np.testing.assert_allclose(shown, wanted, atol=1e-6)
    ridges = pictures.ridgelines({"a": PRE, "b": POST})
    assert [t.get_text() for t in ridges.axes[0].get_yticklabels()] == ["b", "a"]  # from below
    curves = [axes.lines[0].get_ydata() for axes in pictures.card("relu").axes]
    np.testing.assert_allclose(curves[0], np.maximum(np.linspace(-4, 4, 801), 0))
    assert curves[1][-1] == 1
    assert np.nanmax(np.abs(curves[2])) == 0


def test_flaxact_probe_writes_figures_and_a_page(tmp_path, capsys):
    command = [
        "probe",
        "--model",
        "mlp(depth=2, hidden=16)",
        "--activation",
        "relu,elu(alpha=0.5)",
        "--init",
        "he",
        "--norm",
        "none,batch",
        "--seeds",
        "2",
        "--images",
        "64",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    stored = json.loads((tmp_path / "probe.json").read_text())
    assert len(stored["cells"]) == 4
    variances = {
        (c["activation"], c["norm"]): c["sites"]["act2"]["pre_variance"] for c in stored["cells"]
    }
    assert variances["relu", "none"] < 0.5
    assert variances["relu", "batch"] == pytest.approx(1, rel=0.05)
    page = (tmp_path / "probe.html").read_text()
    assert page.count("<svg") == 4 + 4 + 4  # over depth, inputs, expected and measured
    assert set(stored["cells"][0]["expected"]) == {"act1", "act2"}
    assert "elu(alpha=0.5), init he, norm batch" in page
    assert "pre variance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--activation", "rleu"], "did you mean 'relu'"),
        (["--init", "hee"], "did you mean 'he'"),
        (["--norm", "bach"], "did you mean 'batch'"),
        (["--images", "1"], "at least 2 images"),
        (["--activation", ""], "nothing to probe"),
    ],
)
def test_what_probe_refuses(more, said, tmp_path, capsys):
    assert main(["probe", "--model", "mlp(depth=1, hidden=4)", "--out", str(tmp_path), *more]) == 2
    assert said in capsys.readouterr().err
    assert listed("relu, threshold(1, 2),elu") == ("relu", "threshold(1, 2)", "elu")
