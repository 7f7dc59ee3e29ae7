"""Random texts for what users type: specs, models, conditions, recipes, command lines.

How many inputs the slow tests try: FLAXACT_FUZZ, or 2,000. All of a release's:

    FLAXACT_FUZZ=20000 python -m pytest -m slow -k fuzz tests/test_fuzz.py tests/test_stored.py
"""

import dataclasses
import json
import os

from flaxact import models
from flaxact.activations._describe import is_bare_transform
from flaxact.activations._spec import catalogue
from flaxact.facts.filter import NUMBERS, YES_OR_NO
from flaxact.training import Recipe

INPUTS = int(os.environ.get("FLAXACT_FUZZ", "2000"))
LETTERS = "()[]{},=:-+_*eEjx0159 \t\n\"'#\\%&|<>!@;aλ٣𝟏é\u00a0\u202e\x1b\ud800"
NUMBERS_AS_TEXT = (
    "0", "1", "-1", "2", "0.5", "-0.0", "1e400", "-1e400", "1e-320", "nan", "inf", "-inf", "1_0", "0x10",
    "1j", "--1", "9" * 400, "9" * 5000, "1.", ".5", "1e", "+3", "١", "1 2", "1.5.2", "2**70",
)  # fmt: skip
WORDS = (
    "None", "True", "False", "'a'", "[]", "[0.1, 0.2]", "(1, 2)", "{}", "...", "lambda: 0", "", " ",
    "__import__('os')", "relu", "elu(0.5)", "centered(relu)", "no_such", "x" * 300, "(" * 3000, "é",
)  # fmt: skip
RIGHT = {
    "epochs": "2", "learning_rate": "1", "schedule": '"cosine"', "optimizer": '"adam"', "beta2": "0.99",
    "augment": '["flip", "crop(padding=4)"]', "views": '"ten(24)"', "preprocess": '["gcn"]',
    "milestones": "[1, 2.5]", "gradient_clip": "1.0", "target_error": "0.1", "max_seconds": "60",
}  # fmt: skip
DATA = ("mnist5k", "cifar10", "mnist", "no_such", "", "../x", "a/b")
STEM = ("compare", "train", "probe", "list", "describe", "cite", "models", "reproduce", "report")


def damaged(text, rng, letters=LETTERS):
    """A text with some letters changed, at most three times; most often as it is or nearly."""
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + rng.choice(letters) + text[at:]
        elif kind == 2:
            text = text[:end] + text[at:end] + text[end:]
        elif kind == 3:
            text = text[:at] + text[end:]
        else:
            text = text[:at].upper() + text[at:]
    return text


def value(rng, depth=0):
    """A value as it stands in a spec: a number most often, or an activation, or what is neither."""
    kind = rng.random()
    if kind < 0.3:
        return f"{rng.uniform(-2, 2):.3g}"
    if kind < 0.65:
        return rng.choice(NUMBERS_AS_TEXT)
    if kind < 0.85 and depth < 3:
        return activation(rng, depth + 1)
    return rng.choice(WORDS)


def activation(rng, depth=0):
    """A spec text of an activation or a transform, right or wrong."""
    name = rng.choice(sorted(catalogue))
    known = [*catalogue[name].hyperparameters, "input", "output", "no_such"]
    inner = []
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        one = value(rng, depth)
        inner.append(f"{rng.choice(known)}={one}" if rng.random() < 0.5 else one)
    if is_bare_transform(name):
        inner.insert(0, rng.choice(("relu", "tanh", "gelu")))
    text = f"{name}({', '.join(inner)})" if inner else name
    return text if depth else damaged(text, rng)


def model(rng):
    """A spec text of a model."""
    name = rng.choice(models.list_models())
    known = models._catalogue.entry(name).arguments()
    options = [
        f"{key}={known[key].default if rng.random() < 0.6 else value(rng, 3)}"
        for key in rng.sample(sorted(known), min(len(known), rng.choice((0, 1, 1, 2))))
    ]
    return damaged(f"{name}({', '.join(options)})" if options else name, rng)


