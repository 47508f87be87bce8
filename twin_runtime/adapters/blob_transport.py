"""Blobs between processes, over the bus and beside the machine.

Theory of operation. The transport stands between the bus and the shell: it takes the
messages under `blob/` off the bus, so that no machine ever sees a byte of a blob, and lets
everything else through. It sends behind the shell's back, but never much: the receiver
drives (`core/transfer.py`), a window of chunks at a time.

Fetching. `fetch` queues a blob; a few workers take one each. A worker asks the files what
is missing of it, wants chunk after chunk from one source after the other, hashes the whole,
and tells the machine how it ended. Only a chunk that is outstanding, from the source that
was asked, intact and of the right length is taken; everything else is counted and dropped
where it arrives, so what waits for the disk is at most a window for each worker.

Serving. One task reads the chunks that others want, and publishes them. Of one peer and
blob only the last window wanted is kept, and few are kept at all; who is not served asks
again.

Nothing here is remembered in a crash but the chunks themselves; the machine says after a
restart what it still needs.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.core import messages, topics
from twin_runtime.core.chunks import chunk_bytes, chunk_count, decode_chunk, encode_chunk
from twin_runtime.core.effects import BlobComplete, BlobFailed, Event, FetchBlob, Message, Send
from twin_runtime.core.errors import BlobsFull, MalformedMessage, Unavailable
from twin_runtime.core.limits import (
    BLOB_DIGESTS_WRONG_MAX,
    BLOB_FETCHES_MAX,
    BLOB_FETCHES_WAITING_MAX,
    BLOB_SWEEP_PERIOD_S,
    BLOB_WANTS_MAX,
)
from twin_runtime.core.messages import BlobRef, Lack, Want
from twin_runtime.core.topics import BlobTopic
from twin_runtime.core.transfer import Transfer
from twin_runtime.ports import Bus, Recorder
from twin_runtime.shell import Offload

T = TypeVar("T")

_LACK = messages.encode(Lack())


class _Fetch:
    """A blob under way: its transfer, once it has begun, and what has arrived of it."""

    def __init__(self, wanted: FetchBlob) -> None:
        self.ref = BlobRef(sha256=wanted.sha256, bytes=wanted.bytes)
        self.sources = wanted.sources
        self.transfer: Transfer | None = None
        self.arrived: dict[int, bytes] = {}
        self.lacking = ""  # who has said so
        self.news = asyncio.Event()
        self.copied_bytes = 0

    def expects(self, source: str, number: int) -> bool:
        transfer = self.transfer
        return (
            transfer is not None and number not in self.arrived and transfer.expects(source, number)
        )


class BlobTransport:
    """A `Bus` for the shell, less what concerns blobs, and the body of `Ports.fetch`.

    `tell` is where events for the machine go; `wanted` says whether the machine refers to a
    blob; files are read and written by `offload`. `run` does the work.
    """

    def __init__(
        self,
        bus: Bus,
        identity: str,
        files: BlobFiles,
        *,
        tell: Callable[[Sequence[Event]], None],
        wanted: Callable[[str], bool],
        recorder: Recorder,
        offload: Offload,
    ) -> None:
        self._bus = bus
        self._identity = identity
        self._files = files
        self._tell = tell
        self._wanted = wanted
        self._recorder = recorder
        self._offload = offload
        self._fetches: dict[str, _Fetch] = {}
        self._queue: asyncio.Queue[_Fetch] = asyncio.Queue(BLOB_FETCHES_WAITING_MAX)
        self._asked: dict[tuple[str, str], tuple[int, ...]] = {}  # by whom, for what
        self._asking = asyncio.Event()

    async def publish(self, sends: Sequence[Send]) -> None:
        """See `Bus.publish`."""
        await self._bus.publish(sends)

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        """See `Bus.messages`."""
        async with aclosing(self._bus.messages()) as messages:
            async for events in messages:
                if others := [event for event in events if not self._takes(event)]:
                    yield others

    def fetch(self, wanted: FetchBlob) -> None:
        """See `FetchBlob`."""
        if self._files.touch(wanted.sha256):
            self._tell((BlobComplete(wanted.sha256, 0),))
        elif wanted.sha256 in self._fetches:
            pass  # its end is told once, to whoever waits for it
        elif len(self._fetches) == BLOB_FETCHES_WAITING_MAX:
            self._tell((self._failed(wanted.sha256, "busy"),))
        else:
            self._fetches[wanted.sha256] = fetch = _Fetch(wanted)
            self._queue.put_nowait(fetch)

    async def verify(self, sha256: str) -> bool:
        """Whether a blob is here, intact, or raise `Unavailable`; the machine hears of one that
        is damaged, and has it fetched."""
        if self._files.size(sha256) is None:
            return False
        intact = await self._do(partial(self._files.verify, sha256))
        if not intact:
            self._tell((self._failed(sha256, "damaged"),))
        return intact

    async def run(self) -> None:
        """Fetch, serve and sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(), name="blobs serve")
            group.create_task(self._sweep(), name="blobs sweep")
            for number in range(BLOB_FETCHES_MAX):
                group.create_task(self._work(), name=f"blobs fetch {number}")

    # --- what arrives -------------------------------------------------------------------

    def _takes(self, event: Event) -> bool:
        """Whether this is a blob's, and so not for the machine."""
        if not isinstance(event, Message) or not event.topic.startswith(topics.BLOB_PREFIX):
            return False
        try:
            self._hear(topics.parse_blob(event.topic), event.payload)
        except MalformedMessage as error:
            self._count("blob_chunks_refused_total", error.code)
        return True

    def _hear(self, topic: BlobTopic, payload: bytes) -> None:
        fetch = self._fetches.get(topic.sha256)
        if topic.verb == "want":
            self._is_asked(topic, messages.parse(messages.WANT, payload))
        elif topic.verb == "lack":
            transfer = fetch and fetch.transfer
            if fetch is not None and transfer and transfer.source == topic.source:
                fetch.lacking = topic.source
                fetch.news.set()
        else:
            self._take_chunk(fetch, topic.source, int(topic.verb), payload)

    def _take_chunk(self, fetch: _Fetch | None, source: str, number: int, payload: bytes) -> None:
        if fetch is None or not fetch.expects(source, number):
            raise MalformedMessage("unwanted", f"chunk {number} of {source} is not expected")
        content = decode_chunk(payload, chunk_bytes(fetch.ref.bytes, number))
        self._count("blob_bytes_total", "received", len(content))
        fetch.copied_bytes += len(content)
        fetch.arrived[number] = content
        fetch.news.set()

    def _is_asked(self, topic: BlobTopic, want: Want) -> None:
        key = topic.source, topic.sha256
        if key in self._asked or len(self._asked) < BLOB_WANTS_MAX:
            self._asked[key] = want.chunks
            self._asking.set()
        else:
            self._count("blob_wants_dropped_total")

    # --- fetching -----------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            fetch = await self._queue.get()
            ended = await self._fetch(fetch)
            del self._fetches[fetch.ref.sha256]
            self._tell((ended,))

    async def _fetch(self, fetch: _Fetch) -> BlobComplete | BlobFailed:
        ref = fetch.ref
        if self._files.touch(ref.sha256):
            return BlobComplete(ref.sha256, 0)  # somebody has sent it meanwhile
        try:
            for attempt in range(BLOB_DIGESTS_WRONG_MAX):
                missing = await self._do(partial(self._files.begin, ref))
                turn = attempt % max(len(fetch.sources), 1)
                sources = fetch.sources[turn:] + fetch.sources[:turn]
                fetch.transfer = transfer = Transfer(missing, sources)
                await self._receive(fetch, transfer)
                if not transfer.is_complete:
                    return self._failed(ref.sha256, transfer.failure)
                if await self._do(partial(self._files.finish, ref.sha256)):
                    return BlobComplete(ref.sha256, fetch.copied_bytes)
                self._count("blob_digests_wrong_total")
        except BlobsFull:
            return self._failed(ref.sha256, "full")
        except Unavailable:
            return self._failed(ref.sha256, "disk")
        return self._failed(ref.sha256, "digest")

    async def _receive(self, fetch: _Fetch, transfer: Transfer) -> None:
        """Until nothing is missing, or there is nobody left to ask."""
        fetch.arrived, fetch.lacking = {}, ""
        while not transfer.is_complete and transfer.source is not None:
            await self._want(fetch.ref.sha256, transfer.source, transfer.wants())
            if not await self._hears(fetch, transfer.silence_s):
                transfer.silent()
            while fetch.arrived:
                number, content = next(iter(fetch.arrived.items()))
                await self._do(partial(self._files.write, fetch.ref.sha256, number, content))
                transfer.took(number)
                del fetch.arrived[number]
            if fetch.lacking == transfer.source:
                transfer.lacks()
            fetch.lacking = ""

    async def _want(self, sha256: str, source: str, chunks: tuple[int, ...]) -> None:
        if chunks:
            want = messages.encode(Want(chunks=chunks))
            topic = topics.blob(source, self._identity, sha256, "want")
            await self._bus.publish((Send(topic, want),))

    async def _hears(self, fetch: _Fetch, timeout_s: float) -> bool:
        """Whether anything came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await fetch.news.wait()
        except TimeoutError:
            return False
        fetch.news.clear()
        return True

    def _failed(self, sha256: str, reason: str) -> BlobFailed:
        self._count("blob_failures_total", reason)
        return BlobFailed(sha256, reason)

    # --- serving ------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            await self._asking.wait()
            self._asking.clear()
            while self._asked:
                (peer, sha256), chunks = next(iter(self._asked.items()))
                del self._asked[peer, sha256]
                await self._send(peer, sha256, chunks)

    async def _send(self, peer: str, sha256: str, chunks: tuple[int, ...]) -> None:
        count = chunk_count(self._files.size(sha256) or 0)
        try:
            if 0 in chunks and not await self.verify(sha256):
                count = 0  # whoever begins without the first will find out, and begin again
            for number in (each for each in chunks if each < count):
                content = await self._do(partial(self._files.chunk, sha256, number))
                await self._say(peer, sha256, str(number), encode_chunk(content))
                self._count("blob_bytes_total", "sent", len(content))
        except Unavailable:
            count = 0
        if count == 0:
            await self._say(peer, sha256, "lack", _LACK)

    async def _say(self, peer: str, sha256: str, verb: str, payload: bytes) -> None:
        topic = topics.blob(peer, self._identity, sha256, verb)
        await self._bus.publish((Send(topic, payload),))

    # --- what nobody wants --------------------------------------------------------------

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(BLOB_SWEEP_PERIOD_S)
            for name in self._files.unwanted(self._is_wanted, clock()):
                try:
                    await self._do(partial(self._files.drop, name))
                except Unavailable:
                    self._count("blob_failures_total", "disk")

    def _is_wanted(self, sha256: str) -> bool:
        return sha256 in self._fetches or self._wanted(sha256)

    # --- all of them --------------------------------------------------------------------

    async def _do(self, work: Callable[[], T]) -> T:
        """Let `work` be done where it holds nobody up."""
        done: list[T] = []
        await self._offload(lambda: done.append(work()))
        return done[0]

    def _count(self, metric: str, label: str = "", by: int = 1) -> None:
        self._recorder.record({(metric, label): by}, (), ())
