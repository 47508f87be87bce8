"""Chunks: whole, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.chunks import (
    chunk_bytes,
    chunk_count,
    decode_chunk,
    encode_chunk,
)
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import BLOB_BYTES_MAX, CHUNK_BYTES_MAX

contents = st.binary(min_size=1, max_size=300)


def refused(payload: bytes, content_bytes: int) -> str:
    with pytest.raises(MalformedMessage) as caught:
        decode_chunk(payload, content_bytes)
    return caught.value.code


def struck(payload: bytes, first_bit: int, burst: int) -> bytes:
    """The payload with some bits inverted, counted as they are sent: the lowest of each byte
    first."""
    number = int.from_bytes(payload, "little") ^ (burst << first_bit)
    return number.to_bytes(len(payload), "little")


@given(contents)
def test_a_chunk_comes_back_as_it_was(content: bytes) -> None:
    assert decode_chunk(encode_chunk(content), len(content)) == content


@given(contents, st.data())
def test_any_flipped_bit_is_found(content: bytes, data: st.DataObject) -> None:
    payload = encode_chunk(content)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    assert refused(struck(payload, bit, 1), len(content)) == "crc"


@given(contents, st.data())
def test_any_burst_of_up_to_32_bits_is_found_wherever_it_is(
    content: bytes, data: st.DataObject
) -> None:
    payload = encode_chunk(content)
    length = data.draw(st.integers(1, 32))
    burst = data.draw(st.integers(0, 2**length - 1)) | 1 | 1 << (length - 1)
    first = data.draw(st.integers(0, 8 * len(payload) - length))
    assert refused(struck(payload, first, burst), len(content)) == "crc"


@given(st.binary(max_size=40), st.integers(1, 40))
def test_a_chunk_of_another_length_is_refused(payload: bytes, content_bytes: int) -> None:
    if len(payload) != content_bytes + 4:
        assert refused(payload, content_bytes) == "length"


@given(st.integers(1, BLOB_BYTES_MAX))
def test_the_chunks_of_a_blob_are_the_blob(blob_bytes: int) -> None:
    lengths = [chunk_bytes(blob_bytes, number) for number in range(chunk_count(blob_bytes))]
    assert sum(lengths) == blob_bytes
    assert min(lengths) > 0
    assert set(lengths[:-1]) <= {CHUNK_BYTES_MAX}
    assert chunk_bytes(blob_bytes, len(lengths)) == 0
