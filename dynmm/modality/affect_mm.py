"""Train a fusion network on CMU-MOSEI or CMU-MOSI: late fusion (--fusion 3) is expert 2 of DynMM (Table 2).

    python -m dynmm.modality.affect_mm --gpu 0 --data mosei --fusion 3

prints a line an epoch and ends with

    Corr .. ± ..

It writes log/mosei/lf_tran.pt (or ef_gru.pt, lf_gru.pt, ef_tran.pt, mult.pt, lrtf.pt), from which affect_dyn starts.
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
from dynmm.modality.affect.files import fusion_file
from dynmm.modality.affect.flags import MmSettings
from dynmm.modality.affect.flags import read_mm_flags as read_flags
from dynmm.modality.affect.networks import fusion_name, fusion_network, sizes_of
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.affect.summaries import static_summary
from dynmm.modality.batches import Data
from dynmm.modality.final import test
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "affect_mm"
MODULE = f"dynmm.modality.{SCRIPT}"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        data = open_clips(settings.data, settings.data_path, FOLDERS[0]).on(device)
        folders: list[Path] = []
        for one, folder in repetitions(settings, SCRIPT, run_name(settings)):
            folders.append(folder)
            run_once(one, data, folders, device, procs, command_line(MODULE, argv))


def run_once(
    settings: MmSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes = sizes_of(data, settings.narrow)
    padding, lrtf = settings.quirks["padding"], settings.quirks["lrtf"]
    model = fusion_network(settings.fusion, sizes, padding, lrtf)
    parts = [(model, fusion_file(settings.log_dir, settings.data, settings.fusion))]
    task = SentimentTask(settings.batch_size, corr_of_scores=settings.corr_of_scores)
    config = {"script": MODULE, "sizes": asdict(sizes), "padding": padding, "lrtf": lrtf}
    run = open_run(settings, SCRIPT, run_name(settings), data.facts, None, device, procs, command)
    if run.finished:
        run.note("\n".join(static_summary(final_scores(folders), 4)))
        return
    start = starting_point(settings, run, model, parts, len(data.splits["train"]))
    with run:
        start = begin(run, model, settings.seed, data.notes, start)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, config)
        if procs.first:
            run.print("\n".join(static_summary(final_scores(folders), 4)))


def run_name(settings: MmSettings) -> str:
    """The name of the run, which its default folder has too."""
    return f"{settings.data}_{fusion_name(settings.fusion)}"


if __name__ == "__main__":
    run_main(main)
