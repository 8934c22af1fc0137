"""`--use_bert`: text features by a frozen BERT from a local folder, instead of the file's word vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.backbones.bert import BertTextEncoder, encode_texts, load_bert, weights_file
from common.datasets.cmu_mosei.reader import SentimentSplit
from common.errors import UserError
from common.published_weights import weights_facts
from common.standins.marker import is_standin

BATCH = 64


def bert_features(
    folder: Path, length: int, splits: dict[str, SentimentSplit], device: torch.device, weights_are_published: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Last hidden states (N, T, H), float32, of every split, and what run.json says of the BERT.

    They come from the file's text_bert (N, 3, T: token ids, attention mask, segment ids) or, where it has none, from
    raw_text (N,), of which `length` tokens are read.
    Raises UserError where the file has neither, or the folder holds no BERT.
    """
    tokenizer, bert = load_bert(folder)
    encoder = BertTextEncoder(bert).to(device).eval()
    facts = weights_facts(
        [weights_file(folder)], weights_are_published, is_standin(folder) or is_standin(folder.parent)
    )
    features = {}
    for name, split in splits.items():
        if "text_bert" in split.extra:
            features[name] = _encode_tokens(encoder, split.extra["text_bert"], device)
        elif "raw_text" in split.extra and tokenizer is not None:
            texts = [str(text) for text in split.extra["raw_text"].ravel()]
            features[name] = encode_texts(encoder, tokenizer, texts, length).numpy()
        else:
            raise UserError(
                f"{split.path}: {name}: --use_bert needs text_bert (N, 3, T), or raw_text (N,) and a tokenizer in "
                f"{folder}; found {', '.join(split.extra) or 'no further array'}"
            )
    return features, facts


@torch.inference_mode()
def _encode_tokens(encoder: BertTextEncoder, tokens: np.ndarray, device: torch.device) -> np.ndarray:
    parts = torch.from_numpy(np.ascontiguousarray(tokens)).split(BATCH)
    return torch.cat([encoder(part.to(device)).float().cpu() for part in parts]).numpy()
