import keras
import numpy as np

from malaria_exp.config.registry import build


def test_a_tensor_in_its_middle_can_be_an_output():
    model = build("model", "lenet_functional", {"image_size": 32})
    pooled = [layer.output for layer in model.layers if type(layer).__name__ == "MaxPooling2D"]
    both = keras.Model(model.input, [*pooled, model.output])
    first, second, logits = both(np.zeros((2, 32, 32, 3), np.float32))
    assert (first.shape, second.shape, logits.shape) == ((2, 15, 15, 6), (2, 6, 6, 16), (2, 1))
