"""How long to wait before the next attempt: exponential, capped, and spread out.

The jitter is a hash of who waits and for the how-manieth time, not a random number:
a thousand clients of a restarted broker spread over half of each delay, and a run can
be repeated exactly.
"""

from zlib import crc32

# 2**20 times any first delay is beyond every cap; it keeps the power a small number.
_DOUBLINGS_MAX = 20


def backoff_s(who: str, attempt: int, first_s: float, last_s: float) -> float:
    """Return the delay before attempt `attempt` (0: the first repetition), between half
    of and the whole of `first_s * 2**attempt`, or of `last_s` if that is less."""
    full_s = min(first_s * 2.0 ** min(attempt, _DOUBLINGS_MAX), last_s)
    jitter = crc32(f"{who}/{attempt}".encode()) / 2**32
    return full_s * (1.0 + jitter) / 2.0
