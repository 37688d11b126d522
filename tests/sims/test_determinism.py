"""What the source check finds, a hazard a line in the starter's world, and what it lets pass."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from builder.project.worlds import PACKAGES, Project
from sims import determinism, hazards, resolve
from sims.errors import UserError

STARTER = PACKAGES / "builder" / "starter" / "sims" / "catcher.py"
STEP = '        alive = s["lives"] > 0\n'
HEAD = "import numpy as np\n"

# A line in step(), or lines at the top and one in step(); and what is written and said of it.
REFUSED = {
    "power-1.7": ("x ** 1.7", "`x ** 1.7` differs between machines; use products and np.sqrt"),
    "power-3": ("x ** 3", "`x ** 3` differs"),
    "power-minus": ("x ** -1", "`x ** -1` differs"),
    "power-name": ("x ** s['y']", "`x ** s['y']` differs"),
    "power-in-place": ("x **= 3", "`x **= 3` differs"),
    "power-single": ("float(x[0]) ** 2", "`float(x[0]) ** 2` of a single number"),
    "power-constant": ("1.7 ** 2", "`1.7 ** 2` of a single number"),
    "pow": ("pow(x, 2.5)", "`pow` differs"),
    "np.power": ("np.power(x, 3)", "`np.power` differs"),
    "dunder-pow": ("x.__pow__(1.5)", "`x.__pow__` differs"),
    "operator": ("import operator\n|operator.pow(x, 3)", "`operator.pow` differs"),
    "from-numpy": ("from numpy import sin\n|sin(x)", "`from numpy import sin` differs"),
    "from-as": ("from numpy import exp as e\n|e(x)", "`from numpy import exp` differs"),
    "from-math": ("from math import sin\n|sin(1.5)", "`from math import sin` differs"),
    "star": ("from math import *\n|sqrt(2)", "`from math import *` hides"),
    "alias": ("wave = np.sin\n|wave(x)", "`np.sin` differs between machines; use sims.exact.sine"),
    "module-alias": ("xp = np\n|xp.sin(x)", "`xp.sin` differs"),
    "import-as": ("import numpy as other\n|other.log(x)", "`other.log` differs"),
    "attribute": ("self.xp = np; self.xp.cos(x)", "`self.xp.cos` differs"),
    "default": ("(lambda xp=np: xp.sin(x))()", "`xp.sin` differs"),
    "tuple": ("wave, root = np.sin, np.sqrt", "`np.sin` differs"),
    "getattr": ("getattr(np, 'sin')(x)", "`getattr(np, 'sin')` differs"),
    "getattr-computed": ("getattr(np, name)(x)", "`getattr(np, name)` hides"),
    "getattr-method": ("getattr(x, 'dot')(x)", "`getattr(x, 'dot')` differs"),
    "dict": ("np.__dict__['sin'](x)", "`np.__dict__` hides"),
    "vars": ("vars(np)['sin'](x)", "`np` hides"),
    "handed-on": ("list(map(lambda m: m.sin(1), [np]))", "`np` hides"),
    "modules": ("import sys\n|sys.modules['numpy'].sin(x)", "`sys.modules` hides"),
    "eval": ("eval('np.sin(x)')", "`eval` hides"),
    "log10": ("np.log10(x)", "`np.log10` differs"),
    "log1p": ("np.log1p(x)", "`np.log1p` differs"),
    "exp2": ("np.exp2(x)", "`np.exp2` differs"),
    "expm1": ("np.expm1(x)", "`np.expm1` differs"),
    "tanh": ("np.tanh(x)", "`np.tanh` differs"),
    "sinh": ("np.sinh(x)", "`np.sinh` differs"),
    "arctan": ("np.arctan(x)", "`np.arctan` differs"),
    "arcsin": ("np.arcsin(x)", "`np.arcsin` differs"),
    "asin": ("np.asin(x)", "`np.asin` differs"),
    "cbrt": ("np.cbrt(x)", "`np.cbrt` differs"),
    "sinc": ("np.sinc(x)", "`np.sinc` differs"),
    "hypot": ("import math\n|math.hypot(1, 2)", "`math.hypot` differs"),
    "interp": ("np.interp(x, x, x)", "`np.interp` differs"),
    "matmul": ("a @ b", "`a @ b` differs between machines, by the order in which it adds"),
    "matmul-in-place": ("a @= b", "`a @= b` differs"),
    "dot": ("x.dot(x)", "`x.dot` differs"),
    "np.dot": ("np.dot(x, x)", "`np.dot` differs"),
    "ndarray.dot": ("np.ndarray.dot(x, x)", "`np.ndarray.dot` differs"),
    "inner": ("np.inner(x, x)", "`np.inner` differs"),
    "linalg": ("np.linalg.norm(x)", "`np.linalg.norm` differs"),
    "from-linalg": ("from numpy.linalg import norm\n|norm(x)", "`from numpy.linalg import norm`"),
    "import-linalg": ("import numpy.linalg as la\n|la.norm(x)", "`import numpy.linalg` differs"),
    "complex": ("abs(x + 2j)", "`2j` is complex"),
    "complex-call": ("abs(complex(1, 2))", "`complex` is complex"),
    "complex-type": ("x.astype(np.complex128)", "`np.complex128` is complex"),
    "argsort": ("np.argsort(x)", "`np.argsort(x)` puts equal values in an order that differs"),
    "argsort-method": ("x.argsort(axis=0)", "`x.argsort(axis=0)` puts equal values"),
    "argsort-kind": ("np.argsort(x, kind='quicksort')", "puts equal values"),
    "argsort-from": ("from numpy import argsort\n|argsort(x)", "`argsort(x)` puts equal values"),
    "argpartition": ("np.argpartition(x, 2)", "`np.argpartition` puts equal values"),
    "argpartition-method": ("x.argpartition(2)", "`x.argpartition` puts equal values"),
    "partition": ("x.partition(2)", "`x.partition(2)` puts equal values"),
    "integers": ("np.arange(70000) ** 2", "`np.arange(70000) ** 2` is 64 bits wide here and 32"),
    "integers-named": (
        "N = 70_000\nROW = np.arange(N)\n|ROW * (N // 2)",
        "`ROW * (N // 2)` is 64 bits wide here and 32 in the browser; use np.int64",
    ),
    "integers-list": ("np.array([3, 90_000]) * 50_000", "is 64 bits wide here"),
    "astype-int": ("x.astype(int)", "`x.astype(int)` is 64 bits wide here"),
    "astype-text": ("x.astype('int')", "`x.astype('int')` is 64 bits wide here"),
    "dtype-int": ("np.zeros(3, dtype=int)", "`np.zeros(3, dtype=int)` is 64 bits wide here"),
    "zeros-int": ("np.zeros(3, int)", "`np.zeros(3, int)` is 64 bits wide here"),
    "int_": ("np.int_(3)", "`np.int_` is 64 bits wide here"),
    "longdouble": ("np.longdouble(1)", "`np.longdouble` has another number of bits"),
    "set-for": ("for name in {'a', 'b'}: pass", "`{'a', 'b'}` goes through a set"),
    "set-list": ("list(set(names))", "`list(set(names))` goes through a set"),
    "set-name": ("rest = set(names) - done; [n for n in rest]", "`rest` goes through a set"),
    "set-pop": ("{'a', 'b'}.pop()", "`{'a', 'b'}.pop()` goes through a set"),
    "set-star": ("print(*frozenset(names))", "`frozenset(names)` goes through a set"),
    "hash": ("hash('a')", "`hash` differs from one run to the next"),
    "id": ("id(x)", "`id` differs from one run to the next"),
    "maxsize": ("import sys\n|sys.maxsize", "`sys.maxsize` differs between machines"),
    "platform": ("import sys\n|sys.platform", "`sys.platform` differs between machines"),
    "from-sys": ("from sys import platform\n|platform", "`from sys import platform` differs"),
    "environment": ("import os\n|os.environ.get('HOME')", "`os.environ.get` differs"),
    "getenv": ("from os import getenv\n|getenv('HOME')", "`from os import getenv` differs"),
    "urandom": ("import os\n|os.urandom(1)[0]", "`os.urandom` differs"),
    "file": ("open('level.txt')", "`open` differs between machines"),
    "default_rng": (
        "from numpy.random import default_rng\n|default_rng(1).random()",
        "`from numpy.random import default_rng` differs between machines; use sims.exact.uniform",
    ),
    "random": ("from numpy import random\n|random.rand()", "`from numpy import random` differs"),
    "clock": ("__import__('time').time()", "`__import__('time').time` makes games that cannot"),
    "clock-computed": ("__import__(name).time()", "`__import__(name)` hides"),
    "import_module": (
        "import importlib\n|importlib.import_module('time').time()",
        "`importlib.import_module('time').time` makes games that cannot",
    ),
    "import-time": (
        "import time",
        "`import time` makes games that cannot be replayed; use `chance`",
    ),
    "from-time": ("from time import monotonic", "`import time` makes games that cannot"),
    "js": ("import js\n|js.Math.random()", "`import js` differs between machines"),
    "gymnasium": (
        "import gymnasium\n|gymnasium.make('CartPole-v1')",
        "it imports gymnasium, which the browser does not have",
    ),
    "torch": ("from torch import nn\n|nn", "it imports torch, which the browser does not have"),
}

PASSES = (
    "x ** 2",
    "x ** 0.5",
    "x **= 2",
    "2 ** 16 + 10 ** 6",
    "SIDE = 1.5\n|SIDE ** 2 + 2.0 ** -24",
    "np.sqrt(x) + np.floor(x) + abs(x)",
    "import math\n|math.sqrt(2) + math.floor(x[0]) + math.pi + math.fsum([1.0, 2.0])",
    "from math import sqrt, tau\n|sqrt(tau)",
    "np.argsort(x, kind='stable')",
    "x.argsort(kind='stable', axis=0)",
    "np.argsort(x, stable=True)",
    "np.sort(x) + x.argmax() + np.lexsort((x, x))",
    "np.arange(70_000, dtype=np.int64) ** 2",
    "np.arange(self.worlds) * 3 + np.arange(64) ** 2",
    "np.arange(70_000) / 7 + np.arange(70_000) * 2.5",
    "np.zeros(3, np.int64) + x.astype(np.int64) + int(x[0])",
    "np.zeros((3, 3), np.int32) + np.full(3, 7)",
    "'a/b'.partition('/') + tuple('a/b'.split('/'))",
    "sorted({'a', 'b'}) + [len(set(names)), 'a' in {'a', 'b'}]",
    "for k in {1, 2, 3}: pass",
    "for k in {'a': 1}: pass",
    "isinstance(x, np.ndarray) and hasattr(np, 'bitwise_count')",
    "getattr(self, 'name')()",
    "getattr(np, 'sqrt')(x)",
    "import os, sys\n|os.path.join('a', 'b'), sys.float_info.max",
    "import dataclasses, functools, itertools, typing, enum, collections\n|functools.partial(len)",
    "from decimal import Decimal\n|Decimal(1)",
    "class Field:\n    def dot(self, x): return x\n    def run(self): return self.dot(1)\n|0",
    "def near(id, hash, pow): return id + hash * pow\n|near(1, 2, 3)",
    "for id, (hash, input) in (): id + hash + input",
    "try:\n    import numba\nexcept ImportError:\n    numba = None\n|numba",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n|0",
    "if __name__ == '__main__':\n    import time, matplotlib\n    print(time.time())\n|0",
    "def f(x: np.random.Generator) -> complex: return x\n|0",
    "x = x\n        x = x + x\n        y = x; x = y",
)


def world(folder: Path, code: str) -> list[resolve.Source]:
    """Write the starter's world with a hazard in it, and read it."""
    head, _, line = code.rpartition("|")
    text = STARTER.read_text()
    assert HEAD in text
    assert STEP in text
    text = text.replace(HEAD, HEAD + head, 1).replace(
        STEP, f"{STEP}        x = s['x']\n        {line}\n", 1
    )
    (folder / "catcher.py").write_text(text)
    return resolve.read("catcher", folder, [folder / "catcher.py"])


