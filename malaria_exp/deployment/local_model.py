"""The local folder of a model that is used, whether a run's or a bundle, here or at a URL."""

from pathlib import Path

from malaria_exp.data.cache_contents import FETCHED
from malaria_exp.deployment.bundle import onnx_of, read_facts
from malaria_exp.runs.read_files import LARGEST_MB
from malaria_exp.runs.remote_runs import WEB, content_name, fetch_once, local_run
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.runs.saved_model import MODEL_RECORD
from malaria_exp.utils.atomic_files import human_bytes
from malaria_exp.utils.errors import RunFolderError
from malaria_exp.utils.filesystems import open_filesystem, scheme_of
from malaria_exp.utils.http import public_url
from malaria_exp.utils.terminal_log import log


def local_model(run: str, root: Path) -> Path:
    """Returns the local folder of a finished run or a bundle: the given folder, or for a URL a copy of the needed files in the cache.

    Of a bundle these are model.json and the ONNX model. The copy's name depends on the content of model.json, which has the model's SHA-256,
    so another bundle under the same URL gets another copy.

    Args:
        run: path or URL.
        root: the cache folder.

    Raises:
        ConfigError: no installed package reads such a URL.
        RunFolderError: there is neither, or the bundle at the URL is damaged.
        DataError: the URL cannot be read.
    """
    if scheme_of(run) in ("", "file", *WEB):
        return local_run(run, root)
    filesystem = open_filesystem(run, "run")
    sizes, shown = filesystem.sizes(), public_url(filesystem.url)
    if STATUS in sizes or MODEL_RECORD not in sizes:
        return local_run(run, root)
    if sizes[MODEL_RECORD] > LARGEST_MB[".json"] * 1e6:
        raise RunFolderError(f"run: '{shown}/{MODEL_RECORD}' has {human_bytes(sizes[MODEL_RECORD])}, which no bundle's has.")
    record = filesystem.read(MODEL_RECORD)
    folder = root / FETCHED / content_name(run.encode() + b"\0" + record) / shown.rpartition("/")[2]

    def fetch(temporary: Path) -> None:
        (temporary / MODEL_RECORD).write_bytes(record)
        try:
            model = onnx_of(read_facts(temporary))
        except RunFolderError as error:
            raise RunFolderError(str(error).replace(str(temporary), shown)) from None
        if sizes.get(model.file) != model.bytes:
            raise RunFolderError(
                f"run: '{shown}/{model.file}' is missing, or another file than was exported: it has {sizes.get(model.file, 0):,} bytes,"
                f" {MODEL_RECORD} says {model.bytes:,}. Copy the bundle there again."
            )
        log.info(f"fetched   {shown} ({human_bytes(len(record) + model.bytes)}) to {folder}")
        filesystem.fetch(model.file, temporary / model.file)

    fetch_once(folder, fetch)
    return folder
