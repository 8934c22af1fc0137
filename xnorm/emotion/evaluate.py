"""Evaluation: what the network makes of a split's clips."""

import numpy as np
import torch
from torch import nn

from common.run import Run
from xnorm.emotion.data import Clips
from xnorm.evaluate import Evaluation

BATCH = 256  # clips evaluated together; no score depends on it


@torch.inference_mode()
def evaluate(model: nn.Module, clips: Clips, run: Run) -> Evaluation:
    """The model in eval mode on all clips, in their order; several processes share them, and all get the result."""
    model.eval()
    procs, parts = run.procs, []
    for indices in np.array_split(np.arange(procs.rank, len(clips), procs.world), 1 + len(clips) // BATCH):
        if len(indices):
            *inputs, _ = clips.batch(indices, run.device)
            with run.autocast():
                parts.append(model(*inputs))
    (logits,) = procs.gather_rows(*([torch.cat(parts).float().cpu().numpy()] if parts else []))
    return Evaluation(torch.from_numpy(logits), clips.labels)
