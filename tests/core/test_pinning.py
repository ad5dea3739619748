"""Compiled code of user's rules is kept on disk under all that they mean, and is never stale."""

import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from numba import njit
from numba.core.registry import CPUDispatcher

from penstock import Map, pinning, rules
from penstock.pinning import _freeze_function, _RuleCache, _UnknownMeaning

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")


def define(source, **names):
    """The jitted function `f` of a text, with these globals."""
    namespace = {"np": np, "njit": njit, "__name__": __name__, **names}
    exec(source, namespace)
    return namespace["f"]


def meaning(source, **names):
    return _freeze_function(define(source, **names), ())[0]


PLAIN = "@njit\ndef f(x, u):\n    return (a * x[0],)"


def module_with(**attributes):
    module = ModuleType("settings")
    vars(module).update(attributes)
    return module


def test_the_same_definition_means_the_same_wherever_it_stands():
    assert meaning(PLAIN, a=2.0) == meaning("# moved\n\n\n" + PLAIN, a=2.0, unused=3)
    array = np.arange(3.0)
    assert meaning(PLAIN, a=array) == meaning(PLAIN, a=array.copy())


NESTED = "@njit\ndef f(x, u):\n    g = lambda y: y * {}\n    return (g(x[0]),)"
DEFAULT = "@njit\ndef f(x, u, c={}):\n    return (c * x[0],)"
CLOSURE = "def make(c):\n    @njit\n    def f(x, u):\n        return (c * x[0],)\n    return f\nf = make({})"
INNER = (
    "def make(c):\n    @njit\n    def f(x, u):\n        return (sum([c * y for y in x]),)\n    return f\nf = make({})"
)
HELPER = "@njit\ndef g(y):\n    return {} * y\n@njit\ndef f(x, u):\n    return (g(x[0]),)"
DEEPER = (
    "@njit\ndef h(y):\n    return {} * y\n@njit\ndef g(y):\n    return h(y)\n@njit\ndef f(x, u):\n    return (g(x[0]),)"
)
OPTION = "@njit(fastmath={})\ndef f(x, u):\n    return (x[0] + 1,)"
SUMMAND = "@njit\ndef f(x, u):\n    return (x[0] + {},)"
FUNCTION = "@njit\ndef f(x, u):\n    return (np.{}(x[0]),)"


@pytest.mark.parametrize(
    ("source", "one", "other"),
    [
        (SUMMAND, "1", "2"),
        (SUMMAND, "1", "1.0"),
        (SUMMAND, "0.0", "-0.0"),
        (SUMMAND, "1", "True"),
        (FUNCTION, "sin", "cos"),
        (NESTED, "2.0", "3.0"),
        (DEFAULT, "2.0", "3.0"),
        (CLOSURE, "2.0", "3.0"),
        (CLOSURE, "np.array([1.0])", "np.array([2.0])"),
        (INNER, "2.0", "3.0"),
        (HELPER, "2.0", "3.0"),
        (DEEPER, "2.0", "3.0"),
        (OPTION, "False", "True"),
        (OPTION, "{'nnan'}", "{'contract'}"),
    ],
)
def test_whatever_is_compiled_in_is_part_of_the_meaning(source, one, other):
    assert meaning(source.replace("{}", one)) == meaning(source.replace("{}", one))
    assert meaning(source.replace("{}", one)) != meaning(source.replace("{}", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2.0, 3.0),
        (2, 2.0),
        (np.float32(2), np.float64(2)),
        (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
        (np.array([1.0, 2.0]), np.array([[1.0, 2.0]])),
        (np.array([1, 2]), np.array([1, 2]).view(np.float64)),
        (np.arange(4.0).reshape(2, 2), np.asfortranarray(np.arange(4.0).reshape(2, 2))),
        ((1.0, (2.0, 3.0)), ((1.0, 2.0), 3.0)),
        (("ab", "c"), ("a", "bc")),
    ],
)
def test_globals_and_attributes_of_modules_are_hashed_by_content(one, other):
    assert meaning(PLAIN, a=one) != meaning(PLAIN, a=other)
    by_module = PLAIN.replace("a *", "m.a *")
    assert meaning(by_module, m=module_with(a=one)) != meaning(by_module, m=module_with(a=other))
    nested = PLAIN.replace("a *", "m.inner.a *")
    assert meaning(nested, m=module_with(inner=module_with(a=one))) != meaning(
        nested, m=module_with(inner=module_with(a=other))
    )


