"""Sweeps: every task once, the same seeds and results however it runs, changes noticed, errors recorded."""

import hashlib
import json
import sys
import threading
import warnings
from functools import cached_property, partial

import numpy as np
import pytest
from joblib import parallel_config
from joblib.parallel import ThreadingBackend

from penstock.progress import track
from penstock.sweep import load_sweep, sweep
from penstock.sweep_code import _constant, function_name, ingredients
from penstock.sweep_run import _WorkersLost
from penstock.sweep_tasks import make_tasks
from penstock.threads import thread_count
from penstock.weights import ring, uniform


def draw(a, b, seed):
    return {"sum": a + b, "noise": float(np.random.default_rng(seed).standard_normal()), "row": np.arange(3) * a}


GRID = {"a": [1, 2, 3], "b": [0.25, 0.5]}


def run(function, grid, store=None, **options):
    return sweep(function, grid, store=store, **{"n_jobs": 1, "progress": False, **options})


def facts(result):
    """What does not depend on where and when a record was made."""
    rows = []
    for record in result.records:
        values = {name: np.asarray(value).tolist() for name, value in (record["result"] or {}).items()}
        rows.append((record["point"], record["repeat"], record["seed"], record["status"], values))
    return rows


def counting(calls, fails=()):
    def count(x, seed):
        calls.append(x)
        if x in fails:
            raise ArithmeticError(f"x is {x}")
        return x * seed % 1000

    return count


# --- the order, the seeds, the backends ----------------------------------------------------------------------------


def test_records_stand_in_the_order_of_the_grid_with_every_value(tmp_path):
    result = run(draw, GRID, tmp_path, repeats=2)
    expected = [(a, b, r) for a in (1, 2, 3) for b in (0.25, 0.5) for r in (0, 1)]
    assert [(*record["point"].values(), record["repeat"]) for record in result.records] == expected
    assert [record["result"]["sum"] for record in result.records] == [a + b for a, b, _ in expected]
    assert len(result) == 12 and result.missing == 0 and result.failures == []


def test_what_is_loaded_is_what_was_returned(tmp_path):
    result = run(draw, GRID, tmp_path, repeats=2)
    again = load_sweep(tmp_path)
    assert facts(again) == facts(result) and again.parameters == result.parameters == {"a": (1, 2, 3), "b": (0.25, 0.5)}
    plain = [{k: v for k, v in r.items() if k != "result"} for r in again.records]
    assert plain == [{k: v for k, v in r.items() if k != "result"} for r in result.records]


def test_seeds_depend_on_the_point_the_repeat_and_the_sweep_s_seed_only():
    few = run(draw, {"a": [1], "b": [0.5]}, repeats=1)
    many = run(draw, {"b": [1.5, 0.5], "a": [3, 1]}, repeats=3)
    as_points = run(draw, [{"b": 0.5, "a": 1}])
    [record] = [r for r in many.records if r["point"] == {"a": 1, "b": 0.5} and r["repeat"] == 0]
    assert record["seed"] == few.records[0]["seed"] == as_points.records[0]["seed"]
    assert record["result"]["noise"] == few.records[0]["result"]["noise"]
    assert len({r["seed"] for r in many.records}) == 12
    assert run(draw, {"a": [1], "b": [0.5]}, seed=1).records[0]["seed"] != record["seed"]


def test_seeds_are_those_of_the_first_release():
    # SHA-256 of '{"a":1,"b":0.5} repeat 0 seed 0', its first 8 bytes, little-endian, halved: by sha256sum
    [task] = make_tasks({"b": 0.5, "a": 1}, range(1), 0)
    text = b'{"a":1,"b":0.5} repeat 0 seed 0'
    assert task.seed == int.from_bytes(hashlib.sha256(text).digest()[:8], "little") // 2


