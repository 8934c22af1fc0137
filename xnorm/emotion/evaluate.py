"""Evaluation: logits of a whole split, their scores, and the final lines."""

from argparse import Namespace
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common.cuda import autocast
from common.metrics.classification import classification_scores
from common.run import Run
from xnorm.emotion.data import Clips

BATCH = 256  # clips evaluated together; no score depends on it


@torch.inference_mode()
def logits_of(args: Namespace, run: Run, model: nn.Module, clips: Clips) -> Tensor:
    """The model in eval mode on all clips, in their order: float32 (N, K) on the CPU, in all processes alike."""
    model.eval()
    procs, parts = run.procs, []
    for indices in np.array_split(np.arange(procs.rank, len(clips), procs.world), 1 + len(clips) // BATCH):
        if len(indices):
            *inputs, _ = clips.batch(indices, run.device)
            with autocast(run.device, args.precision):
                parts.append(model(*inputs))
    (logits,) = procs.gather_rows(*([torch.cat(parts).float().cpu().numpy()] if parts else []))
    return torch.from_numpy(logits)


def test(args: Namespace, run: Run, model: nn.Module, clips: Clips, names: Sequence[str], epoch: int) -> Tensor:
    """Print and record the scores on the test set; returns the logits.

    No protocol of this task is published: what is recorded as official and as clean is the same.
    """
    logits = logits_of(args, run, model, clips)
    scores = classification_scores(logits, clips.labels, names)
    for protocol in ("checkpoint",) if args.evaluate else ("official", "clean"):
        run.record(epoch, "test", final=True, protocol=protocol, **scores)
    which = "the checkpoint" if args.evaluate else f"epoch {epoch}: highest validation accuracy"
    run.print(
        f"test  ours  acc {scores['acc']:.2f}  ua {scores['ua']:.2f}  macro_f1 {scores['macro_f1']:.2f}  "
        f"majority {scores['majority']:.2f}  ({which})"
    )
    return logits
