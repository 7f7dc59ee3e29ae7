"""A recipe is checked, named and written down without jax."""

import dataclasses
import math
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flaxact as fa
from flaxact.studies.study import Study, identity
from flaxact.training.recipe import OPTIMIZERS, PRECISIONS, SCHEDULES, Recipe

FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}


def above_0(most=1e300):
    return st.floats(0, most, exclude_min=True)


SHARE = st.floats(0, 1, exclude_max=True)
AUGMENT = st.sampled_from(["flip", "flip(0.25)", "crop(padding=4, reflect=True)", "rotate(5)"])
PREPROCESS = st.sampled_from(["standardize", "rescale(mean=120)", "gcn(scale=55)", "zca(0.1)"])
VIEWS = st.sampled_from(["mirror", "ten(24)", "centre(size=24)"])
VALID = {
    "epochs": st.integers(1, 10**9),
    "batch_size": st.integers(1, 10**9),
    "learning_rate": above_0(),
    "momentum": SHARE,
    "weight_decay": st.floats(0, 1e300),
    "schedule": st.sampled_from(SCHEDULES),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "milestones": st.sets(above_0(), max_size=4).map(lambda found: tuple(sorted(found))),
    "decay_factor": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "patience": st.integers(1, 10**9),
    "warmup_epochs": st.floats(0, 1e300),
    "label_smoothing": SHARE,
    "gradient_clip": st.none() | above_0(),
    "precision": st.sampled_from(PRECISIONS),
    "activation_l1": st.floats(0, 1e300),
    "augment": st.lists(AUGMENT, max_size=3).map(tuple),
    "preprocess": st.lists(PREPROCESS, max_size=3).map(tuple),
    "views": st.just("") | VIEWS,
    "beta2": st.none() | SHARE,
    "target_error": st.none() | SHARE,
    "max_seconds": st.none() | above_0(),
}
RECIPES = st.builds(Recipe, **VALID)


@given(RECIPES)
def test_what_is_written_is_what_is_read(recipe):
    text = recipe.to_toml()
    assert Recipe.from_toml(text) == recipe
    # One line a field, as any reader of TOML sees it; None is left out.
    values = {k: v for k, v in dataclasses.asdict(recipe).items() if v is not None}
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    assert tomllib.loads(text) == listed
    assert text.count("\n") == len(values)


def test_every_field_is_written_and_read():
    assert VALID.keys() == FIELDS.keys()


@given(RECIPES, st.sets(st.sampled_from(sorted(FIELDS))))
def test_the_rest_of_a_partial_text_is_as_by_default(recipe, kept):
    lines = [line for line in recipe.to_toml().splitlines() if line.split(" = ")[0] in kept]
    read = Recipe.from_toml("\n".join(lines))
    assert read == Recipe(**{name: getattr(recipe, name) for name in kept})


