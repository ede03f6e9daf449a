"""The parameters that both ways of writing ResNet share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from malaria_exp.config.validation import PositiveInt, Range
from malaria_exp.utils.errors import ConfigError

# Residual blocks of each stage, by depth: He et al. 2015, arXiv 1512.03385, table 1.
RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@dataclass(frozen=True, kw_only=True)
class ResNetParameters:
    """The numbers of ResNet; a ConfigError if the image is too small for its stem.

    Attributes:
        image_size: edge of the input in pixels.
        depth: layers with weights, counted as the paper does; 18 has 2, 2, 2, 2 blocks, 34 has 3, 4, 6, 3.
        width: filters of the stem and the first stage; the paper has 64.
        stem: 3x3, one convolution of stride 2, for crops up to about 100 px; 7x7, the paper's, with a pooling of stride 2 after it.
        momentum: of the batch normalizations' running statistics; Keras' own 0.99 needs more steps than a short run has.
    """

    image_size: Annotated[int, Range(low=16, high=1024)] = 64
    depth: Literal[18, 34] = 18
    width: PositiveInt = 16
    stem: Literal["3x3", "7x7"] = "3x3"
    momentum: Annotated[float, Range(low=0, below=1)] = 0.9

    def __post_init__(self) -> None:
        # The strides of the stages and the 3x3 stem multiply to 16, the smallest image_size; those of the 7x7 stem to 32.
        if self.stem == "7x7" and self.image_size < 32:
            raise ConfigError(
                f"model.image_size: {self.image_size} is too small for model.stem=7x7: the strides of the model, multiplied, are 32 pixels."
                " Use model.image_size of at least 32, or model.stem=3x3."
            )
