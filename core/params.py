"""Hyper-parameters by name, as scikit-learn asks for them: `get_params`, `set_params`, `clone` and pipelines work."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from typing import Any

__all__ = ["Parameters", "check_fitted", "clone", "not_fitted", "sklearn_tags"]


class Parameters:
    """Hold the arguments of the constructor as attributes of the same names; what is learnt ends in an underscore."""

    __init__: Callable[..., None]

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep=True) -> dict[str, Any]:
        """Return the parameters by name; with `deep`, those of nested ones too, as ``part__name``."""
        params = {}
        for name in self._names():
            value = getattr(self, name)
            params[name] = value
            if deep and hasattr(value, "get_params") and not inspect.isclass(value):
                params |= {f"{name}__{key}": inner for key, inner in value.get_params().items()}
        return params

    def set_params(self, **params):
        """Set parameters by name, ``part__name`` for nested ones; return self."""
        known = self.get_params(deep=False)
        nested: dict[str, dict] = {}
        for key, value in params.items():
            name, _, inner = key.partition("__")
            if name not in known:
                raise ValueError(f"parameters of {type(self).__name__} are {', '.join(known)}, got {name!r}")
            if inner:
                nested.setdefault(name, {})[inner] = value
            else:
                setattr(self, name, value)
        for name, own in nested.items():
            part = getattr(self, name)
            if not hasattr(part, "set_params"):
                raise ValueError(f"{name} of {type(self).__name__} has no parameters of its own, got {part!r}")
            part.set_params(**own)
        return self

    def save(self, path):
        """Write everything, learned or not, to one file; see `penstock.save`."""
        from penstock.store import save

        save(self, path)

    def __repr__(self):
        defaults = inspect.signature(type(self)).parameters
        parts = []
        for name in self._names():
            value, default = getattr(self, name), defaults[name].default
            if value is default or (type(value) is type(default) and repr(value) == repr(default)):
                continue
            text = getattr(value, "__name__", None) or repr(value)
            parts.append(text if default is inspect.Parameter.empty else f"{name}={text}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __sklearn_clone__(self):
        return clone(self)


def clone(estimator):
    """Return an unfitted copy: an object with `get_params` made anew from them, lists item by item, the rest copied."""
    if type(estimator) in (list, tuple):
        return type(estimator)(clone(item) for item in estimator)
    if not hasattr(estimator, "get_params") or inspect.isclass(estimator):
        return deepcopy(estimator)
    return type(estimator)(**{name: clone(value) for name, value in estimator.get_params(deep=False).items()})


def check_fitted(estimator, learned: str) -> None:
    """Raise unless the estimator has the attribute `learned`, which `fit` sets."""
    if not hasattr(estimator, learned):
        raise not_fitted(estimator)


def not_fitted(estimator) -> Exception:
    """Return the error for a call before `fit`: scikit-learn's, where that is loaded, so that its tools know it."""
    import sys

    message = f"this {type(estimator).__name__} is not fitted yet; call fit first"
    sklearn = sys.modules.get("sklearn.exceptions")
    return sklearn.NotFittedError(message) if sklearn else AttributeError(message)


def sklearn_tags(kind: str | None, **inputs: bool):
    """Return the tags of a "regressor", a "classifier" or, with None, what takes no y; only scikit-learn asks for them.

    They are what ``__sklearn_tags__(self)`` returns; `inputs` are fields of its `InputTags` that differ from their
    defaults, e.g. ``three_d_array=True``.
    """
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=kind is not None, multi_output=kind == "regressor"),
        transformer_tags=None,
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(**inputs),
    )
