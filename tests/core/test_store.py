"""Save and load: the same bits, the old file whole, and nothing run whatever the file holds."""

import io
import json
import os
import pickle
import re
import struct
import subprocess
import warnings
import zipfile
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import MODELS, M
from scipy.sparse import csr_array
from sklearn import linear_model

import penstock
from penstock import Map, Normal, Readout, SystemDefaults, load, save
from penstock.params import Parameters
from penstock.reservoirs import ESN, DeepESN, ModernHopfield, ResESN, Stack
from penstock.spiking import LIF, Network
from penstock.store import FORMAT
from penstock.weights import ring, sparse

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

rng = np.random.default_rng(0)
U = rng.uniform(-1, 1, (3, 12, M))


@dataclass(frozen=True)
class Held(SystemDefaults):
    """A user's system that holds anything."""

    value: Any
    n_units, n_inputs = 1, 0

    def step(self, x, u):
        return x


class Learner(Parameters):
    """A user's estimator."""

    def __init__(self, rate=0.1, *, part=None):
        self.rate, self.part = rate, part


class Pair(NamedTuple):
    one: Any
    two: Any


def same(a, b):
    """Whether two things are the same to the last bit, in type, order and flags."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        flags = [(part.flags.c_contiguous, part.flags.f_contiguous) for part in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and flags[0] == flags[1] and a.tobytes() == b.tobytes()
    if isinstance(a, csr_array):
        return a.shape == b.shape and all(same(getattr(a, n), getattr(b, n)) for n in ("data", "indices", "indptr"))
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (a != a and b != b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, partial):
        return same((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
    if isinstance(a, np.random.SeedSequence):
        return same(a.state, b.state)
    if is_dataclass(a) and not isinstance(a, type):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Parameters):
        return same(vars(a), vars(b))
    return a == b


def there_and_back(thing, folder, *types):
    save(thing, folder / "x")
    return load(folder / "x", types=types)


# --- the same bits --------------------------------------------------------------------------------------------------


WITH_USER_CODE = {"Stack of kinds", "Map below ESN", "Hybrid flow", "Hybrid rule", "Conceptored Stack"}


@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITH_USER_CODE])
def test_every_model_comes_back_to_the_last_bit(name, tmp_path):
    system = MODELS[name]()
    again = there_and_back(system, tmp_path)
    assert same(again, system) and repr(again) == repr(system)
    for field in fields(system):
        before, after = getattr(system, field.name), getattr(again, field.name)
        if isinstance(before, np.ndarray):
            assert after.flags.writeable == before.flags.writeable and after.flags.aligned
    for u in (U, U[0]):
        np.testing.assert_array_equal(again.run(u), system.run(u))


@pytest.mark.parametrize("name", ["ESN leaks", "ES2N", "EuSN sparse", "DeepResESN", "GRU"])
def test_pushed_tangents_are_the_same_bits(name, tmp_path):
    system = MODELS[name]()
    again, x = there_and_back(system, tmp_path), np.zeros(system.n_units)
    np.testing.assert_array_equal(again.push(x, U[0], np.eye(len(x)))[1], system.push(x, U[0], np.eye(len(x)))[1])


@pytest.mark.parametrize("make", [ESN.random, DeepESN.random, partial(ResESN.random, density=0.4)])
def test_single_precision_stays_single(make, tmp_path):
    system = make(30, n_inputs=M, dtype=np.float32, seed=0)
    again = there_and_back(system, tmp_path)
    assert again.dtype == np.float32 and same(again, system)
    if make == ESN.random:  # the kernels of the others take long to compile
        np.testing.assert_array_equal(again.run(U[0]), system.run(U[0]))


def test_hopfield_readout_and_closed_loop_come_back(tmp_path):
    memory, esn = ModernHopfield(rng.standard_normal((4, 9)), 3.0), ESN.random(20, n_inputs=2, seed=1)
    readout = Readout(0.1 * rng.standard_normal((2, 20)), [0.1, -0.2])
    closed = esn.close(readout)
    for thing in (memory, readout, closed):
        assert same(there_and_back(thing, tmp_path), thing)
    x0 = rng.standard_normal(20)
    np.testing.assert_array_equal(there_and_back(closed, tmp_path).run(30, x0), closed.run(30, x0))


def test_columns_stay_contiguous(tmp_path):
    """W_in is kept by columns, and its kernels are compiled for that."""
    assert there_and_back(ESN.random(9, n_inputs=3, seed=0), tmp_path).W_in.flags.f_contiguous


def test_index_arrays_of_sparse_matrices_are_kept_as_they_are(tmp_path):
    matrix = csr_array((3, 4))
    matrix.data, matrix.indices = np.arange(4.0), np.array([3, 0, 2, 2], np.int64)  # neither sorted nor unique
    matrix.indptr = np.array([0, 2, 2, 4], np.int64)
    assert same(there_and_back(Held(matrix), tmp_path, Held).value, matrix)


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.builds(slice, st.none() | st.integers(), st.none() | st.integers(), st.none() | st.integers()),
    hnp.from_dtype(np.dtype("f4")),
    hnp.from_dtype(np.dtype("c16")),
    hnp.from_dtype(np.dtype("i2")),
    hnp.from_dtype(np.dtype("?")),
    st.sampled_from([np.dtype("f4"), np.float32, float, bool, np.bool_, penstock.tanh, sparse, ESN, ESN.random]),
    hnp.arrays(st.sampled_from(["f8", ">f4", "i8", "?", "c8", "<U3", "S2"]), hnp.array_shapes(min_dims=0, min_side=0)),
    hnp.arrays("f8", hnp.array_shapes(min_dims=2)).map(lambda array: array.T),
    st.builds(np.random.SeedSequence, st.integers(0, 2**200), spawn_key=st.tuples(st.integers(0, 2**31))),
    st.builds(Normal, st.floats(1e-3, 1e3)),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.dictionaries(st.tuples(st.text(max_size=3), st.text(max_size=3)), inner, max_size=3)
        | st.builds(partial, st.just(sparse), inner, values=inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Held, inner)
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=100)
@given(value=VALUES)
def test_any_value_comes_back_to_the_last_bit(tmp_path_factory, value):
    folder = tmp_path_factory.getbasetemp()
    again = there_and_back(Held(value), folder, Held, Pair)
    assert same(again.value, value), (again.value, value)
    written = (folder / "x").read_bytes()
    save(again, folder / "y")
    assert (folder / "y").read_bytes() == written


def test_a_seed_draws_what_it_would_have_drawn(tmp_path):
    seed = np.random.SeedSequence([3, 2**70], spawn_key=(4,))
    seed.spawn(3)
    again = there_and_back(Held(seed), tmp_path, Held).value
    assert again.spawn(2)[1].generate_state(4).tolist() == seed.spawn(2)[1].generate_state(4).tolist()


def test_one_object_in_two_places_stays_one(tmp_path):
    layer = ESN.random(60, n_inputs=60, seed=0)
    again = there_and_back(Stack((layer, layer, ESN.random(5, n_inputs=60, seed=1))), tmp_path)
    assert again.layers[0] is again.layers[1] is not again.layers[2]
    assert (tmp_path / "x").stat().st_size < 3 * layer.W.nbytes  # W and W_in once, and the small ones


def test_numpy_reads_the_arrays_and_the_header_reads_as_text(tmp_path):
    system = DeepESN.random(30, n_layers=2, seed=0)
    system.save(tmp_path / "model.penstock")
    assert os.listdir(tmp_path) == ["model.penstock"]  # no suffix is added
    with np.load(tmp_path / "model.penstock") as arrays:
        np.testing.assert_array_equal(arrays["layers.1.W_in"], system.layers[1].W_in)
    with zipfile.ZipFile(tmp_path / "model.penstock") as archive:
        header = json.loads(archive.read("header.json"))
    assert (header["format"], header["version"], header["penstock"]) == ("penstock", FORMAT, penstock.__version__)
    assert header["arrays"]["layers.0.W"]["shape"] == [15, 15] and len(header["arrays"]["layers.0.W"]["sha256"]) == 64


def test_the_same_object_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save(MODELS["ResRMN"](), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_that_are_not_contiguous_come_back_by_rows(tmp_path):
    array = np.arange(24.0).reshape(4, 6)[::2, ::-3]
    assert same(there_and_back(Held(array), tmp_path, Held).value, np.ascontiguousarray(array))


def test_keys_that_clash_as_names_of_arrays_are_told_apart(tmp_path):
    value = {"a b": np.zeros(1), "a/b": np.ones(1), "": np.ones(2), "../../x": np.ones(3), "ä" * 300: np.zeros(2)}
    assert same(there_and_back(Held(value), tmp_path, Held).value, value)


def test_what_a_spiking_run_recorded_comes_back(tmp_path):
    net = Network(seed=0)
    cells = net.add(LIF(5, I_e=np.linspace(300.0, 700.0, 5)), name="cells")
    for variable in ("spikes", "rate", "v"):
        net.record(cells, variable)
    recording = net.run(50.0, progress=False)
    again = there_and_back(recording, tmp_path)
    assert recording.spikes["cells"].n_spikes > 5
    assert np.array_equal(again.spikes["cells"].times, recording.spikes["cells"].times)
    assert np.array_equal(again.spikes["cells"].ids, recording.spikes["cells"].ids)
    assert np.array_equal(again.states["cells", "v"].values, recording.states["cells", "v"].values)
    assert np.array_equal(again.rates["cells"].values, recording.rates["cells"].values)
    with np.load(tmp_path / "x") as arrays:
        assert np.array_equal(arrays["states.cells_v.values"], recording.states["cells", "v"].values)


# --- what is learned ------------------------------------------------------------------------------------------------


def test_estimators_keep_arguments_and_what_they_learned(tmp_path):
    learner = Learner(0.5, part=Learner(part=ESN.random(5, seed=0)))
    learner.coef_, learner.part.classes_ = np.asfortranarray(rng.standard_normal((3, 4))), np.array(["a", "bc"])
    learner.set_params(part__rate=2)
    learner.save(tmp_path / "l")
    again = load(tmp_path / "l", types=[Learner])
    assert same(again, learner) and again.get_params(deep=False)["rate"] == 0.5
    again.coef_ += 1.0  # as `partial_fit` does


@pytest.mark.parametrize("name", ["hidden", "_hidden_"])
def test_what_is_neither_argument_nor_learned_is_refused(name, tmp_path):
    learner = Learner()
    setattr(learner, name, 3)
    with pytest.raises(TypeError, match=rf"{name} cannot be stored.* argument of Learner .* underscore"):
        learner.save(tmp_path / "l")


def test_a_recipe_draws_the_same_bits(tmp_path):
    drawn = pytest.importorskip("penstock.reservoirs.drawn").Drawn
    recipe = drawn(
        ESN.random, n_units=20, weights=partial(sparse, per_row=5, values=Normal(2.0)), dtype=np.float32,
        scale=penstock.scaling.scale_spectral_norm, seed=np.random.SeedSequence(8), activation=penstock.relu,
    )  # fmt: skip
    assert same(there_and_back(recipe, tmp_path).draw(2), recipe.draw(2))
    deep = drawn(DeepESN.random, n_units=20, inter={"weights": ring}, seed=0)
    assert same(there_and_back(deep, tmp_path).draw(1), deep.draw(1))


X = rng.standard_normal((60, 4))
Y = X @ rng.standard_normal((4, 2)) + 0.1 * rng.standard_normal((60, 2))


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (linear_model.Ridge(alpha=0.3), Y),
        (linear_model.RidgeCV(alphas=np.logspace(-3, 3, 5)), Y),
        (linear_model.Lasso(alpha=0.01), Y[:, 0]),
        (linear_model.BayesianRidge(), Y[:, 0]),
        (linear_model.LogisticRegression(C=2.0), np.where(Y[:, 0] > 0, "up", "down")),
    ],
    ids=lambda part: type(part).__name__,
)
def test_linear_models_of_scikit_learn_predict_the_same_bits(model, target, tmp_path):
    model.fit(X, target)
    again = there_and_back(Learner(part=model), tmp_path, Learner).part
    assert type(again) is type(model) and repr(again) == repr(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_other_models_of_scikit_learn_are_refused_by_name(tmp_path):
    from sklearn.svm import LinearSVC

    with pytest.raises(
        TypeError, match=r"^part is scikit-learn's LinearSVC .*only the classes of sklearn.linear_model"
    ):
        save(Learner(part=LinearSVC()), tmp_path / "x")
    hidden = linear_model.RidgeClassifier().fit(X, Y[:, 0] > 0)
    with pytest.raises(TypeError, match=r"part\._label_binarizer cannot be stored"):
        save(Learner(part=hidden), tmp_path / "x")


# --- what cannot be stored ------------------------------------------------------------------------------------------


class Secret:
    pass


ENDLESS: list = []
ENDLESS.append(ENDLESS)

REFUSED = {
    r"^value must be a public function or class .*<lambda>.* numpy.savez": lambda x: x,
    r"^value must be a public function or class .*np\.tanh|ufunc 'tanh'": np.tanh,
    r"^value\.1\.a must be a public function .*dumps": [0, {"a": json.dumps}],
    r"^value\.values must be a public function": partial(sparse, values=lambda rng, size: rng.normal(size=size)),
    r"^value must be a public function or class of penstock to be stored, got <function load": penstock.load,
    r"^value is a Map and cannot be stored: its rule is a function of yours": Map(lambda x, u: x, n_units=1),
    r"^value\.layers\.1 is a Map": Stack([ESN.random(2, seed=0), Map(lambda x, u: x, n_units=1, n_inputs=2)]),
    r"^value is a Secret and cannot be stored: classes of yours must be dataclasses": Secret(),
    r"^value must hold numbers or texts to be stored, got dtype object.*astype\(str\)": np.array(["a", 1], object),
    r"^value must hold numbers or texts to be stored, got dtype datetime64": np.array(["2020-01-01"], "M8[D]"),
    r"^value must hold numbers or texts to be stored, got dtype \[": np.zeros(2, "f8,i4"),
    r"^value must have texts, or tuples of them, for keys to be stored, got 1": {1: 2},
    r"^value must have texts, or tuples of them, for keys to be stored, got \('a', 1\)": {("a", 1): 2},
    r"^value must have texts, or tuples of them, for keys to be stored, got \('a',\)": {"b": 1, ("a",): 2},
    r"^value is a Network and cannot be stored: save the records that it is made of": Network(),
    r"^value is a set and": {1, 2},
    r"^value is a complex and": 1j,
    r"^value is a Generator and": np.random.default_rng(0),
    r"^value\.0\.0\.0… must be nested at most 100 deep to be stored: does it hold itself": ENDLESS,
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_stored_is_named_and_nothing_written(message, tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(TypeError, match=message):
        save(Held(REFUSED[message]), tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "old"


@pytest.mark.parametrize(
    "thing", [3, np.zeros(3), None, [ESN.random(3, seed=0)], penstock.tanh, ESN], ids=lambda x: type(x).__name__
)
def test_only_objects_are_saved(thing, tmp_path):
    with pytest.raises(TypeError, match="thing must be a System, Readout, estimator or record"):
        save(thing, tmp_path / "x")


@pytest.mark.torch
def test_torch_cells_name_the_way_out(tmp_path):
    torch = pytest.importorskip("torch")
    from penstock.reservoirs import rnn_from_torch

    cell = torch.nn.GRUCell(2, 5)
    for thing in (penstock.TorchCell(cell), Held(cell)):
        with pytest.raises(TypeError, match="rnn_from_torch"):
            save(thing, tmp_path / "x")
    gru = rnn_from_torch(cell)
    np.testing.assert_array_equal(there_and_back(gru, tmp_path).run(U), gru.run(U))


# --- written at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["write_array", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_whole_and_nothing_behind(when, tmp_path, monkeypatch):
    path, esn = tmp_path / "model", ESN.random(5, seed=0)
    save(esn, path)
    old, calls = path.read_bytes(), []

    def fail(*args, **kwargs):
        calls.append(args)
        raise KeyboardInterrupt if when == "fsync" else OSError("disk full")

    monkeypatch.setattr(np.lib.format if when == "write_array" else os, when, fail)
    with pytest.raises((OSError, KeyboardInterrupt)):
        save(ESN.random(50, seed=1), path)
    assert calls and os.listdir(tmp_path) == ["model"] and path.read_bytes() == old


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_follow_the_umask_and_links_stay_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "model")
    old = os.umask(0o027)
    try:
        save(ESN.random(5, seed=0), tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640 and (tmp_path / "link").is_symlink()


def test_paths_may_be_text_or_objects_and_missing_ones_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(ESN.random(5, seed=0), "plain")
    assert same(load("plain"), load(tmp_path / "plain"))
    with pytest.raises(FileNotFoundError):
        load("nowhere")
    for call in (load, partial(save, GOOD)):
        with pytest.raises(TypeError, match=r"os\.PathLike"):
            call(io.BytesIO())
        with pytest.raises(TypeError, match=r"os\.PathLike"):
            call(0)  # no file descriptors either
    with pytest.raises(FileNotFoundError):
        save(ESN.random(5, seed=0), tmp_path / "no" / "folder")


# --- files that are damaged, newer or hostile -----------------------------------------------------------------------

GOOD = ESN.random(4, n_inputs=2, density=0.5, seed=0)


def good_members(folder, thing=GOOD):
    save(thing, folder / "good")
    with zipfile.ZipFile(folder / "good") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(members.pop("header.json")), members


def write(path, header, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
        archive.writestr("header.json", header if isinstance(header, str | bytes) else json.dumps(header))
    return path


def refuses(path, match, **options):
    with pytest.raises(ValueError, match=f"^cannot load {re.escape(repr(os.fspath(path)))}: .*(?:{match})"):
        load(path, **options)


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def test_other_files_are_told_from_ours(tmp_path):
    path = tmp_path / "x"
    for data in (b"", b"hello", pickle.dumps(GOOD.bias)):
        path.write_bytes(data)
        refuses(path, r"not written by penstock\.save, or it is truncated")
    np.savez(tmp_path / "y.npz", W=np.zeros(2))
    refuses(tmp_path / "y.npz", r"not written by penstock\.save: it has no header\.json")
    header, members = good_members(tmp_path)
    refuses(write(path, "[]", members), "is not penstock's")
    refuses(write(path, header | {"format": "other"}, members), "is not penstock's")
    refuses(write(path, header | {"version": True}, members), "is not penstock's")


def test_a_newer_format_says_what_to_install(tmp_path):
    header, members = good_members(tmp_path)
    newer = {"format": "penstock", "version": 999, "penstock": "7.1.0", "layout": "unheard of"}
    refuses(write(tmp_path / "x", newer, members), r"format version 999 .* install penstock 7\.1\.0 or later")
    refuses(write(tmp_path / "x", header | {"version": 0}, members), "must have format")


def test_every_truncation_is_noticed(tmp_path):
    save(GOOD, tmp_path / "good")
    whole = (tmp_path / "good").read_bytes()
    for size in range(0, len(whole), 37):
        (tmp_path / "x").write_bytes(whole[:size])
        refuses(tmp_path / "x", "truncated|header")


def test_an_altered_array_is_noticed(tmp_path):
    header, members = good_members(tmp_path)
    members["bias.npy"] = members["bias.npy"][:-1] + b"\x01"  # with a right CRC: only the digest knows
    refuses(write(tmp_path / "x", header, members), "array 'bias' was altered: its SHA-256")


TYPES = [
    "os.system", "builtins.eval", "subprocess.Popen", "penstock.store.os.system", "penstock.os", "penstock.weights",
    "penstock.reservoirs.esn.ESN", "penstock.reservoirs.ESN.__class__", "penstock.reservoirs.ESN.random.__func__",
    "penstock.reservoirs.ESN.random", "penstock.tanh", "penstock.TorchCell", "penstock.Map", "penstock.SystemDefaults",
    "penstock.save", "penstock.load", "penstock.data.sunspots", "penstock.", ".", "..", "sklearn.linear_model.Ridge",
]  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_a_type_outside_of_the_public_ones_is_refused(name, tmp_path):
    header, members = good_members(tmp_path)
    header["tree"]["type"] = name
    refuses(write(tmp_path / "x", header, members), "is no public type|cannot be stored|has no field")


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "penstock.save", "penstock.load", "penstock.weights", "penstock.reservoirs.ESN.close",
        "penstock.as_system", "penstock.LureBlock.of",
        "penstock.reservoirs.Drawn._names", "penstock.reservoirs.InhibitionDesign._make",
        "penstock.reservoirs.ESN._gain", "penstock.data.sunspots", "penstock.reservoirs.series.as_series", "", 3, None,
    ],
)  # fmt: skip
def test_a_function_outside_of_the_public_ones_is_refused(name, tmp_path):
    header, members = good_members(tmp_path)
    header["tree"]["fields"]["activation"] = {"name": name}
    refuses(write(tmp_path / "x", header, members), "is no public type or function|must be a JSON str")


def test_adapters_of_code_are_not_made_from_files(tmp_path):
    header, members = good_members(tmp_path)
    header["tree"] |= {"type": "penstock.Map", "fields": {"rule": {"name": "penstock.tanh"}, "n_units": 1}}
    refuses(
        write(tmp_path / "x", header | {"penstock": "0"}, members), "of type 'penstock.Map', which cannot be stored"
    )


def called(*args, **kwargs):
    raise AssertionError("a function was called")


@pytest.mark.parametrize("kind", ["ClosedLoop", "reservoirs.Hybrid"])
@pytest.mark.parametrize("inside", [False, True])
def test_constructors_that_try_a_function_get_none_from_a_file(kind, inside, tmp_path, monkeypatch):
    """With a `partial` around it, any training of any length would run."""
    monkeypatch.setattr(penstock.reservoirs, "train_adaptive_nvar", called)
    header, members = good_members(tmp_path)
    rule = {"name": "penstock.reservoirs.train_adaptive_nvar"}
    rule = {"partial": rule, "args": [], "keywords": {"seed": 0, "n_hidden": 10**8}} if inside else rule
    role = "readout" if kind == "ClosedLoop" else "model"
    fields = {"system": header["tree"], role: rule} | ({"n_inputs": 0, "model_jacobian": None} if "H" in kind else {})
    tree = {"type": f"penstock.{kind}", "fields": fields, "learned": {}}
    refuses(
        write(tmp_path / "x", header | {"tree": tree}, members), f"{role}: a file may not give {kind.split('.')[-1]} a"
    )


def test_what_a_file_may_not_hold_is_not_saved(tmp_path):
    esn = ESN.random(4, n_inputs=4, seed=0)
    with pytest.raises(TypeError, match=r"^readout must be an object or an activation to be stored in a ClosedLoop"):
        save(penstock.ClosedLoop(esn, partial(penstock.tanh)), tmp_path / "x")
    assert there_and_back(penstock.ClosedLoop(esn, penstock.tanh), tmp_path).readout is penstock.tanh


def test_an_estimator_needs_all_its_arguments(tmp_path):
    header, members = good_members(tmp_path, Learner())
    del header["tree"]["fields"]["rate"]
    refuses(write(tmp_path / "x", header, members), "Learner needs rate, missing", types=[Learner])


def test_types_of_the_user_must_be_passed(tmp_path):
    save(Held(Pair(1, 2)), tmp_path / "x")
    refuses(tmp_path / "x", r"unknown type 'Pair': if the class is yours, pass types=\[Pair\]", types=[Held])
    assert load(tmp_path / "x", types=[Held, Pair]).value == Pair(1, 2)
    with pytest.raises(TypeError, match="types must be dataclasses"):
        load(tmp_path / "x", types=[Secret])
    with pytest.raises(ValueError, match="two called Held"):
        load(tmp_path / "x", types=[Held, type("Held", (Held,), {})])


EDITS = {
    "ESN has no field 'colour'": lambda fields: fields.update(colour=1),
    "ESN needs the field 'W_in'": lambda fields: fields.pop("W_in"),
    "ESN needs the field 'leak'": lambda fields: fields.pop("leak"),
    r"ESN does not take .* leak must lie in \(0, 1\]": lambda fields: fields.update(leak=2.0),
    "ESN does not take": lambda fields: fields.update(leak="0.5"),
    "activation must be one of": lambda fields: fields.update(activation={"name": "penstock.exp"}),
    "fields|leak is of an unknown kind": lambda fields: fields.update(leak={"pickle": "gASVCgAAAA=="}),
    "leak is of an unknown kind: 'array', 'mmap'": lambda fields: fields.update(leak={"array": "bias", "mmap": "r"}),
    "unknown kind": lambda fields: fields.update(leak={}),
    "uses an array 'bias' that is not listed, or uses it twice": lambda fields: fields.update(leak={"array": "bias"}),
    "uses an array '/etc/passwd' that is not listed": lambda fields: fields.update(leak={"array": "/etc/passwd"}),
    "arrays that belong to nothing: bias": lambda fields: fields.update(bias=0.0),
    "refers to object 7 of 0": lambda fields: fields.update(leak={"same": 7}),
    r"refers to object -1 of 0": lambda fields: fields.update(leak={"same": -1}),
    "leak must be one of nan, inf, -inf": lambda fields: fields.update(leak={"float": "1e5"}),
    "leak must be the dtype of numbers or texts, got 'O'": lambda fields: fields.update(leak={"dtype": "O"}),
    "leak must have 8 bytes, got 1": lambda fields: fields.update(leak={"scalar": "00", "dtype": "<f8"}),
    "'linear_model' is no class of this": lambda fields: fields.update(
        leak={"sklearn": "linear_model", "fields": {}, "learned": {}}
    ),
    "'ridge_regression' is no class of this": lambda fields: fields.update(
        leak={"sklearn": "ridge_regression", "fields": {}, "learned": {}}
    ),
    "Ridge does not learn '__class__'": lambda fields: fields.update(
        leak={"sklearn": "Ridge", "fields": {}, "learned": {"__class__": 1}}
    ),
    "Ridge does not learn 'fit'": lambda fields: fields.update(
        leak={"sklearn": "Ridge", "fields": {}, "learned": {"fit": {"name": "penstock.tanh"}}}
    ),
    "leak must be pairs of a list of texts": lambda fields: fields.update(leak={"pairs": [["ab", 1]]}),
    "leak must be pairs of a list of texts, each": lambda fields: fields.update(leak={"pairs": [[["a", []], 1]]}),
    "leak must be pairs of a list of texts, each another": lambda fields: fields.update(
        leak={"pairs": [[["a"], 1], [["a"], 2]]}
    ),
    "leak must be pairs of a list of texts, each another, and a value": lambda fields: fields.update(
        leak={"pairs": [[["a"], 1, 2]]}
    ),
    "leak must be a JSON list": lambda fields: fields.update(leak={"pairs": {"a": 1}}),
    "pool_size of at most 1024": lambda fields: fields.update(
        leak={"seed": 1, "spawn_key": [], "pool_size": 10**9, "n_children_spawned": 0}
    ),
}


@pytest.mark.parametrize("name", ["_hidden_", "a b_", "readout_", "coef", "__class__"])
def test_what_is_no_name_of_something_learned_is_refused(name, tmp_path):
    header, members = good_members(tmp_path, penstock.Ridge())
    header["tree"]["learned"] = {name: 1}
    refuses(write(tmp_path / "x", header, members), f"Ridge does not learn '{name}'")


def test_a_system_learns_nothing(tmp_path):
    header, members = good_members(tmp_path)
    header["tree"]["learned"] = {"coef_": 1}
    refuses(write(tmp_path / "x", header, members), "ESN does not learn 'coef_'")


@pytest.mark.parametrize("message", EDITS)
def test_a_changed_header_is_refused(message, tmp_path):
    header, members = good_members(tmp_path)
    EDITS[message](header["tree"]["fields"])
    if "Ridge" in message:
        header["penstock"] = "0.0.1"  # then its arguments need not all be there
    refuses(write(tmp_path / "x", header, members), message)


def test_an_older_penstock_may_lack_a_field_that_has_a_default(tmp_path):
    header, members = good_members(tmp_path)
    header["penstock"] = "0.0.1"
    del header["tree"]["fields"]["leak"]
    assert load(write(tmp_path / "x", header, members)).leak == 1.0
    del header["tree"]["fields"]["activation"], header["tree"]["fields"]["W_in"]
    refuses(write(tmp_path / "x", header, members), r"needs the field 'W_in'.*written by penstock 0\.0\.1, this is")


ARRAYS = {
    "is not of the dtype, shape and order": lambda entry: entry.update(dtype="<i8"),
    "is not of the dtype, shape": lambda entry: entry.update(shape=[2]),
    r"cannot have shape .1000000000000": lambda entry: entry.update(shape=[10**12, 10**12]),
    r"cannot have shape .0, 1000000000000": lambda entry: entry.update(shape=[0, 10**12]),
    "must have a shape": lambda entry: entry.update(shape=[-4]),
    "at most 32 sides": lambda entry: entry.update(shape=[1] * 5000),
    r"order that the header": lambda entry: entry.update(fortran_order=True),
    "must hold numbers or texts, got dtype '|O'": lambda entry: entry.update(dtype="|O"),
    r"got dtype 'f8,f8'": lambda entry: entry.update(dtype="f8,f8"),
    "was altered": lambda entry: entry.update(sha256="0" * 64),
    "must have dtype, shape, fortran_order, sha256": lambda entry: entry.pop("sha256"),
}


@pytest.mark.parametrize("message", ARRAYS)
def test_a_header_that_lies_about_an_array_is_refused(message, tmp_path):
    header, members = good_members(tmp_path)
    ARRAYS[message](header["arrays"]["bias"])
    refuses(write(tmp_path / "x", header, members), message)


class Bomb:
    """What unpickling would run."""

    def __reduce__(self):
        return os.system, ("touch /tmp/penstock-was-here",)


def test_pickled_members_are_never_opened(tmp_path):
    header, members = good_members(tmp_path)
    pickled = npy(np.array([Bomb()] * 4, object), allow_pickle=True)
    refuses(write(tmp_path / "x", header, members | {"bias.npy": pickled}), "altered|cannot have shape|dtype")
    padded = pickled + bytes(max(0, len(members["bias.npy"]) - len(pickled)))
    header["arrays"]["bias"]["shape"] = [(len(padded) - 128) // 8]
    refuses(write(tmp_path / "x", header, members | {"bias.npy": padded}), "is not of the dtype|cannot have shape")
    refuses(write(tmp_path / "x", header, members | {"evil.pkl": pickle.dumps(Bomb())}), "member 'evil.pkl'")


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/x.npy", "a\\b.npy", "C:x.npy", "x", "x.npy/", "ü.npy"])
def test_odd_members_are_refused_and_nothing_extracted(name, tmp_path):
    header, members = good_members(tmp_path)
    refuses(write(tmp_path / "x", header, members | {name: b"1"}), "which penstock.save does not write")
    assert sorted(os.listdir(tmp_path)) == ["good", "x"]


def test_members_that_the_header_does_not_list_or_that_are_missing_are_refused(tmp_path):
    header, members = good_members(tmp_path)
    refuses(write(tmp_path / "x", header, members | {"more.npy": npy(np.zeros(2))}), "header lists: more.npy")
    bias = members.pop("bias.npy")
    refuses(write(tmp_path / "x", header, members), "header lists: bias.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, about the name
        write(tmp_path / "x", header, [*members.items(), ("bias.npy", bias), ("bias.npy", bias)])
    refuses(tmp_path / "x", "two members 'bias.npy'")


def test_compressed_bombs_are_refused_before_they_are_opened(tmp_path):
    header, members = good_members(tmp_path)
    bomb = npy(np.zeros(2**21))
    path = write(tmp_path / "x", header, members | {"bias.npy": bomb}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**16
    refuses(path, "must be stored without compression")


def test_members_that_declare_more_than_there_is_are_refused_before_memory_is_taken(tmp_path):
    header, members = good_members(tmp_path)
    header["arrays"]["bias"]["shape"] = [2**27]
    data = bytearray(write(tmp_path / "x", header, members).read_bytes())
    entry = data.rindex(b"bias.npy") - 46  # in the central directory
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**30 + 128, 2**30 + 128)
    (tmp_path / "x").write_bytes(data)
    refuses(tmp_path / "x", f"its members declare .* bytes in a file of {len(data)}")


def test_headers_that_exhaust_a_parser_are_refused(tmp_path):
    header, members = good_members(tmp_path)
    text = json.dumps(header)
    nested = text.replace('"leak": 1.0', '"leak": ' + "[" * 100_000 + "]" * 100_000)
    refuses(write(tmp_path / "x", nested, members), "nested too deeply")
    refuses(write(tmp_path / "x", text.replace('"leak": 1.0', '"leak": ' + "[" * 150 + "]" * 150), members), "100 deep")
    refuses(write(tmp_path / "x", text.replace('"leak": 1.0', '"leak": NaN'), members), "holds NaN, which is no JSON")
    refuses(write(tmp_path / "x", text.replace('"leak": 1.0', '"leak": 1.0, "leak": 0.5'), members), "has a key twice")
    refuses(write(tmp_path / "x", text.encode() + b"\xff", members), "cannot load|codec")
    refuses(write(tmp_path / "x", text + " " * 2**24, members), "header that is too long")
    refuses(write(tmp_path / "x", text.replace('"leak": 1.0', '"leak": 1' + "0" * 6000), members), "Exceeds|leak")


def test_sparse_matrices_that_point_outside_are_refused(tmp_path):
    """Their indices go to compiled loops that do not look."""
    header, members = good_members(tmp_path)
    for part, edit, message in (
        ("indices", lambda a: a + 10, "must be sorted by row and in range"),
        ("indices", lambda a: a - 10, "must be sorted by row and in range"),
        ("indptr", lambda a: a[::-1], "do not fit each other"),
        ("indptr", lambda a: np.where(np.arange(a.size) == 1, 99, a), "must be sorted by row"),
        ("data", lambda a: a[:-1], "do not fit each other"),
        ("indices", lambda a: a.astype(np.float64), "do not fit each other"),
    ):
        array = np.ascontiguousarray(edit(getattr(GOOD.W, part)))
        save(Held(array), tmp_path / "part")
        with zipfile.ZipFile(tmp_path / "part") as archive:
            entry = json.loads(archive.read("header.json"))["arrays"]["value"]
            data = archive.read("value.npy")
        arrays = header["arrays"] | {f"W.{part}": entry}
        refuses(write(tmp_path / "x", header | {"arrays": arrays}, members | {f"W.{part}.npy": data}), message)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    save(Stack((GOOD, ESN.random(3, n_inputs=4, leak=np.array([0.1, 0.5, 1.0]), seed=1))), path)
    return path, path.read_bytes(), load(path)


def forbid(*args, **kwargs):
    raise AssertionError("something was run")


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_damage_is_an_error_or_changes_nothing(whole, data):
    path, intact, thing = whole
    damaged = bytearray(intact)
    where = st.integers(0, len(intact) - 1) | st.integers(len(intact) - 700, len(intact) - 1)  # the directory, too
    for position in data.draw(st.lists(where, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(intact)) | where)
    path.write_bytes(bytes(damaged[:cut]) + data.draw(st.binary(max_size=3)))
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "system"), (pickle, "load"), (pickle, "loads"), (subprocess, "Popen")):
            patch.setattr(owner, name, forbid)
        try:
            again = load(path)
        except ValueError as error:
            assert str(error).startswith("cannot load")
        else:
            assert same(again, thing)


# --- estimators -----------------------------------------------------------------------------------------------------

SERIES = np.sin(0.3 * np.arange(260)) + 0.5 * np.sin(0.71 * np.arange(260))
WAVES = [np.sin(np.arange(30 + i) * (0.1 + 0.1 * (i % 2)) + i) for i in range(8)]
SMALL = {"n_units": 15, "leak": 0.5, "seed": 0}


READOUTS = [
    penstock.Ridge(),
    penstock.RLS(),
    penstock.LMS(0.01),
    penstock.NLMS(),
    penstock.EligibilityLMS(0.01, 3.0),
]


@pytest.mark.parametrize("model", READOUTS, ids=repr)
def test_readouts_predict_and_go_on_learning_with_the_same_bits(model, tmp_path):
    model.fit(X[:40], Y[:40])
    again = there_and_back(model, tmp_path)
    assert same(again, model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    if hasattr(model, "partial_fit"):
        for each in (again, model):
            each.partial_fit(X[40:], Y[40:])
        assert same(again, model)


def estimators():
    from penstock.reservoirs import NVAR, Classifier, Drawn, Forecaster, Regressor, last_state

    drawn, labels = Drawn(ESN.random, **SMALL), np.array(["slow", "fast"] * 4)
    logistic = linear_model.LogisticRegression()
    return {
        "Forecaster": lambda: Forecaster(drawn).fit(SERIES),
        "Forecaster of one ESN": lambda: Forecaster(ESN.random(**SMALL), washout=10, teacher_noise=1e-3).fit(SERIES),
        "Forecaster NVAR": lambda: Forecaster(NVAR(1, n_delays=3), increments=True).fit(SERIES),
        "Forecaster linear_model": lambda: Forecaster(drawn, linear_model.Ridge(1e-3)).fit(SERIES),
        "Regressor": lambda: Regressor(drawn).fit(SERIES[:-1], SERIES[1:]),
        "Regressor feedback": lambda: Regressor(drawn, feedback_scaling=0.1).fit(SERIES[:-1], SERIES[1:]),
        "Regressor RLS": lambda: Regressor(drawn, penstock.RLS()).fit(SERIES[:-1], SERIES[1:]),
        "Classifier": lambda: Classifier(drawn, pool=last_state).fit(WAVES, labels),
        "Classifier per step": lambda: Classifier(drawn, pool=None).fit(SERIES, SERIES > 0),
        "Classifier linear_model": lambda: Classifier(drawn, logistic).fit(WAVES, labels),
        "not fitted": lambda: Forecaster(drawn),
    }


ESTIMATORS = estimators()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_come_back_to_the_last_bit(name, tmp_path):
    model = ESTIMATORS[name]()
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert repr(again) == repr(model) and list(vars(again)) == list(vars(model))
    again.save(tmp_path / "again")  # the same bytes: every parameter and everything learned are the same
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    if name == "not fitted":
        assert not hasattr(again, "system_")
        return
    data = WAVES if name in ("Classifier", "Classifier linear_model") else SERIES
    np.testing.assert_array_equal(again.predict(data), model.predict(data))
    if name.startswith("Forecaster"):
        np.testing.assert_array_equal(again.forecast(40).series, model.forecast(40).series)
        closed = there_and_back(model.closed_loop(), tmp_path)
        x0 = model.synchronise()
        np.testing.assert_array_equal(closed.run(20, x0), model.closed_loop().run(20, x0))


def test_a_system_given_to_an_estimator_is_stored_once(tmp_path):
    model = ESTIMATORS["Forecaster of one ESN"]()
    again = there_and_back(model, tmp_path)
    assert model.system_ is model.system and again.system_ is again.system


def test_every_public_record_can_be_named():
    """What cannot be found again by a public name cannot be saved."""
    from penstock import public_names, reservoirs, spiking

    for room in (penstock, reservoirs, spiking):
        for name in room.__all__:
            kind = getattr(room, name)
            if isinstance(kind, type) and public_names.is_record(kind):
                assert public_names.find(public_names.public_name(kind)) is kind, name
