"""Damages image files and zips of cells in every way it knows, and looks for anything but an image or a said reason.

    python benchmarks/fuzz_images.py [--count 100000] [--zips 300] [--verified 10000] [--seed 0] [--keep folder]

Images of all formats and kinds are made here, damaged (bits flipped, cut, spliced, lengths set to extremes, checksums sometimes set
right again) and given to the decoder; small zips in the official layout are damaged and read as a dataset. Folders of damaged images go
through task=verify as a user starts it, which must name every file that the decoder refuses, and no other but duplicates. Batches run in
child processes with a time and a memory limit, so that a hang or a crash ends a batch only; its input is written to --keep.
Prints the machine, the outcomes by reason, the slowest input and the peak memory; exit code 1 if there was any failure.
"""

import argparse
import csv
import io
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import MAX_PIXELS, decode
from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
SHOWN = 40
# Images of a folder for task=verify, and their endings, which need not be true.
FOLDER, ENDINGS = 1000, (".png", ".jpg", ".tif", ".bmp", ".webp")
BATCH, SECONDS, MEMORY = {"image": 5000, "zip": 50}, 300, 4 * 2**30
# What libtiff writes to the error stream by itself about damaged data; Pillow has no way to stop it.
LIBTIFF = re.compile(r"(EstimateStripByteCounts|tempfile\.tif|\w+Decode\w*|TIFF\w+|_TIFF\w+): .*\.|")
NAME = "C33P1thinF_IMG_20150619_{}_cell_{}.png"


def main() -> int:
    """Runs all batches and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="damaged images")
    parser.add_argument("--zips", type=int, default=300, help="damaged zips")
    parser.add_argument("--verified", type=int, default=10_000, help="damaged images that go through task=verify")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="folder for inputs that failed")
    parser.add_argument("--batch", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.batch:
        kind, first, last = arguments.batch
        run = write_folder if kind == "folder" else run_batch
        run(kind, range(int(first), int(last)), arguments.seed)
        return 0
    print(f"{machine()}; Pillow {Image.__version__}, numpy {np.__version__}; seed {arguments.seed}")
    failures = sum(
        report(kind, count, arguments.seed, arguments.keep)
        for kind, count in (("image", arguments.count), ("zip", arguments.zips))
        if count
    )
    failures += verify(arguments.verified, arguments.seed, arguments.keep)
    print(f"{failures} failures" + (f"; their inputs are in {arguments.keep}" if failures else ""))
    return bool(failures)


def report(kind: str, count: int, seed: int, keep: Path) -> int:
    """Runs the batches of one kind in child processes, prints their outcomes, and returns the number of failures."""
    outcomes: Counter[str] = Counter()
    slowest, memory, first, failures, start = (0.0, -1), 0, 0, 0, time.perf_counter()
    while first < count:
        last = min(count, first + BATCH[kind])
        found = child(kind, first, last, seed)
        outcomes.update(found["outcomes"])
        slowest, memory = max(slowest, tuple(found["slowest"])), max(memory, found["memory"])
        for index, why in found["failures"]:
            if index is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}_{seed}_{index}").write_bytes(make(kind, index, seed))
            print(f"FAILURE {kind} {index}: {why}")
        failures += len(found["failures"])
        first = found["next"]
    print(f"\n{count:,} damaged {kind}s in {time.perf_counter() - start:.0f} s, {failures} failures")
    print(f"slowest: number {slowest[1]}, {1000 * slowest[0]:.1f} ms; peak memory of a child: {memory / 2**20:.0f} MB")
    for reason, number in outcomes.most_common(SHOWN):
        print(f"{number:8,}  {reason}")
    rest = outcomes.most_common()[SHOWN:]
    if rest:
        print(f"{sum(number for _, number in rest):8,}  {len(rest)} other reasons")
    return failures


def verify(count: int, seed: int, keep: Path) -> int:
    """Lets task=verify look at folders of damaged images, prints the counts, and returns the number of failures."""
    failures, refused, start = 0, 0, time.perf_counter()
    for first in range(0, count, FOLDER):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            # In another process: libtiff writes about damage to the error stream.
            command = [sys.executable, __file__, "--seed", str(seed), "--batch", "folder", str(first), str(min(count, first + FOLDER))]
            written = subprocess.run(command, capture_output=True, timeout=SECONDS, cwd=folder, check=True)
            expected = json.loads(written.stdout)
            wrong = verify_folder(folder, expected, folder / "findings.csv")
            refused += sum(reason != "image" for reason in expected.values())
            failures += len(wrong)
            print("".join(f"FAILURE verify {first}: {line}\n" for line in wrong), end="")
            if wrong:
                shutil.copytree(folder, keep / f"verify_{seed}_{first}", dirs_exist_ok=True)
    if count:
        print(
            f"\n{count:,} damaged images through task=verify in {time.perf_counter() - start:.0f} s, {refused:,} refused, {failures} failures"
        )
    return failures


def write_folder(kind: str, indices: range, seed: int) -> None:  # noqa: ARG001 - as run_batch
    """Child: writes damaged images into a folder a class, below the working folder, and prints what the decoder says of each as JSON."""
    expected = {}
    for index in indices:
        data = make("image", index, seed)
        path = Path(("infected", "healthy")[index % 2]) / f"{index}{ENDINGS[index % len(ENDINGS)]}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        try:
            expected[path.as_posix()] = read_image(data)
        except Exception as error:  # noqa: BLE001 - the first part of this program reports it
            expected[path.as_posix()] = repr(error)
    print(json.dumps(expected))


def verify_folder(folder: Path, expected: dict[str, str], to: Path) -> list[str]:
    """Runs task=verify on a folder, and returns what is wrong with its answer.

    Args:
        folder: with a folder a class.
        expected: what the decoder says of each file, "image" or the reason.
        to: where the findings are written to.
    """
    command = [sys.executable, str(ROOT / "run.py"), "task=verify", "dataset=folder", f"dataset.path={folder}", f"task.to={to}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [f"no end within {SECONDS} s"]
    said = [line for line in done.stderr.splitlines() if not LIBTIFF.fullmatch(line)]
    bad = any(reason != "image" for reason in expected.values())
    wrong = [f"exit code {done.returncode}: {' / '.join(said[-5:])}"] * (done.returncode not in ((3,) if bad else (0, 3)))
    wrong += ["a traceback"] * ("Traceback" in done.stderr)
    found = {}
    if to.exists():
        with to.open(newline="") as findings:
            found = {row["file"]: row["what"] for row in csv.DictReader(findings) if row["kind"] == "bad or double"}
    for file, reason in expected.items():
        # Equal files are set aside before they are decoded.
        if reason != "image" and file not in found:
            wrong.append(f"{file} is not found: {reason}")
        elif reason == "image" and file in found and "same image" not in found[file]:
            wrong.append(f"{file} is an image, but: {found[file]}")
    return wrong


def child(kind: str, first: int, last: int, seed: int) -> dict[str, Any]:
    """Returns a batch's outcomes, and from which number to go on: after the one that crashed or hung, if any did."""
    with tempfile.NamedTemporaryFile() as note:
        command = [sys.executable, __file__, "--seed", str(seed), "--batch", kind, str(first), str(last)]
        environment = {**os.environ, "FUZZ_NOTE": note.name, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment, check=False)
            said = [line for line in done.stderr.decode(errors="replace").splitlines() if not LIBTIFF.fullmatch(line)]
            if done.returncode == 0:
                found = json.loads(done.stdout) | {"next": last}
                if said:
                    found["failures"].append((None, f"one of {first} to {last} printed: {' / '.join(said[-5:])}"))
                return found
            why = f"exit code {done.returncode}: {' / '.join(said[-5:])}"
        except subprocess.TimeoutExpired:
            why = f"no end within {SECONDS} s"
        index = int.from_bytes(Path(note.name).read_bytes(), "little")
    # What came before it went down with it.
    found = child(kind, first, index, seed) if index > first else {"outcomes": {}, "slowest": (0.0, -1), "memory": 0, "failures": []}
    found["failures"].append((index, why))
    return found | {"next": index + 1}