def test_seeds_are_spread_evenly():
    seeds = [task.seed / 2**63 for i in range(500) for task in make_tasks({"i": i}, range(4), 7)]
    counts = np.histogram(seeds, bins=16, range=(0, 1))[0]
    assert ((counts - 125) ** 2 / 125).sum() < 37.7  # chi-square of 15 degrees of freedom, 99.9 %


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_results_do_not_depend_on_backend_or_number_of_jobs(backend):
    def task(a, b, seed):
        rng = np.random.default_rng(seed)
        return {"trace": float(np.trace(np.linalg.inv(rng.standard_normal((60, 60)) + a))), "threads": thread_count()}

    alone, several = run(task, GRID), run(task, GRID, n_jobs=2, backend=backend)
    assert [r["result"]["trace"] for r in alone.records] == [r["result"]["trace"] for r in several.records]
    assert {r["result"]["threads"] for r in several.records} == {1}
    assert len({r["pid"] for r in several.records} | {alone.records[0]["pid"]}) == 1 or backend == "loky"


def test_joblib_s_context_chooses_backend_and_number(tmp_path):
    def task(x):
        return threading.current_thread() is threading.main_thread()

    with parallel_config(backend="threading", n_jobs=2):
        assert not any(r["result"]["value"] for r in run(task, {"x": [1, 2, 3]}, n_jobs=None).records)
    assert all(r["result"]["value"] for r in run(task, {"x": [1, 2, 3]}).records)


class AtItsEnd(ThreadingBackend):
    """A backend that returns all results at its end, as those of some clusters do."""

    supports_return_generator = False


def test_a_backend_without_generators_does_as_well(tmp_path):
    result = run(draw, GRID, repeats=2, n_jobs=2, backend=AtItsEnd())
    assert facts(result) == facts(run(draw, GRID, repeats=2))
    seen = run(lambda x: len(load_sweep(tmp_path).records), {"x": [1, 2, 3]}, tmp_path, n_jobs=2, backend=AtItsEnd())
    assert seen.records[2]["result"]["value"] == 2  # what is done is recorded while the rest is computed


def test_functions_as_values_arrive_as_they_are_and_are_stored_by_name(tmp_path):
    def task(weights, shape):
        return {"name": weights.__name__, "size": len(shape)}

    assert run(lambda both: both[1] is uniform, {"both": [(ring, uniform)]}).records[0]["result"]["value"]
    result = run(task, {"weights": [ring, uniform], "shape": [(1, 2), (1, 2, 3)]}, tmp_path)
    assert [r["result"]["name"] for r in result.records] == ["ring", "ring", "uniform", "uniform"]
    assert [r["point"]["weights"] for r in load_sweep(tmp_path).records][::2] == [
        "penstock.weights.ring",
        "penstock.weights.uniform",
    ]


def test_a_task_cannot_change_the_values_of_the_next():
    def task(x, y, repeat_of):
        x[0] += 1
        y[0][0] += 1
        return int(x[0] + y[0][0])

    result = run(task, {"x": [np.array([1, 2])], "y": [(np.array([3]),)], "repeat_of": [0, 1]}, repeats=2)
    assert [r["result"]["value"] for r in result.records] == [6, 6, 6, 6]


# --- going on --------------------------------------------------------------------------------------------------------


def test_what_is_recorded_is_not_computed_again(tmp_path):
    calls = []
    first = run(counting(calls), {"x": [1, 2]}, tmp_path, repeats=2)
    assert facts(run(counting(calls), {"x": [1, 2]}, tmp_path, repeats=2)) == facts(first)
    assert calls == [1, 1, 2, 2]


def test_another_grid_keeps_the_old_records_and_says_so(tmp_path):
    calls = []
    run(counting(calls), {"x": [1, 2]}, tmp_path, repeats=2)
    with pytest.warns(UserWarning, match="another one than before: 2 of its 9 tasks .* 2 records outside"):
        result = run(counting(calls), {"x": [5, 2, 4]}, tmp_path, repeats=3)
    assert calls == [1, 1, 2, 2, 5, 5, 5, 2, 4, 4, 4]
    assert facts(result) == facts(run(counting([]), {"x": [5, 2, 4]}, repeats=3))
    assert facts(load_sweep(tmp_path)) == facts(result)


