"""The command line of UCRN: the published flags with their defaults, then ours."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.flags import Parser, Quirk, RunSettings, add_run_flags, boolean, parse_quirks, positive
from ucrn.model import MODALITIES, WIDTH

DATASETS = {"mosei_senti": "cmu_mosei", "mosei": "cmu_mosei", "mosi": "cmu_mosi", "sims": "sims"}
PARTS = ("urm", "sqil", "crm")
RATES = (
    *("attn_dropout", "attn_dropout_a", "attn_dropout_v", "relu_dropout", "res_dropout", "out_dropout"),
    "embed_dropout",
)

QUIRKS = [
    Quirk("mjsd", ("official", "jsd"), "the divergence of --jsd: unnormalised exponentials, or true Jensen-Shannon"),
    Quirk("select_on", ("test_f1", "valid_loss"), "best.pt: highest F1 on the test set, or lowest validation loss"),
    Quirk("final_f1", ("official", "fixed"), "the printed F1 score has prediction and truth swapped, or in place"),
    Quirk("causal", ("official", "paper"), "refinement attends to the past alone (as --attn_mask decides), or to all"),
    Quirk(
        "schedule_step",
        ("official", "epoch"),
        "CyclicLR and calr take the validation loss for the time, and stand still; or count epochs",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """The values of a command line of UCRN; `parser` says more of each, and has the defaults."""

    f: str  # not used, nor are local_rank and ddp
    local_rank: int
    ddp: bool
    model: str  # UCRN
    vonly: bool  # vision, audio, language: which modalities are used
    aonly: bool
    lonly: bool
    active: tuple[str, ...]  # the same as letters, in the order l, a, v
    aligned: bool  # the file that is aligned by words
    dataset: str  # first part of the file's name
    use_bert: bool  # text features by `bert`
    train_mode: str  # regression, or which scores are printed
    data_path: Path
    attn_dropout: float  # rates, 0 to 1
    attn_dropout_a: float
    attn_dropout_v: float
    relu_dropout: float
    embed_dropout: float
    res_dropout: float
    out_dropout: float
    nlevels: int  # layers of every encoder
    num_heads: int
    attn_mask: bool  # refinement attends to the past alone
    temp_proj: int  # steps that the temporal projection leaves; 0: the last step
    batch_size: int  # clips, over all processes
    clip: float  # largest norm of the gradient
    lr: float
    optim: str  # a class of torch.optim
    num_epochs: int
    when: int  # epochs without progress before the plateau schedule acts
    batch_chunk: int  # parts of a backward pass
    pretrain: str | None  # weights to start from
    jsd: bool  # the divergence between modalities is part of the loss
    schedule: str
    base_lr: float  # CyclicLR
    max_lr: float
    step_up: int
    lr_stepper: str  # warmup
    stepper_size: int  # epochs
    warm_epoch: int
    log_interval: int  # batches between progress lines
    seed: int
    no_cuda: bool
    name: str  # of the run
    visualize: bool  # test a saved model
    vis_dir: Path
    without: tuple[str, ...]  # parts of the network that are left out
    positions: bool  # sinusoids in every encoder
    bert: Path | None  # folder
    bert_length: int  # tokens read of raw_text
    official_order: bool  # batches in the order of an unseeded generator
    robustness: bool  # also test with modalities missing and noise

    @property
    def true_js(self) -> bool:
        """The divergence of --jsd is a true Jensen-Shannon divergence."""
        return self.quirks["mjsd"] == "jsd"

    @property
    def swapped_f1(self) -> bool:
        """The final F1 has prediction and truth in each other's place, as published."""
        return self.quirks["final_f1"] == "official"

    @property
    def network(self) -> dict[str, Any]:
        """What the network is built with, by the names of its arguments."""
        same = ("temp_proj", "num_heads", "positions", "without", *RATES)
        causal = self.attn_mask and self.quirks["causal"] == "official"
        return {name: getattr(self, name) for name in same} | {"layers": self.nlevels, "attn_mask": causal}


def read_flags(argv: Sequence[str]) -> Settings:
    """The settings of a command line. Raises UserError naming the flag that does not fit."""
    args = parser().parse_args(argv)
    args.model, args.dataset = args.model.upper().strip(), args.dataset.lower().strip()
    _check(args)
    active = tuple(modality for modality in MODALITIES if getattr(args, f"{modality}only"))
    if not active:
        raise UserError("unknown partial mode type: no modality; give --lonly, --aonly, --vonly, or all three")
    gpu = [-1] if args.no_cuda else args.gpu
    return Settings.of(args, active=active, gpu=gpu, quirks=parse_quirks(args.quirk, QUIRKS))


