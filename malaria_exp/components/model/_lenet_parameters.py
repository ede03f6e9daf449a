"""The parameters that the six ways of writing LeNet share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.validation import NonNegative, PositiveInt, Range
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class LeNetParameters:
    """The numbers of LeNet; a ConfigError if the image is too small for its kernels.

    Attributes:
        image_size: edge of the input in pixels.
        filters: filters of the first convolution.
        filters_2: filters of the second convolution.
        kernel_size: edge of both convolutions' kernels in pixels.
        units: width of the first dense layer.
        units_2: width of the second dense layer.
        dropout: fraction of the units dropped after the first convolution and the first dense layer.
        l2: L2 penalty on the kernels of convolutions and dense layers, before the last one.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """

    image_size: Annotated[int, Range(low=16, high=1024)] = 224
    filters: PositiveInt = 6
    filters_2: PositiveInt = 16
    kernel_size: PositiveInt = 3
    units: PositiveInt = 100
    units_2: PositiveInt = 10
    dropout: Annotated[float, Range(low=0, below=1)] = 0.2
    l2: NonNegative = 0.01
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9

    def __post_init__(self) -> None:
        # Two unpadded convolutions, each followed by a pooling; Keras would fail on an empty feature map.
        first = max(0, self.image_size - self.kernel_size + 1) // 2
        second = max(0, first - self.kernel_size + 1) // 2
        if not second:
            raise ConfigError(
                f"model.image_size: {self.image_size} is too small for kernels of {self.kernel_size} pixels: after the first convolution"
                f" and pooling {first} pixels are left, after the second {second}. Use model.image_size of at least"
                f" {3 * self.kernel_size + 1}, or a smaller model.kernel_size."
            )

    def penalty(self) -> "keras.regularizers.Regularizer | None":
        """Returns the penalty on kernels."""
        import keras

        return keras.regularizers.L2(self.l2) if self.l2 else None