def test_failures_are_recorded_with_their_error_and_run_again_if_asked_to(tmp_path):
    calls = []
    with pytest.warns(UserWarning, match=r"2 of 4 tasks failed, the first at x=2: ArithmeticError: x is 2; .*retry"):
        result = run(counting(calls, {2, 3}), {"x": [1, 2, 3, 4]}, tmp_path)
    assert [record["point"]["x"] for record in result.failures] == [2, 3]
    error = result.failures[0]["error"]
    assert error["type"] == "ArithmeticError" and error["message"] == "x is 2"
    assert 'raise ArithmeticError(f"x is {x}")' in error["traceback"] and "sweep_tasks" not in error["traceback"]
    with pytest.warns(UserWarning, match="2 of 4 tasks failed"):
        run(counting(calls, {2, 3}), {"x": [1, 2, 3, 4]}, tmp_path)
    assert calls == [1, 2, 3, 4]
    result = run(counting(calls), {"x": [1, 2, 3, 4]}, tmp_path, retry_failed=True, accept_changes=True)
    assert calls == [1, 2, 3, 4, 2, 3] and not result.failures and not load_sweep(tmp_path).failures


def test_sys_exit_in_a_task_is_its_failure():
    def leave(x):
        raise SystemExit(3)

    with pytest.warns(UserWarning, match="SystemExit: 3"):
        assert len(run(leave, {"x": [1, 2]}).failures) == 2


def test_an_interrupt_stops_at_once_and_says_what_is_safe(tmp_path):
    def interrupt(x):
        if x == 3:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt, match=r"stopped: 2 of 5 tasks are safe .* the same call goes on"):
        run(interrupt, {"x": [1, 2, 3, 4, 5]}, tmp_path)
    part = load_sweep(tmp_path)
    assert [r["result"]["value"] for r in part.records] == [1, 2] and part.missing == 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_result_that_cannot_be_stored_stops_the_sweep_and_is_named(tmp_path, n_jobs):
    def task(x):
        return {"fine": 1, "model": object()}

    with pytest.raises(TypeError, match=r"result 'model' must be a number.*object.*\(at x=1\)"):
        run(task, {"x": [1]}, tmp_path, n_jobs=n_jobs, backend="threading")
    with pytest.raises(ValueError, match="no result may be called 'x'"):
        run(lambda x: {"x": 1}, {"x": [1]})
    with pytest.raises(TypeError, match="names of the results must be strings, got 1"):
        run(lambda x: {1: 1}, {"x": [1]})


def test_damaged_records_are_computed_again(tmp_path):
    calls = []
    first = run(counting(calls), {"x": [1, 2, 3]}, tmp_path)
    [file] = tmp_path.glob("records-*")
    text = file.read_bytes()
    file.write_bytes(text.replace(b'"x":2', b'"x":7'))
    with pytest.warns(UserWarning, match="line 2, is damaged"):
        result = run(counting(calls), {"x": [1, 2, 3]}, tmp_path)
    assert calls == [1, 2, 3, 2] and facts(result) == facts(first)


def test_progress_counts_what_is_there_already(tmp_path, monkeypatch):

    seen = []
    monkeypatch.setattr(
        sys.modules[sweep.__module__], "track", lambda items, *rest: seen.append(rest) or track(items, *rest)
    )
    run(counting([]), {"x": [1, 2, 3]}, tmp_path, progress=True)
    run(counting([]), {"x": [1, 2, 3]}, tmp_path, progress=True)
    assert [total for total, *_ in seen] == [3, 3]


# --- what has changed ------------------------------------------------------------------------------------------------