def condition(rng, depth=0):
    """A condition on facts."""
    facts, numbers = [*YES_OR_NO, "no_such"], [*NUMBERS, "inf", "1", "0.5", "1e400", "9" * 5000]
    kind = rng.randrange(6)
    if kind == 0 and depth < 4:
        text = f"({condition(rng, depth + 1)}) {rng.choice(('and', 'or', 'xor', ','))} "
        text += condition(rng, depth + 1)
    elif kind == 1 and depth < 4:
        text = f"not {condition(rng, depth + 1)}"
    elif kind < 4:
        sign = rng.choice(("<", "<=", "==", "!=", ">", ">=", "<>", "is", "+", "in"))
        text = f"{rng.choice(numbers)} {sign} {rng.choice(numbers)}"
    else:
        text = rng.choice((*facts, *WORDS))
    return text if depth else damaged(text, rng)


def recipe(rng):
    """A recipe's file: some fields, in TOML or nearly."""
    lines = []
    for field in rng.sample(dataclasses.fields(Recipe), rng.randrange(5)):
        right = RIGHT.get(field.name, json.dumps(field.default))
        wrong = rng.choice(
            (
                *NUMBERS_AS_TEXT,
                *WORDS,
                "[1, 2",
                '{"a" = 1}',
                "1979-05-27",
                "0x" + "f" * 5000,
                "[0x" + "f" * 5000 + "]",
                "[" * 5000,
            )
        )
        lines.append(f"{field.name} = {right if rng.random() < 0.75 else wrong}")
    return damaged("\n".join(lines), rng)


# By option: what makes its value; None for one that has none.
OPTIONS = {
    "--model": model, "--dataset": lambda rng: rng.choice(DATA),
    "--activation": activation, "--where": condition,
    "--option": lambda rng: rng.choice(recipe(rng).splitlines() or [""]),
    "--recipe": lambda rng: rng.choice(("recipe.toml", "no_such.toml", "folder", "")),
    "--sweep": lambda rng: f"{rng.choice(('negative_slope', 'alpha', 'x'))}={value(rng)},{value(rng)}",
    "--tune": lambda rng: rng.choice(
        (f"learning_rate={value(rng)}..{value(rng)}", "momentum=0.5..0.9", "alpha=0..1", "momentum", "")
    ),
    "--init": lambda rng: rng.choice(("paper", "he", "lsuv", "paper,he", "no_such", "")),
    "--norm": lambda rng: rng.choice(("paper", "none", "batch", "layer,group", "no_such", "")),
    "--schedule": lambda rng: rng.choice(("cosine", "constant", "no_such")),
    "--split": lambda rng: rng.choice(("members", "batch", "no_such")),
    "--scale": lambda rng: rng.choice(("smoke", "reduced", "full", "no_such")),
    "--out": lambda rng: rng.choice(("out", "file", "folder/out", "x" * 300, "é λ")),
    "--family": lambda rng: rng.choice(("vgg", "no_such", "")),
    "--act": activation,
    **dict.fromkeys(
        ("--epochs", "--batch-size", "--seeds", "--learning-rate", "--momentum", "--target-error",
         "--image-size", "--images", "--chunk", "--trials", "--save-seconds", "--workers", "--minutes"),
        lambda rng: rng.choice(("1", "2", "0", "-1", "0.5", *NUMBERS_AS_TEXT)),
    ),
    **dict.fromkeys(
        ("--full", "--stored", "--keep-params", "--profile", "--stream", "--no-such", "--help", "-h"),
        lambda rng: None,
    ),
}  # fmt: skip


def arguments(rng):
    """A command line; no character that no command line can hold, and no path that leads elsewhere."""
    words = [rng.choice(STEM)]
    if words[0] in ("compare", "train", "describe", "cite"):
        words += [activation(rng) for _ in range(1 + (words[0] == "compare"))]
    elif words[0] in ("reproduce", "report", "models") and rng.random() < 0.7:
        words += [
            rng.choice(("clevert2015", "summary", "vgg*", "describe", "folder", "file", "no_such"))
        ]
    for _ in range(rng.randrange(4)):
        option = rng.choice(sorted(OPTIONS))
        values = OPTIONS[option](rng)
        words += [option] if values is None else [option, values]
    if rng.random() < 0.3:
        at = rng.randrange(len(words))
        words[at] = damaged(words[at], rng)
    if rng.random() < 0.1:
        del words[rng.randrange(len(words))]
    return [word.replace("\0", "").replace("\ud800", "") for word in words]
