"""Every pointwise activation as a formula for mpmath: what the implementations are judged by.

Written from the definitions, not from flaxact: an entry may not import it.
"""

import itertools
import math
import operator

import mpmath as mp

DIGITS = 170  # that leave 50 of a difference whose terms are 1e38 and whose value is 1e-76
STEP = mp.mpf("1e-30")
HUGE = mp.mpf("1e300")

ZERO = mp.mpf(0)
ONE = mp.mpf(1)
SELU_ALPHA = mp.mpf("1.6732632423543772")
SELU_SCALE = mp.mpf("1.0507009873554805")


def f(value):
    """The double that Python reads from the text: defaults are doubles, not decimals."""
    return mp.mpf(float(value))


def clip(low, high):
    return lambda x: min(max(x, low), high)


def exp(x):
    """e^x within ±10⁶, beyond which it is 0 or ∞ to any float: mpmath takes long, or gives up, there."""
    return mp.exp(clip(-(10**6), 10**6)(x))


def expm1(x):
    return mp.expm1(clip(-(10**6), 10**6)(x))


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return x + mp.log1p(exp(-x)) if x > 0 else mp.log1p(exp(x))


def phi(x):
    if abs(x) > 10**6:  # beyond all digits, and beyond what mpmath's erfc takes without gmpy2
        return ONE if x > 0 else ZERO
    return mp.erfc(-x / mp.sqrt(2)) / 2


def gelu_tanh(x):
    return x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + f(0.044715) * x**3))


def leaky(slope):
    return lambda x: x if x > 0 else slope * x


def elu(alpha):
    return lambda x: x if x > 0 else alpha * expm1(x)


def relu(x):
    return max(x, ZERO)


def tanh_gate(inner):
    return lambda x: x * mp.tanh(inner(x))


def xatlu(alpha):
    return lambda x: x * ((mp.mpf(1) / 2 + mp.atan(x) / mp.pi) * (1 + 2 * alpha) - alpha)


def xielu(x):
    a = f(0.8)
    b = f(0.5)
    return a * x * x + b * x if x > 0 else a * (mp.expm1(x) - x) + b * x


def srelu(x):
    return x if x > 0 else f(0.2) * x


def lecun_tanh(x):
    return f(1.7159) * mp.tanh(f(2 / 3) * x)


def soft_exponential(alpha):
    if alpha > 0:
        return lambda x: mp.expm1(alpha * x) / alpha + alpha
    return lambda x: -mp.log1p(-alpha * (x + alpha)) / alpha


def tailored_slope(depth, eta):
    """By the secant method, from the C-map as an integral over the angle (Cho & Saul 2009)."""

    def reached(slope):
        c = ZERO
        for _ in range(depth):
            angle = mp.acos(c)
            relu_part = (mp.sin(angle) + (mp.pi - angle) * c) / mp.pi
            # E f(u) f(v) for f = (1 + s)/2 x + (1 - s)/2 |x|, of which relu is the case s = 0
            odd = (1 + slope) / 2
            even = (1 - slope) / 2
            c = (odd**2 * c + even**2 * (2 * relu_part - c)) / (odd**2 + even**2)
        return c - eta

    return mp.findroot(reached, (mp.mpf("0.3"), mp.mpf("0.5")), solver="secant")


# Mean 0 and variance 1 of the output for a standard Gaussian input, by quadrature.
def serlu_scales():
    half = [-60, -10, -3, 0]
    bump = mp.quad(lambda x: x * mp.exp(x) * mp.npdf(x), half)
    square = mp.quad(lambda x: (x * mp.exp(x)) ** 2 * mp.npdf(x), half)
    alpha = -mp.npdf(0) / bump
    return alpha, 1 / mp.sqrt(mp.mpf(1) / 2 + alpha**2 * square)


