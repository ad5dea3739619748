"""Vectorisable tanh, exp, sigmoid and relu for the kernels, and the same functions for NumPy arrays.

Numba as pip installs it calls scalar libm functions inside loops. The versions here are straight-line arithmetic,
so that the loops around them become vector instructions. Called from Python they are the plain NumPy functions
(also for complex arguments, which the complex step needs); called from a kernel they are the vector versions.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

__all__ = ["ACTIVATIONS", "activation_code", "activation_slope", "exp", "identity", "relu", "sigmoid", "tanh"]


def tanh(x):
    """Return the hyperbolic tangent, to 2.5 ulp inside kernels."""
    return np.tanh(x)


def exp(x):
    """Return the exponential, to 1 ulp inside kernels (gradual underflow and overflow included)."""
    return np.exp(x)


def sigmoid(x):
    """Return 1 / (1 + exp(-x)), to 2.5 ulp inside kernels also where it is tiny."""
    small = np.exp(-np.where(np.real(x) < 0, -x, x))
    return np.where(np.real(x) < 0, small, 1.0) / (1.0 + small)


def one_plus_exp2(t):
    """Return 1 + 2^t with t kept within 510 (float64) or 62 (float32), to 2 ulp inside kernels."""
    reach = 62.0 if getattr(t, "dtype", None) == np.float32 else 510.0
    return 1.0 + np.exp2(np.clip(t, -reach, reach))


def falling_sigmoid2(t):
    """Return 1 / (1 + 2^t): with log2 e folded into the slope, the sigmoid at half its cost; see `one_plus_exp2`."""
    return 1.0 / one_plus_exp2(t)


def relu(x):
    """Return max(x, 0); NaN stays NaN."""
    return np.where(np.real(x) < 0, 0.0, x)


def identity(x):
    """Return x: the activation of a linear reservoir."""
    return x


ACTIVATIONS = (tanh, sigmoid, relu, identity)
"""The activations of rate models. A kernel gets the index, because a function as argument defeats Numba's cache."""


def activation_code(activation) -> int:
    """Return the index of `activation` in `ACTIVATIONS`."""
    for code, function in enumerate(ACTIVATIONS):
        if activation is function:
            return code
    names = ", ".join(f"penstock.{function.__name__}" for function in ACTIVATIONS)
    raise ValueError(f"activation must be one of {names}, got {activation!r}; for others write a penstock.Map")


def activation_slope(activation, y):
    """Return the slope of `activation` where its output is `y`, shape of `y`."""
    return (1 - y * y, y * (1 - y), (np.real(y) > 0) * 1.0, np.ones_like(y))[activation_code(activation)]


# --- building blocks: fused multiply-add and bit casts, as single instructions ------------------------------------


@intrinsic
def _fma(typingctx, a, b, c):
    def codegen(context, builder, signature, args):
        kind = args[0].type
        name = "llvm.fma.f64" if isinstance(kind, ir.DoubleType) else "llvm.fma.f32"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(kind, (kind, kind, kind)), name)
        return builder.call(function, args)

    return a(a, a, a), codegen


def _bitcast(target, width):
    def typer(typingctx, x):
        def codegen(context, builder, signature, args):
            return builder.bitcast(args[0], width)

        return target(x), codegen

    return intrinsic(typer)


_bits64 = _bitcast(types.int64, ir.IntType(64))
_float64 = _bitcast(types.float64, ir.DoubleType())
_bits32 = _bitcast(types.int32, ir.IntType(32))
_float32 = _bitcast(types.float32, ir.FloatType())

_MAGIC64 = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer held in the low bits
_LOG2E64 = 1.4426950408889634
_LN2_HI64, _LN2_LO64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_MAGIC32 = np.float32(12582912.0)  # 1.5 * 2^23
_LOG2E32 = np.float32(1.44269504)
_LN2_HI32, _LN2_LO32 = np.float32(0.693145751953125), np.float32(1.42860677e-06)

_leaf = njit(error_model="numpy")


