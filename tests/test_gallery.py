"""The gallery: graphs that show the function, and the committed page, on which every activation is."""

import html
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import flaxact as fa
from flaxact import facts, gallery
from flaxact.activations._describe import known
from flaxact.activations._spec import catalogue
from flaxact.gallery import svg
from flaxact.gallery.card import formula_as_svg
from flaxact.quadrature import evaluate

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
OLD = "the gallery is of another catalogue: run `flaxact gallery docs/gallery`"
SVG = "{http://www.w3.org/2000/svg}"
SOME = ("glu", "hard_shrink", "relu", "silu", "step", "tanh")


def axis(root, which, coordinate):
    """Pixels to numbers, by the labels at the ticks."""
    ticks = root.findall(f".//{SVG}g[@class='{which}']/{SVG}text")
    pixels = [float(t.get(coordinate)) for t in ticks]
    values = [float(t.text.replace("−", "-")) for t in ticks]
    slope, offset = np.polyfit(pixels, values, 1)
    return (lambda p: slope * p + offset), abs(slope)


def lines(root, curve):
    """What is drawn of f, f′ or f″: for each line its points in pixels, an array (n, 2)."""
    for line in root.findall(f".//{SVG}g[@class='{curve}']/{SVG}polyline"):
        yield np.array([point.split(",") for point in line.get("points").split()], float)


def drawn(text, curve):
    """For each line its points as numbers, and how many units a pixel is."""
    root = ET.fromstring(text)
    (across, _) = axis(root, "x", "x")
    (down, unit) = axis(root, "y", "y")
    actual = [np.stack([across(p[:, 0]), down(p[:, 1])], -1) for p in lines(root, curve)]
    return actual, unit


def sigmoid_slopes(x):
    s = special.expit(x)
    return s * (1 - s), s * (1 - s) * (1 - 2 * s)


REFERENCES = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, lambda x: 0 * x),
    "tanh": (
        np.tanh,
        lambda x: 1 / np.cosh(x) ** 2,
        lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2,
    ),
    "silu": (
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) + x * sigmoid_slopes(x)[0],
        lambda x: 2 * sigmoid_slopes(x)[0] + x * sigmoid_slopes(x)[1],
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("order", "curve"), [(0, "f"), (1, "f′"), (2, "f″")])
def test_what_is_drawn_is_the_function(name, order, curve):
    curve_points, unit = drawn(gallery.graph(name), curve)
    for points in curve_points:
        x = np.linspace(points[0, 0] + 1e-3, points[-1, 0] - 1e-3, 999)
        y = np.interp(x, *points.T)  # on the straight lines between the points, too
        slope = np.abs(REFERENCES[name][1](x)) if order == 0 else 1  # a pixel across counts as well
        np.testing.assert_array_less(np.abs(y - REFERENCES[name][order](x)), unit * (1 + slope))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "curve", "ends"),
    [
        ("relu", "f", []),
        ("relu", "f′", [0]),
        ("elu", "f′", []),
        ("elu", "f″", [0]),
        ("tanh", "f″", []),
        ("hard_shrink", "f", [-0.5, 0.5]),
        ("leaky_relu(negative_slope=-1)", "f′", [0]),
        ("centered(relu)", "f", []),
    ],
)
def test_lines_break_where_the_value_jumps_and_only_there(name, curve, ends):
    points, _ = drawn(gallery.graph(name), curve)
    joints = [(a[-1, 0], b[0, 0]) for a, b in itertools.pairwise(points)]
    np.testing.assert_allclose(np.reshape(joints, (-1, 2)), np.array([ends, ends]).T, atol=2e-3)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_graphs_are_small_whole_and_break_where_the_facts_say(name):
    path = FOLDER / f"{name}.svg"
    assert path.exists(), OLD
    text = path.read_text("utf-8")
    root = ET.fromstring(text)
    assert root.find(f"{SVG}title").text == name
    assert root.get("role") == "img"
    assert name in root.get("aria-label")
    assert path.stat().st_size < 6000
    _, _, width, height = map(float, root.get("viewBox").split())
    for curve in ("f", "f′", "f″"):
        for points in lines(root, curve):
            assert np.all((points >= 0) & (points <= (width, height)))
            assert np.all(np.diff(points[:, 0]) >= 0)
    activation = fa.get(name)
    kinks = () if activation.spec.surrogate else activation.kinks  # the slope of another is drawn
    for curve, places in (("f", activation.jumps), ("f′", kinks)):
        starts = [points[0, 0] for points in drawn(text, curve)[0]]
        assert starts
        for place in places:
            assert min(abs(start - place) for start in starts) < 2e-3


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_graphs_are_of_todays_functions(name):
    """Points of the committed curve of f lie on the function."""
    path = FOLDER / f"{name}.svg"
    assert path.exists(), OLD
    points, unit = drawn(path.read_text("utf-8"), "f")
    x, y = np.concatenate(points).T
    slope = min(facts.lipschitz(fa.get(name)), 100)
    near = [evaluate(fa.get(name), x + d) for d in (-0.02, 0, 0.02)]  # a pixel to either side
    assert np.all(y > np.min(near, 0) - unit * 0.1 * (1 + slope)), OLD
    assert np.all(y < np.max(near, 0) + unit * 0.1 * (1 + slope)), OLD