SERLU_ALPHA, SERLU_SCALE = serlu_scales()
TAILORED = tailored_slope(50, f(0.9))
REFERENCE = {
    "absolute": abs,
    "acon_c": lambda x: x * sigmoid(x),
    "apl": relu,
    "arctan": mp.atan,
    "aria2": lambda x: (1 + mp.exp(-2 * x)) ** mp.mpf("-1.5"),
    "asinh": mp.asinh,
    "bent_identity": lambda x: (mp.sqrt(x * x + 1) - 1) / 2 + x,
    "bsilu": lambda x: (x + f(1.67)) * sigmoid(x) - f(1.67) / 2,
    "cardioid": relu,
    "celu": elu(1),
    "celu(alpha=0.5)": lambda x: x if x > 0 else mp.expm1(2 * x) / 2,
    "chebyshev": mp.tanh,
    "complementary_log_log": lambda x: 1 - exp(-exp(x)) if x > 0 else -mp.expm1(-exp(x)),
    "complex_relu": relu,
    "cosine": mp.cos,
    "derf": lambda x: mp.erf(x / 2),
    "derf(alpha=2, shift=-0.5, gamma=-1.5, beta=0.25)": lambda x: (
        mp.mpf("0.25") - mp.mpf("1.5") * mp.erf(2 * x - mp.mpf("0.5"))
    ),
    "displaced_relu": lambda x: max(x, -f(0.05)),
    "dyt": lambda x: mp.tanh(x / 2),
    "e_swish": lambda x: f(1.25) * x * sigmoid(x),
    "elastic_relu": relu,
    "elish": lambda x: (x if x > 0 else expm1(x)) * sigmoid(x),
    "elliot": lambda x: x / (1 + abs(x)) / 2 + mp.mpf(1) / 2,
    "elu": elu(1),
    "elu(alpha=0.5)": elu(mp.mpf("0.5")),
    "elu_leaky_relu": lambda x: x if x > 0 else (mp.expm1(x) + f(0.05) * x) / 2,
    "erf": mp.erf,
    "exponential": exp,
    "felu": lambda x: x if x > 0 else 2 ** (x / mp.log(2)) - 1,
    "flexible_relu": lambda x: relu(x) - 1,
    "finer": lambda x: mp.sin((abs(x) + 1) * x),
    "finer(frequency=30.0)": lambda x: mp.sin(30 * (abs(x) + 1) * x),
    "fourier": mp.sin,
    "gabor": lambda x: mp.cos(x) * exp(-x * x),
    "gabor(frequency=10.0, scale=10.0)": lambda x: mp.cos(10 * x) * exp(-100 * x * x),
    "gaussian_rbf": lambda x: x * sigmoid(x),
    "gcu": lambda x: x * mp.cos(x),
    "gelu": gelu_tanh,
    "gelu(approximate=False)": lambda x: x * phi(x),
    "golu": lambda x: x * exp(-exp(-x)),
    "gudermannian": lambda x: 2 * mp.atan(mp.tanh(x / 2)),
    "hard_mish": lambda x: x * clip(ZERO, mp.mpf(2))(x + 2) / 2,
    "hard_shrink": lambda x: x if abs(x) > 0.5 else ZERO,
    "hard_sigmoid": lambda x: clip(ZERO, mp.mpf(6))(x + 3) / 6,
    "hard_swish": lambda x: x * clip(ZERO, mp.mpf(6))(x + 3) / 6,
    "hard_tanh": clip(-ONE, ONE),
    "hexpo": lambda x: -mp.expm1(-x) if x > 0 else mp.expm1(x),
    "hexpo(a=2, b=0.5, c=1.5, d=3)": lambda x: (
        -2 * mp.expm1(-2 * x) if x > 0 else mp.mpf("1.5") * mp.expm1(x / 3)
    ),
    "identity": lambda x: x,
    "isrlu": lambda x: x if x > 0 else x / mp.sqrt(1 + x * x),
    "isru": lambda x: x / mp.sqrt(1 + x * x),
    "isru(alpha=3)": lambda x: x / mp.sqrt(1 + 3 * x * x),
    "laplace": lambda x: phi((x - f(0.707107)) / f(0.282095)),
    "leaky_relu": leaky(f(0.01)),
    "leaky_relu(0.25)": leaky(mp.mpf("0.25")),
    "lecun_tanh": lecun_tanh,
    "legendre": mp.tanh,
    "linearly_scaled_tanh": lambda x: x * mp.tanh(x),
    "log_sigmoid": lambda x: -softplus(-x),
    "logish": lambda x: x * mp.log1p(sigmoid(x)),
    "mish": tanh_gate(softplus),
    "modrelu": lambda x: x,
    "modrelu(bias=-0.5)": lambda x: mp.sign(x) * relu(abs(x) - mp.mpf("0.5")),
    "modrelu(bias=0.5)": lambda x: x + mp.sign(x) / 2,
    "mpelu": elu(1),
    "mpelu(alpha=0.25, beta=2)": lambda x: x if x > 0 else mp.expm1(2 * x) / 4,
    "mtlu": relu,
    "nelu": lambda x: x if x > 0 else -f(0.2) / (1 + x * x),
    "noisy_relu": relu,
    "parametric_softplus": lambda x: f(0.2) * softplus(5 * x),
    "pelu": elu(1),
    "pelu(alpha=0.5, beta=2)": lambda x: x / 4 if x > 0 else mp.expm1(x / 2) / 2,
    "penalized_tanh": lambda x: mp.tanh(x) if x > 0 else mp.tanh(x) / 4,
    "phish": tanh_gate(lambda x: x * phi(x)),
    "prelu": leaky(mp.mpf("0.25")),
    "quick_gelu": lambda x: x * sigmoid(f(1.702) * x),
    "randomly_translated_relu": relu,
    "rectified_tanh": lambda x: mp.tanh(relu(x)),
    "relu": relu,
    "relu6": clip(ZERO, mp.mpf(6)),
    "relu_n": clip(ZERO, ONE),
    "rrelu": lambda x: x if x > 0 else x / mp.mpf("5.5"),
    "rrelu_slope": lambda x: x if x > 0 else x * 11 / 48,
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * mp.expm1(x)),
    "serlu": lambda x: SERLU_SCALE * (x if x > 0 else SERLU_ALPHA * x * exp(x)),
    "serf": lambda x: x * mp.erf(softplus(x)),
    "shifted_relu": lambda x: max(x, -ONE),
    "shifted_softplus": lambda x: softplus(x) - mp.log(2),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "sine": mp.sin,
    "sinc": mp.sincpi,
    "siren": lambda x: mp.sin(30 * x),
    "smish": tanh_gate(lambda x: mp.log1p(sigmoid(x))),
    "snake": lambda x: x + mp.sin(x) ** 2,
    "snake_beta": lambda x: x + mp.sin(x) ** 2,
    "snake_beta(frequency=0.5, divisor=0.25)": lambda x: x + 4 * mp.sin(x / 2) ** 2,
    "soft_exponential": lambda x: x,
    "soft_exponential(0.5)": soft_exponential(mp.mpf("0.5")),
    "soft_shrink": lambda x: mp.sign(x) * relu(abs(x) - mp.mpf("0.5")),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "sparse_sigmoid": lambda x: clip(ZERO, mp.mpf(2))(x + 1) / 2,
    "sparse_plus": lambda x: x if x > 1 else relu(x + 1) ** 2 / 4,
    "sparse_plus(beta=0.25)": lambda x: x if x > 0.25 else relu(x + mp.mpf("0.25")) ** 2,
    "spline": lambda x: x * sigmoid(x),
    "sqrt_softplus": lambda x: mp.sqrt(softplus(x)),
    "squared_relu": lambda x: relu(x) ** 2,
    "squareplus": lambda x: (x + mp.sqrt(x * x + 4)) / 2,
    "srelu": srelu,
    "star_relu": lambda x: f(0.8944) * relu(x) ** 2 - f(0.4472),
    "step": lambda x: ONE if x > 0 else ZERO,
    "sugar": relu,
    "swish_beta": lambda x: x * sigmoid(x),
    "swish_beta(2)": lambda x: x * sigmoid(2 * x),
    "symlog": lambda x: mp.sign(x) * mp.log1p(abs(x)),
    "tailored_relu": lambda x: mp.sqrt(2 / (1 + TAILORED**2)) * leaky(TAILORED)(x),
    "tanh": mp.tanh,
    "tanh_shrink": lambda x: x - mp.tanh(x),
    "tanhexp": tanh_gate(exp),
    "threshold": relu,
    "threshold(1, -2)": lambda x: x if x > 1 else mp.mpf(-2),
    "thresholded_relu": lambda x: x if x > 1 else ZERO,
    "tlu": relu,
    "tlu(threshold=-0.5)": lambda x: max(x, mp.mpf("-0.5")),
    "trelu": lambda x: x if x > 0 else mp.tanh(x),
    "very_leaky_relu": leaky(f(1 / 3)),
    "xatlu": xatlu(0),
    "xatlu(0.25)": xatlu(mp.mpf("0.25")),
    "xatlu(-0.25)": xatlu(mp.mpf("-0.25")),
    "xielu": xielu,
    "zrelu": relu,
    "centered(relu)": lambda x: relu(x) - 1 / mp.sqrt(2 * mp.pi),
    "standardized(relu)": lambda x: (
        (relu(x) - 1 / mp.sqrt(2 * mp.pi)) / mp.sqrt(mp.mpf(1) / 2 - 1 / (2 * mp.pi))
    ),
    "scaled(tanh, output=1.5, input=0.5)": lambda x: mp.mpf("1.5") * mp.tanh(x / 2),
    "shifted(relu, output=-1, input=1)": lambda x: relu(x + 1) - 1,
    "negated(elu)": lambda x: -elu(1)(x),
    "mixture(elu, leaky_relu(0.25))": lambda x: (elu(1)(x) + leaky(mp.mpf("0.25"))(x)) / 2,
    "compose(relu, tanh)": lambda x: relu(mp.tanh(x)),
    "clipped(elu, low=-0.5, high=2)": lambda x: clip(mp.mpf("-0.5"), mp.mpf(2))(elu(1)(x)),
    "noisy(gelu)": gelu_tanh,
    "with_surrogate_derivative(relu, bsilu)": relu,
}


