"""Trains two SavedModels on the digits: `python train_tfserving.py digits.npz FOLDER` writes FOLDER/1 and FOLDER/2.

Run by the Python of the runtime `tfserving`, which has TensorFlow. The first is a softmax regression that has seen
little, the second a small network that has seen all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

SEED = 20
FEW = 60
"""Images that the weaker model learns from: it is right on three of four, so that the difference shows."""


class Network(tf.Module):  # type: ignore[misc]  # TensorFlow is not typed
    """Fully connected layers of the given widths, with signatures for Predict, Classify and Regress."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        random = np.random.default_rng(SEED)
        self.layers = [
            (
                tf.Variable(random.normal(0, (2 / inside) ** 0.5, (inside, outside)).astype(np.float32)),
                tf.Variable(np.zeros(outside, np.float32)),
            )
            for inside, outside in pairwise(widths)
        ]
        self.labels = tf.constant([str(digit) for digit in range(10)])

    def logits(self, images: Any) -> Any:
        for weights, bias in self.layers[:-1]:
            images = tf.nn.relu(images @ weights + bias)
        weights, bias = self.layers[-1]
        return images @ weights + bias

    def train(self, images: Any, labels: Any, steps: int, rate: float) -> None:
        speeds = [tf.Variable(tf.zeros_like(variable)) for variable in self.trainable_variables]

        @tf.function  # type: ignore[untyped-decorator]
        def step() -> None:
            with tf.GradientTape() as tape:
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self.logits(images))
                mean = tf.reduce_mean(loss)
            gradients = tape.gradient(mean, self.trainable_variables)
            for variable, speed, gradient in zip(self.trainable_variables, speeds, gradients, strict=True):
                speed.assign(0.9 * speed - rate * gradient)
                variable.assign_add(speed)

        for _ in range(steps):
            step()

    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="images")])  # type: ignore[untyped-decorator]
    def predict(self, images: Any) -> dict[str, Any]:
        scores = tf.nn.softmax(self.logits(images))
        return {"scores": scores, "classes": tf.argmax(scores, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])  # type: ignore[untyped-decorator]
    def classify(self, inputs: Any) -> dict[str, Any]:
        scores = tf.nn.softmax(self.logits(_images(inputs)))
        labels = tf.broadcast_to(self.labels, tf.shape(scores))
        return {"classes": labels, "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])  # type: ignore[untyped-decorator]
    def regress(self, inputs: Any) -> dict[str, Any]:
        """The mean digit, each weighed by its score."""
        scores = tf.nn.softmax(self.logits(_images(inputs)))
        return {"outputs": tf.reduce_sum(scores * tf.range(10, dtype=tf.float32), axis=1)}

    def export(self, folder: Path) -> None:
        signatures = {"serving_default": self.predict, "classify": self.classify, "regress": self.regress}
        tf.saved_model.save(self, str(folder), signatures)


def _images(serialized: Any) -> Any:
    return tf.io.parse_example(serialized, {"image": tf.io.FixedLenFeature([64], tf.float32)})["image"]


def main() -> None:
    digits, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    tf.config.experimental.enable_op_determinism()
    for version, (widths, count, steps) in {1: ((64, 10), FEW, 30), 2: ((64, 64, 10), None, 150)}.items():
        network = Network(widths)
        network.train(digits["train_images"][:count], digits["train_labels"][:count], steps, rate=0.1)
        network.export(folder / str(version))
        answers = network.predict(digits["unseen_images"])["classes"].numpy()
        right = float(np.mean(answers == digits["unseen_labels"]))
        print(f"tfserving model {version}: {right:.1%} of the unseen digits right")


if __name__ == "__main__":
    main()