def test_a_text_written_by_hand():
    text = """
    # Krizhevsky's, with comments and a whole number where another is meant.
    optimizer = "cuda_convnet"
    learning_rate = 1
    milestones = [ 120, 130.5 ]
    augment = ["crop( padding=4 )", "flip"]
    """
    expected = Recipe(
        optimizer="cuda_convnet",
        learning_rate=1.0,
        milestones=(120.0, 130.5),
        augment=("crop(padding=4)", "flip"),
    )
    assert Recipe.from_toml(text) == expected
    assert isinstance(Recipe.from_toml(text).learning_rate, float)
    assert Recipe.from_toml("") == Recipe()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = ", "cannot read the recipe as TOML: Invalid value"),
        ("epochs = 3\nepochs = 4", "cannot read the recipe as TOML"),
        ("epoch = 3", "unknown field of a recipe 'epoch'; did you mean 'epochs'"),
        ("[optimizer]\nname = 'sgd'", "optimizer must be a text, not {'name': 'sgd'}"),
        ("[recipe]\nepochs = 3", "unknown field of a recipe 'recipe'.*The nearest of 21: "),
        ("epochs = '3'", "epochs must be a whole number, not '3'"),
        ("epochs = 3.0", "epochs must be a whole number, not 3.0"),
        ("epochs = true", "epochs must be a whole number, not True"),
        ("momentum = false", "momentum must be a number, not False"),
        ("momentum = 2000-01-01", "momentum must be a number, not 2000"),
        ("momentum = nan", "momentum must be at least 0 and below 1, not nan"),
        ("schedule = 1", "schedule must be a text, not 1"),
        ("augment = 'flip'", "augment must be a list, not 'flip'"),
        ("augment = [1]", "each of augment must be a text, not 1"),
        ("milestones = [1, 'two']", "each of milestones must be a number, not 'two'"),
        ("milestones = 3", "milestones must be a list, not 3"),
    ],
)
def test_texts_refused(text, said):
    with pytest.raises(fa.InputError, match=said):
        Recipe.from_toml(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, not 0"),
        ({"epochs": None}, "epochs must be a whole number, not None"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0"),
        ({"learning_rate": 10**400}, "learning_rate must be above 0, not inf"),
        ({"learning_rate": math.inf}, "learning_rate must be above 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, not 1.0"),
        ({"momentum": -0.1}, "momentum must be at least 0"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'; did you mean 'adam'.*lion"),
        ({"precision": "float16"}, "unknown precision 'float16'.*Allowed: bfloat16, float32"),
        ({"milestones": (2, 1)}, "milestones must be epochs above 0, each later"),
        ({"milestones": (1, 1)}, "milestones must be epochs above 0, each later"),
        ({"milestones": (0, 1)}, "milestones must be epochs above 0"),
        ({"milestones": (math.inf,)}, "milestones must be epochs above 0"),
        ({"decay_factor": 1.0}, "decay_factor must be above 0 and below 1"),
        ({"patience": 0}, "patience must be 1 or more"),
        ({"warmup_epochs": -1}, "warmup_epochs must be 0 or more"),
        ({"label_smoothing": 1}, "label_smoothing must be at least 0 and below 1"),
        ({"gradient_clip": 0}, "gradient_clip must be above 0"),
        ({"activation_l1": -1}, "activation_l1 must be 0 or more"),
        ({"augment": ("crop(padding=4",)}, "cannot read 'crop\\(padding=4' at its end"),
        ({"augment": ("",)}, "cannot read ''"),
        ({"preprocess": ("gcn; zca",)}, "cannot read 'gcn; zca'"),
        ({"views": "24"}, "'24' is not a name"),
        ({"augment": ("flp",)}, "unknown augmentation 'flp'; did you mean 'flip'"),
        ({"augment": ("crop(pading=4)",)}, "unknown option of crop 'pading'"),
        ({"preprocess": ("zca(-1)",)}, "epsilon must be 0 or more, not -1"),
        ({"views": "ten"}, "'ten' has no size; write ten\\(size\\)"),
        ({"beta2": 1}, "beta2 must be at least 0 and below 1"),
        ({"target_error": 5}, "target_error must be at least 0 and below 1"),
        ({"max_seconds": 0}, "max_seconds must be above 0"),
    ],
)
def test_recipes_refused(options, said):
    with pytest.raises(fa.InputError, match=said):
        Recipe(**options)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=1),
    max_leaves=3,
)


@given(st.sampled_from(sorted(FIELDS)), ANYTHING)
def test_a_value_is_taken_or_refused_and_nothing_else(name, value):
    try:
        taken = Recipe(**{name: value})
    except fa.InputError:
        taken = None
    of_the_type = VALID_TYPES[FIELDS[name].type](value)
    assert taken is None or (of_the_type and Recipe.from_toml(taken.to_toml()) == taken)


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


VALID_TYPES = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": is_number,
    **dict.fromkeys(("str", "Optimizer", "Schedule", "Precision"), lambda v: isinstance(v, str)),
    "float | None": lambda v: v is None or is_number(v),
    "tuple[float, ...]": lambda v: isinstance(v, list) and all(map(is_number, v)),
    "tuple[str, ...]": lambda v: isinstance(v, list) and all(isinstance(i, str) for i in v),
}


def test_a_run_keeps_its_name_when_fields_are_added():
    """The configuration, and so the folder, of a default run before recipes had other fields."""
    before = {
        "activation": "relu", "model": "cuda_convnet", "dataset": "mnist5k", "data": "0123456789ab",
        "image_size": None, "seed": 0, "epochs": 10, "batch_size": 128, "learning_rate": 0.001,
        "momentum": 0.9, "weight_decay": 0.0, "schedule": "constant",
    }  # fmt: skip
    config = Study(("relu",)).config("relu", 0.001, 0, "0123456789abcdef")
    assert config == before
    assert identity(config) == identity(before)
    # A whole number is the same value, and so the same run.
    assert identity(Recipe(learning_rate=1).changed()) == identity(
        Recipe(learning_rate=1.0).changed()
    )


@given(RECIPES)
def test_changed_are_the_first_six_and_what_differs(recipe):
    changed = recipe.changed()
    assert list(changed)[:6] == list(FIELDS)[:6]
    assert Recipe(**changed) == recipe
    assert all(value != FIELDS[name].default for name, value in list(changed.items())[6:])


def test_recipes_need_no_jax():
    code = (
        "import sys; from flaxact.training import Recipe; "
        "Recipe.from_toml(Recipe(augment=('flip',)).to_toml()); "
        "assert not {'jax', 'optax', 'flax', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
