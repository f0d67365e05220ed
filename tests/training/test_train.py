"""Training with torch on tiny corpora: `make test-training`."""

import itertools
import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from hanner_inference import load
from hanner_models.conversion.convert import convert
from hanner_models.conversion.graph import Fp32, build
from hanner_models.data.datasets import Sentence, Span
from hanner_models.source import read_source
from hanner_models.source.architecture import EncoderShape
from hanner_models.train import loop
from hanner_models.train.config import ConfigError, EncoderConfig, TrainConfig
from hanner_models.train.initialisation import NEIGHBOUR_OFFSETS, initialise_neighbour_attention
from hanner_models.train.model import Crf, Tagger, build_encoder
from hanner_models.train.run import TrainingRun

SENTENCES = [
    Sentence("马云在杭州阿里巴巴总部发表演讲。", (Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 5, 9))),
    Sentence("王小明昨天到了北京大学2011年。", (Span("PER", 0, 3), Span("ORG", 7, 11))),
    Sentence("今天天气很好，我们去看电影。", ()),
] * 8


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [
        json.dumps({"text": s.text, "entities": [{"type": p.type, "start": p.start, "end": p.end} for p in s.spans]})
        for s in SENTENCES
    ]
    (folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "text.txt").write_text("\n".join(s.text for s in SENTENCES), "utf-8")
    (folder / "names.txt").write_text("李雷\n韩梅梅", "utf-8")
    return folder


CONFIG = TrainConfig.model_validate(
    {
        "name": "small",
        "encoder": {"hidden": 32, "layers": 2, "heads": 2, "feed_forward": 64, "max_length": 32, "bigram_rows": 97},
        "gazetteers": {"PER": ["names.txt"]},
        "pretrain": {
            "texts": ["text.txt", "a.jsonl:2"],
            "steps": 5,
            "batch_tokens": 128,
            "length": 32,
            "warmup": 2,
            "words": True,
        },
        "tag": {
            "corpora": ["a.jsonl"],
            "auxiliary": ["a.jsonl:0.5"],
            "dev": ["a.jsonl"],
            "steps": 6,
            "batch_tokens": 256,
            "evaluate_every": 3,
            "words": 0.3,
        },
        "checkpoint_every": 2,
        "licences": [{"data": "made here", "licence": "Apache-2.0"}],
    }
)


def test_training_run_gives_package_that_finds_training_entities(data, tmp_path):
    # Enough steps to memorise three sentences, which shows that all parts work together.
    tag = CONFIG.tag.model_copy(update={"steps": 200, "learning_rate": 3e-3, "warmup": 10, "replace_share": 0.0})
    tagger = TrainingRun(CONFIG.model_copy(update={"tag": tag}), data, tmp_path / "run").run()
    source = read_source(tagger)
    package = convert(
        source,
        tmp_path / "out",
        name="small",
        calibration=[s.text for s in SENTENCES],
        verification={"a": SENTENCES},
        force=True,
    )
    assert package.manifest.verification["a"]["f1"] > 0.95
    assert package.manifest.licences == ({"data": "made here", "licence": "Apache-2.0"},)
    found = load(package.path).extract([SENTENCES[0].text])[0]
    assert [(e.text, e.type) for e in found] == [("马云", "PER"), ("杭州", "LOC"), ("阿里巴巴", "ORG")]


@pytest.mark.parametrize("phase", ["pretrain", "tag"])
def test_resumed_run_gives_same_weights(data, tmp_path, monkeypatch, phase):
    uninterrupted = TrainingRun(CONFIG, data, tmp_path / "one").run()
    update = loop.Phase._update

    def interrupted(self, step, number, *rest):
        if self.name == phase and number == 3:
            raise KeyboardInterrupt
        return update(self, step, number, *rest)

    run = TrainingRun(CONFIG, data, tmp_path / "two")
    monkeypatch.setattr(loop.Phase, "_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    monkeypatch.setattr(loop.Phase, "_update", update)
    resumed = run.run()
    one, two = (load_file(folder / "model.safetensors") for folder in (uninterrupted, resumed))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_crf_probabilities_sum_to_one():
    torch.manual_seed(0)
    crf = Crf(3)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    emissions = torch.randn(1, 5, 3)  # two of the five are padding
    paths = [torch.tensor([[*path, 0, 0]]) for path in itertools.product(range(3), repeat=3)]
    total = sum(torch.exp(-crf.loss(emissions, path, torch.tensor([3]))) for path in paths)
    torch.testing.assert_close(total.detach(), torch.tensor(1.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("bigrams", "activation"), [(0, "gelu"), (97, "gelu"), (97, "relu")])
def test_graph_matches_trained_network(bigrams, activation):
    torch.manual_seed(0)
    sizes = {"layers": 2, "heads": 2, "max_length": 32, "activation": activation}
    shape = EncoderConfig(hidden=32, feed_forward=64, bigram_rows=bigrams, **sizes)
    tagger = Tagger(build_encoder(shape, 60), 7).eval()
    ids = torch.randint(0, 60, (3, 20))
    mask = (torch.arange(20) < torch.tensor([20, 7, 3])[:, None]).long()
    weights = {k.removeprefix("encoder."): v.detach().numpy() for k, v in tagger.encoder.state_dict().items()}
    weights = {k if k.startswith("embeddings") else f"encoder.{k}": v for k, v in weights.items()}
    weights |= {f"linear.{k}": v.detach().numpy() for k, v in tagger.head.linear.state_dict().items()}
    model = build(weights, EncoderShape(bigrams=bool(bigrams), **sizes), Fp32()).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    expected = tagger(ids, mask).detach().numpy()
    np.testing.assert_allclose(logits[mask.bool().numpy()], expected[mask.bool().numpy()], atol=2e-5)


def test_first_layer_initially_attends_to_neighbours():
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(hidden=256, layers=1, heads=4, feed_forward=64, max_length=64), 100).eval()
    initialise_neighbour_attention(encoder, free=200)
    encoder.set_attn_implementation("eager")
    shares = encoder(torch.randint(0, 100, (1, 40)), output_attentions=True).attentions[0][0].detach()
    for head, offset in enumerate(NEIGHBOUR_OFFSETS):
        attended = shares[head, 5:-5].argmax(-1) - torch.arange(5, 35)
        assert (attended == offset).float().mean() > 0.9


@pytest.mark.parametrize("text", ["name = ", "nonsense = 1", 'name = "x"', "[pretrain]\nsteps = 'many'"])
def test_error_names_invalid_configuration_file(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        TrainConfig.read(path)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": False}, False),
        ({}, True),
    ],
)
def test_bfloat16_is_used_on_processors_with_instructions_for_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(loop, "default_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    with loop.mixed_precision():
        assert torch.is_autocast_enabled("cpu") is expected
