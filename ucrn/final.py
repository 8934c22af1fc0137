"""The test of a trained or saved model: its final lines, pictures, and the arrays of `--visualize`."""

import csv
from collections.abc import Mapping
from pathlib import Path

from common.pickles import save_arrays_pickle
from common.run import Run
from common.training.selection import Best
from ucrn.data import Clips
from ucrn.evaluate import Evaluation, evaluate, gate_statistics, score
from ucrn.flags import Settings
from ucrn.losses import Objective
from ucrn.metrics import final_lines, final_scores
from ucrn.model import UCRN, WIDTH
from ucrn.pictures import draw_gates, draw_scatter
from ucrn.robustness import damaged_scores

KINDS = {"official": "highest F1 on the test set", "clean": "lowest validation loss"}


def test(settings: Settings, run: Run, model: UCRN, data: Mapping[str, Clips], selected: Mapping[str, Best]) -> None:
    """The end of the log and the final scores of a training.

    selected: the chosen epoch by protocol; official, the highest F1 on the test set as published, comes last, and its
    weights stay in the model; clean: the lowest validation loss.
    """
    finals = {}
    for protocol, best in selected.items():
        epoch = best.restore(model)
        tested, scores = evaluate_test_set(settings, run, model, data)
        finals[protocol] = {**scores, "epoch_selected": epoch}
        run.record(epoch, "test", final=True, protocol=protocol, **finals[protocol])
    for line in final_lines(final_scores(tested.prediction, tested.truth), settings.swapped_f1):
        run.print(line)
    for protocol, scores in reversed(finals.items()):
        run.print(f"{test_line(protocol, scores)}  (epoch {scores['epoch_selected']}: {KINDS[protocol]})")
    draw_test(run, tested)


def test_saved(settings: Settings, run: Run, model: UCRN, data: Mapping[str, Clips]) -> None:
    """`--visualize`: test the model as it is; write arrays and pictures (the published script stops before it does)."""
    tested, scores = evaluate_test_set(settings, run, model, data)
    if run.procs.first:
        write_arrays(settings.vis_dir / settings.name, tested, data["test"])
    draw_test(run, tested)
    run.record(0, "test", final=True, protocol="checkpoint", **scores)
    for line in final_lines(final_scores(tested.prediction, tested.truth), settings.swapped_f1):
        run.print(line)
    run.print(test_line("checkpoint", scores))


def evaluate_test_set(
    settings: Settings, run: Run, model: UCRN, data: Mapping[str, Clips]
) -> tuple[Evaluation, dict[str, float]]:
    """The test set's evaluation and scores; with --robustness those of the damaged test sets too."""
    objective = Objective(settings.jsd, settings.true_js)
    tested = evaluate(model, data["test"], objective, run)
    scores = {**score(tested), **gate_statistics(tested)}
    if settings.robustness:
        scores |= damaged_scores(model, data["train"], data["test"], settings.seed, objective, run)
    return tested, scores


def test_line(protocol: str, scores: Mapping[str, float]) -> str:
    """The line of a protocol that ends the log."""
    return (
        f"test  {protocol:<8s}  mae {scores['mae']:.4f}  corr {scores['corr']:.4f}  acc7 {scores['acc7']:.2f}  "
        f"acc2 {scores['non0_acc2']:.2f}  f1 {scores['non0_f1']:.2f}"
    )


def draw_test(run: Run, tested: Evaluation) -> None:
    """Predicted against true scores, and the gates."""
    if run.procs.first:
        draw_scatter(run, tested.truth, tested.prediction)
        draw_gates(run, tested.gates)


def write_arrays(folder: Path, tested: Evaluation, clips: Clips) -> None:
    """FOLDER/last_proj_arr.pkl: [z (N, 30 M), predictions (N, 1)]; uni_feat_arr.pkl: {modality: (N k, 30)}, refined and
    before the gate; predictions.csv: video, start, end, true and predicted score of every clip, in the file's order."""
    folder.mkdir(parents=True, exist_ok=True)
    refined = {modality: features.reshape(-1, WIDTH) for modality, features in tested.refined.items()}
    save_arrays_pickle([tested.fused, tested.prediction[:, None]], folder / "last_proj_arr.pkl")
    save_arrays_pickle(refined, folder / "uni_feat_arr.pkl")
    with open(folder / "predictions.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "start", "end", "truth", "prediction"])
        rows.writerows([*meta, t, p] for meta, t, p in zip(clips.meta, tested.truth, tested.prediction, strict=True))
