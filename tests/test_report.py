"""The report says what the results hold, and needs nothing else."""

import csv
import html
import io
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import flaxact as fa
from flaxact import figures, studies
from flaxact.diagnostics import pictures
from flaxact.diagnostics.probe import DEFAULT
from flaxact.stored.schema import decode
from flaxact.studies import inner_plots, learned, plots, summary
from flaxact.studies._records import Results, read_results
from flaxact.studies.answer import answer
from flaxact.studies.report import write_report

EPOCHS = 4


SITES = ("act1", "act2")


def probe(epoch, rng, learns=False):
    slope = {"mean": 0.25 + 0.1 * epoch, "min": 0.25 - 0.01 * epoch, "max": 0.25 + 0.2 * epoch}
    learned = {"learned": {site: {"negative_slope": slope} for site in SITES}}
    return {
        "epoch": epoch,
        **(learned if learns else {}),
        "sites": {
            site: {
                **dict.fromkeys(DEFAULT, 0.25),
                "mean": rng.normal(),
                "variance": 2.0,
                "zeros": 0.5,
            }
            for site in SITES
        },
    }


def run(activation, rate, seed, level, diverged_at=None):
    rng = np.random.default_rng([seed, round(level * 1000)])
    epochs = []
    for epoch in range(1, (diverged_at or EPOCHS) + 1):
        error = level + (0.9 - level) / epoch + 0.01 * rng.uniform()
        loss = None if epoch == diverged_at else 2 * error
        errors = {
            "train_error": error,
            "train_loss": loss,
            "test_error": error + 0.02,
            "test_loss": loss,
        }
        epochs.append({"epoch": epoch, **errors, "seconds": 0.5 + 0.01 * rng.uniform()})
    return {
        "id": f"{activation}-{rate}-{seed}",
        "config": {"activation": activation, "learning_rate": rate, "seed": seed, "model": "x"},
        "epochs": epochs,
        "compile_seconds": 1.0,
        "runs_at_once": 3,
        "diverged_at": diverged_at,
        "probes": [probe(e, rng, activation == "prelu") for e in range(len(epochs) + 1)],
        "inputs": {site: sorted(rng.normal(size=33)) for site in SITES},
    }


def results(levels=None, seeds=(0, 1, 2), rates=(0.01, 0.1)):
    """Runs of activations by their error at each rate; None for a rate at which they diverge."""
    levels = levels or {"relu": (0.02, 0.3), "tanh": (0.25, 0.2), "elu": (0.05, None)}
    runs = [
        run(activation, rate, seed, level or 0.5, diverged_at=None if level else 2)
        for activation, by_rate in levels.items()
        for rate, level in zip(rates, by_rate, strict=True)
        for seed in seeds
    ]
    return {
        "format": 2,
        "study": {
            "activations": list(levels),
            "model": "cuda_convnet",
            "dataset": "mnist5k",
            "seeds": list(seeds),
            "learning_rates": list(rates),
            "target_error": 0.3,
            "image_size": None,
            "epochs": EPOCHS,
            "batch_size": 32,
            "momentum": 0.9,
            "schedule": "constant",
        },
        "environment": {
            "flaxact": "0",
            "jax": "1",
            "flax": "2",
            "python": "3",
            "device": "cpu",
            "date": "2026-01-01",
            "command": "flaxact compare <relu> & tanh",
        },
        "dataset": {
            "name": "mnist5k",
            "train_images": 4000,
            "test_images": 1000,
            "image_shape": [28, 28, 1],
            "num_classes": 10,
            "note": "real",
        },
        "model": {"name": "cuda_convnet", "parameters": 7522, "source": "x"},
        "activations": {},
        "runs": runs,
    }


def record(*arguments, **options):
    return decode(Results, json.loads(json.dumps(results(*arguments, **options))))


def written(folder, found):
    (folder / "results.json").write_text(json.dumps(found))
    write_report(folder)
    return folder


