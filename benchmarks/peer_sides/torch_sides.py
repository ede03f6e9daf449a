"""Sides of peers.py on PyTorch: timm's networks in a plain loop, and fastai's learner, each from random weights.

    python torch_sides.py SIDE CELLS OUT.npz

CELLS has the folders train, val and test, each with Parasitized and Uninfected. Writes what `save` of this file says.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SIZE, BATCH, SEED = 64, 128, 0
EPOCHS = {"timm resnet10t": 3, "timm resnet18": 3, "fastai resnet18": 5}
HAS_BF16 = any(name in Path("/proc/cpuinfo").read_text(encoding="utf-8") for name in ("avx512_bf16", "amx_bf16"))


def read(folder: Path) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Returns names, images (N, 3, SIZE, SIZE) float32 in [0, 1], and labels (N, 1) float32, 1 = parasitized."""
    files = sorted(folder.glob("*/*.png"))
    images = np.stack([np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)) for file in files])
    labels = torch.tensor([[float(file.parent.name == "Parasitized")] for file in files])
    return [file.name for file in files], torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, labels


def save(out: Path, **found: object) -> None:
    """Writes val_files, val_scores (epochs, N), epoch_seconds (epochs,), test_files, test_scores, train_seconds, parameters."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in found.items()}
    np.savez(out, **arrays)


def timm_side(network: str, epochs: int, cells: Path, out: Path) -> None:
    """Trains with AdamW and one cycle of the learning rate; images in memory, flips, bfloat16 where the processor computes in it."""
    import timm

    torch.manual_seed(SEED)
    _, train, labels = read(cells / "train")
    val_files, val, _ = read(cells / "val")
    model = timm.create_model(network, pretrained=False, num_classes=1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
    steps = len(train) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * steps)
    loss_of = torch.nn.BCEWithLogitsLoss()

    def scores(images: torch.Tensor) -> np.ndarray:
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
            found = torch.cat([model(part.contiguous(memory_format=torch.channels_last)).float() for part in images.split(512)])
        return torch.sigmoid(found)[:, 0].numpy()

    seconds, curve, begin = [], [], time.perf_counter()
    for _epoch in range(epochs):
        model.train()
        order = torch.randperm(len(train))
        for chosen in order[: steps * BATCH].split(BATCH):
            images = train[chosen]
            for axis in (2, 3):
                flipped = torch.rand(BATCH) < 0.5
                images[flipped] = images[flipped].flip(axis)
            target = labels[chosen] * 0.9 + 0.05
            with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
                logits = model(images.contiguous(memory_format=torch.channels_last))
            loss = loss_of(logits.float(), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        curve.append(scores(val))
        seconds.append(time.perf_counter() - begin)
        print(f"epoch {len(curve)} of {epochs}, {seconds[-1]:.1f} s", flush=True)
    test_files, test, _ = read(cells / "test")
    save(
        out,
        val_files=val_files,
        val_scores=curve,
        epoch_seconds=seconds,
        train_seconds=seconds[-1],
        test_files=test_files,
        test_scores=scores(test),
        parameters=sum(each.numel() for each in model.parameters()),
    )


def fastai_side(epochs: int, cells: Path, out: Path) -> None:
    """The learner of fastai's first lesson, from random weights: resnet18, one cycle, its own augmentations, decoding every epoch."""
    from fastai.vision.all import Callback, ImageDataLoaders, Resize, accuracy, aug_transforms, get_image_files, resnet18, vision_learner

    torch.manual_seed(SEED)
    data = ImageDataLoaders.from_folder(
        cells,
        train="train",
        valid="val",
        seed=SEED,
        bs=64,
        num_workers=2,
        item_tfms=Resize(SIZE),
        batch_tfms=aug_transforms(flip_vert=True),
    )
    learner = vision_learner(data, resnet18, pretrained=False, metrics=accuracy)
    positive = list(data.vocab).index("Parasitized")

    def score(folder: str) -> tuple[list[str], np.ndarray]:
        files = sorted(get_image_files(cells / folder))
        with learner.no_bar(), learner.no_logging():
            found, _ = learner.get_preds(dl=data.test_dl(files))
        return [file.name for file in files], found[:, positive].numpy()

    seconds, curve, begin = [], [], time.perf_counter()

    class Curve(Callback):
        def after_epoch(self) -> None:
            seconds.append(time.perf_counter() - begin)
            print(f"epoch {len(seconds)} of {epochs}, {seconds[-1]:.1f} s", flush=True)

    with learner.no_bar():
        learner.fit_one_cycle(epochs, cbs=Curve())
    train_seconds = time.perf_counter() - begin
    val_files, last = score("val")
    curve = [np.full(len(last), np.nan)] * (epochs - 1) + [last]
    test_files, test_scores = score("test")
    save(
        out,
        val_files=val_files,
        val_scores=curve,
        epoch_seconds=seconds,
        train_seconds=train_seconds,
        test_files=test_files,
        test_scores=test_scores,
        parameters=sum(each.numel() for each in learner.model.parameters()),
    )


if __name__ == "__main__":
    side, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    library, _, name = side.partition(" ")
    if library == "timm":
        timm_side(name, EPOCHS[side], source, target)
    else:
        fastai_side(EPOCHS[side], source, target)
