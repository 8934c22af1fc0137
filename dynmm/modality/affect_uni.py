"""Train a single-modality expert on CMU-MOSEI or CMU-MOSI: expert 1 of DynMM is the text's (Table 2).

    python -m dynmm.modality.affect_uni --gpu 0 --data mosei --mod 2

prints a line an epoch and ends with

    Corr .. ± ..

It writes log/mosei/reg_transformer_encoder_text.pt and ..._head_text.pt, from which affect_dyn starts.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import torch

from common.cuda import launched, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line
from dynmm.modality.affect.data import FOLDERS, open_clips
from dynmm.modality.affect.files import expert_files
from dynmm.modality.affect.flags import UniSettings
from dynmm.modality.affect.flags import read_uni_flags as read_flags
from dynmm.modality.affect.networks import MODALITIES, encoder_name, modality_index, sizes_of, unimodal_expert
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.affect.summaries import static_summary
from dynmm.modality.batches import Data
from dynmm.modality.final import test
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "affect_uni"
MODULE = f"dynmm.modality.{SCRIPT}"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        only = modality_index(settings.mod)
        data = open_clips(settings.data, settings.data_path, FOLDERS[0], only).on(device)
        folders: list[Path] = []
        for one, folder in repetitions(settings, SCRIPT, run_name(settings)):
            folders.append(folder)
            run_once(one, data, folders, device, procs, command_line(MODULE, argv))


def run_once(
    settings: UniSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes, padding = sizes_of(data, settings.narrow), settings.quirks["padding"]
    hidden, outputs = (settings.hidden_dim1, settings.hidden_dim2), 2 if settings.clf else 1
    model = unimodal_expert(settings.mod, settings.enc, *hidden, outputs, sizes, padding)
    files = expert_files(settings.log_dir, settings.data, settings.mod, settings.enc, settings.clf)
    parts = list(zip(model, files, strict=True))
    task = SentimentTask(settings.batch_size, classes=settings.clf, corr_of_scores=settings.corr_of_scores)
    run = open_run(settings, SCRIPT, run_name(settings), data.facts, None, device, procs, command)
    if run.finished:
        run.note("\n".join(static_summary(final_scores(folders), 2)))
        return
    start = starting_point(settings, run, model, parts, len(data.splits["train"]))
    with run:
        start = begin(run, model, settings.seed, data.notes, start)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, {"script": MODULE, "sizes": asdict(sizes), "padding": padding})
        if procs.first:
            run.print("\n".join(static_summary(final_scores(folders), 2)))


def run_name(settings: UniSettings) -> str:
    """The name of the run, which its default folder has too."""
    task, modality = "clf" if settings.clf else "reg", MODALITIES[modality_index(settings.mod)]
    return f"{settings.data}_{task}_{encoder_name(settings.enc)}_{modality}"


if __name__ == "__main__":
    run_main(main)
