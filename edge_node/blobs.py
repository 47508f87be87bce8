"""The blobs of an edge: what its twins refer to, and what is copied here ahead of a move.

An edge keeps what its twins refer to, sealed ones included. What it lacks it gets from the
edge that owned the twin before, if it still knows which one that was, or else from the cloud.

Copying ahead is the cloud's wish and no promise: it is not remembered in a crash, since the
cloud repeats it until `fetched` is answered or its time is up.
"""

from collections.abc import Mapping

from twin_runtime.core import messages, topics
from twin_runtime.core.blobs import Blobs
from twin_runtime.core.effects import BlobComplete, BlobFailed, Effects, FetchBlob, Now, Send
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.limits import PRECOPIES_MAX
from twin_runtime.core.messages import BlobRef
from twin_runtime.core.orders import Fetch, Fetched


class EdgeBlobs:
    """What is referred to, and what is fetched for which twin that will come."""

    def __init__(self, edge: str) -> None:
        self._event = topics.event(edge)
        self._blobs = Blobs()
        self._sources: dict[str, str] = {}  # who owned a twin before
        self._ahead: dict[str, dict[str, bool]] = {}  # by twin: which blobs, whether they failed

    def refer(self, twin: str, refs: Mapping[str, BlobRef], source: str | None = None) -> None:
        """A twin that is held here refers to these; `source` may have them."""
        self._blobs.refer(twin, refs)
        if source is not None and refs:
            self._sources[twin] = source
        elif not refs:
            self._sources.pop(twin, None)

    def wants(self, sha256: str) -> bool:
        """Whether this blob is to be kept."""
        return self._blobs.wants(sha256)

    @property
    def lacking(self) -> int:
        """How many blobs are referred to and not known to be here."""
        return self._blobs.lacking

    def copy_ahead(self, order: Fetch, fx: Effects) -> None:
        """Fetch what a twin refers to that will come, and say when that has ended."""
        self._ahead.pop(order.twin, None)
        self._ahead[order.twin] = {ref.sha256: False for ref in order.blobs}
        if len(self._ahead) > PRECOPIES_MAX:
            del self._ahead[next(iter(self._ahead))]
        sources = (order.source, CLOUD)
        fx.fetches += (FetchBlob(ref.sha256, ref.bytes, sources) for ref in order.blobs)

    def complete(self, event: BlobComplete, fx: Effects) -> None:
        """A blob is here."""
        self._blobs.complete(event.sha256)
        awaited = [twin for twin, blobs in self._ahead.items() if event.sha256 in blobs]
        if awaited and event.copied_bytes:
            fx.count("move_bytes_total", by=event.copied_bytes)
        for twin in awaited:
            del self._ahead[twin][event.sha256]
            self._fetched(twin, fx)

    def failed(self, event: BlobFailed, now: Now, fx: Effects) -> None:
        """A blob did not come."""
        self._blobs.failed(event.sha256, now.monotonic_s)
        for twin in [twin for twin, blobs in self._ahead.items() if event.sha256 in blobs]:
            self._ahead[twin][event.sha256] = True
            self._fetched(twin, fx)

    def settle(self, now: Now, fx: Effects) -> None:
        """Ask for what is lacking."""
        self._blobs.settle(now.monotonic_s, self._sources_of, fx)

    def _sources_of(self, twin: str, _attempt: int) -> tuple[str, ...]:
        former = self._sources.get(twin)
        return (CLOUD,) if former is None else (former, CLOUD)

    def _fetched(self, twin: str, fx: Effects) -> None:
        """Tell the cloud, once every blob has come or failed."""
        blobs = self._ahead[twin]
        if all(blobs.values()):
            del self._ahead[twin]
            fetched = Fetched(twin=twin, missing=len(blobs))
            fx.sends.append(Send(self._event, messages.encode(fetched)))