class Settings:
    a = 2.0


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (PLAIN, {"a": Settings()}),
        (PLAIN, {"a": Settings}),
        (PLAIN, {"a": [1.0]}),
        (PLAIN, {"a": np.zeros(10**6)}),  # Numba reads arrays this large anew, whatever was compiled
        (PLAIN, {"a": np.array([None])}),
        (PLAIN, {"a": np.ma.zeros(3)}),
        (PLAIN, {"a": module_with()}),
        (PLAIN, {}),
        (PLAIN.replace("a *", "m.a *"), {"m": module_with()}),
        (PLAIN.replace("a *", "m.a *"), {"m": module_with(a=Settings())}),
        (PLAIN.replace("a *", "g(2) *"), {"g": lambda y: y}),  # a plain function may be an overload: anything
        (PLAIN.replace("a *", "g(2) *"), {"g": np.vectorize(abs)}),
        (PLAIN.replace("a *", "np.random.normal() *"), {}),
        (PLAIN.replace("a *", "f(x, u)[0] *"), {}),  # calls itself
        (PLAIN.replace("return", "import math\n    return"), {"a": 2.0}),
    ],
)
def test_what_cannot_be_hashed_is_refused(source, names):
    with pytest.raises(_UnknownMeaning):
        meaning(source, **names)


def test_a_cached_helper_of_another_module_is_refused_but_a_cached_rule_is_not():
    """Numba's own cache does not notice edits behind a cached helper; a rule is compiled anew from its own text."""
    helper = njit(cache=True)(doubled)
    with pytest.raises(_UnknownMeaning, match="own cache"):
        meaning(PLAIN.replace("a *", "m.g(2.0) *"), m=module_with(g=helper))
    frozen = _freeze_function(helper, ())[1]
    assert type(frozen._cache).__name__ == "NullCache"


def doubled(y):
    return 2.0 * y


scale = np.array([2.0])
settings = module_with(rate=3.0)


@njit
def scaled(x, u):
    return (scale[0] * x[0],)


@njit
def rated(x, u):
    return (settings.rate * x[0],)


def test_a_changed_global_array_or_module_attribute_is_not_stale_within_a_process():
    try:
        first = Map(scaled, 1)
        assert first.run(1, [1.0])[0, 0] == 2.0 and Map(rated, 1).run(1, [1.0])[0, 0] == 3.0
        scale[0], settings.rate = 5.0, 7.0
        assert Map(scaled, 1).run(1, [1.0])[0, 0] == 5.0
        assert Map(rated, 1).run(1, [1.0])[0, 0] == 7.0
        assert first.run(1, [1.0])[0, 0] == 2.0  # frozen when it first ran
    finally:
        scale[0], settings.rate = 2.0, 3.0


def test_equal_rules_share_one_compilation():
    make = "def make(c):\n    @njit\n    def f(x, u):\n        return (c * x[0] + 0.125,)\n    return f\nf = make(1.5)"
    one, two = Map(define(make), 1), Map(define(make), 1)
    assert one.run(1, [1.0]) == two.run(1, [1.0]) == [[1.625]]
    assert one._iterate.func is two._iterate.func and one._iterate.args[0] is two._iterate.args[0]
    assert len(one._iterate.func.overloads) == 1


