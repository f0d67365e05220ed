"""The teacher's network: BERT over pieces, gathered to characters, one more layer, and a CRF per guideline.

The modules of transformers hold the weights; packed.py runs them.
"""

import json
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLayer

from hanner_inference.tokenization.pieces import PADDING, PLACES, UNKNOWN
from hanner_models.source import ConversionError, Source
from hanner_models.source.architecture import CHARACTER_TABLE, Activation
from hanner_models.source.teacher import CHARACTERS, ENCODER, LABELS, PIECES, weight_name
from hanner_models.train.model import Head
from hanner_models.train.teacher.packed import Packing, PooledDropout, embed, run_layer, to_autocast

_PIECE_TABLE, *_CUT_TABLES = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
"""The table of pieces, and those that a package has only the first rows of."""


class PieceTagger(nn.Module):
    """Labels characters by the states of the pieces that they belong to.

    A character's input to the last layer is the state of its piece, plus a vector of its own and one for its place in
    the piece. Two heads: `head` for our guideline, `auxiliary` for corpora with another one.

    Args:
        config: of the encoder; `character_count` is the number of characters with a vector, with padding and unknown.
        dropout: of all states; attention has none.
        labels: number of labels of each head.
    """

    def __init__(self, config: BertConfig, dropout: float = 0.1, labels: int = len(LABELS)) -> None:
        super().__init__()
        self.encoder = BertModel(config, add_pooling_layer=False)
        hidden = config.hidden_size
        self.characters = nn.Embedding(config.character_count, hidden)
        self.places = nn.Embedding(PLACES, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        top = BertConfig(**config.to_dict() | {"intermediate_size": 2 * hidden})
        self.top = BertLayer(top)
        self.dropout = PooledDropout(dropout)
        self.head = Head(hidden, labels)
        self.auxiliary = Head(hidden, labels)
        for embedding in (self.characters, self.places):
            nn.init.normal_(embedding.weight, std=config.initializer_range)
        for linear in (module for module in self.top.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(linear.weight, std=config.initializer_range)
            nn.init.zeros_(linear.bias)

    def forward(self, *inputs: Tensor, auxiliary: bool = False) -> Tensor:
        """Return float32 scores [rows, length, labels]; for the arguments see PieceBatch."""
        pieces, characters, owners, places, lengths = inputs
        packing, dropout = Packing(pieces != PADDING), self.dropout
        states = embed(self.encoder, pieces, packing, dropout)
        for layer in self.encoder.encoder.layer:
            states = run_layer(layer, states, packing, dropout)
        above = Packing(torch.arange(characters.shape[1], device=lengths.device)[None, :] < lengths[:, None])
        owned = states.index_select(0, above.pack(packing.units(owners)))
        states = self.norm(owned + self.characters(above.pack(characters)) + self.places(above.pack(places)))
        states = run_layer(self.top, dropout(to_autocast(states)), above, dropout)
        head = self.auxiliary if auxiliary else self.head
        scores: Tensor = above.pad(head.linear(dropout(states)).float())
        return scores

    def loss(self, *inputs: Tensor, auxiliary: bool) -> Tensor:
        """Return the mean negative log-likelihood per character.

        Args:
            inputs: the fields of a PieceBatch.
            auxiliary: whether the tags are for the auxiliary head.
        """
        *arguments, lengths, tags = inputs
        emissions = self(*arguments, lengths, auxiliary=auxiliary)
        head = self.auxiliary if auxiliary else self.head
        with torch.autocast(emissions.device.type, enabled=False):
            loss: Tensor = head.crf.loss(emissions, tags, lengths) / lengths.sum()
        return loss


def encoder_config(folder: Path, layers: int | None = None, activation: Activation = "gelu") -> BertConfig:
    """Return the configuration of the encoder in a folder that unpack.py wrote, with its first `layers` layers."""
    sizes: dict[str, Any] = json.loads((folder / ENCODER).read_text("utf-8"))
    characters = len((folder / CHARACTERS).read_text("utf-8").split("\n"))
    return BertConfig(
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["hidden"],
        num_hidden_layers=min(layers or sizes["layers"], sizes["layers"]),
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["feed_forward"],
        hidden_act=activation,
        max_position_embeddings=sizes["positions"],
        type_vocab_size=sizes["token_types"],
        layer_norm_eps=1e-12,
        character_count=characters + UNKNOWN + 1,
    )


def load_tagger(
    folder: Path, dropout: float, layers: int | None = None, activation: Activation = "gelu"
) -> PieceTagger:
    """Return a tagger with the pretrained encoder in a folder that unpack.py wrote, and new heads.

    Args:
        folder: of the encoder.
        dropout: of the tagger.
        layers: number of the encoder's layers that are kept, from the first one; by default all.
        activation: between the feed-forward layers.
    """
    tagger = PieceTagger(encoder_config(folder, layers, activation), dropout)
    weights = load_file(folder / "encoder.safetensors")
    vectors = weights.pop("characters.weight")
    known = vectors.abs().sum(1) > 0
    with torch.no_grad():
        tagger.characters.weight[known] = vectors[known]
    tagger.encoder.load_state_dict({name: weights[name] for name in tagger.encoder.state_dict()})
    return tagger


def take_weights(tagger: PieceTagger, source: Source, folder: Path) -> None:
    """Replace a tagger's weights by those of another model with the same network.

    Pieces and characters that the model lacks keep the tagger's vectors; the auxiliary head is not changed.

    Args:
        tagger: whose encoder is that of `folder`.
        source: the model.
        folder: of the encoder.

    Raises:
        ConversionError: the model has another network, or lacks a weight.
    """
    if not source.shape.characters:
        raise ConversionError("the model to start from labels tokens; it must label characters, as hanner-base does")
    weights = tagger.encoder.state_dict()
    rows: dict[str, tuple[Any, Any]] = {
        **{table: _common_rows(source.weights[table], weights[table]) for table in _CUT_TABLES},
        _PIECE_TABLE: _find_rows(_pieces(source.tokenizer), _pieces((folder / PIECES).read_text("utf-8"))),
        CHARACTER_TABLE: _find_rows(
            (*range(UNKNOWN + 1), *source.characters),
            (*range(UNKNOWN + 1), *(folder / CHARACTERS).read_text("utf-8").split("\n")),
        ),
    }
    with torch.no_grad():
        for name, value in tagger.state_dict().items():
            canonical = weight_name(name)
            if name.startswith("auxiliary."):
                continue
            if canonical not in source.weights:
                raise ConversionError(f"the model to start from has no {canonical}; it must have as many layers")
            given = torch.tensor(source.weights[canonical])
            theirs, own = rows.get(canonical, (slice(None), slice(None)))
            if value[own].shape != given[theirs].shape:
                shapes = f"{list(given.shape)}, and not {list(value.shape)}"
                raise ConversionError(f"the model to start from has {canonical} of {shapes}; both must be equal")
            value[own] = given[theirs]


def _pieces(tokenizer: str) -> list[str]:
    """Return the pieces of a tokenizer.json in the order of their ids; special ones are written without spaces."""
    entries: list[tuple[str, float]] = json.loads(tokenizer)["model"]["vocab"]
    return [piece.strip(" ") for piece, _ in entries]


def _common_rows(theirs: Sized, own: Sized) -> tuple[slice, slice]:
    count = min(len(theirs), len(own))
    return slice(count), slice(count)


def _find_rows(theirs: Sequence[object], own: Sequence[object]) -> tuple[Tensor, Tensor]:
    """Return the positions of the entries that both have: in `theirs`, and in `own`."""
    positions = {entry: position for position, entry in enumerate(own)}
    found = [(number, positions[entry]) for number, entry in enumerate(theirs) if entry in positions]
    pairs = torch.tensor(found, dtype=torch.long).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
