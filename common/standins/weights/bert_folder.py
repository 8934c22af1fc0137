"""A stand-in of the published folder bert-base-uncased: two layers of width 32, and nothing learned.

Files, keys and the ids of [PAD], [UNK], [CLS], [SEP] and [MASK] are those of the published folder. Every text in ASCII
is read without an unknown word piece: common English words are pieces of their own, others fall into characters.
"""

import json
import string
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from common.standins.marker import write_marker

NAME = "bert-base-uncased"
LAYERS, HEADS, WIDTH, INNER, POSITIONS, SEGMENTS = 2, 4, 32, 64, 512, 2
SPREAD = 0.1
COMMON_WORDS = """
the a an and or but if because so than then that this these those of to in on at for from with without about into over
after before under between through during against up down out off again here there where when why how what which who
i you he she it we they me him her us them my your his its our their mine yours myself is are was were be been being am
do does did done have has had having will would can could shall should may might must not no yes nor never always often
sometimes just only also even still too very really quite rather almost more most less least much many few some any all
each every other another same such own one two three four five six seven eight nine ten first last next new old young
good better best bad worse worst great nice fine poor wonderful terrible amazing awful excellent boring funny sad happy
angry love loved loves like liked likes hate hated hates enjoy enjoyed beautiful ugly perfect horrible interesting dull
strong weak sweet smart stupid brilliant lovely glad sorry afraid surprised disappointed disappointing recommend well
movie film show story plot scene actor actress character acting music song sound voice picture photo image video book
people person man woman men women boy girl child children friend family mother father team game player school work job
house home room door window table street road city country world sun moon sky rain snow water fire sea river tree park
dog cat bird horse car bus train plane phone food coffee tea bread day night morning evening today tomorrow yesterday
week month year time hour minute way thing things place part side end hand head face eye eyes heart life money price
say says said tell told ask asked think thought know knew see saw seen look looks looking hear heard feel feels felt
find found get got give gave go goes going gone come came make makes made take took put keep let want wanted need needs
use used try tried start stop play played run walk wait watch watched read write eat drink buy sell win lose call talk
big small long short high low hot cold fast slow hard easy early late right wrong true false left open close full empty
black white red green blue yellow sure ready real best most thank thanks please hello ok oh wow lol monday friday s t m
"""


def write_bert(folder: Path, seed: int = 0) -> None:
    """Write FOLDER/bert-base-uncased/: configuration, weights, vocabulary, tokenizer settings, standin.json."""
    folder = folder / NAME
    folder.mkdir(exist_ok=True)
    pieces = word_pieces()
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    _write_json(folder / "config.json", bert_config(len(pieces)))
    _write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": POSITIONS})
    (folder / "model.safetensors").write_bytes(save(bert_state(len(pieces), seed), metadata={"format": "pt"}))
    write_marker(folder, "weights", seed, 1, {"trained": False, "width": WIDTH, "layers": LAYERS})


def word_pieces() -> list[str]:
    """The vocabulary: a piece's id is its place in the list."""
    special = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [*string.digits, *string.ascii_lowercase]
    return list(
        dict.fromkeys(
            [*special, *string.punctuation, *characters, *(f"##{part}" for part in characters), *COMMON_WORDS.split()]
        )
    )


def bert_config(vocab_size: int) -> dict[str, object]:
    """What config.json says, under the published field names."""
    return {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": SPREAD,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": SEGMENTS,
        "vocab_size": vocab_size,
    }


def bert_state(vocab_size: int, seed: int) -> dict[str, Tensor]:
    """Random weights under the published keys: prefix `bert.`, and gamma and beta of each LayerNorm."""
    linears = {"pooler.dense": (WIDTH, WIDTH)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{index}" for index in range(LAYERS)):
        linears |= {f"{layer}.attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        linears |= {
            f"{layer}.attention.output.dense": (WIDTH, WIDTH),
            f"{layer}.intermediate.dense": (INNER, WIDTH),
            f"{layer}.output.dense": (WIDTH, INNER),
        }
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    shapes = {
        "embeddings.word_embeddings.weight": (vocab_size, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (SEGMENTS, WIDTH),
        **{f"{name}.weight": shape for name, shape in linears.items()},
    }
    generator = torch.Generator().manual_seed(seed)
    state = {name: SPREAD * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.zeros(shape[0]) for name, shape in linears.items()}
    state |= {f"{name}.gamma": torch.ones(WIDTH) for name in norms}
    state |= {f"{name}.beta": torch.zeros(WIDTH) for name in norms}
    return {f"bert.{name}": value for name, value in state.items()}


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
