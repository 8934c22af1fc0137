"""The test of a trained or saved network: its final lines, and what a finished run leaves besides."""

from collections.abc import Iterable, Sequence

from torch import nn

from common.checkpoint import cpu_state
from common.run import Run
from xnorm.checkpoints import write_published
from xnorm.data import Batch, evaluated_rows
from xnorm.evaluate import Evaluation, evaluate, published_line
from xnorm.flags import Settings
from xnorm.pictures import draw_confusion


def test(settings: Settings, run: Run, model: nn.Module, batches: Iterable[Batch], epoch: int) -> None:
    """The end of a training: the scores of its best epoch, whose weights the model has.

    With --ckpt_path the weights are also written as the published script saves them. batches: of all rows of the test
    set.
    """
    tested = evaluate(model, batches, run)
    report(settings, run, epoch, tested, ("official", "clean"), f"epoch {epoch}: highest validation accuracy")
    if run.procs.first:
        if settings.ckpt_path is not None:
            path = settings.ckpt_path / settings.published_name
            write_published(cpu_state(model), path)
            run.note(f"written: {path}")
        draw_confusion(run, tested.logits, tested.labels, settings.class_names)


def test_saved(settings: Settings, run: Run, model: nn.Module, batches: Iterable[Batch]) -> None:
    """`--evaluate`: the scores of the network as it is."""
    report(settings, run, 0, evaluate(model, batches, run), ("checkpoint",), "the checkpoint")


def report(settings: Settings, run: Run, epoch: int, tested: Evaluation, protocols: Sequence[str], where: str) -> None:
    """Print and record the final scores.

    protocols: official, of the rows that the published script judges by (quirk eval_last); clean, of all; checkpoint,
    of the official rows. Official and clean have the same weights, since the published selection looks at the
    validation set alone. where: these come from.
    """
    everything = len(tested.labels)
    official = evaluated_rows(everything, settings.batch_size, settings.keeps_last_batch)
    run.print(published_line(tested.scores(settings.class_names, official)))
    for protocol in protocols:
        rows = everything if protocol == "clean" else official
        scores = tested.scores(settings.class_names, rows)
        run.record(epoch, "test", final=True, protocol=protocol, rows=rows, **scores)
        run.print(
            f"test  {protocol:<8s}  acc {scores['acc']:.2f}  macro_f1 {scores['macro_f1']:.2f}  "
            f"loss {scores['loss']:.4f}  ({where}; {rows} of {everything} rows)"
        )