@_leaf
def _reduced_expm1_64(t):
    """Return n and expm1(r) with t = n ln 2 + r, |r| <= ln(2) / 2; n as float and in the low bits of z."""
    z = _fma(t, _LOG2E64, _MAGIC64)
    n = z - _MAGIC64
    r = _fma(n, -_LN2_HI64, t)
    r = _fma(n, -_LN2_LO64, r)
    r2 = r * r
    q = _fma(1.0 / 6227020800.0, r, 1.0 / 479001600.0)
    q = _fma(q, r2, _fma(1.0 / 39916800.0, r, 1.0 / 3628800.0))
    q = _fma(q, r2, _fma(1.0 / 362880.0, r, 1.0 / 40320.0))
    q = _fma(q, r2, _fma(1.0 / 5040.0, r, 1.0 / 720.0))
    q = _fma(q, r2, _fma(1.0 / 120.0, r, 1.0 / 24.0))
    q = _fma(q, r2, _fma(1.0 / 6.0, r, 0.5))
    return z, _fma(q, r2, r)


@_leaf
def _reduced_expm1_32(t):
    z = _fma(t, _LOG2E32, _MAGIC32)
    n = z - _MAGIC32
    r = _fma(n, -_LN2_HI32, t)
    r = _fma(n, -_LN2_LO32, r)
    q = _fma(np.float32(1.0 / 5040.0), r, np.float32(1.0 / 720.0))
    q = _fma(q, r, np.float32(1.0 / 120.0))
    q = _fma(q, r, np.float32(1.0 / 24.0))
    q = _fma(q, r, np.float32(1.0 / 6.0))
    q = _fma(q, r, np.float32(0.5))
    return z, _fma(q * r, r, r)


@_leaf
def _tanh64(x):
    a = abs(x)
    a = 19.0625 if a > 19.0625 else a  # written so that NaN passes through
    z, p = _reduced_expm1_64(a + a)
    s = _float64((_bits64(z) << 52) + 0x3FF0000000000000)
    e = _fma(p, s, s - 1.0)
    d = e + 2.0
    lost = e - (d - 2.0) if e < 1.0 else 0.0  # what the sum rounded away; e / (d + lost) is about q - q lost / 2
    q = e / d
    return np.copysign(_fma(q * -0.5, lost, q), x)


@_leaf
def _tanh32(x):
    a = abs(x)
    a = np.float32(9.5) if a > np.float32(9.5) else a
    z, p = _reduced_expm1_32(a + a)
    s = _float32(np.int32((_bits32(z) << 23) + 0x3F800000))
    e = _fma(p, s, s - np.float32(1.0))
    return np.copysign(e / (e + np.float32(2.0)), x)


@_leaf
def _exp64(x):
    a = 710.0 if x > 710.0 else x
    a = -746.0 if a < -746.0 else a
    z, p = _reduced_expm1_64(a)
    n = _bits64(z) - 0x4338000000000000
    half = n >> 1  # 2^n in two factors: neither overflows, and a denormal result is rounded once
    s = _float64((half << 52) + 0x3FF0000000000000)
    return _fma(p, s, s) * _float64(((n - half) << 52) + 0x3FF0000000000000)


@_leaf
def _exp32(x):
    a = np.float32(89.0) if x > np.float32(89.0) else x
    a = np.float32(-104.0) if a < np.float32(-104.0) else a
    z, p = _reduced_expm1_32(a)
    n = np.int32(_bits32(z) - 0x4B400000)
    half = np.int32(n >> 1)
    s = _float32(np.int32((half << 23) + 0x3F800000))
    return _fma(p, s, s) * _float32(np.int32(((n - half) << 23) + 0x3F800000))


@_leaf
def _sigmoid64(x):
    small = _exp64(-abs(x))
    return (small if x < 0.0 else 1.0) / (1.0 + small)


@_leaf
def _sigmoid32(x):
    small = _exp32(-abs(x))
    return (small if x < np.float32(0.0) else np.float32(1.0)) / (np.float32(1.0) + small)


