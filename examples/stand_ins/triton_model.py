"""A model for Triton's Python backend that takes as long as the plan says: see deployment.py."""

import json
import time

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Takes ν + τ·b seconds for a batch of b queries; the rate limiter runs one batch of a node at a time."""

    @staticmethod
    def auto_complete_config(config: object) -> object:
        """State input and output, which a plan does not know."""
        config.add_input({"name": "query", "data_type": "TYPE_FP32", "dims": [1]})
        config.add_output({"name": "answer", "data_type": "TYPE_FP32", "dims": [1]})
        return config

    def initialize(self, args: dict) -> None:
        """Read the planned set-up and time per query."""
        given = json.loads(args["model_config"])["parameters"]
        self.setup, self.per_query = (
            float(given[key]["string_value"]) for key in ("setup_seconds", "seconds_per_query")
        )

    def execute(self, requests: list) -> list:
        """Take as long as the batch takes."""
        time.sleep(self.setup + len(requests) * self.per_query)
        answer = np.zeros((1, 1), dtype=np.float32)
        return [triton.InferenceResponse([triton.Tensor("answer", answer)]) for _ in requests]