@pytest.mark.parametrize("missing", ["_set_uuid", "FunctionCache"])
def test_without_the_private_hooks_every_process_compiles_for_itself(monkeypatch, missing):
    if missing == "FunctionCache":
        monkeypatch.setattr(pinning, "FunctionCache", None)
    else:
        owner = next(cls for cls in CPUDispatcher.__mro__ if missing in vars(cls))
        monkeypatch.delattr(owner, missing)
    rule = define(SUMMAND.format("0.5"))
    system = Map(rule, 1)
    assert system.run(1, [1.0]) == [[1.5]]
    assert system._iterate.func is rules.iterate


def test_an_unreadable_file_means_compiling_again(monkeypatch):
    rule = define(SUMMAND.format("0.25"))
    monkeypatch.setattr(_RuleCache.__mro__[1], "load_overload", lambda *a: 1 / 0)
    monkeypatch.setattr(_RuleCache.__mro__[1], "save_overload", lambda *a: 1 / 0)
    assert Map(rule, 1).run(1, [1.0]) == [[1.25]]


def test_files_used_longest_ago_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(pinning, "KEPT_FILES", 2)
    for age, name in enumerate(("newest", "newer", "old", "oldest")):
        for ending in ("nbi", "1.nbc"):
            file = tmp_path / f"carry-rule-{name}.{ending}"
            file.touch()
            os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "carry-12.nbi").touch()  # a file of Numba's own
    cache = _RuleCache.__new__(_RuleCache)
    cache._cache_path, cache._stem = str(tmp_path), "carry-rule-"
    cache._prune()
    left = {file.name.removeprefix("carry-rule-") for file in tmp_path.iterdir()}
    assert left == {"newest.nbi", "newest.1.nbc", "newer.nbi", "newer.1.nbc", "carry-12.nbi"}


SCRIPT = """
import sys, time
import numpy as np
from numba import njit
from penstock import Map
import helper_of_test, settings_of_test

gains = np.array([float(sys.argv[1])])

def make(c):
    @njit
    def closed(x, u):
        return (c[0] * x[0],)
    return closed

@njit
def by_array(x, u):
    return (gains[0] * x[0],)

@njit
def by_attribute(x, u):
    return (settings_of_test.rate * x[0] + 1,)

@njit
def by_helper(x, u):
    return (helper_of_test.helper(x[0]) + 2,)

rules = [by_array, by_attribute, by_helper, make(gains), njit(lambda x, u: (0.5 * x[0],))]
start = time.perf_counter()
values, hits = [], 0
for rule in rules:
    system = Map(rule, 1)
    values.append(system.run(1, [1.0])[0, 0])
    assert values[-1] == rule.py_func([1.0], None)[0]
    hits += sum(system._iterate.func.stats.cache_hits.values())
print(hits, time.perf_counter() - start, *values)
"""


@pytest.mark.slow
def test_the_next_process_loads_what_this_one_compiled_unless_something_changed(tmp_path):
    def write(rate, factor):
        (tmp_path / "settings_of_test.py").write_text(f"rate = {rate}\n")
        text = f"from numba import njit\n@njit\ndef helper(y):\n    return {factor} * y\n"
        (tmp_path / "helper_of_test.py").write_text(text)

    def run(gain):
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, str(script), str(gain)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        hits, seconds, *values = map(float, done.stdout.split())
        files = sum("-rule-" in file.name for file in (tmp_path / "cache").rglob("*.nb?"))
        return hits, values, files, seconds

    write(rate=3, factor=4)
    hits, values, files, first = run(2)
    assert (hits, values, files) == (0, [2, 4, 6, 2, 0.5], 10)
    hits, values, files, second = run(2)
    assert (hits, values, files) == (5, [2, 4, 6, 2, 0.5], 10)
    assert second < first / 2  # loading leaves no more than a fraction
    write(rate=5, factor=6)
    hits, values, files, _ = run(3)
    assert (hits, values, files) == (1, [3, 6, 8, 3, 0.5], 18)  # only the rule that did not change