def test_each_activation_gets_its_own_best_rate():
    rows = {row.activation: row for row in summary.rows(record())}
    rates = {name: row.learning_rate for name, row in rows.items()}
    assert rates == {"relu": 0.01, "tanh": 0.1, "elu": 0.01}
    assert [rows[n].edge for n in ("relu", "tanh")] == ["lowest", "highest"]
    assert rows["elu"].diverged == 0
    last = [r.epochs[-1].test_error for r in rows["tanh"].runs]
    assert rows["tanh"].test_error.mean == pytest.approx(np.mean(last))
    assert len(rows["relu"].epochs_to) == 3
    assert rows["tanh"].epochs_to == () or min(rows["tanh"].epochs_to) > 3


def test_a_rate_at_which_all_diverge_is_named_as_such():
    study_results = record({"relu": (0.1, 0.2), "tanh": (None, None)})
    row = summary.rows(study_results)[1]
    assert row.diverged == 3
    assert row.test_error is None
    assert "Seeds diverged at every rate tried: tanh (3 of 3 seeds)" in " ".join(
        answer(study_results)
    )


def test_the_answer_is_hedged_by_the_intervals():
    apart = " ".join(answer(record({"relu": (0.02,), "tanh": (0.2,)}, rates=(0.1,))))
    assert "The lowest test error in the last epoch is relu's" in apart
    assert "do not tell apart" not in apart
    close = record({"relu": (0.021,), "tanh": (0.02,)}, rates=(0.1,))
    assert "do not tell apart" in " ".join(answer(close))
    alone = " ".join(answer(record(seeds=(0,))))
    assert "one seed says nothing of how sure that is" in alone


