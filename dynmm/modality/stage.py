"""What the six scripts do alike: device, repetitions, run folder; train, test, write the files for the next stage."""

import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.checkpoint import load_published
from common.cuda import launched, seed_everything
from common.processes import Processes
from common.provenance import command_line, peak_memory, shown_path
from common.run import Run
from dynmm.modality.batches import Split
from dynmm.modality.checkpoints import save_network
from dynmm.modality.evaluate import Task
from dynmm.modality.final import Metrics, test
from dynmm.modality.madds import PathMadds
from dynmm.modality.pictures import draw_curves, draw_gate
from dynmm.modality.pretrained import Part, as_checkpoint, combined, continued, load_parts
from dynmm.modality.progress import Progress
from dynmm.modality.train import check_batches, train

GATE = ("hard", "temperature")  # of a network with a gate: kept in its file, since they are no weights


@dataclass(frozen=True)
class Stage:
    """One script's part.

    module: "dynmm.modality.imdb_uni"; name: of the run; dataset: for run.json; notes: lines about the data.
    splits: train, valid, test. build: a network at random, or from experts with what run.json says of their files.
    parts: the network's parts and the files that they are kept in. config: what stands in these files.
    madds: a network's multiply-adds. summary: the last lines, of each repetition's final scores by protocol.
    """

    module: str
    name: str
    dataset: Mapping[str, Any]
    notes: list[str]
    splits: Mapping[str, Split]
    task: Task
    build: Callable[[], tuple[nn.Module, dict[str, Any] | None]]
    parts: Callable[[nn.Module], list[Part]]
    config: Mapping[str, Any]
    madds: Callable[[nn.Module], PathMadds | float]
    summary: Callable[[list[dict[str, Metrics]]], list[str]]


def run_stage(open_stage: Callable[[Namespace], Stage], module: str, args: Namespace, argv: list[str]) -> None:
    """Run a script's repetitions, each in a folder of its own. open_stage: reads and checks what the flags name."""
    with launched(args.gpu, args.precision, module, argv) as (device, procs):
        stage = open_stage(args)
        splits = {name: split.on(device) for name, split in stage.splits.items()}
        earlier: list[Path] = []
        for number in range(args.n_runs):
            own = repetition(args, stage, number)
            earlier.append(own.run_dir)
            _run_once(stage, splits, own, command_line(module, argv), device, procs, earlier)


def repetition(args: Namespace, stage: Stage, number: int) -> Namespace:
    """The flags of one repetition: a run with seed SEED + number, in a folder of its own where there are several."""
    folder = args.run_dir or Path("runs") / "dynmm" / script_of(stage) / stage.name
    seed = args.seed + number
    if args.n_runs > 1:
        folder = folder / f"seed_{seed}"
    return Namespace(**{**vars(args), "seed": seed, "run_dir": folder, "n_runs": 1})


def script_of(stage: Stage) -> str:
    """The script's own name: imdb_uni of dynmm.modality.imdb_uni."""
    return stage.module.rsplit(".", 1)[-1]


def _run_once(
    stage: Stage,
    splits: Mapping[str, Split],
    args: Namespace,
    command: str,
    device: torch.device,
    procs: Processes,
    folders: list[Path],
) -> None:
    """Train and test one repetition. folders: of the repetitions up to this one; the last prints the summary."""
    seed_everything(args.seed)
    model, weights = stage.build()
    facts = {"seed": args.seed, "quirks": args.quirks, "evaluate": args.eval_only, "deterministic": True}
    facts |= {"dataset": stage.dataset, "weights": weights}
    run = Run("dynmm", script_of(stage), stage.name, args, device, procs, command, facts)
    if run.finished:
        run.note(f"{run.folder}: already finished")
        for line in stage.summary([final_scores(folder) for folder in folders]):
            run.note(line)
        return
    start = None if run.resumed else _starting_point(stage, args, model, run)
    check_batches(args, model, len(splits["train"]), run)
    with run:
        if run.resumed:
            start = run.load_last()
            load_published(model, start["model"], run.last)
        else:
            introduce(run, stage, model, command)
        model.to(device)
        if procs.rank > 0:
            torch.manual_seed(args.seed + procs.rank)  # every process drops out on its own
        progress = Progress(stage.task.higher, start)
        if not args.eval_only:
            train(args, run, model, splits["train"], splits["valid"], stage.task, progress)
            _trained(run, model, progress)
        epoch = progress.stopping.best_epoch or 0
        gate = test(args, run, model, splits["test"], stage.task, stage.madds(model), epoch)
        if procs.first:
            _keep(stage, args, run, model)
            if not args.eval_only:
                draw_curves(run, epoch)
            if gate is not None:
                draw_gate(run, gate, splits["test"].needs)
            for line in stage.summary([final_scores(folder) for folder in folders]):
                run.print(line)
        procs.wait()


def _starting_point(stage: Stage, args: Namespace, model: nn.Module, run: Run) -> dict[str, Any] | None:
    """Load what --eval-only or --resume PATH names; the checkpoint that training goes on from, if there is one."""
    if args.eval_only:
        files = load_parts(stage.parts(model), f"python -m {stage.module}", args.quirks)
        run.facts["checkpoint"] = as_checkpoint(combined(files))
        for name in GATE if hasattr(model, "gate") else ():
            setattr(model, name, files[0]["config"].get(name, getattr(model, name)))
        return None
    if args.resume and args.resume != "auto":
        content, run.facts["checkpoint"] = continued(model, Path(args.resume))
        return content
    return None


def introduce(run: Run, stage: Stage, model: nn.Module, command: str) -> None:
    """The head of the log: command, data, network, files."""
    run.print(command)
    for line in stage.notes:
        run.print(line)
    run.print(f"{script_of(stage)} {stage.name}: {sum(p.numel() for p in model.parameters())} parameters")
    for files in filter(None, (run.facts.get("weights"), run.facts.get("checkpoint"))):
        run.print(f"loaded {files['file']}")


def _trained(run: Run, model: nn.Module, progress: Progress) -> None:
    """The published lines at the end of a training."""
    run.print(f"Training Time: {progress.seconds:.3f}")
    run.print(f"Training Peak Mem: {peak_memory(run.device) / 2**20:.1f}")
    run.print(f"Training Params: {sum(p.numel() for p in model.parameters())}")


def _keep(stage: Stage, args: Namespace, run: Run, model: nn.Module) -> None:
    """Write the network under its published file names, for the next stage and for --eval-only."""
    if args.eval_only:
        return
    weights = run.facts["weights"]
    standin = stage.dataset["standin"] or bool(weights and weights["standin"])
    config = {**stage.config, "seed": args.seed, "standin": standin, "run": shown_path(run.folder)}
    config["shortened"] = args.max_steps is not None
    run.facts["files"] = {shown_path(path): save_network(part, path, config) for part, path in stage.parts(model)}
    run.note(f"written: {', '.join(run.facts['files'])}")


def final_scores(folder: Path) -> dict[str, Metrics]:
    """{protocol: metrics} of a run folder's final lines."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["protocol"]: line for line in lines if line.get("final")}
