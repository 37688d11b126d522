"""The one table of operations that give the same bytes in every Python, and of those that do not.

Measured between CPython on x86 (with and without its vector units) and Pyodide, NumPy 2.4 on both
sides. `sims.determinism` refuses the named entries of HAZARDS, `builder.project.pythons` names the
others if two Pythons differ, and docs/reference/exact.md shows all of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hazard:
    """One kind of code that differs, and what to write instead.

    names: "numpy.sin" (a function, or a module with all its functions), ".dot" (a method of any
    array), "builtins.hash", "import time". why: the text after the name in a message. form: how it
    reads in code, if it is not a list of names. seen: whether the source shows it; if not, only
    playing does.
    """

    key: str
    title: str
    why: str
    instead: str
    names: tuple[str, ...] = ()
    form: str = ""
    seen: bool = True


def _of(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


DIFFERS = "differs between machines"
CHANCE = "`chance` and sims.exact.uniform"

HAZARDS = (
    Hazard(
        "sines",
        "Sine, cosine, tangent",
        DIFFERS,
        "sims.exact.sine and cosine",
        (
            *_of("numpy", "sin cos tan sinc hanning hamming blackman kaiser"),
            *_of("math", "sin cos tan"),
        ),
    ),
    Hazard(
        "angles",
        "Inverse and hyperbolic functions, angles",
        DIFFERS,
        "sims.exact.sine, a table, or comparisons of sides",
        (
            *_of("numpy", "arcsin arccos arctan arctan2 asin acos atan atan2 sinh cosh tanh angle"),
            *_of("numpy", "arcsinh arccosh arctanh asinh acosh atanh"),
            *_of("math", "asin acos atan atan2 sinh cosh tanh asinh acosh atanh"),
        ),
    ),
    Hazard(
        "exponentials",
        "Exponentials, logarithms, roots but the square root",
        DIFFERS,
        "+ - * / and square roots, or a table",
        (
            *_of("numpy", "exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 cbrt i0"),
            *_of("numpy", "logspace geomspace"),
            *_of("math", "exp exp2 expm1 log log2 log10 log1p cbrt erf erfc gamma lgamma"),
            *_of("statistics", "NormalDist geometric_mean kde kde_random"),
        ),
    ),
    Hazard(
        "lengths",
        "Lengths by one call",
        DIFFERS,
        "np.sqrt(x * x + y * y)",
        _of("numpy", "hypot") + _of("math", "hypot dist"),
    ),
    Hazard(
        "powers",
        "Powers but the square and the square root",
        DIFFERS,
        "products and np.sqrt",
        (
            *_of("numpy", "power pow float_power"),
            *_of("math", "pow"),
            *_of("operator", "pow ipow __pow__ __ipow__"),
            *(".__pow__", ".__rpow__", ".__ipow__", "builtins.pow"),
        ),
        form="`x ** 1.7`, `x ** 3`, `x ** n`",
    ),
    Hazard(
        "single powers",
        "Powers of a single number",
        "of a single number goes through the C library, which rounds it differently",
        "x * x and math.sqrt(x)",
        form="`float(x) ** 2`, `1.7 ** 2`",
    ),
    Hazard(
        "products",
        "Sums of products by one call",
        f"{DIFFERS}, by the order in which it adds",
        "products and sums, such as (a * b).sum(axis=-1)",
        (
            *_of("numpy", "dot vdot vecdot matvec vecmat inner tensordot matmul einsum"),
            *_of("numpy", "convolve correlate interp fft linalg cov corrcoef polyfit roots poly"),
            *_of("operator", "matmul imatmul __matmul__ __imatmul__"),
            *(".dot", ".__matmul__", ".__rmatmul__", ".__imatmul__", "math.sumprod"),
            *_of("statistics", "correlation covariance linear_regression"),
        ),
        form="`a @ b`",
    ),
    Hazard(
        "complex",
        "Complex numbers",
        "is complex, whose products and absolute values differ between machines",
        "two real arrays",
        (
            "builtins.complex",
            "import cmath",
            *_of("numpy", "complex64 complex128 complexfloating csingle cdouble clongdouble"),
            *_of("numpy", "complex256 real_if_close"),
        ),
        form="`2j`",
    ),
    Hazard(
        "ties",
        "Order of equal values",
        "puts equal values in an order that differs between machines",
        'np.argsort(x, kind="stable")',
        (
            *_of("numpy", "argsort argpartition partition"),
            *(".argsort", ".argpartition", ".partition"),
        ),
        form="`np.argsort(x)` of the default kind",
    ),
    Hazard(
        "integers",
        "The default integer",
        "is 64 bits wide here and 32 in the browser",
        "np.int64",
        _of("numpy", "int_ uint uintp long ulong"),
        form="`astype(int)`, `dtype=int`, `np.arange(70000) ** 2`",
    ),
    Hazard(
        "long floats",
        "The long float",
        "has another number of bits on each machine",
        "np.float64",
        _of("numpy", "longdouble float96 float128 longfloat"),
    ),
    Hazard(
        "sets",
        "The order of a set",
        "goes through a set, whose order differs from one run to the next",
        "sorted(...), or a tuple",
        form="`for x in {...}`, `list(set(...))`, `.pop()` of a set",
    ),
    Hazard(
        "hashes",
        "Hashes and addresses",
        "differs from one run to the next",
        "a number of your own",
        ("builtins.hash", "builtins.id", ".__hash__", "sys.hash_info", "object.__hash__"),
    ),
    Hazard(
        "chance",
        "Chance of other sources",
        DIFFERS,
        "sims.exact.uniform",
        ("numpy.random",),
    ),
    Hazard(
        "time",
        "Clocks and random modules",
        "makes games that cannot be replayed",
        CHANCE,
        tuple(f"import {name}" for name in ("random", "secrets", "time", "datetime", "uuid")),
    ),
    Hazard(
        "machine",
        "The machine, its settings, its files",
        "differs between machines",
        "constants in the sim",
        (
            *_of("sys", "maxsize platform version version_info implementation argv path flags"),
            *_of("sys", "executable getsizeof int_info getrefcount thread_info float_repr_style"),
            *_of("os", "environ environb getenv getenvb urandom getpid getppid cpu_count times"),
            *_of("os", "name uname getcwd listdir scandir walk stat path.expanduser getrandom"),
            *(f"import {name}" for name in ("platform", "locale", "socket", "subprocess", "gc")),
            *(f"import {name}" for name in ("ctypes", "js", "pyodide", "pyodide_js", "getpass")),
            *(f"import {name}" for name in ("threading", "multiprocessing", "asyncio", "tempfile")),
            *_of("numpy", "load loadtxt genfromtxt fromfile memmap show_config"),
            *("builtins.open", "builtins.input", ".read_text", ".read_bytes"),
        ),
    ),
    Hazard(
        "hidden",
        "Code that is not there to be read",
        "hides from this check what is called",
        "the function by its name, as in np.sqrt(x)",
        ("builtins.eval", "builtins.exec", "builtins.compile", "builtins.globals", "sys.modules"),
        form="`getattr(np, name)`, `from numpy import *`, `f(np)`, `__import__(name)`",
    ),
    Hazard(
        "casts",
        "Floats that their integer can't hold",
        "casts a float; one below 0 for an unsigned integer, beyond its range, or NaN, differs",
        "np.clip before the cast",
        form="`x.astype(np.uint8)` of -1 or of 300",
        seen=False,
    ),
    Hazard(
        "narrow",
        "Default integers that grow",
        "makes default integers, which end at 2,147,483,647 in the browser",
        "dtype=np.int64",
        form="`np.arange(n) * n`, `np.array([1, 2])`, `(x > 0).sum()` kept as state",
        seen=False,
    ),
    Hazard(
        "scalars",
        "Squares of single numbers",
        "may be of a single number: that of a NumPy array is exact, that of one number is not",
        "x * x and np.sqrt(x)",
        form="`a[0] ** 2`",
        seen=False,
    ),
    Hazard(
        "sums",
        "Python's own sum of floats",
        "adds floats otherwise since Python 3.12, which the browser has",
        "np.sum or math.fsum",
        form="`sum(list_of_floats)`",
        seen=False,
    ),
    Hazard(
        "zeros",
        "Which of 0.0 and -0.0",
        "keeps either of 0.0 and -0.0, which are equal",
        "x + 0.0 first, which has no -0.0",
        form="`np.sort`, `np.unique` of both zeros",
        seen=False,
    ),
    Hazard(
        "set order",
        "Sets that go further",
        "makes a set, whose order differs from one run to the next",
        "sorted(...), or a tuple",
        form="a set that a function or a loop elsewhere goes through",
        seen=False,
    ),
)

BY_KEY = {hazard.key: hazard for hazard in HAZARDS}
NAMED = {name: hazard for hazard in HAZARDS for name in hazard.names}

# Modules of the standard library that Pyodide leaves out.
LEFT_OUT = frozenset(
    (
        *("curses", "dbm", "ensurepip", "fcntl", "grp", "idlelib", "lib2to3", "msvcrt", "nis"),
        *("pwd", "resource", "spwd", "syslog", "termios", "tkinter", "turtle", "turtledemo"),
        *("venv", "winreg", "winsound"),
    )
)


@dataclass(frozen=True)
class Exact:
    """A group of exact operations: functions of NumPy by name, or a sentence."""

    title: str
    names: tuple[str, ...] = ()
    form: str = ""


EXACT = (
    Exact(
        "Arithmetic",
        _of("numpy", "add subtract multiply divide true_divide floor_divide negative positive")
        + _of("numpy", "conj conjugate")
        + _of("numpy", "abs absolute fabs sqrt square reciprocal sign remainder mod fmod divmod"),
        form="`+ - * / // %` and abs of floats and integers, `array ** 2`, `array ** 0.5`",
    ),
    Exact(
        "Rounding, and the parts of a float",
        _of("numpy", "floor ceil trunc rint round around fix modf frexp ldexp")
        + _of("numpy", "spacing nextafter copysign signbit"),
        form="and casts of floats to integers that can hold them",
    ),
    Exact(
        "Comparison and choice",
        _of("numpy", "equal not_equal less less_equal greater greater_equal maximum minimum")
        + _of("numpy", "fmax fmin clip where select logical_and logical_or logical_not logical_xor")
        + _of("numpy", "heaviside isnan isinf isfinite isnat nan_to_num"),
    ),
    Exact(
        "Integers",
        _of("numpy", "bitwise_and bitwise_or bitwise_xor bitwise_not bitwise_invert invert")
        + _of("numpy", "left_shift right_shift bitwise_left_shift bitwise_right_shift")
        + _of("numpy", "bitwise_count gcd lcm packbits unpackbits"),
        form="of a named type, such as np.int64; they wrap around alike",
    ),
    Exact(
        "Sums and the like, along any axis",
        _of("numpy", "sum prod cumsum cumprod mean std var min max ptp median percentile")
        + _of("numpy", "quantile average all any bincount"),
    ),
    Exact(
        "Order",
        _of("numpy", "sort argmin argmax lexsort searchsorted digitize unique nonzero flatnonzero"),
        form='np.argsort with kind="stable"',
    ),
    Exact(
        "Shape, place and products of pairs",
        _of("numpy", "linspace arange repeat tile roll stack concatenate pad diff gradient")
        + _of("numpy", "take put outer cross kron trapezoid meshgrid triu tril"),
    ),
    Exact(
        "Degrees",
        _of("numpy", "deg2rad rad2deg degrees radians"),
    ),
    Exact(
        "The module math",
        _of("math", "sqrt floor ceil trunc fabs fmod remainder copysign fsum prod isqrt gcd lcm")
        + _of("math", "comb perm factorial degrees radians ldexp frexp modf nextafter ulp isnan")
        + _of("math", "isinf isfinite isclose"),
    ),
    Exact(
        "Chance, sine and cosine",
        _of("sims.exact", "uniform sine cosine"),
    ),
)


def find(dotted: str) -> Hazard | None:
    """Return the hazard of a dotted name, or of a module that contains it."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if hazard := NAMED.get(name) or NAMED.get(f"import {name}"):
            return hazard
    return None


def short(name: str) -> str:
    """Return a name in the form that sims write."""
    return name.replace("numpy.", "np.").removeprefix("builtins.").removeprefix("object.")


def tables() -> str:
    """Return the whole table as Markdown, for the documentation."""
    lines = ["| exact | what |", "|---|---|"]
    for group in EXACT:
        lines.append(f"| {group.title} | {_cell(group.names, group.form)} |")
    for title, seen in (("refused by name", True), ("found by playing", False)):
        lines += ["", f"| {title} | names | use instead |", "|---|---|---|"]
        for hazard in HAZARDS:
            if hazard.seen == seen:
                why = f" ({hazard.why})" if not seen else ""
                names = _cell(hazard.names, hazard.form)
                lines.append(f"| {hazard.title} | {names}{why} | {hazard.instead} |")
    return "\n".join(lines)


def _cell(names: tuple[str, ...], form: str) -> str:
    listed = ", ".join(f"`{short(name)}`" for name in names)
    return ", ".join(part for part in (form, listed) if part)
