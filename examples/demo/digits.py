"""scikit-learn's handwritten digits, split into those to train on and those that no model has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SEED = 20
TRAIN = 1000  # of 1797


def save(folder: Path) -> Path:
    """Write `digits.npz` into `folder`: train_images, train_labels, unseen_images, unseen_labels.

    Images are [n, 64] float32 in [0, 1], labels [n] int64.
    """
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    images, labels = (digits.data[order] / 16).astype(np.float32), digits.target[order].astype(np.int64)
    path = folder / "digits.npz"
    np.savez(
        path,
        train_images=images[:TRAIN],
        train_labels=labels[:TRAIN],
        unseen_images=images[TRAIN:],
        unseen_labels=labels[TRAIN:],
    )
    return path
