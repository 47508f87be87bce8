"""A few threads for blobs, apart from those that commit.

Hashing 64 MiB takes a tenth of a second, and a disk may take its time. The loop does not wait
for either, and nor does a commit: what it needs is not behind blobs in a queue.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from twin_runtime.core.limits import BLOB_THREADS_MAX

T = TypeVar("T")


class BlobThreads:
    """Runs work in one of `BLOB_THREADS_MAX` threads, in order."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(BLOB_THREADS_MAX, "blobs")

    async def do(self, work: Callable[[], T]) -> T:
        """Wait for what `work` returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Let what has begun end, and begin nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
