"""Test mode (`--visualize`): a saved model on the test set; its features, predictions and scores."""

import csv
from argparse import Namespace
from pathlib import Path

from common.pickles import save_arrays_pickle
from common.run import Run
from ucrn.data import Clips
from ucrn.evaluate import Evaluation, evaluate, named_gates, recorded
from ucrn.metrics import final_lines, final_scores
from ucrn.model import UCRN
from ucrn.pictures import write_gates, write_scatter
from ucrn.robustness import damaged_scores


def test_saved(args: Namespace, run: Run, model: UCRN, data: dict[str, Clips]) -> None:
    """Print and record the scores; write the arrays and pictures (the published script stops before it writes any)."""
    test = evaluate(args, run, model, data["test"])
    scores = {**recorded(test), **named_gates(model, test)}
    if args.robustness:
        scores |= damaged_scores(args, run, model, data)
    if run.procs.first:
        write_arrays(args.vis_dir / args.name, model, test, data["test"])
        write_scatter(run, test)
        write_gates(run, model, test)
    run.record(0, "test", final=True, protocol="checkpoint", **scores)
    for line in final_lines(final_scores(test.prediction, test.truth), args.quirks["final_f1"] == "official"):
        run.print(line)
    run.print(
        f"test  checkpoint  mae {scores['mae']:.4f}  corr {scores['corr']:.4f}  acc7 {scores['acc7']:.2f}  "
        f"acc2 {scores['non0_acc2']:.2f}  f1 {scores['non0_f1']:.2f}"
    )


def write_arrays(folder: Path, model: UCRN, test: Evaluation, clips: Clips) -> None:
    """FOLDER/last_proj_arr.pkl: [z (N, 30 M), predictions (N, 1)]; uni_feat_arr.pkl: {modality: (N k, 30)}, refined and
    before the gate; predictions.csv: video, start, end, true and predicted score of every clip, in the file's order."""
    folder.mkdir(parents=True, exist_ok=True)
    refined = {m: test.refined[:, i].reshape(-1, test.refined.shape[-1]) for i, m in enumerate(model.active)}
    save_arrays_pickle([test.fused, test.prediction[:, None]], folder / "last_proj_arr.pkl")
    save_arrays_pickle(refined, folder / "uni_feat_arr.pkl")
    with open(folder / "predictions.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "start", "end", "truth", "prediction"])
        rows.writerows([*meta, t, p] for meta, t, p in zip(clips.meta, test.truth, test.prediction, strict=True))
