"""How large a network is: its parameters, and the multiplications of one forward pass."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from twin_runtime.physics.arguments import InvalidArgument


class NetworkSize(NamedTuple):
    """Parameters, with biases, and multiply-accumulates of one forward pass, without."""

    parameters: int
    multiplications: int

    @property
    def size_bits(self) -> int:
        """Bits of its parameters as 32-bit floats."""
        return 32 * self.parameters


def image_classifier(
    *,
    padding: Literal["same", "valid"],
    side_pixels: int = 32,
    colours: int = 3,
    filters: Sequence[int] = (32, 64),
    kernel_pixels: int = 5,
    hidden: int = 512,
    classes: int = 10,
) -> NetworkSize:
    """A small CNN, that of [P4]: convolutions, each with a 2 x 2 pool, then two dense layers.

    Args:
        padding: `same` keeps the side of an image in a convolution, `valid` loses
            `kernel_pixels - 1` of it.
        side_pixels: of the square image, > 0; the other sizes, too.
        colours: of the image.
        filters: of each convolution.
        kernel_pixels: side of its square kernel.
        hidden: units of the first dense layer.
        classes: outputs.
    """
    side, channels, layers = side_pixels, colours, []
    for count in filters:
        side -= kernel_pixels - 1 if padding == "valid" else 0
        layers.append(_layer(kernel_pixels**2 * channels, count, side**2))
        side, channels = side // 2, count
    if min(side, colours, kernel_pixels, hidden, classes, *filters) < 1:
        given = f"side {side_pixels}, filters {tuple(filters)}, kernel {kernel_pixels}"
        raise InvalidArgument(f"nothing is left after the convolutions, or a size is 0: {given}")
    layers += [_layer(side**2 * channels, hidden, 1), _layer(hidden, classes, 1)]
    return NetworkSize(*(sum(column) for column in zip(*layers, strict=True)))


def _layer(inputs: int, outputs: int, places: int) -> tuple[int, int]:
    return (inputs + 1) * outputs, inputs * outputs * places
