"""What the tests against Brian2 share."""

import warnings

import pytest


@pytest.fixture
def brian2():
    """Brian2 on its NumPy target, or a skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("brian2")
    before = module.prefs["codegen.target"]
    module.prefs["codegen.target"] = "numpy"
    yield module
    module.prefs["codegen.target"] = before
