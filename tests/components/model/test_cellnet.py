import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.utils.errors import ConfigError


def test_widths_set_the_stages_and_it_stays_below_half_a_million_parameters():
    assert build("model", "cellnet", {}).count_params() <= 500_000
    model = build("model", "cellnet", {"image_size": 32, "stem": 4, "widths": [5, 6, 7]})
    filters = [layer.filters for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert filters == [4, 5, 5, 6, 6, 7, 7]
    with pytest.raises(ConfigError, match=r"model\.widths.*image_size"):
        build("model", "cellnet", {"image_size": 16, "widths": [4, 4, 4, 4]})


def test_a_parasite_anywhere_counts_alike():
    # Moving a pattern by whole strides must move the responses with it, and the global maximum must not change.
    model = build("model", "cellnet", {"image_size": 64, "stem": 4, "widths": [4, 4]})
    rng = np.random.default_rng(0)
    images = np.zeros((2, 64, 64, 3), np.float32)
    images[0, 16:24, 16:24] = images[1, 32:40, 24:32] = rng.random((8, 8, 3), dtype=np.float32)
    first, second = model(images, training=False).numpy()[:, 0]
    assert first == pytest.approx(second, abs=1e-6)