def parser() -> Parser:
    """All flags; `read_flags` completes the parsed ones."""
    p = Parser(prog="python -m ucrn.main", description="Train or test UCRN on CMU-MOSI and CMU-MOSEI.")
    add = p.add_argument
    add("-f", default="", help="not used, as published")
    add("--model", default="UCRN", help="UCRN is the only one")
    add("--local_rank", "--local-rank", type=int, default=-1, help="not used: torchrun tells the rank")
    add("--ddp", action="store_true", help="not needed: torchrun starts several processes")
    add("--vonly", action="store_true", help="use vision; all three flags for the trimodal model")
    add("--aonly", action="store_true", help="use audio")
    add("--lonly", action="store_true", help="use language")
    add("--aligned", action="store_true", help="the file aligned by words (_data.pkl), not _data_noalign.pkl")
    add("--dataset", default="mosei_senti", help=f"first part of the file's name: {', '.join(DATASETS)}")
    add("--use_bert", **_switch(), help="text features by BERT from --bert, of the file's text_bert or raw_text")
    add("--train_mode", default="regression", help="other values: the scores printed each epoch leave out zeros")
    add("--data_path", type=Path, default=Path("UCRN/data"), help="folder of the pickles")
    add("--attn_dropout", type=float, default=0.1, help="on attention weights: text and crossmodal")
    add("--attn_dropout_a", type=float, default=0.0)
    add("--attn_dropout_v", type=float, default=0.0)
    add("--relu_dropout", type=float, default=0.1)
    add("--embed_dropout", type=float, default=0.25, help="on raw text and the input of every encoder")
    add("--res_dropout", type=float, default=0.1)
    add("--out_dropout", type=float, default=0.5)
    add("--nlevels", type=int, default=5, help="layers of every encoder")
    add("--num_heads", type=positive, default=3, help=f"must divide {WIDTH}")
    add("--attn_mask", action="store_false", help="giving it turns the causal mask OFF, as published")
    add("--temp_proj", type=int, default=1, help="steps that the temporal projection leaves; 0: the last step")
    add("--batch_size", type=positive, default=32, help="over all processes")
    add("--clip", type=float, default=0.8, help="largest norm of the gradient")
    add("--lr", type=float, default=1e-3)
    add("--optim", default="SGD", help="a class of torch.optim; SGD has momentum 0.9")
    add("--num_epochs", type=positive, default=40)
    add("--when", type=int, default=20, help="epochs without progress before the plateau schedule divides lr by 10")
    add("--batch_chunk", type=positive, default=1, help="backward in so many parts (the published script ignores it)")
    add("--pretrain", metavar="PATH", help="weights to start from, a file or a name in pre_trained_models")
    add("--jsd", action="store_true", help="add the divergence between modalities to the loss")
    add("--schedule", default="default", help="CyclicLR, calr, warmup; any other word: plateau")
    add("--base_lr", type=float, default=1e-4, help="CyclicLR")
    add("--max_lr", type=float, default=1e-2, help="CyclicLR")
    add("--step_up", type=positive, default=2000, help="CyclicLR")
    add("--lr_stepper", default="steplr", help="warmup: what follows it")
    add("--stepper_size", type=positive, default=10, help="warmup: epochs between divisions of lr by 10")
    add("--warm_epoch", type=int, default=5, help="warmup: epochs until lr is reached")
    add("--log_interval", type=positive, default=30, help="batches between progress lines")
    add("--seed", type=int, default=581)
    add("--no_cuda", action="store_true", help="the same as --gpu -1")
    add("--name", default="UCRN", help="name of the run")
    add("--visualize", **_switch(), help="test a saved model (--resume, or pre_trained_models/<name>_<MODEL>.pt)")
    add("--vis_dir", type=Path, default=Path("UCRN/visfolder"), help="where --visualize writes its arrays")
    ours = p.add_argument_group("ours, for this script")
    ours.add_argument("--gpu", type=int, nargs="+", default=[0], metavar="I", help="CUDA devices; -1 is the CPU")
    ours.add_argument("--without", nargs="+", choices=PARTS, default=[], help="leave parts of the network out")
    ours.add_argument("--positions", action="store_true", help="sinusoidal positions in every encoder")
    ours.add_argument("--bert", type=Path, metavar="DIR", help="local folder of the BERT for --use_bert")
    ours.add_argument("--bert_length", type=positive, default=50, metavar="N", help="tokens read of raw_text")
    ours.add_argument("--official_order", action="store_true", help="batches in the order of an unseeded generator")
    ours.add_argument("--robustness", action="store_true", help="at the end, test with modalities missing and noise")
    add_run_flags(p, QUIRKS)
    return p


def _switch() -> dict[str, Any]:
    """A published flag of type bool: alone it is true, and "False" is false (there, every word was true)."""
    return {"type": boolean, "nargs": "?", "const": True, "default": False, "metavar": "BOOL"}


def _check(args: Namespace) -> None:
    if args.model != "UCRN":
        raise UserError(f"--model {args.model}: no such model; expected UCRN")
    if args.dataset not in DATASETS:
        raise UserError(f"--dataset {args.dataset}: expected one of {', '.join(DATASETS)}")
    if WIDTH % args.num_heads:
        raise UserError(f"--num_heads {args.num_heads}: expected a divisor of {WIDTH}")
    for flag in ("nlevels", "temp_proj", "when", "warm_epoch"):
        if getattr(args, flag) < 0:
            raise UserError(f"--{flag} {getattr(args, flag)}: expected 0 or more")
    for flag in RATES:
        if not 0 <= getattr(args, flag) <= 1:
            raise UserError(f"--{flag} {getattr(args, flag)}: expected a rate of 0 to 1")
    optimizer = getattr(torch.optim, args.optim, None)
    if not (isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)):
        raise UserError(f"--optim {args.optim}: no optimizer of torch.optim; for example Adam or SGD")
    if args.optim in ("LBFGS", "SparseAdam"):
        raise UserError(f"--optim {args.optim}: works on other losses or gradients; take for example Adam or SGD")
    if args.use_bert and args.bert is None:
        raise UserError("--use_bert: name the folder of a BERT with --bert DIR")
    if args.visualize and args.resume == "auto":
        raise UserError("--visualize --resume auto: name the checkpoint to test")
