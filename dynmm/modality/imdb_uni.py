"""Train a single-modality expert on MM-IMDB: expert 1 of DynMM is the text's (Table 1, image and text networks).

    python -m dynmm.modality.imdb_uni --gpu 0 --mod 0

prints three lines an epoch and ends with

    f1 macro .. ± ..

It writes log/imdb/encoder_text.pt and head_text.pt (or ..._image.pt), from which imdb_dyn starts.
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
from dynmm.modality.imdb.files import expert_files
from dynmm.modality.imdb.flags import UniSettings
from dynmm.modality.imdb.flags import read_uni_flags as read_flags
from dynmm.modality.imdb.networks import EXPERTS, ImdbSizes, unimodal_expert
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.imdb.summaries import static_summary
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "imdb_uni"
MODULE = f"dynmm.modality.{SCRIPT}"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        data = open_films(settings.data_path, settings.sizes, only=settings.mod).on(device)
        folders: list[Path] = []
        for one, folder in repetitions(settings, SCRIPT, run_name(settings)):
            folders.append(folder)
            run_once(one, data, folders, device, procs, command_line(MODULE, argv))


def run_once(
    settings: UniSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes, task = ImdbSizes(narrow=settings.narrow), GenreTask()
    model = unimodal_expert(settings.mod, sizes)
    parts = list(zip(model, expert_files(settings.log_dir, settings.mod), strict=True))
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
            save_parts(settings, run, parts, {"script": MODULE, "sizes": asdict(sizes)})
        if procs.first:
            run.print("\n".join(static_summary(final_scores(folders))))


def run_name(settings: UniSettings) -> str:
    """The name of the run, which its default folder has too."""
    return EXPERTS[settings.mod]


if __name__ == "__main__":
    run_main(main)
