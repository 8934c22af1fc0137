"""Train a fusion network on MM-IMDB: late fusion (--fuse 1) is expert 2 of DynMM (Table 1, LRTF, MI-Matrix).

    python -m dynmm.modality.imdb_mm --gpu 0 --fuse 1

prints three lines an epoch and ends with

    f1 macro .. ± ..

It writes log/imdb/best_lf.pt (or best_ef.pt, best_lrtf.pt, best_mim.pt), from which imdb_dyn starts.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import torch

from common.cuda import launched, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line
from dynmm.modality.batches import Data
from dynmm.modality.final import test
from dynmm.modality.imdb.data import open_films
from dynmm.modality.imdb.files import fusion_file
from dynmm.modality.imdb.flags import MmSettings
from dynmm.modality.imdb.flags import read_mm_flags as read_flags
from dynmm.modality.imdb.networks import ImdbSizes, fusion_name, fusion_network
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.imdb.summaries import static_summary
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "imdb_mm"
MODULE = f"dynmm.modality.{SCRIPT}"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        data = open_films(settings.data_path, settings.sizes).on(device)
        folders: list[Path] = []
        for one, folder in repetitions(settings, SCRIPT, run_name(settings)):
            folders.append(folder)
            run_once(one, data, folders, device, procs, command_line(MODULE, argv))


def run_once(
    settings: MmSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes, lrtf, task = ImdbSizes(narrow=settings.narrow), settings.quirks["lrtf"], GenreTask()
    model = fusion_network(settings.fuse, sizes, lrtf)
    parts = [(model, fusion_file(settings.log_dir, settings.fuse))]
    run = open_run(settings, SCRIPT, run_name(settings), data.facts, None, device, procs, command)
    if run.finished:
        run.note("\n".join(static_summary(final_scores(folders))))
        return
    start = starting_point(settings, run, model, parts, len(data.splits["train"]))
    with run:
        start = begin(run, model, settings.seed, data.notes, start)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, {"script": MODULE, "sizes": asdict(sizes), "lrtf": lrtf})
        if procs.first:
            run.print("\n".join(static_summary(final_scores(folders))))


def run_name(settings: MmSettings) -> str:
    """The name of the run, which its default folder has too."""
    return fusion_name(settings.fuse)


if __name__ == "__main__":
    run_main(main)
