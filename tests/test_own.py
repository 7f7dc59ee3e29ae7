"""Activations, models and data sets of a user's own."""

import linecache
import math
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import flaxact as fa
from flaxact import _own_code
from flaxact.activations import _spec
from flaxact.activations._verify import disagreements
from flaxact.cli import main
from flaxact.data import catalogue as data
from flaxact.layers import Act
from flaxact.models import _catalogue as models
from flaxact.stored import files
from flaxact.studies import launch
from flaxact.training.folder import record

INF = math.inf
CODE = """
import math
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
import flaxact as fa
from helper import WIDTH

@fa.activation(r"x + \\beta \\sin x", source="Smith 2026: Waves", range=(-math.inf, math.inf),
               monotonic=lambda beta: abs(beta) <= 1, learned=("beta",))
def wavy(x, beta: float = 0.5):
    "A wave along the identity."
    return x + beta * jnp.sin(x)

@fa.models.register(input_shape=(8, 8, 1), source="Smith 2026: Nets")
class TinyNet(fa.models.ZooModel):
    '''A tiny net.

    Attributes:
      hidden: units.
    '''
    hidden: int = WIDTH

    @nn.compact
    def __call__(self, x, *, train=False):
        x = self.dense(self.pixels(x) / 255, self.hidden, name="dense", site="act1")
        return self.output_layer(self.activate(x, "act1", train=train))

@fa.data.register
def stripes():
    labels = np.arange(64) % 2
    images = np.zeros((64, 8, 8, 1), np.uint8) + 200 * labels[:, None, None, None]
    split = fa.data.Split(images, labels)
    return fa.data.Dataset("stripes", split, split, num_classes=2)
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A file of a user's own, with another beside it, as for a new process."""
    (tmp_path / "helper.py").write_text("WIDTH = 4")
    (tmp_path / "my_code.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(_own_code, "names", [])
    yield "my_code.py"
    for name in ("my_code", "helper"):
        sys.modules.pop(name, None)


def flaxact(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("given", [("--import", "my_code.py"), ("--import=my_code",)])
def test_the_command_line_sees_what_is_imported(code, capsys, given):
    listed = flaxact(capsys, *given, "list")
    for said in ("Your own, defined in my_code.", "wavy", "A wave", "tiny_net", "stripes"):
        assert said in listed
    assert "Smith 2026: Waves" in flaxact(capsys, *given, "describe", "wavy(beta=0.2)")
    assert flaxact(capsys, *given, "cite", "wavy") == "Smith 2026: Waves\n"
    assert "own" in flaxact(capsys, *given, "models", "tiny*")
    described = flaxact(capsys, *given, "models", "describe", "tiny_net(hidden=8)", "--act", "wavy")
    for said in ("tiny_net(hidden=8) with wavy: A tiny net.", "hidden=8            units.", "Nets"):
        assert said in described
    assert "wavy" in flaxact(capsys, *given, "list", "--where", "learned and monotonic")


@pytest.mark.thorough
def test_what_trains_and_measures_sees_it(code, capsys):
    import_option = "--import", code
    options = "--model", "tiny_net", "--dataset", "stripes"
    few = "--seeds", "1", "--images", "8", "--activation", "wavy"
    assert "The report" in flaxact(capsys, *import_option, "probe", *few, *options)
    for command, too_many in (
        ("train", ("--option", "batch_size=65")),
        ("compare", ("--batch-size", "65")),
    ):
        assert main([*import_option, command, "wavy", *options, *too_many]) == 2
        assert "a batch of 65 is larger than the" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_job_imports_what_it_was_launched_with(code, tmp_path, monkeypatch):
    """In a process of its own; here one that has forgotten it. What would be trained is left out."""
    _own_code.load(code)
    study = fa.studies.Study(
        ("wavy",), "tiny_net", "stripes", recipe=fa.training.Recipe(batch_size=8)
    )
    cell = launch.ActivationJob(study, tmp_path / "study", "wavy", own_code=tuple(_own_code.names))
    _own_code.names.clear()
    for registry in (_spec.catalogue, models.own, data.own):
        for name in {"wavy", "tiny_net", "stripes"} & registry.keys():
            del registry[name]
    del sys.modules["my_code"]
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setattr(launch, "train_activation", lambda *_: [])
    pickle.loads(pickle.dumps(cell))()
    assert "wavy" in fa.names()
    assert _own_code.names == [str(tmp_path / code)]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (("beta * jnp.sin", "beta * jnp.cos"), "the code of wavy has changed"),
        (("int = WIDTH", "int = 3"), "the code of TinyNet has changed"),
        (("+ 200 *", "+ 100 *"), "the code of stripes has changed"),
        (("import WIDTH", "import WIDTH  # of the net"), ""),
    ],
)
def test_a_training_is_not_resumed_with_changed_code(
    code, monkeypatch, capsys, caplog, change, refused
):
    """A change that no definition has is named, and the run resumed."""

    def run(*arguments, own_code, **options):
        record.check_configuration(Path(), {"own_code": own_code})
        files.write_json(Path("config.json"), {"own_code": own_code})
        return iter(())

    monkeypatch.setattr(fa.training, "run", run)
    words = ["--import", code, "train", "wavy", "--model", "tiny_net", "--dataset", "stripes"]
    ends = []
    assert change[0] in CODE
    for text in (CODE, CODE.replace(*change), CODE.replace(*change)):
        Path(code).write_text(text, "utf-8")
        for registry in (_spec.catalogue, models.own, data.own):
            for name in {"wavy", "tiny_net", "stripes"} & registry.keys():
                del registry[name]
        sys.modules.pop("my_code", None)
        linecache.clearcache()
        monkeypatch.setattr(_own_code, "names", [])
        caplog.clear()
        output = main([*words, "--option", "batch_size=8"]), caplog.text, capsys.readouterr().err
        ends.append(output)
    assert ends[0] == (0, "", "")
    if refused:
        assert ends[1][0] == 2
        assert refused in ends[1][2]
        assert "my_code.py" not in ends[1][2]
    else:
        assert ends[1][0] == 0
        assert "my_code.py: changed since the run began" in ends[1][1]
        assert ends[2] == (0, "", "")


