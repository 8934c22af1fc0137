"""Evaluation: every image's logits, enlarged as published, against its mask; scores of streams and ensemble."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.semantic_segmentation.data import Batch
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.streams import stream_names
from common.metrics.segmentation import ConfusionMatrix, SegmentationScores, segmentation_scores
from common.run import Run


@dataclass(frozen=True)
class Validation:
    """Scores of one validation: `outputs` by name ("rgb", "depth", ..., "ens"), softmax(alpha) a stream."""

    outputs: dict[str, SegmentationScores]
    weights: list[float]

    @property
    def miou(self) -> float:
        """Mean IoU of the ensemble: what selects the best checkpoint."""
        return self.outputs["ens"].miou

    def metrics(self) -> dict[str, Any]:
        """For the run's record: the ensemble's scores, each stream's mIoU and weight."""
        found = asdict(self.outputs["ens"])
        for name, weight in zip(self.outputs, self.weights, strict=False):
            found |= {f"miou_{name}": self.outputs[name].miou, f"weight_{name}": weight}
        return found

    def lines(self, epoch: int, seen: float = 0.0) -> list[str]:
        """The published lines, one for each output, and a blank one.

        seen: the highest mIoU of any output before; one that is higher than all before it has the note "(best)".
        """
        lines = []
        for index, (name, scores) in enumerate(self.outputs.items()):
            weight = " " * 8 if name == "ens" else f"    {self.weights[index]:.2f}"
            note = "    (best)" if scores.miou > seen else ""
            seen = max(seen, scores.miou)
            lines.append(
                f"Epoch {epoch:<4d} {f'({name})':<7s}   glob_acc={scores.pixel_acc:<5.2f}    "
                f"mean_acc={scores.mean_acc:<5.2f}    IoU={scores.miou:<5.2f}{weight}{note}"
            )
        return [*lines, ""]


def enlarge(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (B, C, h, w) to the mask's size (H, W) by the cubic filter of OpenCV's INTER_CUBIC, in float32."""
    return F.interpolate(logits.float(), size=tuple(size), mode="bicubic", align_corners=False)


@torch.inference_mode()
def predictions(
    model: RefineNet, batches: Iterable[Batch], inputs: Sequence[str], run: Run
) -> Iterator[tuple[Batch, list[Tensor]]]:
    """Each batch as it came, with the predicted maps of the streams and the ensemble: int64 (B, H, W) on the device."""
    model.eval()
    for batch in batches:
        with run.autocast():
            logits, _ = model([batch[key].to(run.device, non_blocking=True) for key in inputs])
        yield batch, [enlarge(output, batch["mask"].shape[-2:]).argmax(dim=1) for output in logits]


def evaluate(
    model: RefineNet,
    batches: Iterable[Batch],
    inputs: Sequence[str],
    num_classes: int,
    run: Run,
    see: Callable[[Batch, list[Tensor]], None] | None = None,
) -> Validation:
    """Confusion over the whole set for every stream and the ensemble; several processes share the images.

    batches: labels of "mask" outside 0..num_classes-1 are left out. inputs: of the streams, in order.
    see: called with every batch and its predicted maps, for pictures.
    """
    names = [*stream_names(inputs), "ens"]
    confusions = [ConfusionMatrix(num_classes, run.device) for _ in names]
    for batch, maps in predictions(model, batches, inputs, run):
        target = batch["mask"].to(run.device, non_blocking=True)
        for confusion, prediction in zip(confusions, maps, strict=True):
            confusion.update(target, prediction)
        if see is not None:
            see(batch, maps)
    counts = run.procs.sum(torch.stack([confusion.counts for confusion in confusions])).cpu()
    scores = {name: segmentation_scores(count) for name, count in zip(names, counts, strict=True)}
    return Validation(scores, model.alpha.detach().softmax(dim=0).tolist())


def report(run: Run, epoch: int, validation: Validation, seen: float = 0.0) -> None:
    """Print one validation and record it as the split "valid". seen: see `Validation.lines`."""
    for line in validation.lines(epoch, seen):
        run.print(line)
    run.record(epoch, "valid", **validation.metrics())
