"""A Seldon model class that takes all kinds of payload; how it answers depends on the version's FACTOR."""

import os

import numpy as np
from seldon_core.flask_utils import SeldonMicroserviceException


class Echo:
    def __init__(self):
        self.factor = int(os.environ["FACTOR"])

    def predict(self, X, names, meta=None):
        if isinstance(X, np.ndarray):
            return X * self.factor
        if isinstance(X, bytes):
            return X[::-1] * self.factor
        if isinstance(X, str):
            if X == "raise":
                raise SeldonMicroserviceException("no such word", status_code=422, reason="WORD")
            return X.upper() * self.factor
        return {"given": X, "factor": self.factor}

    def send_feedback(self, features, feature_names, reward, truth, routing=None):
        return f"{self.factor} {reward} {truth} {features}"

    def tags(self):
        return {"factor": self.factor}
