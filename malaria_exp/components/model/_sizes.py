"""Sizes that several nets share, and how small a picture each can take: said before Keras fails on an empty feature map."""

from typing import Literal

from malaria_exp.utils.errors import ConfigError

ResNetStem = Literal["3x3", "7x7"]
# Residual blocks of each stage, by depth: He et al. 2015, arXiv 1512.03385, table 1.
RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def check_lenet_size(image_size: int, kernel_size: int) -> None:
    """Raises a ConfigError if the two unpadded convolutions, each with its pooling, leave no pixel.

    Args:
        image_size: edge of the input in pixels.
        kernel_size: edge of both convolutions' kernels in pixels.
    """
    first = max(0, image_size - kernel_size + 1) // 2
    second = max(0, first - kernel_size + 1) // 2
    if not second:
        raise ConfigError(
            f"model.image_size: {image_size} is too small for kernels of {kernel_size} pixels: after the first convolution and pooling"
            f" {first} pixels are left, after the second {second}. Use model.image_size of at least {3 * kernel_size + 1}, or a smaller model.kernel_size."
        )


def check_resnet_size(image_size: int, stem: ResNetStem) -> None:
    """Raises a ConfigError if the strides of the stem and the stages step over more pixels than the picture has.

    Args:
        image_size: edge of the input in pixels, at least 16, which is enough for the 3x3 stem.
        stem: the first layers; see `resnet_functional`.
    """
    if stem == "7x7" and image_size < 32:
        raise ConfigError(
            f"model.image_size: {image_size} is too small for model.stem=7x7: the strides of the net, multiplied, are 32 pixels."
            " Use model.image_size of at least 32, or model.stem=3x3."
        )
