"""A model of Triton's Python backend that needs nothing but numpy: a network with one hidden layer."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """What goes in and out; a config.pbtxt would say the same."""
        config.set_max_batch_size(1024)
        config.add_input({"name": "images", "data_type": "TYPE_FP32", "dims": [64]})
        config.add_output({"name": "predict", "data_type": "TYPE_INT64", "dims": [1]})
        config.add_output({"name": "scores", "data_type": "TYPE_FP64", "dims": [10]})
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Called once, before the model is ready."""
        folder = Path(__file__).parent
        with np.load(folder / "network.npz") as saved:
            self.hidden, self.hidden_bias = saved["hidden"], saved["hidden_bias"]  # [64, 32], [32]
            self.output, self.output_bias = saved["output"], saved["output_bias"]  # [32, 10], [10]

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response for each request, with a row for each of its images."""
        return [self.answer(triton.get_input_tensor_by_name(request, "images").as_numpy()) for request in requests]

    def answer(self, images: Any) -> Any:
        scores = self.scores(images.astype(float))
        digits = scores.argmax(axis=1, keepdims=True).astype(np.int64)
        outputs = [triton.Tensor("predict", digits), triton.Tensor("scores", scores)]
        return triton.InferenceResponse(output_tensors=outputs)

    def scores(self, images: Any) -> Any:
        """Scores [n, 10] for images [n, 64]."""
        inside = np.maximum(images @ self.hidden + self.hidden_bias, 0)
        logits = inside @ self.output + self.output_bias
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)