def test_a_changed_definition_is_another_run(code, tmp_path):
    runs = {}
    for old, new in (("", ""), ("beta * jnp.sin", "beta * jnp.cos"), ("int = WIDTH", "int = 3")):
        text = CODE.replace(old, new) if old else CODE
        assert not old or text != CODE
        (tmp_path / code).write_text(text, "utf-8")
        sys.modules.pop("my_code", None)
        linecache.clearcache()
        _own_code.load(code)
        runs[new] = [
            fa.studies.Study((activation,), model).config(activation, 0.1, 0, "digest")
            for activation, model in (
                ("wavy", "mlp"),
                ("scaled(wavy, output=2.0)", "mlp"),
                ("relu", "tiny_net"),
            )
        ]
    same = [[a == b for a, b in zip(runs[""], runs[new], strict=True)] for new in list(runs)[1:]]
    assert same == [[False, False, True], [True, True, False]]
    assert "own_code" not in fa.studies.Study(("relu",), "mlp").config("relu", 0.1, 0, "digest")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nowhere.py", None, "there is no such file"),
        ("nowhere_at_all", None, "there is no such module"),
        ("", None, "needs a Python file or a module, as in --import my.py"),
        ("wrong.py", "x = (", "SyntaxError: '(' was never closed (wrong.py, line 1)"),
        ("wrong.py", "1\n1 / 0", "ZeroDivisionError: division by zero (at wrong.py:2)"),
        ("wrong.py", "import nowhere_at_all", "No module named 'nowhere_at_all' (at wrong.py:1)"),
        ("wrong.py", "import sys; sys.exit(3)", "SystemExit: 3"),
        (
            "wrong.py",
            "import flaxact as fa\nfa.get('rleu')",
            "wrong.py:2: unknown activation 'rleu'",
        ),
        ("json.py", "", "another module 'json' is already imported; rename the file"),
        ("wrong.py", b"\xff\xfe", "SyntaxError"),
    ],
)
def test_code_that_cannot_be_imported_is_one_line(name, text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["--import", name, "list"]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_an_activation_takes_part_in_everything():
    @fa.activation(
        r"a\,x^2", source="", range=(0, INF), monotonic=False, aliases=("sq",), positive=("a",)
    )
    def square(x, a: float = 1.0):
        """The square."""
        return a * x**2

    assert float(fa.get("sq(a=2)")(3.0)) == 18.0
    assert float(square(3.0)) == 9.0
    assert "square" in fa.names()
    assert float(fa.get("centered(square)")(jnp.zeros(()))) == pytest.approx(-1.0)
    assert float(jax.jit(jax.vmap(fa.get("sq(a=3)")))(jnp.ones(2))[1]) == 3.0
    assert pickle.loads(pickle.dumps(fa.get("sq"))) == fa.get("square")
    assert "The square." in fa.describe("square")
    with pytest.raises(fa.InputError, match="a > 0"):
        fa.get("square(a=-1)")


def test_a_name_is_taken_once():
    with pytest.raises(fa.InputError, match="'swish' is defined already, in flaxact"):

        @fa.activation("x", source="", range=(0, 1), aliases=("swish",))
        def mine(x):
            return x

    for _ in range(2):  # running a notebook's cell again is no clash

        @fa.activation("x", source="", range=(0, 1))
        def cell(x):
            return x

        @fa.data.register
        def cells():
            return None

        @fa.models.register(input_shape=(8, 8, 1))
        def cell_net(act, num_classes=10):
            return None

    assert fa.get("cell").spec.function is cell
    with pytest.raises(
        fa.InputError, match="the data set 'cells' must return a Dataset, not NoneType"
    ):
        fa.data.load("cells")
    with pytest.raises(fa.InputError, match="data set 'mnist' is defined already, in flaxact"):

        @fa.data.register
        def mnist():
            return None

    with pytest.raises(fa.InputError, match="model 'lenet5' is defined already, in flaxact"):

        @fa.models.register(input_shape=(8, 8, 1))
        def lenet5(act, num_classes=10):
            return None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"monotonc": True}, "unknown fact of mine 'monotonc'; did you mean 'monotonic'"),
        ({"source": "clevert2015"}, "unknown source 'clevert2015'; did you mean 'clevert2015elu'"),
        ({"source": None}, "the source of mine must be a string, not None"),
        (
            {"learned": ("alhpa",)},
            "hyperparameter of mine in learned 'alhpa'; did you mean 'alpha'",
        ),
        (
            {"positive": "alpha"},
            r"positive of mine must be a tuple of names, such as \('alpha',\), not 'alpha'",
        ),
    ],
)
def test_facts_that_there_are_none_of(facts, said):
    with pytest.raises(fa.InputError, match=said):

        @fa.activation(**{"formula": "x", "source": "", "range": (0, 1)} | facts)
        def mine(x, alpha: float = 1.0):
            return x


