"""Open the corpora and the lists of names of a configuration. No torch."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from hanner_models.data.datasets import Sentence, parse_weighted_path, read_names, read_sentences
from hanner_models.data.traditional import traditional_converter
from hanner_models.train.address import forms_of_address
from hanner_models.train.annotations import read_annotated
from hanner_models.train.augment import NamePools, parse_marked
from hanner_models.train.config import SampleConfig
from hanner_models.train.examples import Corpus, SentenceSampler
from hanner_models.train.guideline import harmonise
from hanner_models.train.places import make_addresses

WELL_KNOWN_NAMES = Path(__file__).parent / "names"
"""Well-known names by type, best known first. New users try them, and the corpora are too old for some."""
TEMPLATES = Path(__file__).parent / "templates.txt"
"""Sentences with slots, on topics that are more recent than the corpora."""
SENTENCES = Path(__file__).parent / "sentences"
"""Labelled sentences by genre, in the format of `parse_marked`, written for this project by our guideline."""
LATIN_NAMES = WELL_KNOWN_NAMES / "latin"
"""Names in Latin letters by type, as they occur in Chinese text."""


def make_sampler(
    config: SampleConfig,
    gazetteers: Mapping[str, tuple[str, ...]],
    data: Path,
    seed: int,
    *,
    more: Sequence[Corpus] = (),
) -> SentenceSampler:
    """Return the sampler of a run.

    Args:
        config: which corpora, and how they are changed.
        gazetteers: files with names by entity type.
        data: folder that the file names are relative to.
        seed: of the run.
        more: corpora in addition to those of the configuration.
    """
    corpora = list(more)
    for auxiliary, entries in ((False, config.corpora), (True, config.auxiliary)):
        for name, weight in map(parse_weighted_path, entries):
            sentences = read_sentences(data / name)
            if config.harmonise and not auxiliary:
                sentences = harmonise(sentences)
            corpora.append(Corpus(sentences, weight, auxiliary))
    for name, weight in map(parse_weighted_path, config.annotated):
        corpora.append(Corpus(read_annotated(data / name), weight, auxiliary=False))
    if config.shipped_sentences:
        corpora.append(Corpus(shipped_sentences(), config.shipped_sentences, auxiliary=False))
    pools = {kind: _pools(kind, files, config, data, seed) for kind, files in gazetteers.items()}
    addresses = make_addresses(_gazetteer(gazetteers.get("LOC", ()), data), random.Random(f"{seed} places"))  # noqa: S311
    if config.shipped_templates:
        templates = (*config.templates, *read_names(TEMPLATES))
        config = config.model_copy(update={"templates": templates})
    converter = traditional_converter() if config.traditional_share else None
    names = NamePools(pools, addresses)
    return SentenceSampler(corpora, names, config, seed=seed, to_traditional=converter)


def shipped_sentences() -> list[Sentence]:
    """Return the labelled sentences that come with this package."""
    return [parse_marked(line) for path in sorted(SENTENCES.glob("*.txt")) for line in read_names(path)]


def _pools(kind: str, files: tuple[str, ...], config: SampleConfig, data: Path, seed: int) -> list[list[str]]:
    pools = [
        repeat_by_rank(read_names(WELL_KNOWN_NAMES / f"{kind}.txt")),
        _gazetteer(files, data),
    ]
    if config.latin_names:
        pools.append(latin_names(kind, random.Random(f"{seed} {kind}")))  # noqa: S311
    if config.forms_of_address and kind == "PER":
        pools.append(forms_of_address(random.Random(f"{seed} address")))  # noqa: S311
    return pools


def _gazetteer(files: tuple[str, ...], data: Path) -> list[str]:
    return [name for file in files for name in read_names(data / file)]


def latin_names(kind: str, rng: random.Random) -> list[str]:
    """Return names in Latin letters. Persons are combined from first and last names, some with only one of them."""
    if kind != "PER":
        return read_names(LATIN_NAMES / f"{kind}.txt")
    first, last = read_names(LATIN_NAMES / "first.txt"), read_names(LATIN_NAMES / "last.txt")
    names = []
    for _ in range(4000):
        one, other, form = rng.choice(first), rng.choice(last), rng.random()
        if form < 0.6:
            names.append(f"{one} {other}")
        elif form < 0.8:
            names.append(one)
        elif form < 0.95:
            names.append(other)
        else:
            names.append(f"{one[0]}. {other}")
    return names


def repeat_by_rank(names: list[str], first: int = 30) -> list[str]:
    """Return names repeated by rank as in Zipf's law: the first `first` times, the n-th `first / n` times."""
    return [name for rank, name in enumerate(names, start=1) for _ in range(max(1, first // rank))]
