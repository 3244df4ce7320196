"""Launching Triton's kernels, or having them compiled ahead, many at once."""

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree as pytree

logger = logging.getLogger(__name__)

_MOST_THREADS = 16


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **kwargs: Any) -> None:
    """Launch a kernel; with tensors that hold nothing (the first argument is one), only have it compiled."""
    if not isinstance(args[0], FakeTensor):
        kernel[grid](*args, **kwargs)
        return
    from triton.runtime.jit import MockTensor  # pyright: ignore[reportMissingImports]

    def known(value: Any) -> Any:
        return MockTensor(value.dtype) if isinstance(value, FakeTensor) else value

    named = {name: known(value) for name, value in kwargs.items()}
    kernel.warmup(*(known(value) for value in args), grid=grid, **named)


def compile_ahead(network: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Compile the kernels of a call by several threads, so that the call itself finds them.

    One after the other they take a minute or more the first time on a machine. The call is made once with
    tensors that hold nothing; where that is not possible, nothing is lost but time.

    Args:
        network: The forward of a network with `TritonLayer`s.
        args: What it will be called with.
        kwargs: The same, by name.
    """
    try:
        from triton.runtime._async_compile import (  # pyright: ignore[reportMissingImports]
            AsyncCompileMode,
        )
    except ImportError:
        return
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    args, kwargs = pytree.tree_map_only(Tensor, mode.from_tensor, (args, dict(kwargs)))
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    try:
        with (
            ThreadPoolExecutor(threads) as pool,
            AsyncCompileMode(pool, ignore_errors=True),
            mode,
            torch.no_grad(),
        ):
            network(*args, **kwargs)
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError) as error:
        logger.info("Kernels are compiled as they are met: %s", error)
