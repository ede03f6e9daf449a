"""Pictures of what a run is made of, without training."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from malaria_exp.files import write_bytes, write_csv
from malaria_exp.logs import log
from malaria_exp.registry import build, register
from malaria_exp.rundir import claim_run

if TYPE_CHECKING:
    from malaria_exp.main import App
    from malaria_exp.rundir import RunFolder


@register("task", "explore")
def explore(app: "App", /, *, what: Literal["schedule", "model"] = "schedule") -> None:
    """Draws what a run is made of, without training: the learning rate over the run, or the model's architecture.

    Args:
        what: schedule: schedule.png and schedule.csv; model: model.png and model.csv, with shapes, parameters and FLOPs.
    """
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="explore") as folder:
        {"schedule": explore_schedule, "model": explore_model}[what](app, folder)


def explore_schedule(app: "App", folder: "RunFolder") -> None:
    """Draws the learning rate of every step of the run as it is configured."""
    from malaria_exp.batches import training_batches
    from malaria_exp.durations import RunLength
    from malaria_exp.evaluation._plots_schedule import draw_schedule
    from malaria_exp.evaluation.plots import png_bytes
    from malaria_exp.runner import load_and_decode, split
    from malaria_exp.tensorflow_setup import load_tensorflow

    config = app.config
    config.check_components()
    table, store, _ = load_and_decode(config)
    cells = split(config, table, store, folder, None).training()[0]
    load_tensorflow()
    batches = training_batches(cells, batch_size=config.batch_size, augmentations=[], seed=config.seed, resident_gb=0)
    trainer, schedule, optimizer = config.one("trainer"), config.one("schedule"), config.one("optimizer")
    # Of a training in stages the first is drawn; each runs through the whole schedule.
    stage = (trainer.params.get("stages") or [{}])[0]
    length = RunLength(stage.get("epochs", trainer.params.get("epochs", 1)), batches.steps_per_epoch, batches.batch_size)
    factor = build("schedule", schedule.name, schedule.params, length)
    peak = optimizer.params["learning_rate"] * stage.get("learning_rate", 1.0)
    factors = np.array([float(factor(step)) for step in range(length.steps)])
    rows = zip(range(1, length.steps + 1), np.arange(length.steps) / length.steps_per_epoch, factors, peak * factors, strict=True)
    write_csv(folder / "schedule.csv", ["step", "epoch", "factor", "learning_rate"], [[s, *map(float, rest)] for s, *rest in rows])
    title = f"{optimizer.name} with {schedule.name}: {length.epochs:,} epochs of {length.steps_per_epoch:,} steps"
    write_bytes(folder / "schedule.png", png_bytes(draw_schedule(title, peak * factors, length)))
    log.info(f"schedule  {schedule.name}: peak {peak * factors.max():.3g}, last {peak * factors[-1]:.3g}, {length.steps:,} steps")
    log.info(f"explored  {folder / 'schedule.png'}, {folder / 'schedule.csv'}")


def explore_model(app: "App", folder: "RunFolder") -> None:
    """Draws the model as it is configured; needs no data."""
    from malaria_exp.evaluation._plots_model import draw_architecture, human_flops
    from malaria_exp.evaluation.plots import png_bytes
    from malaria_exp.model_facts import flops, layer_facts
    from malaria_exp.runner import build_model
    from malaria_exp.tensorflow_setup import load_tensorflow

    config = app.config
    config.check_components()
    load_tensorflow()
    model = build_model(config)
    layers, operations = layer_facts(model), flops(model)
    rows = [[layer.name, layer.kind, "x".join(map(str, layer.shape)), layer.parameters, "/".join(layer.inside)] for layer in layers]
    write_csv(folder / "model.csv", ["layer", "kind", "output", "parameters", "inside"], rows)
    name = config.one("model").name
    write_bytes(folder / "model.png", png_bytes(draw_architecture(name, model.input_shape[1:], layers, operations)))
    folder.facts |= {"parameters": model.count_params(), "flops": operations}
    size = " x ".join(map(str, model.input_shape[1:]))
    log.info(
        f"model     {name}: {model.count_params():,} parameters, {human_flops(operations)} to score a cell of {size}, {len(layers)} layers"
    )
    log.info(f"explored  {folder / 'model.png'}, {folder / 'model.csv'}")
