"""Trains the demo's models, in seconds: `python examples/demo/train.py FOLDER`.

    FOLDER/digits.npz                        the digits, split into train and unseen
    FOLDER/models/digits/1, …/2              two SavedModels for tfserving
    FOLDER/models/digits-seldon/v1, …/v2     two model classes for seldon
    FOLDER/models/digits-oip/v1.pickle, …    two scikit-learn models for oip
    FOLDER/models/digits-triton/1, …/2       for triton, with the weights of Seldon's

Each pair is of different quality. What is there already is not trained again. The same seed gives the same models.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from deployer.local import environments
from examples.demo.digits import save

HERE = Path(__file__).resolve().parent
FEW = 2
"""Images of each digit that the weaker Seldon model learns from."""


def train(folder: Path) -> None:
    """Make all that is missing. Each model appears whole or not at all.

    Raises:
        EnvironmentFailed: the environment that has TensorFlow could not be made.
        CalledProcessError: the training in it failed; it has said why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digits, models = folder / "digits.npz", folder / "models"
    if not digits.exists():
        save(folder)
    if not (models / "digits-seldon").exists():
        _seldon(digits, models / "digits-seldon")
    if not (models / "digits-oip").exists():
        _oip(digits, models / "digits-oip")
    if not (models / "digits-triton").exists():
        _triton(models / "digits-seldon", models / "digits-triton")
    if not (models / "digits").exists():
        # TensorFlow lives in an environment of its own.
        partial = _partial(models / "digits")
        python = environments.python("tfserving")
        subprocess.run(
            [python, "-I", HERE / "train_tfserving.py", digits, partial],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},  # nothing but errors
            check=True,
        )
        partial.rename(models / "digits")


def _seldon(digits: Path, folder: Path) -> None:
    with np.load(digits) as data:
        images, labels = data["train_images"], data["train_labels"]
        unseen_images, unseen_labels = data["unseen_images"], data["unseen_labels"]
    partial = _partial(folder)
    centroids = np.stack([images[labels == digit][:FEW].mean(axis=0) for digit in range(10)])
    network = MLPClassifier((32,), learning_rate_init=0.01, random_state=20).fit(images, labels)
    for version, name in (("v1", "Centroids"), ("v2", "Network")):
        (partial / version).mkdir(parents=True)
        shutil.copy(HERE / "seldon" / f"{name}.py", partial / version)
    np.save(partial / "v1" / "centroids.npy", centroids)
    (hidden, output), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    np.savez(
        partial / "v2" / "network.npz", hidden=hidden, hidden_bias=hidden_bias, output=output, output_bias=output_bias
    )
    nearest = ((unseen_images[:, None, :] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    for version, answers in (("v1", nearest), ("v2", network.predict(unseen_images))):
        print(
            f"seldon model {version}: {accuracy_score(unseen_labels, answers):.1%} of the unseen digits right",
            flush=True,
        )
    partial.rename(folder)


def _oip(digits: Path, folder: Path) -> None:
    with np.load(digits) as data:
        images, labels = data["train_images"], data["train_labels"]
        unseen_images, unseen_labels = data["unseen_images"], data["unseen_labels"]
    partial = _partial(folder)
    for version, model in (("v1", DecisionTreeClassifier(max_depth=6, random_state=20)), ("v2", SVC())):
        model.fit(images, labels)
        (partial / f"{version}.pickle").write_bytes(pickle.dumps(model))
        score = accuracy_score(unseen_labels, model.predict(unseen_images))
        print(f"oip model {version}: {score:.1%} of the unseen digits right", flush=True)
    partial.rename(folder)


def _triton(seldon: Path, folder: Path) -> None:
    partial = _partial(folder)
    for number, weights in (("1", "v1/centroids.npy"), ("2", "v2/network.npz")):
        (partial / number).mkdir()
        for file in (HERE / "triton" / number / "model.py", seldon / weights):
            shutil.copy(file, partial / number)
    partial.rename(folder)


def _partial(folder: Path) -> Path:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # the rest of an attempt that was broken off
    partial.mkdir(parents=True)
    return partial


if __name__ == "__main__":
    train(Path(sys.argv[1]))
