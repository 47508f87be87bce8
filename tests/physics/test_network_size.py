"""The size of a small CNN, by hand."""

import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.network_size import image_classifier


def test_a_tiny_network_is_counted_by_hand() -> None:
    # 4 x 4 grey pixels, 2 filters of 3 x 3: (9 + 1) 2; pooled to 2 x 2 x 2 = 8 inputs
    size = image_classifier(
        padding="same", side_pixels=4, colours=1, filters=(2,), kernel_pixels=3, hidden=5, classes=3
    )
    assert size.parameters == 20 + 9 * 5 + 6 * 3
    assert size.multiplications == 9 * 2 * 16 + 8 * 5 + 5 * 3
    assert size.size_bits == 32 * 83


def test_an_image_that_convolutions_use_up_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="nothing is left after the convolutions"):
        image_classifier(padding="valid", side_pixels=8)
