import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.quantization import corrupted, decoded, encoded

BITS = st.integers(1, 16)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_two_bits_on_one_to_minus_one_are_four_values() -> None:
    codes = encoded(values=[-1.0, -0.4, 0.2, 0.9, 7.0], limit=1.0, bits=2)
    assert codes.tolist() == [0, 1, 2, 3, 3]
    assert decoded(codes=codes, limit=1.0, bits=2) == pytest.approx([-1, -1 / 3, 1 / 3, 1, 1])


@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=20), BITS)
@settings(max_examples=50)
def test_a_value_comes_back_to_half_a_step(values: list[float], bits: int) -> None:
    codes = encoded(values=values, limit=2.0, bits=bits)
    back = decoded(codes=codes, limit=2.0, bits=bits)
    assert np.abs(back - values).max() <= 2.0 / (2**bits - 1) * (1 + 1e-9)
    assert encoded(values=back, limit=2.0, bits=bits).tolist() == codes.tolist()


def test_a_tenth_of_a_damaged_packet_is_random_and_the_others_are_whole() -> None:
    codes = np.full((2, 50_000), 7)
    found = corrupted(generator(), codes, damaged=np.array([True, False]), share=0.1, bits=10)
    changed = found != codes
    assert changed[0].mean() == pytest.approx(0.1, abs=0.005)
    assert not changed[1].any()
    assert found[0][changed[0]].mean() == pytest.approx(1023 / 2, rel=0.02)


def test_the_same_codes_are_drawn_whatever_is_damaged() -> None:
    codes = np.zeros((2, 30), dtype=np.int64)
    both, one = (
        corrupted(generator(), codes, damaged=np.array(hit), share=0.5, bits=4)
        for hit in ([True, True], [False, True])
    )
    assert both[1].tolist() == one[1].tolist()


def test_a_code_has_a_width_and_is_within_it() -> None:
    with pytest.raises(InvalidArgument, match="bits is 0; it must be from 1 to 32"):
        encoded(values=[0.0], limit=1.0, bits=0)
    with pytest.raises(InvalidArgument, match=r"codes is .* at \[0\]; it must be in \[0, 3\]"):
        decoded(codes=np.array([4]), limit=1.0, bits=2)
    with pytest.raises(InvalidArgument, match="share"):
        corrupted(generator(), np.zeros((1, 2), int), damaged=np.array([True]), share=2.0, bits=2)