@pytest.mark.parametrize(("code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_known_to_differ_is_refused_by_name(tmp_path: Path, code: str, said: str) -> None:
    sources = world(tmp_path, code)
    with pytest.raises(UserError) as error:
        determinism.check("catcher", sources)
    text = str(error.value)
    assert said in text
    assert text.startswith(f"world 'catcher': {tmp_path}/catcher.py:")
    assert "\n" not in text


@pytest.mark.parametrize("code", PASSES)
def test_honest_code_passes(tmp_path: Path, code: str) -> None:
    determinism.check("catcher", world(tmp_path, code))


@pytest.mark.parametrize("name", ["breakout", "driving", "lander", "maze", "pong"])
def test_the_worlds_that_ship_pass(name: str) -> None:
    files = Project(PACKAGES).world(name)
    own = [m.file for m in files.closure if files.editable(m)]
    determinism.check(name, resolve.read(name, PACKAGES / "sims", own))


@pytest.mark.parametrize(
    "code", ["from sims.helper import root", "from .helper import root", "import sims.helper"]
)
def test_what_a_world_imports_of_its_project_is_read_too(tmp_path: Path, code: str) -> None:
    (tmp_path / "helper.py").write_text("import math\n\ndef root(x):\n    return math.cbrt(x)\n")
    with pytest.raises(UserError, match=r"helper\.py:4: `math\.cbrt` differs"):
        determinism.check("catcher", world(tmp_path, f"{code}\n|0"))


def test_a_module_that_another_one_passes_on_is_followed(tmp_path: Path) -> None:
    code = "from sims.exact import np as numbers\n|numbers.sin(x)"
    with pytest.raises(UserError, match=r"`numbers\.sin` differs"):
        determinism.check("catcher", world(tmp_path, code))


def test_all_lines_are_told_at_once(tmp_path: Path) -> None:
    sources = world(tmp_path, "np.sin(x)\n        np.cos(x)\n        np.exp(x)")
    with pytest.raises(
        UserError, match=r"use sims\.exact\.sine and cosine\. See lines \d+, \d+ too"
    ):
        determinism.check("catcher", sources)


@pytest.mark.parametrize("code", ["-" * 5000 + "1", "(" * 300 + ")" * 300, "+".join("1" * 5000)])
def test_a_source_that_python_can_hardly_read_is_one_line(tmp_path: Path, code: str) -> None:
    with pytest.raises(UserError, match=r"catcher\.py") as error:
        determinism.check("catcher", world(tmp_path, f"y = {code}\n        y = np.sin(y)"))
    assert "\n" not in str(error.value)


def _ufuncs() -> list[str]:
    return [f"numpy.{n}" for n in dir(np) if isinstance(getattr(np, n), np.ufunc)]


def _functions() -> list[str]:
    return [f"math.{n}" for n in dir(math) if callable(getattr(math, n)) and n[0] != "_"]


def test_the_table_has_every_function_of_math_and_every_ufunc_of_numpy() -> None:
    exact = {name for group in hazards.EXACT for name in group.names}
    both = [n for n in exact if hazards.find(n) and n != "numpy.partition"]
    assert not both
    known = exact | set(hazards.NAMED)
    more = {"math.exp2", "math.cbrt", "math.sumprod", "math.fma"}  # Of a newer Python.
    assert [n for n in (*_ufuncs(), *_functions()) if n not in known | more] == []