def relu(x):
    return jnp.maximum(x, 0)


WRONG = [
    (jnp.sin, {"range": (0, INF)}, "range (0, inf) declared, (-1, 1) measured"),
    (jnp.sin, {"range": (-1, 1)}, "monotonic=True declared, but it falls from 1 at 1.57 to -1 at"),
    (jnp.tanh, {"range": (-INF, 1)}, "range (-inf, 1) declared, (-1, 1) measured"),
    (jnp.tanh, {"range": (-1, 1), "monotonic": False}, "monotonic=False declared, but it never"),
    (relu, {"range": (0, INF)}, "kinks none declared, at 0 measured"),
    (relu, {"range": (0, INF), "kinks": (1.0,)}, "kinks at 1 declared, at 0 measured"),
    (jnp.tanh, {"range": (-1, 1), "kinks": (0.5,)}, "kinks at 0.5 declared, none measured"),
    (
        lambda x: relu(x) ** 2,
        {"range": (0, INF)},
        "smoothness inf declared, 1 measured: the second",
    ),
    (lambda x: jnp.where(x > 1, 1.0, 0.0), {"range": (0, 1)}, "jumps none declared, at 1 measured"),
    (jax.nn.softmax, {"range": (0, 1)}, "depends on more than the input at its place"),
    (jax.nn.glu, {"range": (-INF, INF)}, "cannot be evaluated on an array (n, 1)"),
    (jax.lax.stop_gradient, {"range": (-INF, INF)}, "its derivative at"),
    (
        lambda x: jnp.where(x > 0, jnp.sqrt(x), 0),
        {"range": (0, INF), "kinks": (0.0,)},
        "its gradient at -20 is nan: in a where the branch",
    ),
    (
        jnp.tanh,
        {"range": lambda beta: (-beta, beta)},
        "or a function of its hyperparameters (none)",
    ),
]
RIGHT = [
    (relu, {"range": (0, INF), "kinks": (0.0,)}),
    (lambda x: relu(x) ** 2, {"range": (0, INF), "smoothness": 1}),
    (lambda x: x / jnp.expm1(x), {"range": (0, INF), "monotonic": False}),  # loses digits near 0
    (lambda x: jnp.sign(x) * jnp.sqrt(abs(x)), {"range": (-INF, INF), "kinks": (0.0,)}),
    (lambda x: jax.nn.sigmoid(1e4 * x), {"range": (0, 1)}),
    (lambda x: abs(x % 2 - 1), {"range": (0, 1), "monotonic": False, "kinks": (*range(-20, 21),)}),
    (lambda x: x + 1e-3 * jnp.sin(30 * x), {"range": (-INF, INF)}),
    (jax.nn.softmax, {"range": (0, 1), "coupled": True}),
    (
        lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0),
        {"range": (0, INF), "kinks": (0.0,)},
    ),
]


