"""The report says what the results hold, and needs nothing else."""

import copy
import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import flaxact as fa
from flaxact import _figures
from flaxact.diagnostics.probe import DEFAULT
from flaxact.studies import plots, summary
from flaxact.studies.report import write_report

EPOCHS = 4


SITES = ("act1", "act2")


def probe(epoch, rng):
    return {
        "epoch": epoch,
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
        "epochs": epochs, "compile_seconds": 1.0, "runs_at_once": 3, "diverged_at": diverged_at,
        "probes": [probe(epoch, rng) for epoch in range(len(epochs) + 1)],
        "inputs": {site: sorted(rng.normal(size=33)) for site in SITES},
    }  # fmt: skip


def results(levels=None, seeds=(0, 1, 2), rates=(0.01, 0.1)):
    """Runs of activations by their error at each rate; None for a rate at which they diverge."""
    levels = levels or {"relu": (0.02, 0.3), "tanh": (0.25, 0.2), "elu": (0.05, None)}
    runs = [
        run(activation, rate, seed, level or 0.5, None if level else 2)
        for activation, by_rate in levels.items()
        for rate, level in zip(rates, by_rate, strict=True)
        for seed in seeds
    ]
    return {
        "format": 2,
        "study": {
            "activations": list(levels), "model": "cuda_convnet", "dataset": "mnist5k",
            "seeds": list(seeds), "learning_rates": list(rates), "target_error": 0.3,
            "image_size": None, "epochs": EPOCHS, "batch_size": 32, "momentum": 0.9,
            "schedule": "constant",
        },
        "environment": {
            "flaxact": "0", "jax": "1", "flax": "2", "python": "3", "device": "cpu",
            "date": "2026-01-01", "command": "flaxact compare <relu> & tanh",
        },
        "dataset": {
            "name": "mnist5k", "train_images": 4000, "test_images": 1000,
            "image_shape": [28, 28, 1], "num_classes": 10, "note": "real",
        },
        "model": {"name": "cuda_convnet", "parameters": 7522, "source": "x"},
        "activations": {},
        "runs": runs,
    }  # fmt: skip


def written(folder, found):
    (folder / "results.json").write_text(json.dumps(found))
    write_report(folder)
    return folder


def test_each_activation_gets_its_own_best_rate():
    rows = {row.activation: row for row in summary.rows(results())}
    rates = {name: row.learning_rate for name, row in rows.items()}
    assert rates == {"relu": 0.01, "tanh": 0.1, "elu": 0.01}
    assert [rows[n].edge for n in ("relu", "tanh")] == ["lowest", "highest"]
    assert rows["elu"].diverged == 0
    last = [r["epochs"][-1]["test_error"] for r in rows["tanh"].runs]
    assert rows["tanh"].test_error.mean == pytest.approx(np.mean(last))
    assert len(rows["relu"].epochs_to) == 3
    assert rows["tanh"].epochs_to == () or min(rows["tanh"].epochs_to) > 3


def test_a_rate_at_which_all_diverge_is_named_as_such():
    found = results({"relu": (0.1, 0.2), "tanh": (None, None)})
    row = summary.rows(found)[1]
    assert row.diverged == 3
    assert row.test_error is None
    assert "Seeds diverged at every rate tried: tanh (3 of 3 seeds)" in " ".join(
        summary.answer(found)
    )


def test_the_answer_is_hedged_by_the_intervals():
    apart = " ".join(summary.answer(results({"relu": (0.02,), "tanh": (0.2,)}, rates=(0.1,))))
    assert "The lowest test error in the last epoch is relu's" in apart
    assert "do not tell apart" not in apart
    close = results({"relu": (0.0202,), "tanh": (0.02,)}, rates=(0.1,))
    assert "do not tell apart" in " ".join(summary.answer(close))
    alone = " ".join(summary.answer(results(seeds=(0,))))
    assert "one seed says nothing of how sure that is" in alone


