"""The order of a run, from the dataset to the report.

dataset -> table -> pixel cache -> split -> manifest -> batches -> aug -> model -> trainer -> calibration -> ood -> scores -> evaluation -> report
"""

from malaria_exp.config.run_config import Config
from malaria_exp.evaluation.evaluation_result import EvaluationResult
from malaria_exp.runs import provenance
from malaria_exp.runs.access_log import record_opening
from malaria_exp.runs.detect_foreign import fit_ood
from malaria_exp.runs.evaluate_model import calibrate, evaluate_trained
from malaria_exp.runs.initial_weights import InitialWeights, find_weights
from malaria_exp.runs.load_data import load_and_decode, split
from malaria_exp.runs.read_files import read_config
from malaria_exp.runs.resumption import DATA, RESUMED, Resumption, remove_checkpoints
from malaria_exp.runs.run_folder import RunFolder
from malaria_exp.runs.saved_model import save_model
from malaria_exp.runs.shortcut_baseline import add_shortcuts
from malaria_exp.runs.storage import open_storage
from malaria_exp.runs.train_model import check_monitor, train
from malaria_exp.runs.write_results import write_excluded, write_result
from malaria_exp.tracking.logger_queue import Loggers
from malaria_exp.tracking.tracker import Tracker, open_tracker
from malaria_exp.utils.atomic_files import write_json
from malaria_exp.utils.machine import machine
from malaria_exp.utils.terminal_log import log


def train_and_evaluate(config: Config, folder: RunFolder, overrides: list[str], resumption: Resumption | None = None) -> EvaluationResult:
    """Runs a whole experiment into its folder, or goes on with one that was cut off.

    Everything before the training and after it is done again: it gives the same files.

    Args:
        config: the run's configuration.
        folder: the run's folder, which holds config.yaml already.
        overrides: what the user typed.
        resumption: what the run goes on from, if it was cut off.

    Returns:
        The scores of the validation and test cells, and their metrics.
    """
    config.check_components()
    check_monitor(config)
    open_storage(config).check()
    tracker = open_tracker(config, folder.path, overrides, resumption.position if resumption else None)
    with tracker.recording():
        initial = initial_weights(config, folder)
        record = provenance.collect(seed=config.seed, overrides=overrides)
        if resumption:
            record[RESUMED] = resumption.history()
        # Until the data's hashes are known, those of before stay.
        write_json(folder / "provenance.json", (dict(resumption.provenance) if resumption else {}) | record)

        table, pixel_cache, bad_images = load_and_decode(config)
        write_excluded(folder, bad_images)
        data = split(config, table, pixel_cache, folder, initial)
        record |= {"data_hash": table.data_hash, "split_hash": data.manifest.hash}
        if resumption:
            resumption.check(record, [name for name in DATA if name in resumption.provenance])
        data.manifest.write(folder / "split.csv")
        write_json(folder / "provenance.json", record)
        tracker.data(table, data, initial.source if initial else None)

        trained = train(config, data, folder, initial, tracker, resumption.checkpoint if resumption else None)
        calibration = calibrate(config, data, trained)
        foreign = fit_ood(config, data, trained)
        save_model(folder.path, config, data, trained, calibration, foreign.detector if foreign else None)

        access = None
        if config.evaluation.test:
            saved = read_config(folder.path)
            access = record_opening(folder, table, data.manifest, "test", task="train", protocol=data.manifest.protocol, config=saved)
        result = evaluate_trained(config, data, trained, calibration, foreign)
        if access:
            access.note(result)
        result.note_data(table, bad_images)
        add_shortcuts(config, table, data.manifest, result)
        if initial:
            result.metrics["init_from"] = initial.counts()
            result.notes += initial.notes()
        # Once more, as TensorFlow is loaded now and knows the GPUs.
        record["machine"] = machine()
        write_json(folder / "provenance.json", record)
        write_result(folder, config, result, record)
        tracker.evaluated(folder.path, result)
    remove_checkpoints(folder.path)
    return result


def train_as_worker(config: Config, folder: RunFolder) -> float:
    """Takes part in a training of several workers. Their chief, another process, evaluates and writes the results.

    Returns:
        The best validation value of the monitor, which is the chief's too.
    """
    config.check_components()
    check_monitor(config)
    initial = initial_weights(config, folder)
    table, pixel_cache, _ = load_and_decode(config)
    data = split(config, table, pixel_cache, folder, initial)
    trained = train(config, data, folder, initial, Tracker(Loggers({})))
    log.info("worker    done; the chief's folder holds the results")
    return trained.best


def initial_weights(config: Config, folder: RunFolder) -> InitialWeights | None:
    """Returns the weights that training starts from, fetched if they are not on this machine; None without init_from."""
    return find_weights(config.init_from, config.cache.path, folder.path) if config.init_from else None
