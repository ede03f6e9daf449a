"""The picture of a model: nothing of it is lost, and it stays small."""

from functools import lru_cache

import keras
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from malaria_exp.components.model.layers.mean_logit import MeanLogit
from malaria_exp.config.registry import build
from malaria_exp.evaluation.model_summary import model_facts
from malaria_exp.evaluation.plots.model import draw_architecture, human_flops
from malaria_exp.evaluation.plots.model_diagram import boxes_of


@lru_cache
def facts_of(name, **params):
    """The facts of a model, which is built once."""
    return model_facts(build("model", name, params))


@pytest.mark.parametrize(
    ("name", "params", "most"),
    [
        ("lenet_functional", {"image_size": 32}, 15),
        ("resnet_subclassed", {"image_size": 32, "depth": 34, "width": 4}, 6),
        ("vit", {"image_size": 32}, 5),
        ("transfer", {"image_size": 32}, 10),
        ("transfer", {"image_size": 32, "backbone": "efficientnet_b0"}, 10),
    ],
)
@pytest.mark.long
def test_boxes_hold_the_whole_model_and_are_few(name, params, most):
    facts = facts_of(name, **params)
    boxes = boxes_of(facts)
    assert len(boxes) <= most
    assert sum(box.parameters for box in boxes) == facts.parameters
    assert sum(box.flops for box in boxes) == facts.flops
    assert all(number - 1 in box.reads for number, box in enumerate(boxes) if number)


def test_residual_connections_are_told():
    boxes = boxes_of(facts_of("resnet_subclassed", image_size=32, width=4))
    assert [box.merges for box in boxes] == [0, 2, 2, 2, 2, 0]
    assert all("2 residual connections" in box.lines for box in boxes[1:-1])


def test_a_backbone_and_its_head_share_no_box():
    boxes = boxes_of(facts_of("transfer", image_size=32))
    assert [box.inside for box in boxes if box.inside] == ["backbone"] * (len(boxes) - 3)
    assert (boxes[1].inside, boxes[-1].inside) == ("", "")


def test_models_of_an_ensemble_stand_side_by_side():
    models = [build("model", name, {"image_size": 32}) for name in ("cellnet", "resnet_subclassed")]
    for number, member in enumerate(models):
        member.name = f"member_{number + 1}"
    inputs = keras.Input((32, 32, 3))
    boxes = boxes_of(model_facts(keras.Model(inputs, MeanLogit("logit")([member(inputs) for member in models]))))
    assert [(box.inside, box.reads) for box in boxes] == [("", ()), ("member_1", (0,)), ("member_2", (0,)), ("", (1, 2))]
    assert [box.parameters for box in boxes[1:3]] == [member.count_params() for member in models]


def test_all_text_lies_within_the_picture():
    figure = draw_architecture("efficientnet_b0", facts_of("transfer", image_size=32, backbone="efficientnet_b0"))
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.bbox.size
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_numbers_of_operations_have_three_digits():
    assert [human_flops(number) for number in (7, 1234, 999_999, 12_345_678, 5_641_211_393)] == [
        "7 FLOPs",
        "1.23 kFLOPs",
        "1.00 MFLOPs",
        "12.3 MFLOPs",
        "5.64 GFLOPs",
    ]
