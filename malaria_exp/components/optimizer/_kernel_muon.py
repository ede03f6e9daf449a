"""Keras' Muon, for convolutions too."""

from typing import Any

import keras
from keras import ops


class KernelMuon(keras.optimizers.Muon):
    """Orthogonalizes the steps of dense and convolution kernels; Keras' own leaves convolutions to AdamW.

    As in the authors' code a kernel (height, width, in, out) is taken as the matrix (height x width x in, out). A kernel with
    one output is a vector, which orthogonalizing would only scale: the last layer and depthwise convolutions go to AdamW, as
    the authors advise for the last layer.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) not in (2, 4) or variable.shape[-1] == 1 or "embedding" in variable.path.lower()

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Returns the kernel's momentum orthogonalized, in the kernel's shape."""
        return ops.reshape(super().zeropower_via_newtonschulz5(_matrix(x), steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Returns the step scaled by the matrix' longer edge, in the kernel's shape."""
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(kernel: Any) -> Any:
    return ops.reshape(kernel, (-1, kernel.shape[-1]))