def test_speed_is_said_as_a_ratio():
    study_results = record({"relu": (0.02,), "elu": (0.06,)}, rates=(0.1,))
    fast, slow = (np.median(row.epochs_to) for row in summary.rows(study_results))
    sentence = answer(study_results)[0]
    assert f"relu came down to 30% training error first, after {fast:.1f} epochs" in sentence
    assert f"elu took {slow / fast:.1f} times as many" in sentence


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.loads = []
        self.tags = []
        self.words = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [
            v for k, v in attributes if k in ("src", "href", "xlink:href", "data", "action")
        ]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report of three activations, one of which learns."""
    levels = {"relu": (0.02, 0.3), "tanh": (0.25, 0.2), "prelu": (0.05, None)}
    return written(tmp_path_factory.mktemp("report"), results(levels))


def test_one_page_that_loads_nothing(report):
    text = (report / "report.html").read_text()
    page = Page(text)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.loads)
    assert not {"script", "link", "iframe", "img", "base"} & set(page.tags)
    assert not re.search(r"@import|url\((?!['\"]?#)", text)
    words = " ".join(page.words)
    for said in ("relu", "0.01 (lowest tried)", "95%", "7,522", "flaxact compare <relu> & tanh"):
        assert said in words
    inner = 3 * (len(inner_plots.INNER) + 1)  # an activation: heat maps and ridgelines
    assert page.tags.count("svg") == 6 + inner + 1  # and of what was learned
    pictures = re.findall("<svg.*?</svg>", text, re.S)
    assert not [
        p for p in pictures if re.search("#(ffffff|000000|333333)", p)
    ]  # so dark mode is dark


def test_a_report_made_twice_is_the_same(report):
    files = {path: path.read_bytes() for path in sorted(report.rglob("*.*"))}
    names = {path.name for path in files}
    assert {"report.html", "results.csv", "results.md", "training_error.svg", "layers.png"} <= names
    write_report(report)
    for path, content in files.items():
        assert path.read_bytes() == content, path


def test_what_was_learned_is_in_all_of_them(report):
    row = summary.rows(read_results(report / "results.json"))[2]
    actual = learned.learned(row)
    assert [(one.site, one.parameter) for one in actual] == [(s, "negative_slope") for s in SITES]
    assert actual[0].start == 0.25
    assert actual[0].end == pytest.approx(0.25 + 0.1 * EPOCHS)
    assert actual[0].lowest == pytest.approx(0.25 - 0.01 * EPOCHS)
    assert (
        "| act1 | negative_slope | 0.25 | 0.65 | 0.21 | 1.05 |"
        in (report / "results.md").read_text()
    )
    assert "What the activations learned" in (report / "report.html").read_text()
    last = list(csv.DictReader((report / "results.csv").read_text().splitlines()))[-6]
    assert float(last["act2.negative_slope.highest"]) == pytest.approx(0.25 + 0.2 * EPOCHS)
    assert learned.learned(summary.rows(record())[0]) == []


def test_names_are_escaped(tmp_path):
    name = "<script>alert(1)</script>"
    study_results = results({"relu": (0.02,), "tanh": (0.25,)}, rates=(0.1,), seeds=(0,))
    study_results = json.loads(json.dumps(study_results).replace("tanh", name))
    page = Page((written(tmp_path, study_results) / "report.html").read_text())
    assert "script" not in page.tags
    assert name in " ".join(page.words)


def test_csv_has_a_row_a_run(report):
    stored = json.loads((report / "results.json").read_text())
    rows = list(csv.DictReader((report / "results.csv").read_text().splitlines()))
    assert len(rows) == len(stored["runs"])
    for row, run_ in zip(rows, stored["runs"], strict=True):
        assert row["activation"] == run_["config"]["activation"]
        assert float(row["test_error"]) == run_["epochs"][-1]["test_error"]


def test_csv_has_a_row_an_epoch_as_the_data_frame(report):
    frame = studies.read_results(report).to_pandas()
    written_frame = pd.read_csv(report / "epochs.csv")
    pd.testing.assert_frame_equal(written_frame, frame, check_dtype=False)


def test_data_frames_are_tidy(report):
    study_results = studies.read_results(report)
    assert repr(study_results).startswith("Results(")
    assert len(repr(study_results)) < 100
    runs = study_results.runs
    frame = study_results.to_pandas()
    assert len(frame) == sum(len(run.epochs) + (run.untrained is not None) for run in runs)
    assert not frame.duplicated(["run", "epoch"]).any()
    last = frame[frame.run == runs[0].id].iloc[-1]
    assert last.test_error == runs[0].epochs[-1].test_error
    assert set(frame[frame.diverged].run) == {run.id for run in runs if run.diverged_at is not None}
    sites = study_results.to_pandas(sites=True)
    assert len(sites) == sum(len(probe.sites) for run in runs for probe in run.probes)
    assert not sites.duplicated(["run", "epoch", "site"]).any()


def test_a_notebook_shows_table_and_report(report):
    table = studies.table(studies.read_results(report))
    assert table.row_count == 3
    assert "text/html" in table._repr_mimebundle_([], [])
    frame = studies.show_report(report, height=300)._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert 'height="300"' in frame
    inside = html.unescape(frame.split('srcdoc="')[1].split('"')[0])
    assert inside == (report / "report.html").read_text("utf-8")


def test_markdown_has_the_tables(report):
    text = (report / "results.md").read_text()
    for activation in ("relu", "tanh", "prelu"):
        assert re.search(rf"^\| {activation} \|", text, re.M)
        assert f"## {activation}, layer by layer" in text
    assert "flaxact compare" in text


def one_epoch(found):
    for run_ in found["runs"]:
        del run_["epochs"][1:], run_["probes"][2:]


def no_number(found):
    """On axes that would be logarithmic, too."""
    for run_ in found["runs"]:
        run_["inputs"] = {site: [None, *values[1:]] for site, values in run_["inputs"].items()}
        sites = (measures for probe in run_["probes"] for measures in probe["sites"].values())
        for number, measures in enumerate(sites):
            measures |= {"variance": [None, 0.0, 1e9][number % 3], "gradient_norm": None}


THIN = {
    "one seed": ({"seeds": (0,)}, lambda found: None),
    "one rate": ({"levels": {"relu": (0.1,)}, "rates": (0.1,)}, lambda found: None),
    "one epoch": ({}, one_epoch),
    "missing": ({}, lambda found: found["runs"].__delitem__(slice(1, None))),
    "none": ({}, lambda found: found["runs"].clear()),
    "all diverged": ({"levels": {"relu": (None,)}, "rates": (0.1,)}, lambda found: None),
    "no number": ({}, no_number),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", THIN)
def test_thin_results_still_give_a_report(tmp_path, case):
    options, change = THIN[case]
    study_results = results(**{"levels": {"relu": (0.02, 0.3)}, **options})
    change(study_results)
    text = " ".join(Page((written(tmp_path, study_results) / "report.html").read_text()).words)
    assert ("not run yet" in text) == (case in ("missing", "none"))
    assert ("(one seed)" in text) == (case in ("one seed", "missing"))


def test_plots_show_the_chosen_rates_only():
    axes = plots.training_error(record()).axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["relu, rate 0.01", "tanh, rate 0.1", "elu, rate 0.01"]
    single = plots.all_plots(record({"relu": (0.1,)}, rates=(0.1,)))
    assert "learning_rates" not in single


@pytest.mark.parametrize("count", [2, 9, 40, 64])
def test_many_curves_are_told_apart_and_leave_the_axes_their_size(count):
    names = [f"activation_{i}" for i in range(count)]
    levels = {name: (0.02 + 0.01 * i,) for i, name in enumerate(names)}
    study_results = record(levels, seeds=(0, 1), rates=(0.1,))
    figure = plots.training_error(study_results)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (legend,) = figure.legends
    curves = [line for line in axes.lines if line.get_label().startswith("activation")]
    assert len({(c.get_color(), c.get_marker()) for c in curves}) == count
    assert len({(c.get_color(), c.get_linestyle(), c.get_marker()) for c in curves[:32]}) == len(
        curves[:32]
    )
    box = axes.get_window_extent()
    assert box.height / figure.dpi > 0.75 * plots.HEIGHT
    assert box.width / figure.dpi > 0.75 * plots.WIDTH
    assert not box.overlaps(legend.get_window_extent())
    assert figure.bbox.contains(*legend.get_window_extent().min)
    assert figure.bbox.contains(*legend.get_window_extent().max)


@pytest.mark.parametrize("count", [3, 19, 60])
def test_names_of_sites_do_not_lie_on_each_other(count):
    sites = [f"stage{i // 6}/block{i % 6}/act" for i in range(count)]
    curves = {"net": {site: {"gradient_norm": 10.0**-i} for i, site in enumerate(sites)}}
    figure = pictures.over_depth(curves, "gradient_norm")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_ylabel() == "length of the gradient"
    assert axes.get_yscale() == "log"
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(boxes) >= min(count, 10)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_a_heat_map_of_measures_that_span_orders_of_magnitude_has_a_log_scale():
    def scale(values):
        rows = [{"epoch": e, "sites": {"act1": {"variance": [v]}}} for e, v in enumerate(values)]
        return type(pictures.layers_by_epoch(rows, "variance").axes[0].images[0].norm).__name__

    assert scale([1e-6, 1.0, None]) == "LogNorm"
    assert scale([0.5, 1.0]) == scale([-1e-6, 1.0]) == scale([None, None]) == "Normalize"


def test_errors_end_at_0_and_100_percent_and_begin_before_training():
    study_results = results({"relu": (0.99, 0.99), "tanh": (0.001, 0.6)}, seeds=(0, 1))
    for run_ in study_results["runs"]:
        run_["untrained"] = {"test_error": 0.9, "test_loss": 2.3}
        for epoch in run_["epochs"]:
            spread = 0.3 * run_["config"]["seed"]
            for name in ("train_error", "test_error"):
                epoch[name] = min(1.0, abs(epoch[name] - spread))
    study_results = decode(Results, json.loads(json.dumps(study_results)))
    for row in summary.rows(study_results):
        for interval in (row.train_error, row.test_error):
            assert 0 <= interval.low < interval.high <= 1
    for plot in (plots.training_error, plots.test_error, plots.learning_rates):
        low, high = plot(study_results).axes[0].get_ylim()
        assert 0 <= low < high <= 1
    low, high = plots.final_test_error(study_results).axes[0].get_xlim()
    assert 0 <= low < high <= 1
    line = plots.test_error(study_results).axes[0].lines[0]
    assert list(line.get_xdata()) == list(range(EPOCHS + 1))
    assert line.get_ydata()[0] == 0.9
    assert plots.training_error(study_results).axes[0].get_xlim()[0] < 0


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"format": 1}', '{"format": 2}', '{"format": 2, "study": {}}']
)
def test_a_file_that_is_not_ours(tmp_path, content):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(fa.InputError) as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_figure_is_a_picture():
    image = figures.rendered(plots.layers(record()), "png")
    assert io.BytesIO(image).read(4) == b"\x89PNG"
