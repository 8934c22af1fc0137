"""The test of a trained or saved network of the emotion task: its final line."""

from collections.abc import Sequence

from torch import nn

from common.run import Run
from xnorm.emotion.data import Clips
from xnorm.emotion.evaluate import evaluate
from xnorm.evaluate import Evaluation
from xnorm.pictures import draw_confusion


def test(run: Run, model: nn.Module, clips: Clips, names: Sequence[str], epoch: int) -> None:
    """The end of a training: the scores of its best epoch, whose weights the model has.

    No protocol of this task is published: what is recorded as official and as clean is the same.
    """
    tested = evaluate(model, clips, run)
    report(run, epoch, tested, names, ("official", "clean"), f"epoch {epoch}: highest validation accuracy")
    if run.procs.first:
        draw_confusion(run, tested.logits, tested.labels, names)


def test_saved(run: Run, model: nn.Module, clips: Clips, names: Sequence[str]) -> None:
    """`--evaluate`: the scores of the network as it is."""
    report(run, 0, evaluate(model, clips, run), names, ("checkpoint",), "the checkpoint")


def report(
    run: Run, epoch: int, tested: Evaluation, names: Sequence[str], protocols: Sequence[str], where: str
) -> None:
    """Print the final scores, and record them for each protocol. where: the weights come from."""
    scores = tested.scores(names)
    for protocol in protocols:
        run.record(epoch, "test", final=True, protocol=protocol, **scores)
    run.print(
        f"test  ours  acc {scores['acc']:.2f}  ua {scores['ua']:.2f}  macro_f1 {scores['macro_f1']:.2f}  "
        f"majority {scores['majority']:.2f}  ({where})"
    )
