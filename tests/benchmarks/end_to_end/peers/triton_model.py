"""hanner's engine as a model of Triton's Python backend, which imports this file as model.py."""

import json
import os
import sys

sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)  # the backend's interpreter ignores it

import numpy as np  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402

from hanner_inference import load  # noqa: E402


class TritonPythonModel:
    def initialize(self, args):
        self.ner = load()

    def execute(self, requests):
        texts = [triton.get_input_tensor_by_name(request, "text").as_numpy().item().decode() for request in requests]
        return [respond(entities) for entities in self.ner.extract(texts)]


def respond(entities):
    encoded = np.array([[json.dumps(entities)]], dtype=object)
    return triton.InferenceResponse([triton.Tensor("entities", encoded)])
