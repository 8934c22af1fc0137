"""Train DynMM on CMU-MOSEI or CMU-MOSI: a gate between the text expert and late fusion (section 4.2, Table 2).

    python -m dynmm.modality.affect_dyn --gpu 0 --data mosei --freeze --hard-gate --reg 0.01

starts from what affect_uni and affect_mm --fusion 3 wrote below log/mosei, prints two lines an epoch and ends with

    Best result [.., .., .., .., ..]

Accuracy, Loss, Corr, millions of multiply-adds and expert 2's share of the run with the lowest Loss.
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
from dynmm.modality.affect.files import dynamic_file, expert_files, fusion_file
from dynmm.modality.affect.flags import DynSettings
from dynmm.modality.affect.flags import read_dyn_flags as read_flags
from dynmm.modality.affect.networks import DynMMNetV2, sizes_of
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.affect.summaries import dynamic_summary
from dynmm.modality.batches import Data
from dynmm.modality.final import test
from dynmm.modality.networks.checkpoints import Facts, Part, combine_facts, files_beside, load_parts
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "affect_dyn"
MODULE = f"dynmm.modality.{SCRIPT}"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        data = open_clips(settings.data, settings.data_path, FOLDERS[1]).on(device)
        folders: list[Path] = []
        for one, folder in repetitions(settings, SCRIPT, run_name(settings)):
            folders.append(folder)
            run_once(one, data, folders, device, procs, command_line(MODULE, argv))


def run_once(
    settings: DynSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes, padding = sizes_of(data, settings.narrow), settings.quirks["padding"]
    model = DynMMNetV2(sizes, settings.temp, settings.hard_gate, settings.infer_mode, padding)
    weights = None if settings.eval_only else load_experts(settings, model)
    if settings.freeze:
        model.freeze_experts()
    parts = [(model, file_of(settings))]
    gate = {"hard": settings.hard_gate, "temperature": settings.temp}
    task = SentimentTask(settings.batch_size, summed_loss=settings.summed_loss, corr_of_scores=settings.corr_of_scores)
    run = open_run(settings, SCRIPT, run_name(settings), data.facts, weights, device, procs, command)
    if run.finished:
        run.note("\n".join(dynamic_summary(final_scores(folders), settings.best_is_highest)))
        return
    start = starting_point(settings, run, model, parts, len(data.splits["train"]))
    with run:
        start = begin(run, model, settings.seed, data.notes, start)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, {"script": MODULE, "sizes": asdict(sizes), "padding": padding, **gate})
        if procs.first:
            run.print("\n".join(dynamic_summary(final_scores(folders), settings.best_is_highest)))


def load_experts(settings: DynSettings, net: DynMMNetV2) -> Facts:
    """Load the text expert and late fusion, under the names that their scripts write or with b1_ and b2_ in front.

    Returns what run.json says of the files.
    """
    log, data = settings.log_dir, settings.data
    first = expert_files(log, data, 2) if settings.expert1 is None else files_beside(settings.expert1)
    second = settings.expert2 or fusion_file(log, data, "lf_tran")
    text: list[Part] = list(zip((net.text_encoder, net.text_head), first, strict=True))
    quirks, said = settings.quirks, settings.weights_are_published
    files = load_parts(text, f"python -m dynmm.modality.affect_uni --mod 2 --data {data}", quirks, said, "b1_")
    late = f"python -m dynmm.modality.affect_mm --fusion 3 --data {data}"
    return combine_facts(files + load_parts([(net.branch2, second)], late, quirks, said, "b2_"))


def file_of(settings: DynSettings) -> Path:
    """The network's file."""
    return dynamic_file(settings.log_dir, settings.data, settings.enc, settings.reg, settings.freeze)


def run_name(settings: DynSettings) -> str:
    """The name of the run, which its default folder has too."""
    return f"{settings.data}_{file_of(settings).stem}"


if __name__ == "__main__":
    run_main(main)
