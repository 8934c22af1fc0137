"""Validation: every image's logits, enlarged as published, against its mask; scores of streams and ensemble."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.semantic_segmentation.flags import normalisation
from cen.semantic_segmentation.pictures import validation_image, write_picture
from cen.semantic_segmentation.streams import stream_names
from common.cuda import autocast
from common.metrics.segmentation import ConfusionMatrix, SegmentationScores, segmentation_scores
from common.processes import Processes
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

    def metrics(self) -> dict[str, float]:
        """For the run's record: the ensemble's three scores, each stream's mIoU and weight."""
        ensemble = self.outputs["ens"]
        found = {"pixel_acc": ensemble.pixel_acc, "mean_acc": ensemble.mean_acc, "miou": ensemble.miou}
        for name, weight in zip(self.outputs, self.weights, strict=False):
            found |= {f"miou_{name}": self.outputs[name].miou, f"weight_{name}": weight}
        return found


def enlarge(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (B, C, h, w) to the mask's size (H, W) by the cubic filter of OpenCV's INTER_CUBIC, in float32."""
    return F.interpolate(logits.float(), size=tuple(size), mode="bicubic", align_corners=False)


@torch.inference_mode()
def predictions(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], inputs: Sequence[str], device: torch.device, precision: str
) -> Iterator[tuple[dict[str, Tensor], list[Tensor]]]:
    """Each batch as it came, with the predicted maps of the streams and the ensemble: int64 (B, H, W) on the device."""
    model.eval()
    for batch in batches:
        with autocast(device, precision):
            logits, _ = model([batch[key].to(device, non_blocking=True) for key in inputs])
        yield batch, [enlarge(output, batch["mask"].shape[-2:]).argmax(dim=1) for output in logits]


def validate(
    model: nn.Module,
    batches: Iterable[dict[str, Tensor]],
    inputs: Sequence[str],
    num_classes: int,
    device: torch.device,
    precision: str = "fp32",
    procs: Processes | None = None,
    see: Callable[[dict[str, Tensor], list[Tensor]], None] | None = None,
) -> Validation:
    """Confusion over the whole set for every stream and the ensemble; several processes share the images.

    batches: with the inputs (B, 3, H, W) and "mask" int64 (B, h, w); labels outside 0..num_classes-1 are left out.
    see: called with every batch and its predicted maps.
    """
    names = [*stream_names(inputs), "ens"]
    confusions = [ConfusionMatrix(num_classes, device) for _ in names]
    for batch, maps in predictions(model, batches, inputs, device, precision):
        target = batch["mask"].to(device, non_blocking=True)
        for confusion, prediction in zip(confusions, maps, strict=True):
            confusion.update(target, prediction)
        if see is not None:
            see(batch, maps)
    counts = torch.stack([confusion.counts for confusion in confusions])
    counts = (procs or Processes()).sum(counts).cpu()
    scores = {name: segmentation_scores(count) for name, count in zip(names, counts, strict=True)}
    return Validation(scores, model.alpha.detach().softmax(dim=0).tolist())


class BestSeen:
    """The highest mIoU of any output so far: decides the note "(best)" of the printed lines, nothing else."""

    def __init__(self, miou: float = 0.0) -> None:
        self.miou = miou

    def lines(self, epoch: int, validation: Validation) -> list[str]:
        """The published lines of one validation, one for each output, and a blank one."""
        lines = []
        for index, (name, scores) in enumerate(validation.outputs.items()):
            weight = " " * 8 if name == "ens" else f"    {validation.weights[index]:.2f}"
            best = scores.miou > self.miou
            self.miou = max(self.miou, scores.miou)
            lines.append(
                f"Epoch {epoch:<4d} {f'({name})':<7s}   glob_acc={scores.pixel_acc:<5.2f}    "
                f"mean_acc={scores.mean_acc:<5.2f}    IoU={scores.miou:<5.2f}{weight}{'    (best)' if best else ''}"
            )
        return [*lines, ""]


def report(run: Run, epoch: int, validation: Validation, seen: BestSeen) -> None:
    """Print one validation and record it as the split "valid"."""
    for line in seen.lines(epoch, validation):
        run.print(line)
    run.record(epoch, "valid", **validation.metrics())


def evaluate(args: Namespace, run: Run, model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> None:
    """`--evaluate`: one validation, its scores as the final test line, and the pictures of --save-image."""

    def see(batch: dict[str, Tensor], maps: list[Tensor]) -> None:
        for position, index in enumerate(batch["index"].tolist()):
            if args.save_image < 0 or index < args.save_image:
                _save_panels(args, run, batch, maps, position, index)

    validation = validate(model, batches, args.input, args.num_classes, run.device, args.precision, run.procs, see)
    report(run, 0, validation, BestSeen())
    run.record(0, "test", final=True, protocol="checkpoint", **validation.metrics())
    ensemble = validation.outputs["ens"]
    run.print(
        f"test  checkpoint  pixel_acc {ensemble.pixel_acc:.2f}  mean_acc {ensemble.mean_acc:.2f}  "
        f"miou {ensemble.miou:.2f}"
    )


def _save_panels(
    args: Namespace, run: Run, batch: dict[str, Tensor], maps: list[Tensor], position: int, index: int
) -> None:
    """images/validate_<index>.png: the panel of the ensemble (the published script leaves the same one)."""
    inputs = {
        name: batch[key][position].numpy() for name, key in zip(stream_names(args.input), args.input, strict=True)
    }
    path = run.images / f"validate_{index}.png"
    image = validation_image(
        inputs,
        batch["mask"][position].numpy(),
        maps[-1][position].cpu().numpy(),
        normalisation(args).mean,
        normalisation(args).std,
        args.quirks["depth_picture"] == "fixed",
    )
    write_picture(path, image)
    run.print(f"imwrite at {path}")
