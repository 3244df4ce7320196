"""What kernels are made of: memory by address, types of rows, order of floats, powers."""

# numba's decorators change what functions take: the type checker cannot follow.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# pyright: reportReturnType=false, reportArgumentType=false

import numpy as np
from numba import carray, cfunc, float32, int32, int64, njit, types, uint16, uint32, void
from numba.core import caching, cgutils, config
from numba.extending import intrinsic, overload
from numba.types import voidptr

F32, U8, U16, I64 = np.float32, np.uint8, np.uint16, np.int64

# OpenMP's, under names of our own.
_thread = types.ExternalFunction("quantvsr_thread_num", types.int32())
_threads = types.ExternalFunction("quantvsr_num_threads", types.int32())

# Machine code belongs to these objects.
_held = []


@intrinsic
def at(typing, address):
    """An address as a pointer."""
    return voidptr(address), lambda context, builder, signature, args: builder.inttoptr(
        args[0], cgutils.voidptr_t
    )


@intrinsic
def _bits_to_float(typing, bits):
    def code(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(float32))

    return float32(uint32), code


@intrinsic
def _float_to_bits(typing, value):
    def code(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(uint32))

    return uint32(float32), code


@intrinsic
def _two_to(typing, whole):
    """2**whole for a whole number of -126..127."""

    def code(context, builder, signature, args):
        word = context.get_value_type(int32)
        power = builder.add(builder.fptosi(args[0], word), word(127))
        return builder.bitcast(builder.shl(power, word(23)), context.get_value_type(float32))

    return float32(float32), code


def _ordered(builder, bits):
    word = bits.type
    sign = builder.ashr(bits, word(31))
    return builder.xor(bits, builder.and_(sign, word(0x7FFFFFFF)))


@intrinsic
def key(typing, value):
    """A whole number for a float: the same order, and what is not finite beyond all others."""

    def code(context, builder, signature, args):
        return _ordered(builder, builder.bitcast(args[0], context.get_value_type(int32)))

    return int32(float32), code


@intrinsic
def unkey(typing, key):
    """Inverse of `key`."""

    def code(context, builder, signature, args):
        return builder.bitcast(_ordered(builder, args[0]), context.get_value_type(float32))

    return float32(int32), code


@intrinsic
def _call(typing, address, arguments, piece):
    """Call a kernel by its address."""

    def code(context, builder, signature, args):
        from llvmlite import ir

        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, ir.IntType(64)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1], args[2]])
        return context.get_dummy_value()

    return void(int64, voidptr, int64), code


def load(stored):
    """A value of a row in float32; in kernels only."""
    raise NotImplementedError


@overload(load)
def _load_of(stored):
    if stored == uint16:
        return lambda stored: _bits_to_float(uint32(stored) << uint32(16))
    return lambda stored: stored


def store(array, place, value):
    """Set array[place] to a float32 value, rounded where the array is bfloat16; in kernels only."""
    raise NotImplementedError


@overload(store)
def _store_of(array, place, value):
    if array.dtype != uint16:

        def plain(array, place, value):
            array[place] = value

        return plain

    def rounded(array, place, value):
        # To the nearest, ties to even; what is no number stays none.
        bits = _float_to_bits(value)
        nearest = (bits + uint32(0x7FFF) + ((bits >> uint32(16)) & uint32(1))) >> uint32(16)
        array[place] = uint16(nearest if value == value else uint32(0x7FC0))

    return rounded


@njit(error_model="numpy")
def exp(x):
    """e**x, to about a millionth; 2**-126 and 2**126 at the ends."""
    t = x * F32(1.4426950408889634)
    t = F32(-126) if t < F32(-126) else t
    t = F32(126) if t > F32(126) else t
    whole = np.rint(t)
    f = (t - whole) * F32(0.6931471805599453)
    near = F32(1 / 120) + f * F32(1 / 720)
    near = F32(1 / 6) + f * (F32(1 / 24) + f * near)
    near = F32(1) + f * (F32(1) + f * (F32(1 / 2) + f * near))
    return near * _two_to(whole)


def shared(arguments):
    """What each thread of an OpenMP team runs: pieces number t, t + threads, ..."""
    a = carray(arguments, (2,), I64)
    for piece in range(_thread(), a[1], _threads()):
        _call(a[0], arguments, piece)


def compiled(function) -> int:
    """Address of a compiled function with a kernel's arguments; `shared` has one of them only."""
    signature = void(voidptr) if function is shared else void(voidptr, int64)
    try:
        found = cfunc(signature, cache=True)(function)
    except (EOFError, caching.pickle.UnpicklingError):
        # What numba kept is damaged, by a power cut say.
        caching.FunctionCache(function).flush()
        found = cfunc(signature)(function)
    except (OSError, RuntimeError):
        # It cannot be kept: a full disk, folders that cannot be written.
        found = cfunc(signature)(function)
    _held.append(found)
    return found.address


def keep_in(folder: str) -> None:
    """Where compiled functions are kept, unless the user's NUMBA_CACHE_DIR says."""
    config.CACHE_DIR = config.CACHE_DIR or folder
