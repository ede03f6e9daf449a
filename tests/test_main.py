"""The program from its command line: help and listings without TensorFlow, a message for every mistake, an exit code for every end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from malaria_exp import main
from malaria_exp.config import registry
from malaria_exp.runs.run_folder import has_checkpoint
from malaria_exp.sweeps import multirun_summary
from malaria_exp.utils.errors import ConfigError, RunFolderError

RUN = ROOT / "run.py"
BLOCKED = 77
BLOCKER = f"""
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "jax", "torch"):
            os.write(2, b"imported " + name.encode())
            os._exit({BLOCKED})

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def program(tmp_path):
    """program(*arguments) -> finished process of run.py that dies with exit code 77 if it imports TensorFlow."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BLOCKER)

    def run(*arguments, script=RUN, **environment):
        known = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "200"} | environment
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=known, timeout=120, stdin=subprocess.DEVNULL, check=False)

    return run


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """call(*arguments) -> (exit code, output, messages) of the program in this process; its folders are below tmp_path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(main, "_failures", [])
    monkeypatch.setattr(multirun_summary, "_sweep_dirs", [])
    terminate = signal.getsignal(signal.SIGTERM)

    def run(*arguments):
        own = [f"hydra.run.dir={tmp_path / 'run'}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
        monkeypatch.setattr(sys, "argv", [str(RUN), *arguments, *own])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    yield run
    signal.signal(signal.SIGTERM, terminate)
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    for key, item in list(registry._components.items()):
        if not item.builder.__module__.startswith("malaria_exp."):
            del registry._components[key]
    for group in registry.GROUPS:  # only plugins pixel cache something there
        ConfigStore.instance().repo.pop(group, None)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_blocker_blocks(program, tmp_path):
    (tmp_path / "import_it.py").write_text("import keras")
    assert program(script=tmp_path / "import_it.py").returncode == BLOCKED


SEVERAL = f"""
import contextlib, io, json, sys

sys.path.insert(0, {str(ROOT)!r})
from malaria_exp import main

found = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = [{str(RUN)!r}, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main.main()
        except SystemExit as ended:
            found.append([ended.code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def test_looking_around_needs_no_tensorflow(program, tmp_path):
    """Several commands in one process, as each start takes a second."""
    looks = [
        (["--help"], ["task=list", "Groups and their options", "model: "]),
        (["--cfg", "job", "model=lenet_sequential", "seed=3"], ["seed: 3", "name: lenet_sequential", "assurance:"]),
        (["task=list"], ["cellnet", "Trains, evaluates and reports (the default).", "aug=[first,second]"]),
        (["task=list", "task.show=trainer/fit"], ["trainer.epochs: a whole number >= 1, default "]),
    ]
    (tmp_path / "several.py").write_text(SEVERAL)
    done = program(json.dumps([arguments for arguments, _ in looks]), script=tmp_path / "several.py")
    assert (done.returncode, done.stderr) == (0, "")
    for (_, shown), (code, out, err) in zip(looks, json.loads(done.stdout), strict=True):
        assert (code, err) == (0, "")
        assert not [text for text in shown if text not in out]
    assert files(Path.cwd()) == [], "nothing is written"


def test_tab_completion_needs_no_tensorflow(program):
    line = "python run.py model=lenet_sequential model.filters"
    done = program("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert (done.returncode, done.stderr) == (0, "")
    assert {"model.filters=", "model.filters_2="} <= set(done.stdout.split())
    assert files(Path.cwd()) == []


def test_a_mistake_is_found_before_tensorflow_is_loaded(program, tmp_path):
    done = program("optimizer.learning_rate=-1", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == ConfigError.exit_code and done.stdout == ""
    assert done.stderr.startswith("error: optimizer.learning_rate: expected a number > 0, received -1 (int).")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_needs_no_numpy_either():
    """Whose import takes as long as half of the answer."""
    blocked = f"import runpy, sys; sys.modules['numpy'] = None; sys.path.insert(0, {str(RUN.parent)!r}); sys.argv = ['run.py', '--help']"
    script = f"{blocked}; runpy.run_path({str(RUN)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "Groups and their options" in done.stdout


def test_help_into_a_pipe_that_closes_early_is_no_bug(tmp_path):
    command = [sys.executable, str(RUN), "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 1


# Mistakes that composing or the first checks find: nothing is written. Parts of the message: path, received, allowed, nearest.
MISTAKES = {
    "unknown option": (["model=cellnte"], ["model: no option 'cellnte'.", "Did you mean 'cellnet'?", "Options of model: "]),
    "unknown option in a list": (["aug=[none,dihedrall]"], ["aug: no option 'dihedrall'.", "Did you mean 'dihedral'?", "Options of aug: "]),
    "unknown preset": (
        ["experiment=lenet"],
        ["experiment: no option 'lenet'.", "Did you mean 'lenet_notebook'?", "Options of experiment:"],
    ),
    "unknown key": (
        ["optimizer.beta1=1"],
        ["optimizer.beta1: unknown key", "optimizer.beta1=1", "Did you mean 'beta_1'?", "Keys of optimizer: "],
    ),
    "key of another option": (["model.filters=3"], ["model.filters: unknown key", "Keys of model: ", "task.show=model/cellnet"]),
    "key of the chosen option": (["model=lenet_sequential", "model.stem=3"], ["model.stem: unknown key", "Keys of model: "]),
    "key below a key": (["aug.dihedral.q=1"], ["aug.dihedral.q: unknown key", "Keys of aug.dihedral: p.", "task.show=aug/dihedral"]),
    "key below an unknown key": (
        ["aug.dihedrall.p=1"],
        ["aug.dihedrall.p: unknown key", "Did you mean 'dihedral'?", "Keys of aug: dihedral."],
    ),
    "key below a number": (["seed.x=1"], ["seed.x: unknown key, received seed.x=1.", "seed is a value"]),
    "key below a list": (
        ["model.widths.a=1"],
        ["model.widths.a: unknown key", "model.widths is a list of 3, numbered from 0", "model.widths=["],
    ),
    "key far below a list": (["model.widths.a.b=1"], ["model.widths.a.b: unknown key", "model.widths is a list of 3"]),
    "several keys below a list": (["model.stem=4", "model.widths.a=1", "model.widths.b=1"], ["model.widths.a: unknown key", "a list of 3"]),
    "below a list beside one that is there": (
        ["trainer=staged", "trainer.stages.0.epochs=2", "model.widths.a=1"],
        ["model.widths.a: unknown key", "a list of 3"],
    ),
    "more than a list has": (["model.widths.3=1"], ["model.widths.3: unknown key", "model.widths is a list of 3"]),
    "added key": (["+evaluation.worts=1"], ["evaluation.worts: unknown key", "Did you mean 'worst'?", "Allowed keys of evaluation:"]),
    "unknown group": (
        ["optimzer=adam"],
        ["optimzer: unknown key, received optimzer=adam.", "Did you mean 'optimizer'?", "Groups and top-level keys: "],
    ),
    "required value": (["dataset=folder"], ["dataset.path: missing", "conf/dataset/folder.yaml", "dataset.path=..."]),
    "name instead of option": (
        ["model.name=lenet_sequential"],
        ["model.name: received 'lenet_sequential'", "Choose the option with model=lenet_sequential."],
    ),
    "number for a group": (["model=5"], ["model: expected the name of an option, received model=5.", "Options of model: ", "model=name"]),
    "forced group": (["++optimizer=5"], ["optimizer: expected the name of an option, received ++optimizer=5.", "Options of optimizer: "]),
    "open bracket": (["model=[cellnet"], ["error: model=[cellnet: cannot be read:", "Write key=value"]),
    "two equal signs": (["cache.root=a=b"], ["error: cache.root=a=b: cannot be read:"]),
    "no equal sign": (["model"], ["error: model: cannot be read:", "Write key=value"]),
    "letters that need quotes": (
        ["dataset.path=málaga"],
        ["error: dataset.path=málaga: cannot be read:", "letters such as 'é' goes into quotes"],
    ),
    "no key": (["=5"], ["error: =5: expected key=value"]),
    "interpolation": (["cache.root=${nope}"], ["cache.root: its value cannot be resolved: Interpolation key 'nope' not found."]),
    "environment": (
        ["cache.root=${oc.env:NO_SUCH_VARIABLE}"],
        ["cache.root: its value cannot be resolved:", "'NO_SUCH_VARIABLE' not found"],
    ),
    "values without -m": (["seed=0,1"], ["seed: received several values, seed=0,1.", "add --multirun (-m)"]),
    "options that a list was meant of": (["aug=dihedral,mix"], ["add --multirun (-m)", "a list is written aug=[dihedral,mix]"]),
    "list for a group of one": (
        ["model=[cellnet,vit]"],
        ["model: expected the name of one option, received model=[cellnet,vit].", "-m model=cellnet,vit"],
    ),
    "option twice": (["aug=[dihedral,dihedral]"], ["aug: 'dihedral' is named twice, received aug=[dihedral,dihedral]."]),
    "empty list": (["aug=[]"], ["aug: expected at least one option, received aug=[].", "For none: aug=none.", "Options of aug: "]),
    "key of an option that was not chosen": (
        ["aug.cutmix.alpha=1"],
        ["aug.cutmix.alpha: unknown key", "'cutmix' is an option of aug that was not chosen: aug=[dihedral,cutmix] aug.cutmix.alpha=1"],
    ),
    "key of a launcher": (
        ["-m", "hydra/launcher=joblib", "hydra.launcher.njobs=2", "seed=0,1"],
        ["hydra.launcher.njobs: unknown key", "Did you mean 'n_jobs'?", "Keys of hydra.launcher: n_jobs."],
    ),
    "no jobs at a time": (
        ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "seed=0,1"],
        ["hydra.launcher.n_jobs: expected a whole number >= 1, or -1", "received 0"],
    ),
    "no plugin": (["plugins=[no_such_plugin]"], ["plugins: 'no_such_plugin' cannot be imported"]),
    "flag of other programs": (["--lr", "1e-3"], ["--lr 1e-3: not a flag of this program.", "Did you mean optimizer.learning_rate=1e-3?"]),
    "no such configuration": (["--config-name=confg"], ["--config-name: no configuration 'confg'", "Did you mean 'config'?"]),
    "module by its path": (["plugins=[../evil]"], ["plugins: expected names of modules, such as my_module", "received '../evil'"]),
    "module without a name": (["plugins=['']"], ["plugins: expected names of modules", "received ''"]),
    "two presets": (
        ["experiment=[callbacks,custom_loop]"],
        ["experiment: expected the name of one preset", "-m experiment=callbacks,custom_loop"],
    ),
    "two presets for debugging": (["debug=[one_step,profile]"], ["debug: expected the name of one preset"]),
    "empty section for a group": (["loss={}"], ["loss: expected the name of an option, received loss={}"]),
    "range without -m": (["seed=range(3)"], ["seed=range(3): several values make one run each", "python run.py -m seed=range(3)"]),
    "empty range": (["-m", "seed=range(3,0)"], ["there is no value to run, received seed=range(3,0)"]),
    "configuration of a multirun": (["--cfg", "job", "-m", "seed=0,1"], ["--multirun (-m), --cfg", "python run.py seed=0 --cfg job"]),
    "folder of a job": (["-m", "seed=0,1", "hydra.sweep.subdir=x"], ["hydra.sweep.subdir: a job's folder is always its number"]),
    "home": (["dataset=nih", "dataset.path=~/x.zip"], ["Hydra knows no ~ there", "dataset.path=$HOME/x.zip"]),
    "number as text": (["seed='3'"], ["received '3' (str). It is text", "seed=$NAME", "${oc.decode:${oc.env:NAME}}"]),
    "no such group to show": (
        ["task=list", "task.show=modle"],
        ["task.show: no group 'modle'.", "Did you mean 'model'?", "Groups: "],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(call, mistake, tmp_path):
    arguments, parts = MISTAKES[mistake]
    code, out, err = call(*arguments)
    assert code == ConfigError.exit_code
    assert not [part for part in parts if part not in err], err
    assert "Traceback" not in err and err.startswith("error: ") and len(err.splitlines()) == 1
    assert out == ""
    assert files(tmp_path) == [], "nothing is written"
    assert not (tmp_path / "run").exists()


# Mistakes in a component's parameters, and what can be known of it before the data is read.
COMPONENT_MISTAKES = {
    "wrong type": (["optimizer.learning_rate=fast"], ["optimizer.learning_rate: expected a number > 0, received 'fast' (str)."]),
    "out of range": (["aug.dihedral.p=1.5"], ["aug.dihedral.p: expected a number >= 0 and <= 1, received 1.5 (float)."]),
    "not a choice": (
        ["trainer.precision=flot32"],
        ["trainer.precision: expected one of ", "received 'flot32' (str).", "Did you mean 'float32'?"],
    ),
    "no unit": (["schedule.warmup=10"], ["schedule.warmup: expected a length with its unit, such as '10%'", "received 10 (int)"]),
    "added key": (["+model.stm=1"], ["model.stm: unknown key, received model.stm=1.", "Did you mean 'stem'?", "task.show=model/cellnet"]),
    "null": (["model.stem=null"], ["model.stem: expected a whole number >= 1, received null."]),
    "larger than the memory": (["model.stem=10000000"], ["model: 'cellnet' would have 3,400,287,617 parameters", "memory"]),
    "more cells than a table holds": (
        ["dataset.infected_patients=90000", "dataset.cells_per_patient=90"],
        ["about 8,101,260 cells; expected at most 5,000,000"],
    ),
    "evaluation larger than the memory": (
        ["evaluation.batch_size=900000", "model.image_size=512"],
        ["evaluation.batch_size: 900,000 cells in 'cellnet' take"],
    ),
    "workers": (["trainer.strategy=multi_worker"], ["trainer.strategy: multi_worker needs at least two workers"]),
    "fractions": (["split.train=0.9"], ["split.train + split.val + split.test: expected a sum of 1"]),
    "fold": (["split=patient_kfold", "split.fold=5"], ["split.fold: expected 0 to 4"]),
    "initial weights": (["init_from=nothing"], ["init_from: 'nothing' does not exist."]),
    "backbone's weights": (["model=transfer", "model.weights=nothing"], ["model.weights: no file 'nothing'."]),
    "transforms": (["aug=albumentations", "aug.albumentations.transforms=[{Flipp: {}}]"], ["albumentations.transforms[0].Flipp"]),
    "layers": (
        ["trainer=staged", "trainer.stages=[{epochs: 1, train: [conv2d_1, logits]}]"],
        ["no layer 'logits'", "Did you mean 'logit'?"],
    ),
    "warm-up": (["schedule.warmup='13 epochs'"], ["schedule.warmup: '13 epochs' is longer than the run (12 epochs)."]),
    "monitor": (
        ["callback=early_stopping", "callback.early_stopping.monitor=val_x"],
        ["callback.early_stopping.monitor: unknown metric 'val_x'"],
    ),
    "no run": (["task=evaluate"], ["run: missing; task=evaluate needs"]),
    "no runs": (["task=compare"], ["runs: "]),
    "no runs to pool": (["task=pool"], ["runs: missing; task=pool needs runs"]),
}


@pytest.mark.parametrize("mistake", COMPONENT_MISTAKES)
def test_a_mistake_in_a_component_leaves_no_run_behind(call, mistake, tmp_path):
    arguments, parts = COMPONENT_MISTAKES[mistake]
    code, _, err = call(*arguments)
    assert code == ConfigError.exit_code
    assert not [part for part in parts if part not in err], err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


PLUGIN = '''
from malaria_exp.config.registry import register

@register("task", "break")
def break_down(app, /, *, how: str = "bug"):
    """Breaks."""
    raise ZeroDivisionError("deep down")
'''


def test_components_of_a_plugin(call):
    Path("broken_plugin.py").write_text(PLUGIN)
    code, _, err = call("plugins=[broken_plugin]", "task=brek")
    assert code == ConfigError.exit_code
    assert "task: no option 'brek'. Did you mean 'break'?" in err
    sys.modules.pop("broken_plugin", None)


def test_a_bug_shows_its_traceback_and_its_folder_is_not_claimed(call, tmp_path):
    Path("broken_plugin.py").write_text(PLUGIN)
    code, _, err = call("plugins=[broken_plugin]", "task=break")
    assert code == 1
    assert "bug report" in err and "Traceback" in err and "ZeroDivisionError: deep down" in err
    sys.modules.pop("broken_plugin", None)


def test_an_interpolation_of_the_runs_own_keys_is_allowed(call):
    code, _, err = call(
        "task=clean_cache", "task.dry_run=true", "evaluation.batch_size=${batch_size}", "cache.root=${hydra:runtime.cwd}/cells"
    )
    assert (code, "Traceback" in err) == (0, False)
    assert str(Path.cwd() / "cells") in err


def test_a_run_never_writes_over_what_is_there(call, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    code, _, err = call("seed=1")
    assert code == RunFolderError.exit_code
    assert "already holds files" in err and "hydra.run.dir" in err
    assert files(tmp_path) == ["run/thesis.txt"]


def test_an_output_folder_that_cannot_be_made_is_a_message(call, tmp_path):
    for arguments in (["seed=3"], ["-m", "seed=3,4"]):
        key = "hydra.sweep.dir" if arguments[0] == "-m" else "hydra.run.dir"
        # The fixture's own folders come last, and the last one counts.
        (tmp_path / key.split(".")[1]).write_text("")
        code, _, err = call(*arguments)
        assert code == RunFolderError.exit_code, err
        assert f"'{tmp_path / key.split('.')[1]}' cannot be made" in err and f"{key}=..." in err
        assert len(err.splitlines()) == 1


def test_a_multirun_moves_nothing_that_is_not_its_own(call, tmp_path):
    (tmp_path / "sweep" / "1").mkdir(parents=True)
    (tmp_path / "sweep" / "1" / "cell.png").write_text("mine")
    code, _, err = call("-m", "seed=3,4", "optimizer.learning_rate=-1")
    assert code == RunFolderError.exit_code
    assert err.startswith(f"error: hydra.sweep.dir: '{tmp_path / 'sweep' / '1'}' already holds files")
    assert files(tmp_path / "sweep") == ["1/cell.png"]


def test_a_mistake_in_a_file_of_pairs_names_the_file(call, tmp_path):
    pairs = tmp_path / "pairs.yaml"
    pairs.write_text("- {modle: cellnet}\n")
    code, _, err = call("-m", f"override_sets={pairs}")
    assert code == ConfigError.exit_code
    assert err.startswith(f"error: override_sets: '{pairs}', job 0: modle: unknown key, received modle=cellnet. Did you mean 'model'?")


def test_two_runs_never_choose_one_folder(program):
    one, other = (
        {line for line in program("--cfg", "hydra", "--resolve").stdout.splitlines() if "dir: outputs/" in line} for _ in range(2)
    )
    assert len(one) == len(other) == 2 and not one & other


def test_secrets_typed_by_mistake_are_not_written(call, tmp_path):
    code, _, err = call("-m", "+wandb_api_key=hunter2", "seed=0,1")
    assert code != 0
    assert "hunter2" not in err
    written = [*(tmp_path / "sweep").rglob("status.json"), tmp_path / "sweep" / "jobs.csv"]
    assert len(written) == 3
    assert not [path for path in written if "hunter2" in path.read_text()]


STOPPER = '''
import os
from malaria_exp.config.registry import register

@register("callback", "stopper")
def stopper(context, /, *, number: int):
    """Sends the signal to its own process when the second epoch begins."""
    import keras

    return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: os.kill(os.getpid(), number) if epoch else None)
'''


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_so(sent, call, tmp_path, tiny_cellnet):
    # Who starts the tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Path("stopper_plugin.py").write_text(STOPPER)
    own = ["plugins=[stopper_plugin]", "callback=[nan_guard,stopper]", f"callback.stopper.number={int(sent)}"]
    code, _, err = call(*own, *tiny_cellnet, "trainer.epochs=9")
    sys.modules.pop("stopper_plugin", None)
    assert code == 128 + sent
    assert err.splitlines().count("Interrupted.") == 1 and "Traceback" not in err
    folder = tmp_path / "run"
    assert f"task=resume run={folder}" in err
    assert has_checkpoint(folder)
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "interrupted" and "Ctrl-C" in status["reason"]
    assert "Interrupted." in (folder / "run.log").read_text()
    assert len((folder / "history.csv").read_text().splitlines()) == 2 and not (folder / "report.html").exists()


def test_hydras_rerun_from_a_pickle_is_refused(call, tmp_path):
    bomb = tmp_path / "config.pickle"
    bomb.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "exploded").encode() + b"'\ntR.")
    code, _, err = call(f"--experimental-rerun={bomb}")
    assert code == ConfigError.exit_code
    assert "pickle" in err
    assert not (tmp_path / "exploded").exists()