@_leaf
def _one_plus_exp2_64(t):
    t = 510.0 if t > 510.0 else t  # so that the product of two is finite
    t = -510.0 if t < -510.0 else t
    z = t + _MAGIC64
    r = t - (z - _MAGIC64)  # 2^r by the polynomial of smallest relative error on [-1/2, 1/2], 3e-18
    r2 = r * r
    q = _fma(4.4352827069572771511e-10, r, 7.0741056135081427963e-9)
    q = _fma(q, r2, _fma(1.0178198021671930844e-7, r, 1.321543308967639918e-6))
    q = _fma(q, r2, _fma(1.5252733489988525649e-5, r, 1.5403530462514432062e-4))
    q = _fma(q, r2, _fma(1.3333558146789921722e-3, r, 9.6181291075883352443e-3))
    q = _fma(q, r2, _fma(5.5504108664819921605e-2, r, 0.24022650695910156204))
    q = _fma(q, r2, _fma(0.69314718055994533046, r, 1.0))
    return 1.0 + _float64(_bits64(q) + (_bits64(z) << 52))


@_leaf
def _one_plus_exp2_32(t):
    t = np.float32(62.0) if t > np.float32(62.0) else t
    t = np.float32(-62.0) if t < np.float32(-62.0) else t
    z = t + _MAGIC32
    r = t - (z - _MAGIC32)  # relative error of the polynomial 2e-9
    q = _fma(np.float32(1.5345811612161311e-4), r, np.float32(1.3399931177123740e-3))
    q = _fma(q, r, np.float32(9.6184889563311817e-3))
    q = _fma(q, r, np.float32(5.5503287771053254e-2))
    q = _fma(q, r, np.float32(0.24022646890645521))
    q = _fma(q, r, np.float32(0.69314720573719575))
    q = _fma(q, r, np.float32(1.0))
    return np.float32(1.0) + _float32(np.int32(_bits32(q) + (_bits32(z) << 23)))


@_leaf
def _falling_sigmoid2_64(t):
    return 1.0 / _one_plus_exp2_64(t)


@_leaf
def _falling_sigmoid2_32(t):
    return np.float32(1.0) / _one_plus_exp2_32(t)


@_leaf
def _relu64(x):
    return 0.0 if x < 0.0 else x


@_leaf
def _relu32(x):
    return np.float32(0.0) if x < np.float32(0.0) else x


def _by_width(name, double, single):
    def choose(x):
        if x == types.float64:
            return lambda x: double(x)
        if x == types.float32:
            return lambda x: single(x)
        return None

    overload(name, jit_options={"error_model": "numpy"})(choose)


_by_width(tanh, _tanh64, _tanh32)
_by_width(exp, _exp64, _exp32)
_by_width(sigmoid, _sigmoid64, _sigmoid32)
_by_width(one_plus_exp2, _one_plus_exp2_64, _one_plus_exp2_32)
_by_width(falling_sigmoid2, _falling_sigmoid2_64, _falling_sigmoid2_32)
_by_width(relu, _relu64, _relu32)


# --- whole vectors, for the kernels of rate models ------------------------------------------------------------------


@_leaf
def activate(code, z):
    """Replace z by the activation of that code, in place."""
    if code == 0:
        for i in range(z.size):
            z[i] = tanh(z[i])
    elif code == 1:
        for i in range(z.size):
            z[i] = sigmoid(z[i])
    elif code == 2:
        for i in range(z.size):
            z[i] = relu(z[i])


@_leaf
def slopes(code, y, d):
    """Write the slope of the activation into d, given its output y."""
    one = y.dtype.type(1)  # an integer literal would promote float32 to float64
    if code == 0:
        for i in range(y.size):
            d[i] = one - y[i] * y[i]
    elif code == 1:
        for i in range(y.size):
            d[i] = y[i] * (one - y[i])
    elif code == 2:
        for i in range(y.size):
            d[i] = one if y[i] > 0 else one - one
    else:
        d[:] = one


@njit(error_model="numpy", fastmath={"reassoc", "nsz"})
def all_finite(x):
    """Return whether no element is NaN or infinite (0 * x is then 0, else NaN)."""
    s = x.dtype.type(0)
    for i in range(x.size):
        s += x[i] * x.dtype.type(0)
    return s == 0
