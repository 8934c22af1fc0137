"""Train DynMM on MM-IMDB: a gate between the text expert and late fusion (section 4.1, Table 1, DynMM-a to -d).

    python -m dynmm.modality.imdb_dyn --gpu 0 --freeze --hard-gate --reg 0.1

starts from what imdb_uni --mod 0 and imdb_mm --fuse 1 wrote below log/imdb, prints four lines an epoch and ends with

    Best result [.., .., ..]

micro F1, macro F1 and millions of multiply-adds of the run with the highest macro F1.
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
from dynmm.modality.imdb.files import dynamic_file, expert_files, fusion_file
from dynmm.modality.imdb.flags import DynSettings
from dynmm.modality.imdb.flags import read_dyn_flags as read_flags
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.imdb.summaries import dynamic_summary
from dynmm.modality.networks.checkpoints import Facts, Part, combine_facts, files_beside, load_parts
from dynmm.modality.results import final_scores
from dynmm.modality.runs import begin, open_run, repetitions, save_parts, starting_point
from dynmm.modality.train import train

SCRIPT = "imdb_dyn"
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
    settings: DynSettings, data: Data, folders: list[Path], device: torch.device, procs: Processes, command: str
) -> None:
    """Train and test one repetition, in the last of the folders; its log ends with a summary of all of them."""
    seed_everything(settings.seed)
    sizes, task = ImdbSizes(narrow=settings.narrow), GenreTask()
    model = DynMMNet(sizes, hard=settings.hard_gate, infer_mode=max(0, settings.infer_mode))
    weights = None if settings.no_pretrain or settings.eval_only else load_experts(settings, model)
    if settings.freeze:
        model.freeze_experts()
    parts = [(model, file_of(settings))]
    gate = {"hard": settings.hard_gate, "temperature": 1.0}
    run = open_run(settings, SCRIPT, run_name(settings), data.facts, weights, device, procs, command)
    if run.finished:
        run.note("\n".join(dynamic_summary(final_scores(folders))))
        return
    start = starting_point(settings, run, model, parts, len(data.splits["train"]))
    with run:
        start = begin(run, model, settings.seed, data.notes, start)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, {"script": MODULE, "sizes": asdict(sizes), **gate})
        if procs.first:
            run.print("\n".join(dynamic_summary(final_scores(folders))))


def load_experts(settings: DynSettings, net: DynMMNet) -> Facts:
    """Load the text expert and late fusion; the image expert, which takes no part, where its files are there.

    Returns what run.json says of the files.
    """
    first = expert_files(settings.log_dir, 0) if settings.expert1 is None else files_beside(settings.expert1)
    second = settings.expert2 or fusion_file(settings.log_dir, 1)
    text: list[Part] = list(zip((net.text_encoder, net.text_head), first, strict=True))
    quirks, said = settings.quirks, settings.weights_are_published
    files = load_parts(text, "python -m dynmm.modality.imdb_uni --mod 0", quirks, said)
    files += load_parts([(net.branch3, second)], "python -m dynmm.modality.imdb_mm --fuse 1", quirks, said)
    unused = expert_files(settings.log_dir, 1)
    if all(path.is_file() for path in unused):
        load_parts(list(zip((net.image_encoder, net.image_head), unused, strict=True)), "", quirks, said)
    return combine_facts(files)


def file_of(settings: DynSettings) -> Path:
    """The network's file."""
    return dynamic_file(settings.log_dir, settings.freeze, settings.reg, settings.data)


def run_name(settings: DynSettings) -> str:
    """The name of the run, which its default folder has too."""
    return file_of(settings).stem


if __name__ == "__main__":
    run_main(main)
