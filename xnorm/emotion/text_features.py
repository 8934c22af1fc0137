"""`--bert`: the text's features by a frozen BERT from a local folder, where the files hold tokens."""

from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.published_weights import weights_facts
from common.standins.marker import is_standin
from xnorm.emotion.data import Clips

BATCH = 64


def add_text_features(
    data: dict[str, Clips], folder: Path | None, device: torch.device, weights_are_published: bool
) -> tuple[dict[str, Clips], dict[str, Any] | None]:
    """The clips with features of their text; where the files hold tokens, by the frozen BERT in `folder` (--bert).

    Returns also what run.json says of the BERT. Raises UserError where --bert is missing or has nothing to read.
    """
    tokens = data["train"].tokens is not None
    if tokens != (folder is not None):
        found = "text_tokens: name a BERT with --bert DIR" if tokens else "text: --bert has nothing to read"
        raise UserError(f"{data['train'].file}: holds {found}")
    if folder is None:
        return data, None
    from common.backbones.bert import BertTextEncoder, load_bert, weights_file  # several seconds, for those who need it

    _, bert = load_bert(folder)
    encoder = BertTextEncoder(bert).to(device).eval()
    standin = is_standin(folder) or is_standin(folder.parent)
    facts = weights_facts([weights_file(folder)], weights_are_published, standin)
    read = {}
    for name, clips in data.items():
        assert clips.tokens is not None  # the reader has seen to it that all splits are alike
        parts = [encoder(part.to(device)).float().cpu() for part in clips.tokens.split(BATCH)]
        read[name] = clips.with_text(torch.cat(parts) * clips.text_mask[:, :, None])
    return read, facts
