import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.deployment.explanations.explained_model import ExplainedModel


def test_only_scores_are_asked_for_and_patch_and_stride_are_its_keys():
    image = np.full((16, 16, 3), 150, np.uint8)
    image[4:6, 4:6] = 20
    asked = []

    def score(images):
        asked.append(len(images))
        return 0.1 + 0.8 * (images.min(axis=(1, 2, 3)) < 50)

    model = ExplainedModel(None, None, score)
    found = [build("explanation", "occlusion", keys)(model, image[None]) for keys in ({}, {"patch": 0.25, "stride": 0.25})]
    assert found[0].shape == found[1].shape == (1, 16, 16)
    assert found[0][0, 4, 4] == found[0].max() > 0
    assert not np.array_equal(*found) and asked[1] > asked[-1]
