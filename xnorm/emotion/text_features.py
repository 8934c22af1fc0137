"""`--bert`: the text's features by a frozen BERT from a local folder, where the files hold tokens."""

from argparse import Namespace

import torch

from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path
from common.standins.marker import is_standin
from xnorm.emotion.data import Clips

BATCH = 64


def with_text_features(
    args: Namespace, data: dict[str, Clips], device: torch.device
) -> tuple[dict[str, Clips], dict[str, object] | None]:
    """The clips with features of their text, where the files hold tokens by the frozen BERT of --bert.

    Returns also what run.json says of the BERT. Raises UserError where --bert is missing or has nothing to read.
    """
    tokens = data["train"].tokens is not None
    if tokens != (args.bert is not None):
        found = "text_tokens: name a BERT with --bert DIR" if tokens else "text: --bert has nothing to read"
        raise UserError(f"{data['train'].file}: holds {found}")
    if args.bert is None:
        return data, None
    from common.backbones.bert import BertTextEncoder, load_bert, weights_file  # several seconds, for those who need it

    _, bert = load_bert(args.bert)
    encoder, path = BertTextEncoder(bert).to(device).eval(), weights_file(args.bert)
    standin = is_standin(args.bert) or is_standin(args.bert.parent)
    facts = {"file": shown_path(path), "sha256": sha256_of(path), "published": False, "standin": standin}
    read = {}
    for name, clips in data.items():
        parts = [encoder(part.to(device)).float().cpu() for part in clips.tokens.split(BATCH)]
        read[name] = clips.with_text(torch.cat(parts) * clips.text_mask[:, :, None])
    return read, facts
