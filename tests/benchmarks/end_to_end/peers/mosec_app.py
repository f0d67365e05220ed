"""hanner's engine behind mosec: `python mosec_app.py --port PORT`."""

import json
import os

from mosec import Server, Worker

from hanner_inference import load

WAIT_MS = 5


class Extract(Worker):
    def __init__(self):
        self.ner = load()

    def deserialize(self, data):
        return json.loads(data)["text"]

    def forward(self, data):
        return self.ner.extract(data)

    def serialize(self, data):
        return json.dumps({"entities": data}).encode()


if __name__ == "__main__":
    server = Server()
    processes = int(os.environ["PEER_PROCESSES"])
    server.append_worker(Extract, num=processes, max_batch_size=32, max_wait_time=WAIT_MS, timeout=60)
    server.run()
