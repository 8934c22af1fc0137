"""The test of a trained or saved network: its final lines."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cen.semantic_segmentation.data import Batch, ValidationBatches
from cen.semantic_segmentation.evaluate import evaluate, report
from cen.semantic_segmentation.flags import Settings
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.pictures import draw_panels
from cen.semantic_segmentation.selection import Selection
from common.run import Run

KINDS = {"official": "best epoch, selected on these images", "clean": "last epoch"}


def test(
    settings: Settings, run: Run, model: RefineNet, batches: ValidationBatches, selection: Selection, epoch: int
) -> None:
    """The end of the log and the final scores of a training whose last epoch is `epoch`.

    official: the best epoch, selected on the images that it is scored on, as published; clean: the last
    epoch, which nothing selected.
    """
    last = selection.last_scores
    if last is None or last["epoch"] != epoch:
        validation = evaluate(model, batches, settings.input, settings.num_classes, run)
        report(run, epoch, validation, selection.seen)
        last = {"epoch": epoch, **validation.metrics()}
    best_val = selection.best.score or 0.0
    run.print(f"All stages are now finished. Best Val is {best_val:.3f}")
    finals = {"official": selection.best_scores or last, "clean": last}
    if selection.best_scores is None and best_val > 0:
        run.print("test  official  no epoch was better than the checkpoint that training went on from")
        del finals["official"]
    for protocol, scores in finals.items():
        run.record(split="test", final=True, protocol=protocol, **scores)
        run.print(f"{test_line(protocol, scores)}  ({KINDS[protocol]}: {scores['epoch']})")


def test_saved(settings: Settings, run: Run, model: RefineNet, batches: ValidationBatches) -> None:
    """`--evaluate`: test the network as it is, and draw the pictures of --save-image."""

    def see(batch: Batch, maps: list[Tensor]) -> None:
        draw_panels(run, settings.look, batch, maps[-1], settings.save_image)

    validation = evaluate(model, batches, settings.input, settings.num_classes, run, see)
    report(run, 0, validation)
    run.record(0, "test", final=True, protocol="checkpoint", **validation.metrics())
    run.print(test_line("checkpoint", validation.metrics()))


def test_line(protocol: str, scores: Mapping[str, Any]) -> str:
    """The line of a protocol that ends the log."""
    return (
        f"test  {protocol:<8s}  pixel_acc {scores['pixel_acc']:.2f}  mean_acc {scores['mean_acc']:.2f}  "
        f"miou {scores['miou']:.2f}"
    )