def truth(spec: str, x: float, order: int = 0) -> float:
    """A derivative of ``REFERENCE[spec]``, by central differences with a step of 1e-30: exact to 1e-50.

    At infinity it is the limit there. It is nan where there is none, and outside the domain.
    """
    with mp.workdps(DIGITS + 40 * order):
        try:
            if math.isinf(x):
                return _limit(REFERENCE[spec], int(math.copysign(1, x)))
            return _double(_difference(REFERENCE[spec], mp.mpf(x), order))
        except (ValueError, TypeError):  # complex, or undefined
            return math.nan


def _difference(function, x, order: int):
    if order == 0:
        return function(x)
    step = STEP * min(max(abs(x), STEP), ONE)
    signs = [(-1) ** k * math.comb(order, k) for k in range(order + 1)]
    places = [x + (order - 2 * k) * step / 2 for k in range(order + 1)]
    return sum(map(operator.mul, signs, map(function, places))) / step**order


def _limit(function, sign: int) -> float:
    """From values far out, which grow, stay, vanish, or have no limit."""
    actual = [function(sign * mp.mpf(10) ** n) for n in (100, 101, 300, 301, 1000, 1001)]
    first = actual[0]
    last = actual[-1]
    if abs(last) < STEP or all(abs(value - last) <= abs(last) * STEP for value in actual):
        return _double(last) + 0.0
    grows = all(later / value > 1 for value, later in itertools.pairwise(actual))
    return math.copysign(math.inf, last) if grows and last / first > 3 else math.nan


def _double(value) -> float:
    if isinstance(value, mp.mpc) or mp.isnan(value):
        return math.nan
    return float(value) if abs(value) < HUGE else math.copysign(math.inf, value)
