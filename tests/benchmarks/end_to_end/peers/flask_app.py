"""ModelScope's own pipeline behind Flask: `gunicorn …flask_app:app`, with random weights of base size."""

from flask import Flask, request

from benchmarks.throughput_variants import write_checkpoint
from support.base_package import FOLDER, cached_folder
from support.modelscope_folders import open_pipeline

app = Flask(__name__)
extract = open_pipeline(cached_folder(FOLDER.with_name("bert-base-modelscope"), write_checkpoint))


@app.post("/ner")
def ner():
    found = extract(request.get_json()["text"])
    return {"entities": [{"type": kind, "start": start, "end": end} for kind, start, end in found]}