def test_a_changed_function_is_noticed_and_named(tmp_path):
    scale = 2

    def task(x, power=2):
        return scale * x**power

    run(task, {"x": [1, 2]}, tmp_path)
    scale = 3
    with pytest.raises(ValueError, match="another version of .*task: variable scale has changed from 2 to 3; .*accept"):
        run(task, {"x": [1, 2]}, tmp_path)
    scale = 2
    run(task, {"x": [1, 2]}, tmp_path)

    def task(x, power=2):
        return scale * x**power + 1

    with pytest.raises(ValueError, match="code of .*task has changed"):
        run(task, {"x": [1, 2]}, tmp_path)
    with pytest.warns(UserWarning, match="another one than before: 2 of its 3"):
        result = run(task, {"x": [1, 2, 3]}, tmp_path, accept_changes=True)
    assert [r["result"]["value"] for r in result.records] == [2, 8, 19]
    run(task, {"x": [1, 2, 3]}, tmp_path)  # the accepted version is the one that counts now


def test_comments_docstrings_annotations_and_lines_are_no_change():
    sources = [
        "def f(x, n=3):\n    return [x + i for i in range(n)]",
        "\n\n# why\ndef f(x: float, n: int = 3):\n    'Say why.'\n    # how\n    return [x + i for i in range(n)]",
    ]
    made = []
    for source in sources:
        space = {"__name__": "m"}
        exec(source, space)
        made.append(ingredients(space["f"]))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "source",
    [
        "def f(x, n=3):\n    return [x - i for i in range(n)]",
        "def f(x, n=4):\n    return [x + i for i in range(n)]",
        "def f(x, n=3):\n    return [x + i for i in range(n, 9)]",
        "def f(x, n=3):\n    return [x + abs(i) for i in range(n)]",
        "def f(x, n=3):\n    return [g(x + i) for i in range(n)]\ndef g(x):\n    return x",
        "def f(x, *, n=3):\n    return [x + i for i in range(n)]",
    ],
)
def test_every_change_of_the_code_is_one(source):
    spaces = [{"__name__": "m"}, {"__name__": "m"}]
    exec("def f(x, n=3):\n    return [x + i for i in range(n)]", spaces[0])
    exec(source, spaces[1])
    assert ingredients(spaces[0]["f"]) != ingredients(spaces[1]["f"])


def test_helpers_and_constants_of_the_module_count_and_other_modules_do_not():
    source = (
        "import numpy as np\nT = {T}\ndef helper(x):\n    return np.sin(x) + {c}\ndef f(x):\n    return helper(x) * T"
    )
    found = []
    for T, c in [(1, 1), (2, 1), (1, 2), (1, 1)]:
        space = {"__name__": "m"}
        exec(source.format(T=T, c=c), space)
        found.append(ingredients(space["f"]))
    assert found[0] == found[3] and found[0] != found[1] and found[0] != found[2] != found[1]
    assert sorted(found[0]) == ["code of f", "code of helper", "variable T"]


def test_sets_have_one_text_whatever_their_order():
    one, other = frozenset([0, 8, "a"]), frozenset(["a", 8, 0])
    assert list(one) != list(other) and _constant(one) == _constant(other)