def test_speed_is_said_as_a_ratio():
    found = results({"relu": (0.02,), "elu": (0.06,)}, rates=(0.1,))
    fast, slow = (np.median(row.epochs_to) for row in summary.rows(found))
    sentence = summary.answer(found)[0]
    assert f"relu came down to 30% training error first, after {fast:.1f} epochs" in sentence
    assert f"elu took {slow / fast:.1f} times as many" in sentence


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [
            v for k, v in attributes if k in ("src", "href", "xlink:href", "data", "action")
        ]

    def handle_data(self, data):
        self.words.append(data)


def test_one_page_that_loads_nothing(tmp_path):
    text = (written(tmp_path, results()) / "report.html").read_text()
    page = Page(text)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.loads)
    assert not {"script", "link", "iframe", "img", "base"} & set(page.tags)
    assert not re.search(r"@import|url\((?!['\"]?#)", text)
    words = " ".join(page.words)
    for said in ("relu", "0.01 (lowest tried)", "95%", "7,522", "flaxact compare <relu> & tanh"):
        assert said in words
    inner = 3 * (len(plots.INNER) + 1)  # an activation: heat maps and ridgelines
    assert page.tags.count("svg") == 5 + inner


def test_a_report_made_twice_is_the_same(tmp_path):
    files = {}
    for _ in range(2):
        written(tmp_path, results())
        for path in sorted(tmp_path.rglob("*.*")):
            content = path.read_bytes()
            assert files.setdefault(path, content) == content, path
    names = {path.name for path in files}
    assert {"report.html", "results.csv", "results.md", "training_error.svg", "layers.png"} <= names


def test_names_are_escaped(tmp_path):
    name = "<script>alert(1)</script>"
    found = json.loads(json.dumps(results()).replace("tanh", name))
    page = Page((written(tmp_path, found) / "report.html").read_text())
    assert "script" not in page.tags
    assert name in " ".join(page.words)


def test_csv_has_a_row_a_run(tmp_path):
    found = results()
    rows = list(csv.DictReader((written(tmp_path, found) / "results.csv").read_text().splitlines()))
    assert len(rows) == len(found["runs"])
    for row, run_ in zip(rows, found["runs"], strict=True):
        assert row["activation"] == run_["config"]["activation"]
        assert float(row["test_error"]) == run_["epochs"][-1]["test_error"]


def test_markdown_has_the_tables(tmp_path):
    text = (written(tmp_path, results()) / "results.md").read_text()
    for activation in ("relu", "tanh", "elu"):
        assert re.search(rf"^\| {activation} \|", text, re.M)
        assert f"## {activation}, layer by layer" in text
    assert "flaxact compare" in text


@pytest.mark.parametrize(
    "case", ["one seed", "one activation", "one epoch", "missing", "none", "all diverged"]
)
def test_thin_results_still_give_a_report(tmp_path, case):
    found = results()
    if case == "one seed":
        found = results(seeds=(0,))
    if case == "one activation":
        found = results({"relu": (0.1,)}, rates=(0.1,))
    if case == "one epoch":
        for run_ in found["runs"]:
            del run_["epochs"][1:]
    if case == "missing":
        found["runs"] = found["runs"][:7]
    if case == "none":
        found["runs"] = []
    if case == "all diverged":
        found = results({"relu": (None,)}, rates=(0.1,))
    text = " ".join(Page((written(tmp_path, found) / "report.html").read_text()).words)
    assert ("not run yet" in text) == (case in ("missing", "none"))
    assert ("(one seed)" in text) == (case in ("one seed", "missing"))


def test_plots_show_the_chosen_rates_only():
    axes = plots.training_error(results()).axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["relu, rate 0.01", "tanh, rate 0.1", "elu, rate 0.01"]
    single = plots.all_plots(results({"relu": (0.1,)}, rates=(0.1,)))
    assert "learning_rates" not in single


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


def test_results_are_not_changed_by_reading_them():
    found = results()
    before = copy.deepcopy(found)
    summary.answer(found)
    _figures.rendered(plots.layers(found), "svg")
    assert found == before
    assert io.BytesIO(_figures.rendered(plots.layers(found), "png")).read(4) == b"\x89PNG"