def defined(function, facts):
    def mine(x):
        """One's own."""
        return function(x)

    fa.activation("x", **{"source": ""} | facts)(mine)
    return fa.get("mine")


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("function", "facts", "said"), WRONG)
def test_declared_facts_are_compared_with_the_values(function, facts, said):
    activation = defined(function, facts)
    for use in (lambda: activation(1.0), lambda: activation.kinks, lambda: fa.describe("mine")):
        with pytest.raises(fa.InputError) as raised:
            use()
        assert said in str(raised.value)
        assert "mine" in str(raised.value)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("function", "facts"), RIGHT)
def test_right_facts_are_believed(function, facts):
    assert list(disagreements(defined(function, facts))) == []


def test_facts_of_other_hyperparameters_are_compared_too():
    @fa.activation("b tanh x", source="", range=lambda b: (-b, b))
    def scaled_tanh_(x, b: float = 1.0):
        return b * jnp.tanh(x)

    assert fa.get("scaled_tanh_(b=2)").range == (-2, 2)
    with pytest.raises(
        fa.InputError, match=r"range \(1, -1\) declared, \(-1, 1\) measured; monoto"
    ):
        fa.get("scaled_tanh_(b=-1)").range  # noqa: B018


def net(act, num_classes=10, hidden=8, kind="plain", shift=0.0):
    """A net.

    Args:
      hidden: units.
    """
    return nn.Sequential([lambda x: x.reshape(len(x), -1) + shift, nn.Dense(hidden), Act(act)])


@pytest.mark.parametrize(
    ("text", "act", "said"),
    [
        ("net(hiden=3)", "relu", "net has no argument 'hiden'; did you mean 'hidden'"),
        ("net(hidden=0.5)", "relu", "net needs a whole number as hidden"),
        ("net(kind=round)", "relu", "unknown kind of net 'round'.*Allowed: plain, square"),
        ("net", {"*": "relu"}, "net takes one activation for all its sites"),
    ],
)
def test_a_models_arguments_are_checked(text, act, said):
    fa.models.register(input_shape=(8, 8, 1), choices={"kind": ("plain", "square")})(net)
    model = fa.models.create_model("net(shift=-1.5)", "relu", hidden=np.int64(3))
    assert model.layers[1].features == 3
    with pytest.raises(fa.InputError, match=said):
        fa.models.create_model(text, act)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda act: None, "needs the arguments act and num_classes"),
        (lambda act, num_classes, depth: None, "needs a default for its argument 'depth'"),
    ],
)
def test_models_that_cannot_be_registered(make, said):
    with pytest.raises(fa.InputError, match=said):
        fa.models.register(input_shape=(8, 8, 1))(make)
    assert "<lambda>" not in fa.models.list_models()


def test_options_of_a_data_set():
    @fa.data.register
    def plain():
        return fa.data.load("mnist5k")

    @fa.data.register
    def sized(image_size=28, data_dir=None):
        assert (image_size, data_dir) == (14, "there")
        return fa.data.load("mnist5k")

    assert len(fa.data.load("plain", data_dir="anywhere").test.labels) == 1000
    fa.data.load("sized", image_size=14, data_dir="there")
    with pytest.raises(fa.InputError, match="'plain' takes no image size"):
        fa.data.load("plain", image_size=14)
    with pytest.raises(fa.InputError, match="plain fits in memory"):
        fa.data.open_stream("plain", batch_size=4, image_size=8)