def run_batch(kind: str, indices: range, seed: int) -> None:
    """Child: reads each damaged input, noting its number first, and prints the outcomes as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    heard: list[str] = []
    warnings.simplefilter("always", append=True)
    warnings.showwarning = lambda message, *_, **__: heard.append(str(message))
    outcomes: Counter[str] = Counter()
    failures, slowest = [], (0.0, -1)
    note = os.open(os.environ["FUZZ_NOTE"], os.O_WRONLY)
    for index in indices:
        os.pwrite(note, index.to_bytes(8, "little"), 0)
        data = make(kind, index, seed)
        start = time.process_time()
        try:
            outcome = read_image(data) if kind == "image" else read_zip(data)
        except Exception as error:  # noqa: BLE001 - finding them is what this is for
            outcome = "FAILURE"
            failures.append((index, repr(error)))
        slowest = max(slowest, (time.process_time() - start, index))
        if heard:
            failures.append((index, f"warned: {heard.pop()}"))
        outcomes[re.sub(r"'[^']*'|b\"[^\"]*\"|\d[\d,.]*", "#", outcome)] += 1
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"outcomes": outcomes, "failures": failures, "slowest": slowest, "memory": memory}))


def read_image(data: bytes) -> str:
    """Decodes and returns the outcome; raises for anything that is neither an image nor a reason."""
    try:
        image = decode(data)
    except BadImageError as error:
        return str(error)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ValueError(f"{image.dtype} {image.shape}")
    return "image"


def read_zip(data: bytes) -> str:
    """Reads a zip as a dataset, every cell of it, and returns the outcome."""
    from malaria_exp.config.registry import build
    from malaria_exp.utils.errors import DataError

    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        Path(file.name).write_bytes(data)
        try:
            table = build("dataset", "nih", {"path": file.name})
        except DataError as error:
            return str(error).replace(file.name, "#").partition("\n")[0]
        reasons = set()
        for row in range(len(table)):
            try:
                table.source.read(row)
            except BadImageError:
                reasons.add("bad")
    return f"table, some cells {' '.join(reasons)}" if reasons else "table, all cells read"


def make(kind: str, index: int, seed: int) -> bytes:
    """Returns damaged input number `index`."""
    rng = np.random.default_rng([seed, index, len(kind)])
    if kind == "image":
        return damage(sample(rng), rng)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED) as writer:
        for number, folder in enumerate(("Parasitized", "Uninfected") * 3):
            content = encode(picture(rng), "PNG")
            broken = damage(content, rng) if rng.random() < 0.1 else content
            writer.writestr(f"cell_images/{folder}/{NAME.format(114756 + number, number)}", broken)
    return damage(archive.getvalue(), rng)


def picture(rng: np.random.Generator, mode: str = "RGB") -> Image.Image:
    """Returns a small picture, half noise and half smooth, with a black border as cells have."""
    height, width = rng.integers(2, 40, 2)
    values = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    values[:, : width // 2] //= 64
    values[: height // 4] = 0
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(values).convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns the picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4")
KINDS: dict[str, tuple[tuple[str, ...], tuple[dict[str, Any], ...]]] = {
    "PNG": (("RGB", "RGB", "L", "1", "P", "RGBA", "LA", "I;16"), ({}, {"bits": 4}, {"transparency": 0}, {"save_all": True})),
    "JPEG": (("RGB", "L", "CMYK"), ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 95, "subsampling": 0})),
    "TIFF": (("RGB", "L", "1", "P", "RGBA", "LA", "I;16", "CMYK"), tuple({"compression": name} for name in COMPRESSIONS)),
    "BMP": (("RGB", "L", "1", "P", "RGBA"), ({},)),
    "WEBP": (("RGB", "RGBA"), ({}, {"lossless": True}, {"save_all": True, "duration": 9})),
}


def sample(rng: np.random.Generator) -> bytes:
    """Returns an intact file of any format and kind, sometimes with EXIF data or a color profile."""
    kind = list(KINDS)[rng.integers(len(KINDS))]
    modes, all_options = KINDS[kind]
    mode, options = modes[rng.integers(len(modes))], dict(all_options[rng.integers(len(all_options))])
    if options.get("transparency") is not None and mode in ("RGBA", "LA", "RGB", "1"):
        options = {}
    if options.get("compression") in ("jpeg", "group4"):
        mode = "1" if options["compression"] == "group4" else "RGB"
    image = picture(rng, mode)
    if options.get("save_all"):
        options["append_images"] = [picture(rng, mode).resize(image.size)]
    if kind != "BMP" and rng.random() < 0.2:
        exif = Image.Exif()
        exif[0x112] = int(rng.integers(1, 9))
        options["exif"] = exif.tobytes()
    if kind != "BMP" and rng.random() < 0.1:
        options["icc_profile"] = bytes(int(rng.integers(1, 3000)))
    return encode(image, kind, **options)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns the file with one to four kinds of damage; a tenth stays as it is."""
    changed = bytearray(data)
    for _ in range(rng.integers(0, 5) if rng.random() < 0.9 else 0):
        # Half of all damage hits the first bytes, where the structure is.
        at = int(rng.integers(min(len(changed), 64) if rng.random() < 0.5 else len(changed))) if changed else 0
        action = rng.integers(7)
        if action == 0 and changed:
            changed[at] ^= 1 << int(rng.integers(8))
        elif action == 1:
            changed[at : at + 4] = rng.bytes(int(rng.integers(1, 9)))
        elif action == 2:
            del changed[at : at + int(rng.integers(1, 64))]
        elif action == 3:
            other = int(rng.integers(len(changed) + 1))
            changed[at:at] = changed[other : other + int(rng.integers(1, 200))]
        elif action == 4:
            value = int(rng.choice([0, 1, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1]))
            changed[at : at + 4] = struct.pack(rng.choice([">I", "<I"]), value)
        elif action == 5:
            changed[at : at + 2] = struct.pack(rng.choice([">H", "<H"]), int(rng.choice([0, 1, 2, 16, 255, 4096, 65535])))
        elif rng.random() < 0.3:
            del changed[at:]
    return mend(bytes(changed)) if rng.random() < 0.6 else bytes(changed)


def mend(data: bytes) -> bytes:
    """Sets a PNG's checksums or a WebP's size right, so that damage is not found there already."""
    if data.startswith(b"RIFF"):
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    if not data.startswith(b"\x89PNG"):
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[at:end], struct.pack(">I", zlib.crc32(data[at + 4 : end]))]
        at = end + 4
    return b"".join([*parts, data[at:]])


if __name__ == "__main__":
    sys.exit(main())
