"""Run blocking work in one thread of its own, in order, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Worker:
    """One named thread. Use as an async context manager; leaving it waits for what was begun."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> "Worker":
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown)
            self._pool = None

    async def run(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run `work` after what was given before; give what it gives, raise what it raises.

        The work is finished even when the caller is cancelled: half a flush must not be forgotten.
        """
        assert self._pool is not None, "worker is not started"
        return await asyncio.shield(asyncio.wrap_future(self._pool.submit(lambda: work(*args, **kwargs))))
