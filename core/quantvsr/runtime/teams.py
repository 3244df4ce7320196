"""Running a compiled kernel on the threads that torch uses.

A second pool of threads beside torch's would be slow: after each operation, torch's threads wait busily for
the next one for some milliseconds. Where torch runs on OpenMP with GNU's interface (Linux), its own team is
asked to run the kernel. Elsewhere threads of our own do.
"""

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


@functools.cache
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch uses; None where it has no GNU interface."""
    try:
        # A name is looked up in what a library depends on as well.
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        found = library.GOMP_parallel, library.omp_get_thread_num, library.omp_get_num_threads
    except (OSError, AttributeError):
        return None
    found[0].argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    found[0].restype = None
    return library


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, torch.get_num_threads()), "quantvsr-kernels")


def run(kernel: int, shared: int | None, arguments: np.ndarray, pieces: int) -> None:
    """Run all pieces of a kernel.

    Args:
        kernel: Address of a function `(arguments, piece)`.
        shared: Address of `kernels.basis.shared`; None: threads of our own are used.
        arguments: 64-bit whole numbers; the first two are set here.
        pieces: At least 1.
    """
    arguments[0], arguments[1] = kernel, pieces
    address = arguments.ctypes.data
    if pieces == 1:
        _KERNEL(kernel)(address, 0)
        return
    if shared is not None:
        library = openmp()
        assert library is not None
        library.GOMP_parallel(shared, address, pieces, 0)
        return
    waiting = [_pool().submit(_KERNEL(kernel), address, piece) for piece in range(1, pieces)]
    _KERNEL(kernel)(address, 0)
    for each in waiting:
        each.result()