def test_partials_methods_and_objects_have_ingredients_too():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @cached_property
        def twice(self):
            return 2 * self.scale

        def __call__(self, x):
            return x

        def run(self, x):
            return x + self.twice

    model = Model(1)
    for pick in (lambda model: model, lambda model: model.run):
        before = ingredients(pick(model))
        assert model.twice == 2 * model.scale and ingredients(pick(model)) == before != ingredients(pick(Model(2)))
        model = Model(1)
    assert ingredients(partial(draw, 1)) != ingredients(partial(draw, 2))
    assert any("Model.__call__" in name for name in ingredients(model))
    assert any("Model.run" in name for name in ingredients(model.run))
    assert ingredients(np.hypot) and function_name(np.hypot).endswith("hypot")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, 2], [1, 3]),
        ({"n": 100, "law": {"a": (1,)}}, {"n": 100, "law": {"a": (2,)}}),
        (np.zeros(40000), np.eye(1, 40000)[0]),
        (np.zeros(4), np.zeros((2, 2))),
        ((ring, 1), (uniform, 1)),
    ],
)
def test_a_changed_list_dict_or_array_from_outside_is_noticed_but_what_was_filled_is_not(tmp_path, before, after):
    def swept(outside, given):
        calls, seen = outside[0], outside[1]
        return run(lambda x: (calls.append(x), seen.update({x: 1}), len(given))[2], {"x": [1, 2]}, tmp_path)

    outside = [], {}
    swept(outside, before)
    swept(outside, before)  # whose list and dict are full now
    assert outside == ([1, 2], {1: 1, 2: 1})
    with pytest.raises(ValueError, match="variable given has changed"):
        swept(outside, after)


def test_a_seed_that_a_partial_has_given_stays(tmp_path):
    def task(x, seed):
        return seed

    assert run(partial(task, seed=3), {"x": [1]}, tmp_path).records[0]["result"]["value"] == 3


def test_functions_of_every_kind_are_swept():
    class Model:
        def __init__(self, k):
            self.k = k

        def __call__(self, x, seed):
            return x + self.k

        def run(self, x):
            return x + self.k

    def any_names(**given):
        return 10 + given["x"] if list(given) == ["x"] else None

    space = {"__name__": "__main__"}
    exec("def nowhere(x):\n    return x + 10", space)  # its source is nowhere
    added = partial(lambda k, x: k + x, 10)
    for function in (Model(10), Model(10).run, any_names, space["nowhere"], lambda x: x + 10, added):
        assert [r["result"]["value"] for r in run(function, {"x": [1, 2]}).records] == [11, 12]
    for function in (abs, lambda x, /: x, lambda *x: x, Model):
        with pytest.raises(TypeError, match="function must take the parameters x by name"):
            run(function, {"x": [1]})


