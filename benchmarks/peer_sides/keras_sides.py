"""Sides of peers.py on plain Keras: the notebooks' LeNet, and the network of Keras' tutorial on image classification.

    python keras_sides.py SIDE CELLS OUT.npz

CELLS has the folders train, val and test, each with Parasitized and Uninfected. Both decode every image in every epoch, as their sources do.
"""

import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

SEED = 0
# Side: edge of the images in pixels, cells a batch, epochs.
SETTINGS = {"notebooks": (224, 32, 5), "keras tutorial": (180, 32, 10)}


def lenet() -> keras.Model:
    """The notebooks' LeNet: two convolutions of 6 and 16 filters, dense layers of 100 and 10."""
    return keras.Sequential(
        [
            keras.Input((224, 224, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2, 2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2, 2),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(10, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def tutorial() -> keras.Model:
    """The network of https://www.tensorflow.org/tutorials/images/classification with its flips, turns, zoom and dropout."""
    return keras.Sequential(
        [
            keras.Input((180, 180, 3)),
            layers.RandomFlip("horizontal", seed=SEED),
            layers.RandomRotation(0.1, seed=SEED),
            layers.RandomZoom(0.1, seed=SEED),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def main(side: str, cells: Path, out: Path) -> None:
    """Trains one side and writes the arrays that `save` of torch_sides.py names."""
    size, batch, epochs = SETTINGS[side]
    keras.utils.set_random_seed(SEED)

    def open_folder(name: str, *, shuffle: bool) -> Any:
        return keras.utils.image_dataset_from_directory(
            cells / name,
            class_names=["Uninfected", "Parasitized"],
            label_mode="binary",
            image_size=(size, size),
            batch_size=batch,
            shuffle=shuffle,
            seed=SEED,
            verbose=False,
        )

    train, val, test = open_folder("train", shuffle=True), open_folder("val", shuffle=False), open_folder("test", shuffle=False)
    files = {name: [Path(path).name for path in subset.file_paths] for name, subset in (("val", val), ("test", test))}
    train, val, test = (subset.prefetch(2) for subset in (train, val, test))
    model = lenet() if side == "notebooks" else tutorial()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    seconds: list[float] = []
    curve: list[np.ndarray] = []
    begin = time.perf_counter()

    class Curve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            curve.append(model.predict(val, verbose=0)[:, 0])
            seconds.append(time.perf_counter() - begin)
            print(f"epoch {epoch + 1} of {epochs}, {seconds[-1]:.1f} s", flush=True)

    model.fit(train, epochs=epochs, callbacks=[Curve()], verbose=0)
    np.savez(
        out,
        val_files=np.array(files["val"]),
        val_scores=np.array(curve),
        epoch_seconds=np.array(seconds),
        train_seconds=np.array(seconds[-1]),
        test_files=np.array(files["test"]),
        test_scores=model.predict(test, verbose=0)[:, 0],
        parameters=np.array(model.count_params()),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
