"""The layers that run without padding give the same states and gradients as transformers' own."""

import pytest
import torch
from transformers import BertConfig, BertModel

from hanner_models.train.teacher.packed import Packing, PooledDropout, embed, run_layer

ROWS = [[5, 7, 2, 9], [3], [8, 8, 1, 4, 6, 2, 7], [6, 5]]
PADDING = 0


@pytest.fixture(params=["gelu", "relu"])
def encoder(request):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=10,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        hidden_act=request.param,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.fixture
def pieces():
    longest = max(map(len, ROWS))
    return torch.tensor([row + [PADDING] * (longest - len(row)) for row in ROWS])


def packed_states(encoder, pieces, packing):
    states = embed(encoder, pieces, packing, torch.nn.Identity())
    for layer in encoder.encoder.layer:
        states = run_layer(layer, states, packing, torch.nn.Identity())
    return states


def test_states_equal_those_of_each_row_alone(encoder, pieces):
    packing = Packing(pieces != PADDING)
    states = packing.pad(packed_states(encoder, pieces, packing))
    for number, row in enumerate(ROWS):
        expected = encoder(input_ids=torch.tensor([row])).last_hidden_state[0]
        torch.testing.assert_close(states[number, : len(row)], expected, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_transformers(encoder, pieces):
    packing = Packing(pieces != PADDING)
    own = packed_states(encoder, pieces, packing).square().sum()
    mask = (pieces != PADDING).long()
    theirs = (encoder(input_ids=pieces, attention_mask=mask).last_hidden_state * mask[..., None]).square().sum()
    weights = [weight for _, weight in encoder.named_parameters()]
    gradients = (torch.autograd.grad(loss, weights) for loss in (own, theirs))
    for (name, _), one, other in zip(encoder.named_parameters(), *gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_units_of_padded_rows_are_found_again():
    inside = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    packing = Packing(inside)
    padded = torch.arange(9).reshape(3, 3)
    packed = packing.pack(padded)
    assert packed.tolist() == [0, 1, 3, 6, 7, 8]
    assert packing.pad(packed)[inside].tolist() == packed.tolist()
    assert packed[packing.units(torch.tensor([[1], [0], [2]]))].tolist() == [[1], [3], [8]]


def test_dropout_keeps_the_mean_and_depends_on_the_seed():
    dropout, values = PooledDropout(0.25), torch.ones(400, 300)
    torch.manual_seed(1)
    one = dropout(values)
    torch.manual_seed(1)
    assert (dropout(values) == one).all()
    assert (dropout(values) != one).any()
    assert sorted(one.unique().tolist()) == pytest.approx([0.0, 4 / 3])
    assert (one == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert (dropout.eval()(values) == values).all()


def test_states_that_are_larger_than_the_pool_are_dropped_too(monkeypatch):
    monkeypatch.setattr("hanner_models.train.teacher.packed._POOL", 100)
    dropped = PooledDropout(0.5)(torch.ones(1000))
    assert 0 < int((dropped == 0).sum()) < 1000
