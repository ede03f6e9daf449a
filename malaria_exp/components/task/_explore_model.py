"""The architecture of the model as it is configured, without data or training."""

from typing import TYPE_CHECKING

from malaria_exp.config.run_config import Config
from malaria_exp.utils.atomic_files import write_csv
from malaria_exp.utils.terminal_log import log

if TYPE_CHECKING:
    from malaria_exp.runs.run_folder import RunFolder


def explore_model(config: Config, folder: "RunFolder") -> None:
    """Draws the model: model.png, and model.csv with a row a layer."""
    from malaria_exp.evaluation.model_summary import IMAGE, model_facts
    from malaria_exp.evaluation.plots.model import draw_architecture, human_flops
    from malaria_exp.evaluation.plots.style import save_png
    from malaria_exp.runs.train_model import build_model
    from malaria_exp.utils.tensorflow_setup import load_tensorflow

    load_tensorflow()
    name = config.one("model").name
    facts = model_facts(build_model(config))
    header = ["row", "layer", "kind", "detail", "output", "parameters", "flops", "inside", "reads_rows"]
    rows = [
        [
            number,
            layer.name,
            layer.kind,
            layer.detail,
            "x".join(map(str, layer.shape)),
            layer.parameters,
            layer.flops,
            "/".join(layer.inside),
            " ".join("image" if source == IMAGE else str(source + 1) for source in layer.reads),
        ]
        for number, layer in enumerate(facts.layers, start=1)
    ]
    write_csv(folder / "model.csv", header, rows)
    save_png(draw_architecture(name, facts), folder / "model.png")
    folder.facts |= {"parameters": facts.parameters, "flops": facts.flops}
    size = " x ".join(map(str, facts.input_shape))
    count = f"{facts.parameters:,} parameters, {human_flops(facts.flops)} to score a cell of {size}, {len(rows)} layers"
    log.info(f"model     {name}: {count}")
    log.info(f"explored  {folder / 'model.png'}, {folder / 'model.csv'}")
