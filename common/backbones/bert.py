"""BERT from a local folder, and as an encoder of texts that are given as numbers.

A folder holds what published releases hold: config.json, model.safetensors or pytorch_model.bin, and for the tokenizer
vocab.txt or tokenizer.json. Nothing is fetched, and nothing in the folder is executed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertTokenizer

from common.checkpoint import load_published, safe_load
from common.errors import UserError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
# Only these fields of config.json are read: others can ask for code from elsewhere.
FIELDS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size"),
    *("initializer_range", "layer_norm_eps", "pad_token_id"),
)
HINT = (
    "The published folder is google-bert/bert-base-uncased of the Hugging Face hub; a stand-in: "
    "python -m common.standins weights FOLDER --only bert, which writes FOLDER/bert-base-uncased"
)


class BertTextEncoder(nn.Module):
    """BERT over texts in one array; state-dict keys are BertModel's below `model.`.

    finetune: False computes without gradients. Dropout follows train() and eval() either way.
    text: (B, 3, T) of any dtype, on axis 1: word-piece ids, attention mask (1 = read), segment ids.
    Returns the last hidden states (B, T, H), those of masked steps included.
    """

    def __init__(self, model: BertModel, finetune: bool = False) -> None:
        super().__init__()
        self.model = model
        self.finetune = finetune

    def forward(self, text: Tensor) -> Tensor:
        ids, mask, segments = text.long().unbind(dim=1)
        with torch.set_grad_enabled(self.finetune and torch.is_grad_enabled()):
            return self.model(ids, mask, segments).last_hidden_state


def load_bert(folder: str | Path) -> tuple[BertTokenizer | None, BertModel]:
    """Tokenizer (None where the folder has no tokenizer files) and model, float32 on the CPU, in eval mode.

    Keys of published releases are accepted: with or without `bert.`, LayerNorm's gamma and beta; heads are left out.
    Raises UserError naming the folder or file that is missing, damaged, or of another architecture.
    """
    folder = Path(folder)
    weights = weights_file(folder)
    config = _read_config(folder / "config.json")
    with torch.random.fork_rng(devices=[]):  # construction draws weights that the file then replaces
        model = BertModel(config)
    load_published(model, _bert_entries(_read_state(weights), weights), weights)
    return _read_tokenizer(folder, config.vocab_size), model.eval()


def weights_file(folder: str | Path) -> Path:
    """The file with the weights in a BERT folder. Raises UserError where it, or config.json, is missing."""
    folder = Path(folder)
    found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    for missing, name in ((not (folder / "config.json").is_file(), "config.json"), (not found, " or ".join(WEIGHTS))):
        if missing:
            raise UserError(f"{folder}: no {name}; expected a folder with config.json, {' or '.join(WEIGHTS)}. {HINT}")
    return found[0]


@torch.no_grad()
def encode_texts(
    encoder: BertTextEncoder, tokenizer: BertTokenizer | None, texts: Sequence[str], length: int, batch_size: int = 32
) -> Tensor:
    """Features of texts for frozen use: float32 (N, length, H) on the CPU, without dropout.

    length: steps, the two marks around a text included; longer texts are cut, and steps after a text's end are zero.
    The encoder works on its own device; each of its modules is left in the mode that it was in.
    Raises UserError without a tokenizer and for a length that the model's positions do not reach.
    """
    if tokenizer is None:
        raise UserError(f"texts: this BERT has no tokenizer; expected {' or '.join(TOKENIZERS)} in its folder. {HINT}")
    config, device = encoder.model.config, next(encoder.parameters()).device
    if not 2 <= length <= config.max_position_embeddings:
        raise UserError(f"length {length}: expected 2 to {config.max_position_embeddings}, the positions of this BERT")
    features = torch.zeros(len(texts), length, config.hidden_size)
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    for start in range(0, len(texts), batch_size):
        batch = list(texts[start : start + batch_size])
        tokens = tokenizer(batch, padding=True, truncation=True, max_length=length, return_tensors="pt")
        mask = tokens["attention_mask"]
        hidden = encoder(torch.stack([tokens["input_ids"], mask, tokens["token_type_ids"]], dim=1).to(device))
        features[start : start + len(batch), : mask.shape[1]] = hidden.float().cpu() * mask[:, :, None]
    for module, training in modes:
        module.training = training
    return features


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _read_config(path: Path) -> BertConfig:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    kind = found.get("model_type", "bert") if isinstance(found, dict) else type(found).__name__
    if kind != "bert":
        raise UserError(f"{path}: describes a model of type '{kind}'; expected 'bert'")
    try:
        return BertConfig(**{name: found[name] for name in FIELDS if name in found})
    except Exception as error:  # one of several kinds, by the field
        raise UserError(f"{path}: not a configuration of BERT: {_one_line(error)}") from error


def _read_state(path: Path) -> Any:
    if path.name == "pytorch_model.bin":
        return safe_load(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged: not a safetensors file ({error})") from error


def _bert_entries(state: Any, path: Path) -> dict[str, Tensor]:
    """The entries of the encoder under today's names."""
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""
    renamed = {}
    for name, value in state.items():
        if name.startswith(prefix) and not name.startswith("cls.") and not name.endswith("embeddings.position_ids"):
            name = name.removeprefix(prefix)
            name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
            renamed[name] = value
    return renamed


def _read_tokenizer(folder: Path, vocab_size: int) -> BertTokenizer | None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return None
    try:
        tokenizer = BertTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # one of many kinds, by the damage
        raise UserError(
            f"{folder}: its tokenizer ({' or '.join(TOKENIZERS)}) cannot be read: {_one_line(error)}"
        ) from error
    if len(tokenizer) > vocab_size:
        raise UserError(
            f"{folder}: the tokenizer knows {len(tokenizer)} word pieces, the model {vocab_size}; expected files of "
            "one release"
        )
    return tokenizer
