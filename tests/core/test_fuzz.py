"""Twenty thousand damaged messages for each parser: a typed message or a refusal, and soon.

What is said is drawn by the strategies of `test_messages`, and each is then damaged many
times by a cheaper hand. The worst time counts with what else the machine does left out: a
payload that took long is parsed again.
"""

import time
import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.test_messages import ADAPTERS, TYPED, parses
from twin_runtime.core import messages
from twin_runtime.core.limits import PACKET_BYTES_MAX

EXAMPLES = 40
DAMAGED = 500  # of each example
PARSED_S_MAX = 0.001  # of a payload as large as these, 99.9 % of them
SLOW_MAX = EXAMPLES * DAMAGED // 1_000
TRIES = 3
# 123 seen: 21,000 empty objects, each three bytes in the packet and 64 in Python, and once more
# for each field that an acknowledgement lacks. An accepted packet of them takes 24.
ALLOCATED_MAX = 130 * PACKET_BYTES_MAX
REFUSED_S_MAX = 0.05  # 0.015 seen
ALPHABET = b'{}[]":,.eE+-0123456789ntfu\\ \x00\xff'


def damaged(payload: bytes, rng: Random) -> bytes:
    """Some bytes of it changed, doubled, moved or gone."""
    changed = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        where, length = rng.randrange(len(changed) + 1), rng.randint(0, 8)
        kind = rng.randrange(4)
        if kind == 0 and where < len(changed):
            changed[where] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[where:where] = bytes(rng.choices(ALPHABET, k=length))
        elif kind == 2:
            del changed[where : where + length]
        else:
            source = rng.randrange(len(changed) + 1)
            changed[where:where] = changed[source : source + 8 * length]
    return bytes(changed)


def parsed_s(name: str, payload: bytes) -> float:
    began_s = time.thread_time()
    parses(name, payload)
    return time.thread_time() - began_s


@pytest.mark.parametrize("name", ADAPTERS)
def test_g9_twenty_thousand_damaged_messages_are_heard_or_refused_at_once(name: str) -> None:
    slow: list[bytes] = []

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), seed=st.integers(0, 2**32))
    def damage(data: st.DataObject, seed: int) -> None:
        said, rng = messages.encode(data.draw(TYPED[name])), Random(seed)
        for _ in range(DAMAGED):
            payload = damaged(said, rng)
            if parsed_s(name, payload) > PARSED_S_MAX:
                slow.append(payload)

    damage()
    truly = [
        each for each in slow if min(parsed_s(name, each) for _ in range(TRIES)) > PARSED_S_MAX
    ]
    assert len(truly) <= SLOW_MAX, max(truly, key=len)[:1_000]


def many(head: bytes, item: bytes, tail: bytes) -> bytes:
    """The largest packet of `item`, again and again, between `head` and `tail`."""
    fit = (PACKET_BYTES_MAX - len(head) - len(tail)) // (len(item) + 1)
    return head + b",".join([item] * fit) + tail


_REPORT = b'{"v":1,"epoch":1,"session":1,"reports":[{"seq":1,"observed_ms":1,'
# Of which each entry is wrong, for whom it is.
MANY = [
    many(b"[", b"{}", b"]"),
    many(b'{"v":1,"marks":[', b"{}", b"]}"),
    many(b'{"v":1,"twin":"d-1","epoch":1,"revision":1,"attributes":{"a":[', b"{}", b"]}}"),
    many(b'{"v":1,"observed_ms":1,"features":{', b'"":[]', b"}}"),
    many(b'{"v":1,"twin":"d-1","epoch":1,"revision":1,"features":{', b'"":{}', b"}}"),
    many(b'{"v":1,"twin":"d-1","epoch":1,"revision":1,"desired":{', b'"":{}', b"}}"),
    many(b'{"seq":1,"observed_ms":1,"outcomes":{', b'"":{}', b"}}"),
    many(_REPORT + b'"outcomes":{', b'"":{}', b"}}]}"),
    many(_REPORT + b'"description":{"features":{', b'"":{}', b"}}}]}"),
    many(b'{"v":1,"state":"online","counters":{', b'"":[]', b"}}"),
    many(b'{"v":1,"edge":"e-1","epoch":1,"entries":{', b'"":{}', b"}}"),
    many(
        b'{"v":1,"edge":"e-1","epoch":1,"number":1,"kind":"a","valid_for_s":1,"arguments":{',
        b'"":[]',
        b"}}",
    ),
]


@pytest.mark.parametrize("name", ADAPTERS)
def test_g9_what_a_hostile_packet_takes_until_it_is_refused_is_bounded(name: str) -> None:
    hostile = [
        *(opened * (PACKET_BYTES_MAX // len(opened)) for opened in (b"[", b'{"a":', b'["",')),
        b'"' + b"\\u0000" * (PACKET_BYTES_MAX // 6 - 1) + b'"',
        b"9" * PACKET_BYTES_MAX,
        b"[" + b"0," * (PACKET_BYTES_MAX // 2 - 2) + b"0]",
        *MANY,
    ]
    parses(name, b"{}")  # whatever is made once
    for payload in hostile:
        assert len(payload) <= PACKET_BYTES_MAX
        tracemalloc.start()
        try:
            parses(name, payload)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most <= ALLOCATED_MAX, payload[:80]
        assert min(parsed_s(name, payload) for _ in range(TRIES)) <= REFUSED_S_MAX, payload[:80]
