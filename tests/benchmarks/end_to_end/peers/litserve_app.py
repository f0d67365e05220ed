"""hanner's engine behind LitServe: `python litserve_app.py --port PORT`."""

import os
import sys

import litserve

from hanner_inference import load

WAIT = 0.005


class Extract(litserve.LitAPI):
    def setup(self, device):
        self.ner = load()

    def decode_request(self, request):
        return request["text"]

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return self.ner.extract(inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"entities": output}


if __name__ == "__main__":
    api = Extract(max_batch_size=32, batch_timeout=WAIT)
    processes = int(os.environ["PEER_PROCESSES"])
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=processes, timeout=120)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=1,
        generate_client_file=False,
        access_log=False,
        log_level="warning",
    )
