"""Evaluation: logits of a split's rows, their scores as published, and the final lines."""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.cuda import autocast
from common.datasets.epic_kitchens.reader import EpicKitchens
from common.metrics.classification import classification_scores
from common.processes import Processes
from common.run import Run
from xnorm.data import Batch, evaluated_rows, evaluation_batches
from xnorm.flags import class_names
from xnorm.losses import final_logits


@dataclass(frozen=True)
class TestSet:
    """batches: of this process, all rows; official_rows: how many from the first on the published script judges by."""

    batches: Iterable[Batch]
    official_rows: int
    names: Sequence[str]


def open_test(args: Namespace, reader: EpicKitchens, device: torch.device, procs: Processes) -> TestSet:
    """All rows of the test set, and how many of them count as published."""
    whole = Namespace(**{**vars(args), "quirks": {**args.quirks, "eval_last": "kept"}})
    return TestSet(evaluation_batches(whole, reader, device, procs), evaluated_rows(args, reader), class_names(args))


@torch.inference_mode()
def logits_and_labels(args: Namespace, run: Run, model: nn.Module, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """The model in eval mode on all rows: float32 (N, K) and int64 (N,) on the CPU, in their order.

    batches: this process's rows, every world-th from its rank on; all processes get the result.
    """
    model.eval()
    logits, labels = [], []
    for batch in batches:
        rgb, flow, truth = on_device(args, run.device, batch)
        with autocast(run.device, args.precision):
            output = model(rgb, flow)
        logits.append(final_logits(output).float())
        labels.append(truth)
    share = [torch.cat(parts).cpu().numpy() for parts in (logits, labels) if parts]
    return tuple(map(torch.from_numpy, run.procs.gather_rows(*share)))


def on_device(args: Namespace, device: torch.device, batch: Batch) -> Batch:
    """The batch on the device, scaled, in the memory format of --channels-last."""
    batch = batch.on(device)
    if not args.channels_last:
        return batch
    clips = (x if x is None else x.contiguous(memory_format=torch.channels_last_3d) for x in (batch.rgb, batch.flow))
    return Batch(*clips, batch.labels)


def test(args: Namespace, run: Run, model: nn.Module, test_set: TestSet, epoch: int) -> tuple[Tensor, Tensor]:
    """Print and record the scores on the test set; returns logits and labels of all of its rows.

    official: on the rows that the published script judges by (quirk eval_last); clean: on all. The weights are the
    same, since the published selection looks at the validation set alone. epoch: where they come from.
    """
    logits, labels = logits_and_labels(args, run, model, test_set.batches)
    rows = test_set.official_rows
    official = classification_scores(logits[:rows], labels[:rows], test_set.names)
    run.print(published_line(official))
    if args.evaluate:
        finals, where = {"checkpoint": (official, rows)}, "the checkpoint"
    else:
        clean = classification_scores(logits, labels, test_set.names)
        finals = {"official": (official, rows), "clean": (clean, len(labels))}
        where = f"epoch {epoch}: highest validation accuracy"
    for protocol, (scores, count) in finals.items():
        run.record(epoch, "test", final=True, protocol=protocol, rows=count, **scores)
        run.print(
            f"test  {protocol:<8s}  acc {scores['acc']:.2f}  macro_f1 {scores['macro_f1']:.2f}  "
            f"loss {scores['loss']:.4f}  ({where}; {count} of {len(labels)} rows)"
        )
    return logits, labels


def published_line(scores: dict[str, float | None]) -> str:
    """The line that the published script prints after each evaluation; Acc is a fraction there."""
    return f"Loss: {scores['loss']:.4f} Acc: {scores['acc'] / 100:.3f}"
