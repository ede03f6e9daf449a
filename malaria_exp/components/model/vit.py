"""A Vision Transformer, to be trained from scratch.

Dosovitskiy et al., An image is worth 16 x 16 words, 2020, arXiv 2010.11929. The logit reads the average of the patches instead
of a class token, which trains better from scratch (Beyer et al. 2022, arXiv 2205.01580), and a cell needs fewer and smaller patches.
"""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, PositiveInt, Range
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@register("model", "vit")
def vit(
    *,
    image_size: Annotated[int, Range(low=16, high=1024)] = 64,
    patch_size: PositiveInt = 8,
    width: PositiveInt = 64,
    depth: Annotated[int, Range(low=1, high=64)] = 4,
    heads: Annotated[int, Range(low=1, high=64)] = 4,
    mlp_ratio: Positive = 2.0,
    dropout: Annotated[float, Range(low=0, below=1)] = 0.1,
) -> "keras.Model":
    """Vision Transformer from scratch: 0.15M parameters at the default width and depth.

    The image is cut into patches, each becomes a token, and blocks of attention relate the tokens to one another. Layers
    are normalized before each branch (pre-norm), the position of a patch is a learned vector, and the last layer reads the average token.

    Args:
        image_size: edge of the input in pixels; a multiple of patch_size.
        patch_size: edge of a patch in pixels.
        width: values in a token; a multiple of heads.
        depth: blocks of attention and MLP.
        heads: attention heads of a block.
        mlp_ratio: width of the MLP's hidden layer, as a multiple of width.
        dropout: fraction dropped of the tokens' values, after the embedding and in each branch, and of the attention weights.
    """
    _check(image_size, patch_size, width, heads, mlp_ratio)
    import keras
    from keras import layers

    from malaria_exp.components.model.layers.position_embedding import PositionEmbedding

    def attend(x: "keras.KerasTensor") -> "keras.KerasTensor":
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        attended = layers.MultiHeadAttention(heads, width // heads, dropout=dropout)(normed, normed)
        return layers.Add()([x, layers.Dropout(dropout)(attended)])

    def transform(x: "keras.KerasTensor") -> "keras.KerasTensor":
        hidden = layers.Dense(round(width * mlp_ratio), activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        return layers.Add()([x, layers.Dropout(dropout)(layers.Dense(width)(layers.Dropout(dropout)(hidden)))])

    inputs = keras.Input((image_size, image_size, 3))
    # A convolution with a stride of its kernel's size maps every patch with the same weights, without overlap. Pixels are centered, and
    # the initial scale depends on the patch alone: with Keras' smaller default, the model learns nothing in few epochs.
    centered = layers.Rescaling(2.0, offset=-1.0)(inputs)
    patches = layers.Conv2D(width, patch_size, strides=patch_size, kernel_initializer="lecun_normal", name="patches")(centered)
    x = PositionEmbedding(name="position")(layers.Reshape((-1, width))(patches))
    x = layers.Dropout(dropout)(x)
    for _ in range(depth):
        x = transform(attend(x))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name="vit")


def _check(image_size: int, patch_size: int, width: int, heads: int, mlp_ratio: float) -> None:
    """Raises a ConfigError if the patches do not fill the image, or the heads do not divide the tokens."""
    if image_size % patch_size:
        near = f"{image_size // patch_size * patch_size} or {(image_size // patch_size + 1) * patch_size}"
        raise ConfigError(
            f"model.image_size: {image_size} is no multiple of model.patch_size, {patch_size}."
            f" Use model.image_size={near if image_size > patch_size else patch_size}, or another patch_size."
        )
    if width % heads:
        raise ConfigError(f"model.width: {width} is no multiple of model.heads, {heads}: each head takes an equal part of a token.")
    if round(width * mlp_ratio) < 1:
        raise ConfigError(f"model.mlp_ratio: {mlp_ratio:g} of width {width} leaves the MLP without a unit.")
