"""What the six scripts do alike around the loop: repetitions, a run from its start to its files, where it begins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from common.cuda import seed_apart
from common.processes import Processes
from common.provenance import shown_path
from common.run import Run
from common.training.state import resume_or
from dynmm.modality.batches import Data, check_shares
from dynmm.modality.evaluate import Task
from dynmm.modality.final import test
from dynmm.modality.flags import ModalitySettings
from dynmm.modality.networks.checkpoints import Part, combine_facts, load_parts, load_state, save_network
from dynmm.modality.networks.two_experts import TwoExperts
from dynmm.modality.train import train

Settings = TypeVar("Settings", bound=ModalitySettings)


def repetitions(settings: Settings, script: str, name: str) -> Iterator[tuple[Settings, Path]]:
    """The settings and the folder of each repetition: a run with seed SEED + number.

    Where there are several, each has a folder of its own in the run folder.
    """
    folder = settings.run_dir or Path("runs") / "dynmm" / script / name
    for seed in range(settings.seed, settings.seed + settings.n_runs):
        own = folder / f"seed_{seed}" if settings.n_runs > 1 else folder
        yield replace(settings, seed=seed, run_dir=own, n_runs=1), own


def open_run(
    settings: ModalitySettings,
    script: str,
    name: str,
    dataset: Mapping[str, Any],
    weights: Mapping[str, Any] | None,
    device: torch.device,
    procs: Processes,
    command: str,
) -> Run:
    """The run of a script. dataset: what run.json says of the data; weights: of the files that the network starts from.

    Raises UserError as Run does.
    """
    facts = {"seed": settings.seed, "evaluate": settings.eval_only, "dataset": dataset, "weights": weights}
    return Run("dynmm", script, name, settings, device, procs, command, facts)


def train_or_test(
    settings: ModalitySettings,
    run: Run,
    model: nn.Module,
    data: Data,
    task: Task,
    parts: Sequence[Part],
    config: Mapping[str, Any],
    summarise: Callable[[], list[str]],
) -> None:
    """Train a network, test it and write its files, or with --eval-only test the files that are there.

    Everything is loaded and checked before the run's folder is entered. parts: of the model, and their files; config:
    what the network was built with. summarise: the lines about this repetition and those before it, which end the log.
    """
    if run.finished:
        run.note("\n".join(summarise()))
        return
    start = load_start(settings, run, model, parts, len(data.splits["train"]))
    with run:
        if not run.resumed:
            introduce(run, model, data.notes)
        start = resume_or(run, model, start)
        model.to(run.device)
        seed_apart(settings.seed, run.procs)
        if settings.eval_only:
            test(settings, run, model, data.splits, task, epoch=0)
        else:
            train(settings, run, model, data.splits, task, start)
            save_parts(settings, run, parts, config)
        if run.procs.first:
            run.print("\n".join(summarise()))


def load_start(
    settings: ModalitySettings, run: Run, model: nn.Module, parts: Sequence[Part], samples: int
) -> Mapping[str, Any] | None:
    """Load what --eval-only or --resume PATH names; what training goes on from, if it does.

    Called before the run's folder is entered. parts: of the model, and their files; samples: of the training set.
    Raises UserError for files that do not fit, and where a process's part of the last training batch is too small for
    this network.
    """
    start: Mapping[str, Any] | None = None
    if settings.eval_only and not run.resumed:
        command = f"python -m dynmm.modality.{run.facts['script']}"
        files = load_parts(parts, command, settings.quirks, settings.weights_are_published)
        run.facts["checkpoint"] = combine_facts(files)
        if isinstance(model, TwoExperts):  # kept in its file, since they are no weights
            config = files[0]["config"]
            model.hard, model.temperature = config.get("hard", model.hard), config.get("temperature", model.temperature)
    elif settings.resume not in ("", "auto") and not run.resumed:
        start, run.facts["checkpoint"] = load_state(model, Path(settings.resume))
    has_norm = any(isinstance(module, nn.BatchNorm1d) for module in model.modules())
    check_shares(samples, settings.batch_size, run.procs, least=2 if has_norm else 1)
    return start


def introduce(run: Run, model: nn.Module, notes: Sequence[str]) -> None:
    """The head of the log: command, data, network, files."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    network = f"{run.facts['script']} {run.facts['name']}: {parameters} parameters"
    files = [facts["file"] for facts in (run.facts["weights"], run.facts["checkpoint"]) if facts]
    for line in (run.facts["command"], *notes, network, *(f"loaded {file}" for file in files)):
        run.print(line)


def save_parts(settings: ModalitySettings, run: Run, parts: Sequence[Part], config: Mapping[str, Any]) -> None:
    """Write the network under its published file names, for the next stage and for --eval-only.

    config: what the network was built with. All processes wait for it.
    """
    if run.procs.first:
        weights = run.facts["weights"]
        standin = run.facts["dataset"]["standin"] or bool(weights and weights["standin"])
        facts = {"seed": settings.seed, "standin": standin, "run": shown_path(run.folder)}
        held = {**config, **facts, "shortened": run.facts["shortened"]}
        run.facts["files"] = {shown_path(path): save_network(part, path, held) for part, path in parts}
        run.note(f"written: {', '.join(run.facts['files'])}")
    run.procs.wait()
