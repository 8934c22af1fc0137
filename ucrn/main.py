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
from argparse import Namespace
from collections.abc import Mapping

import torch

from common.checkpoint import load_published
from common.cuda import Processes, launched, seed_everything
from common.errors import run_main
from common.provenance import command_line, describe_dataset
from common.run import Run
from ucrn.checkpoints import load_model, saved_model
from ucrn.data import Clips, check_finite, clips_of, open_splits, placed
from ucrn.flags import DATASETS, parser, resolve
from ucrn.model import MODALITIES, UCRN
from ucrn.test_mode import test_saved
from ucrn.train import build_optimizer, train

MODULE = "ucrn.main"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv))
    with launched(args.gpu, args.precision, MODULE, argv) as (device, procs):
        refine(args, argv, device, procs)


def refine(args: Namespace, argv: list[str], device: torch.device, procs: Processes) -> None:
    """Open and check all that the flags name, and only then enter the run folder to train or test."""
    seed_everything(args.seed)
    splits = open_splits(args)
    facts = {"seed": args.seed, "quirks": args.quirks, "evaluate": args.visualize, "deterministic": True}
    facts["dataset"] = describe_dataset(
        DATASETS[args.dataset], [splits["test"]] if args.visualize else list(splits.values())
    )
    texts = {}
    if args.use_bert:
        from ucrn.text_features import bert_features  # its import takes several seconds, which others need not wait for

        texts = bert_features(args, splits, device, facts)
    data = {name: clips_of(split, texts.get(name)) for name, split in splits.items()}
    for name, clips in data.items():
        check_finite(clips, splits[name], args.active)
    model = build(args, data["train"])
    build_optimizer(args, model)  # one that cannot be built is told before the run folder is touched
    run = Run("ucrn", "main", args.name, args, device, procs, command_line(MODULE, argv), facts)
    if run.finished:
        run.note(f"{run.folder}: already finished")
        return
    ours = None if run.resumed else starting_point(args, model, run)
    data = placed(data, device)
    with run:
        if run.resumed:
            last = run.load_last()
            load_published(model, last["model"], run.last)
            ours = last["ours"]
        elif procs.first:
            introduce(args, run, model, data)
        model.to(device)
        if procs.rank > 0:
            torch.manual_seed(args.seed + procs.rank)  # every process drops out on its own
        if args.visualize:
            test_saved(args, run, model, data)
        else:
            train(args, run, model, data, ours)


def build(args: Namespace, clips: Clips) -> UCRN:
    """The network for these clips, as the flags describe it."""
    causal = args.attn_mask and args.quirks["causal"] == "official"
    names = ("temp_proj", "num_heads", "attn_dropout", "attn_dropout_a", "attn_dropout_v", "relu_dropout")
    names += ("res_dropout", "out_dropout", "embed_dropout", "positions", "without")
    options = {name: getattr(args, name) for name in names}
    return UCRN(clips.widths, clips.lengths, args.active, layers=args.nlevels, attn_mask=causal, **options)


def starting_point(args: Namespace, model: UCRN, run: Run) -> Mapping | None:
    """Load what --visualize, --resume PATH or --pretrain name; returns what training goes on from, if it is ours."""
    resumed = args.resume if args.resume != "auto" else ""
    given = resumed or args.pretrain
    if not (args.visualize or given):
        return None
    content, run.facts["checkpoint"] = load_model(model, saved_model(args, given))
    return content.get("ours") if resumed and not args.visualize else None


def introduce(args: Namespace, run: Run, model: UCRN, data: Mapping[str, Clips]) -> None:
    """The head of the log: command, data, network."""
    run.print(run.facts["command"])
    for name, clips in data.items():
        cleaned = f", {clips.cleaned} values of -inf in the audio set to 0" if clips.cleaned else ""
        run.print(f"{args.dataset} {name}: {len(clips)} clips{cleaned}")
    sizes = zip(MODALITIES, data["test"].lengths, data["test"].widths, strict=True)
    shown = (f"{modality} {length} x {width}" for modality, length, width in sizes)
    run.print(f"{'aligned' if args.aligned else 'unaligned'}: {', '.join(shown)}; in use: {' '.join(model.active)}")
    run.print(f"parameters: {sum(parameter.numel() for parameter in model.parameters())}")


if __name__ == "__main__":
    run_main(main)
