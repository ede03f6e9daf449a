import numpy as np

from malaria_exp.config.registry import build


def test_the_extractor_can_be_used_and_frozen_by_itself():
    model = build("model", "lenet_callable", {"image_size": 32})
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    x = features = model.get_layer("features")(images)
    assert features.shape == (2, 6, 6, 16)
    for layer in model.layers[2:]:
        x = layer(x)
    np.testing.assert_allclose(x, model(images), rtol=1e-5)
    model = build("model", "lenet_callable", {"image_size": 32})
    model.get_layer("features").trainable = False
    # Left: three dense layers and two normalizations, two weights each.
    assert len(model.trainable_variables) == 10
    assert not [weight.path for weight in model.trainable_variables if "conv" in weight.path]
