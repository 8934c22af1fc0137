"""Train and test UCRN on CMU-MOSI and CMU-MOSEI.

    python -m ucrn.main --model=UCRN --lonly --aonly --vonly --dataset=mosei_senti --data_path=UCRN/data/ --jsd \\
        --batch_size=32 --seed=1234 --optim=Adam --lr=0.001 --name=UCRN_bs32_jsd_mosei
    python -m ucrn.main --lonly --aonly --vonly --dataset=mosei_senti --data_path=UCRN/data/ --visualize --resume PATH

Every epoch prints its losses and the scores of the three splits. The last lines are the scores on the test set, of
the epoch that the test set itself selected as published, and of the one that the validation set selects:

    test  official  mae ..  corr ..  acc7 ..  acc2 ..  f1 ..  (epoch ..: highest F1 on the test set)
    test  clean     mae ..  corr ..  acc7 ..  acc2 ..  f1 ..  (epoch ..: lowest validation loss)
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from common.checkpoint import load_published
from common.cuda import launched, seed_apart, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from ucrn.checkpoints import find_saved_model, load_model
from ucrn.data import Clips, check_finite, clips_of, open_splits, place
from ucrn.final import test_saved
from ucrn.flags import DATASETS, Settings, read_flags
from ucrn.model import MODALITIES, UCRN
from ucrn.train import build_optimizer, train

MODULE = "ucrn.main"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        train_or_test(settings, command_line(MODULE, argv), device, procs)


def train_or_test(settings: Settings, command: str, device: torch.device, procs: Processes) -> None:
    """Open and check all that the settings name, and only then enter the run folder to train or test."""
    seed_everything(settings.seed)
    data, facts = open_data(settings, device)
    clips = data["train"]
    model = UCRN(clips.widths, clips.lengths, settings.active, **settings.network)
    build_optimizer(model, settings.optim, settings.lr)  # a bad --optim or --lr is refused before anything is written
    run = Run("ucrn", "main", settings.name, settings, device, procs, command, facts)
    if run.finished:
        return
    start = None if run.resumed else load_start(settings, model, run.facts)
    data = place(data, device)
    with run:
        if run.resumed:
            last = run.load_last()
            load_published(model, last["model"], run.last)
            start = last["ours"]
        else:
            introduce(settings, run, model, data)
        model.to(device)
        seed_apart(settings.seed, procs)
        if settings.visualize:
            test_saved(settings, run, model, data)
        else:
            train(settings, run, model, data, start)


def open_data(settings: Settings, device: torch.device) -> tuple[dict[str, Clips], dict[str, Any]]:
    """The three splits, checked, and what run.json says of them and of the BERT that has read their texts."""
    splits = open_splits(settings.data_path, settings.dataset, settings.aligned)
    shown = [splits["test"]] if settings.visualize else list(splits.values())
    facts: dict[str, Any] = {"seed": settings.seed, "evaluate": settings.visualize}
    facts["dataset"] = describe_dataset(DATASETS[settings.dataset], shown)
    texts: dict[str, np.ndarray] = {}
    if settings.bert is not None and settings.use_bert:
        from ucrn.text_features import bert_features  # its import takes several seconds, which others need not wait for

        texts, facts["weights"] = bert_features(
            settings.bert, settings.bert_length, splits, device, settings.weights_are_published
        )
    data = {name: clips_of(split, texts.get(name)) for name, split in splits.items()}
    for name, clips in data.items():
        check_finite(clips, splits[name], settings.active)
    return data, facts


def load_start(settings: Settings, model: UCRN, facts: dict[str, Any]) -> Mapping[str, Any] | None:
    """Load the model that --visualize, --resume PATH or --pretrain names.

    Returns what training goes on from: the state in a checkpoint of ours that --resume names, else None.
    facts: gets what run.json says of the file.
    """
    resumed = "" if settings.resume == "auto" else settings.resume
    if not (settings.visualize or resumed or settings.pretrain):
        return None
    path = find_saved_model(resumed or settings.pretrain, settings.name, settings.model)
    content, facts["checkpoint"] = load_model(model, path, settings.weights_are_published)
    return content.get("ours") if resumed and not settings.visualize else None


def introduce(settings: Settings, run: Run, model: UCRN, data: Mapping[str, Clips]) -> None:
    """The head of the log: command, data, network."""
    run.print(run.facts["command"])
    for name, clips in data.items():
        cleaned = f", {clips.cleaned} values of -inf in the audio set to 0" if clips.cleaned else ""
        run.print(f"{settings.dataset} {name}: {len(clips)} clips{cleaned}")
    sizes = zip(MODALITIES, data["test"].lengths, data["test"].widths, strict=True)
    shown = (f"{modality} {length} x {width}" for modality, length, width in sizes)
    run.print(f"{'aligned' if settings.aligned else 'unaligned'}: {', '.join(shown)}; in use: {' '.join(model.active)}")
    run.print(f"parameters: {sum(parameter.numel() for parameter in model.parameters())}")


if __name__ == "__main__":
    run_main(main)