def test_another_seed_or_other_parameters_need_another_store(tmp_path):
    run(counting([]), {"x": [1, 2]}, tmp_path)
    with pytest.raises(ValueError, match="seed 0, got 1: choose another store"):
        run(counting([]), {"x": [1, 2]}, tmp_path, seed=1)

    def other(y):
        return y

    with pytest.raises(ValueError, match=r"parameters \['x'\], got \['y'\]"):
        run(other, {"y": [1]}, tmp_path)
    manifest = json.loads((tmp_path / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps({**manifest, "kind": "tally"}))
    with pytest.raises(ValueError, match="holds no sweep but a tally"):
        run(counting([]), {"x": [1, 2]}, tmp_path)
    with pytest.raises(ValueError, match="must be the folder of a sweep"):
        load_sweep(tmp_path)


def test_another_python_is_told_apart_from_another_function(tmp_path):
    run(draw, GRID, tmp_path)
    manifest = json.loads((tmp_path / "sweep.json").read_text())
    manifest |= {"python": "3.9", "code": {"code of draw": "0"}}
    (tmp_path / "sweep.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"of Python 3\.9, this is 3\.\d+: whether .*draw is the same cannot be told"):
        run(draw, GRID, tmp_path)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "kind", "fragment"),
    [
        ({}, ValueError, "at least one parameter"),
        ([], ValueError, "at least one point"),
        (None, TypeError, "grid must be a dict"),
        ("a", TypeError, "grid must be a dict"),
        ([1, 2], TypeError, "grid must be a dict"),
        ({"a": []}, ValueError, r"grid\['a'\] must have at least one value"),
        ({"a": 1}, TypeError, r"grid\['a'\] must be a list"),
        ({"a": "xyz"}, TypeError, r"grid\['a'\] must be a list"),
        ({"a": [1, 1.0]}, ValueError, "values that differ, got 1 and 1.0"),
        ({"a": [float("nan"), float("nan")]}, ValueError, "values that differ"),
        ({"a": [object()]}, TypeError, r"grid\['a'\] must be a number"),
        ({1: [1]}, TypeError, "names of parameters"),
        ({"a b": [1]}, TypeError, "names of parameters"),
        ({"seed": [1]}, ValueError, "'seed': each repeat has its own"),
        ({"seconds": [1]}, ValueError, "column of the table"),
        ([{"a": 1}, {"b": 1}], ValueError, "same parameters"),
        ([{"a": 1}, {"a": 1}], ValueError, "points that differ"),
        ([{"a": 1}, {"a": 1.0}], ValueError, "points that differ"),
        ([{}], ValueError, "same parameters"),
        ({"z": [1]}, TypeError, "function must take the parameters z"),
    ],
)
def test_a_bad_grid_is_told_before_the_work(tmp_path, grid, kind, fragment):
    with pytest.raises(kind, match=fragment):
        run(lambda a: a, grid, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "kind", "fragment"),
    [
        ({"repeats": 0}, ValueError, "repeats must be at least 1"),
        ({"repeats": 1.5}, TypeError, "repeats must be an integer"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"store": 3}, TypeError, "store must be a folder"),
        ({"store": ""}, ValueError, "store must be a folder"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"n_jobs": True}, TypeError, "n_jobs must be"),
        ({"retry_failed": 1}, TypeError, "retry_failed must be"),
        ({"accept_changes": None}, TypeError, "accept_changes must be"),
        ({"progress": "yes"}, TypeError, "progress must be"),
        ({"backend": "carrier pigeon"}, ValueError, "carrier pigeon"),
        ({"backend": "multiprocessing"}, ValueError, 'backend must not be "multiprocessing"'),
        ({"backend": 3}, TypeError, "backend must be the name of a backend of joblib, got 3"),
    ],
)
def test_bad_options_are_told_before_the_work(tmp_path, options, kind, fragment):
    with pytest.raises(kind, match=fragment):
        run(lambda a: a, {"a": [1]}, **{"store": tmp_path / "new", **options})
    assert not (tmp_path / "new").exists()


def test_only_functions_are_swept():
    with pytest.raises(TypeError, match="function must be a function"):
        run("f", {"a": [1]})


def test_loading_what_is_no_sweep_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no sweep\.json"):
        load_sweep(tmp_path)
    with pytest.raises(TypeError, match="store must be a folder"):
        load_sweep(None)


# --- lost workers, without losing any --------------------------------------------------------------------------------


def test_a_task_that_loses_every_worker_is_found_out_and_innocent_ones_are_not_blamed(monkeypatch):
    from penstock.sweep_run import _Pool

    rounds, cares = [], []

    def outcomes(self, tasks, *, careful):
        sent = [task for _, task in zip(range(4), tasks, strict=False)]
        rounds.append([task.point["x"] for task in sent])
        cares.append(careful)
        if any(task.point["x"] == 2 for task in sent):
            raise _WorkersLost("killed")
        for task in sent:
            yield task, self.call([task], False, False)[0]

    monkeypatch.setattr(_Pool, "outcomes", outcomes)
    with pytest.warns(UserWarning, match="1 of 6 tasks failed, the first at x=2: WorkerLost: .* died 3 times"):
        result = run(lambda x: x, {"x": [0, 1, 2, 3, 4, 5]})
    assert rounds == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1], [2], [3], [4, 5]]
    assert cares == [False] + 6 * [True]  # few at a time, once one of them is dangerous
    assert [r["status"] for r in result.records] == ["ok", "ok", "error", "ok", "ok", "ok"]


def test_no_warning_without_reason(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(draw, GRID, tmp_path)
        run(draw, GRID, tmp_path)