def test_a_bound_is_on_the_graph():
    points = np.concatenate(drawn((FOLDER / "relu6.svg").read_text("utf-8"), "f")[0])
    assert points[:, 1].max() == pytest.approx(6, abs=0.02)
    assert points[:, 0].max() > 6.5


def test_every_activation_is_on_the_page_with_its_graph():
    page = (FOLDER / "README.md").read_text("utf-8")
    sections = dict(re.findall(r"^### (\w+).*?\n(.*?)(?=^##|\Z)", page, re.M | re.S))
    assert sorted(sections) == list(fa.names()), OLD
    contents = page.split("\n## ")[0]
    for name, section in sections.items():
        spec = fa.get(name).spec
        assert f"[{name}](#{name})" in contents
        assert all(re.search(rf"^### {name} .*\b{alias}\b", page, re.M) for alias in spec.aliases)
        assert (f'src="{name}.svg"' in section) is (not spec.coupled)
        assert (FOLDER / f"{name}.svg").exists() is (not spec.coupled)
        assert "```math\n" in section
        for fact, value in known(name).items():
            shown = html.unescape(section)
            assert fact in ("formula", "also called") or (fact in shown and value in shown), OLD
        assert ("<td>Lipschitz constant</td>" in section) is (not spec.coupled)
    assert page.count("```") == 2 * len(sections)
    assert ":math:" not in page
    assert "operatorname" not in page  # which GitHub does not know
    anchors = re.findall(r'<a id="(.*?)"></a>', page) + re.findall(r"^### (\w+)$", page, re.M)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#(.*?)\)", page)) == set(anchors)


def test_the_gallery_is_small_and_holds_nothing_else():
    graphs = {f"{name}.svg" for name in fa.names("pointwise")}
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", *graphs}, OLD
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 700_000


def test_twice_the_same_bytes_and_only_its_own_files_go(tmp_path):
    def contents():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    gallery.write(tmp_path, SOME)
    before = contents()
    assert set(before) == {"README.md", *(f"{n}.svg" for n in SOME if n != "glu")}
    (tmp_path / "gone.svg").write_bytes(before["relu.svg"])
    foreign = {"mine.svg": b"<svg/>", "notes.md": b"mine"}
    for name, data in foreign.items():
        (tmp_path / name).write_bytes(data)
    gallery.write(tmp_path, SOME)
    assert contents() == before | foreign


def test_what_oscillates_is_looked_at_from_near():
    assert svg.window(fa.get("sine")) == {"low": -5, "high": 5}
    assert svg.window(fa.get("sine(frequency=30)"))["high"] < 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("file", "cannot write to the folder"),
        ("file/inside", "cannot write to the folder"),
        ("/proc/flaxact", "cannot write to the folder"),
        ("taken", "is not part of the gallery"),
        ("dir_as_page", "is not part of the gallery"),
    ],
)
def test_a_folder_that_cannot_be_written(bad, said, tmp_path):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "README.md").write_text("My own page.")
    (tmp_path / "dir_as_page" / "README.md").mkdir(parents=True)
    with pytest.raises(fa.InputError, match=said):
        gallery.write(tmp_path / bad, ["relu"])
    assert (tmp_path / "taken" / "README.md").read_text() == "My own page."
    assert not list(tmp_path.rglob("*.svg"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gallery.graph("rleu"), "did you mean 'relu'"),
        (lambda: gallery.graph("glu"), "no graph"),
        (lambda: gallery.graph("relu", low=1, high=1), "low < high"),
        (lambda: gallery.graph("relu", low=0, high=np.inf), "low < high"),
        (lambda: gallery.write("/nowhere", ["rleu"]), "did you mean 'relu'"),
    ],
)
def test_what_it_cannot_take(call, said):
    with pytest.raises(fa.InputError, match=said):
        call()


def test_every_formula_is_drawn():
    specs = {spec.name: spec for spec in catalogue.values()}
    undrawn = [n for n, s in specs.items() if not formula_as_svg(s.formula).startswith("<svg")]
    assert undrawn == []


@pytest.mark.parametrize("name", ["elu(alpha=0.5)", "softmax"])
def test_a_notebook_shows_graph_formula_and_facts(name):
    activation = fa.get(name)
    text = activation._repr_html_()
    root = ET.fromstring(text)
    formula, *graph = root.iter(f"{SVG}svg")
    assert formula.find(f"{SVG}title").text == activation.spec.formula
    assert len(graph) == (not activation.spec.coupled)
    cells = [cell.text for cell in root.iter("td")]
    told = dict(zip(cells[::2], cells[1::2], strict=True))
    facts_ = known(activation) | facts.computed(activation)
    assert told == {k: v for k, v in facts_.items() if k != "formula"}


def test_importing_flaxact_does_not_import_what_only_a_notebook_needs():
    script = "import sys, flaxact; flaxact.get('relu'); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert not {b"jax", b"matplotlib", b"flaxact.gallery", b"IPython"} & {*modules.split()}
