"""A blob on a wire: pieces of equal size, each with its own check.

A chunk is at most `CHUNK_BYTES_MAX` bytes and then their CRC-32, little-endian: the order in
which that code finds every burst of up to 32 bits, one that reaches from the bytes into the
check included. What a CRC cannot see (a chunk in the wrong place, a hostile sender) the
SHA-256 of the whole finds.
"""

from zlib import crc32

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import CHUNK_BYTES_MAX

CHECK_BYTES = 4


def chunk_count(blob_bytes: int) -> int:
    """How many chunks a blob has."""
    return -(-blob_bytes // CHUNK_BYTES_MAX)


def chunk_bytes(blob_bytes: int, number: int) -> int:
    """How long a chunk is: all are full but the last; 0 where there is none."""
    return max(0, min(CHUNK_BYTES_MAX, blob_bytes - number * CHUNK_BYTES_MAX))


def encode_chunk(content: bytes) -> bytes:
    """Return what is sent of a chunk."""
    return content + crc32(content).to_bytes(CHECK_BYTES, "little")


def decode_chunk(payload: bytes, content_bytes: int) -> bytes:
    """Return the chunk in `payload`, which must be so long, or raise `MalformedMessage`
    (`length`, `crc`)."""
    if len(payload) != content_bytes + CHECK_BYTES:
        text = f"{len(payload)} bytes; this chunk has {content_bytes} and {CHECK_BYTES} of check"
        raise MalformedMessage("length", text)
    content = payload[:content_bytes]
    if crc32(content) != int.from_bytes(payload[content_bytes:], "little"):
        raise MalformedMessage("crc", f"{content_bytes} bytes do not match their CRC-32")
    return content
