"""A Seldon model class that needs nothing but numpy: a network with one hidden layer."""

from typing import Any

import numpy as np


class Network:
    def load(self) -> None:
        """Called once by the microservice, in the folder of this file."""
        with np.load("network.npz") as saved:
            self.hidden, self.hidden_bias = saved["hidden"], saved["hidden_bias"]  # [64, 32], [32]
            self.output, self.output_bias = saved["output"], saved["output_bias"]  # [32, 10], [10]

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Scores [n, 10] for images [n, 64]."""
        inside = np.maximum(np.asarray(X, float) @ self.hidden + self.hidden_bias, 0)
        logits = inside @ self.output + self.output_bias
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def class_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]
