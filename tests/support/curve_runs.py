"""The tiny runs that the curves are taken of: stand-ins, command lines, and which run needs another one first."""

import importlib
from pathlib import Path

from common.standins.__main__ import main as write_standin
from tests.support.curve_recording import Curve, one_thread, record

UCRN = "ucrn.main"
CEN = "cen.semantic_segmentation.main"
XNORM, EMOTION = "xnorm.main", "xnorm.emotion.main"
IMDB_UNI, IMDB_MM, IMDB_DYN = (f"dynmm.modality.imdb_{name}" for name in ("uni", "mm", "dyn"))
AFFECT_UNI, AFFECT_MM, AFFECT_DYN = (f"dynmm.modality.affect_{name}" for name in ("uni", "mm", "dyn"))

STANDINS = {  # name below FOLDER: the arguments of python -m common.standins
    "sentiment": "cmu_mosei FOLDER/sentiment --samples 24 --lengths 6 9 8",
    "clips": "cmu_mosei FOLDER/clips --samples 24 --layout multibench",
    "rooms": "nyudv2 FOLDER/rooms --samples 8 --size 48 64",
    "kitchens": "epic_kitchens FOLDER/kitchens --samples 16 --size 40 40",
    "more_kitchens": "epic_kitchens FOLDER/more_kitchens --samples 40 --size 40 40",
    "spoken": "emotion FOLDER/spoken --samples 36",
    "films": "mm_imdb FOLDER/films --samples 48",
    "resnet": "weights FOLDER/resnet --only resnet --depths 50 --width 4",
    "i3d": "weights FOLDER/i3d --only i3d --narrow 64",
}

# What all runs of a script have; FOLDER/<stand-in> is written before the run.
COMMON = {
    UCRN: "--lonly --aonly --vonly --data_path FOLDER/sentiment --nlevels 1 --num_epochs 6 --batch_size 8",
    CEN: "-d FOLDER/rooms --val-dir FOLDER/rooms --imagenet FOLDER/resnet --enc 50 --width 4 --num-workers 0 "
    "--batch-size 4 --crop-size 48 --shorter-side 40",
    XNORM: "--data_root FOLDER/kitchens --i3d FOLDER/i3d --narrow 64 --crop-size 32 --num_frames 9 --num_workers 0 "
    "--hidden_size 8 --num_epochs 5 --batch_size 6 --clip 4 --when 0 --patience 2",
    EMOTION: "--data FOLDER/spoken --width 8 --heads 2 --layers 2 --exchange 0 1 --hidden_size 8 --num_epochs 10 "
    "--batch_size 12 --learning_rate 3e-2 --clip 0.3 --when 0 --patience 2",
}
FILMS = "--data-path FOLDER/films --log-dir FOLDER/log --narrow 16 --batch-size 16"
CLIPS = "--data-path FOLDER/clips --log-dir FOLDER/log --narrow 16 --batch-size 8"
COMMON |= dict.fromkeys((IMDB_UNI, IMDB_MM, IMDB_DYN), FILMS)
COMMON |= dict.fromkeys((AFFECT_UNI, AFFECT_MM, AFFECT_DYN), CLIPS)

RUNS: dict[str, dict[str, str]] = {
    UCRN: {
        "adam_jsd": "--optim Adam --jsd --lr 1.5e-2 --clip 9 --when 0 --seed 2",
        "sgd_chunks": "--lr 1e-2 --clip 5 --when 0 --batch_chunk 2 --quirk select_on=valid_loss --seed 5",
    },
    CEN: {
        "three_stages": "--num-epoch 2 3 1 --lr-enc 1e-3 5e-4 2e-3 --lr-dec 2e-3 1e-3 5e-3 --val-every 2 "
        "--freeze-bn true false true --lamda 0.01 --random-seed 11",
        "adam_decoder": "--num-epoch 2 1 --lr-enc 1e-3 5e-4 --lr-dec 1e-3 3e-3 --val-every 1 --freeze-bn true false "
        "--optim-dec adam --mom-enc 0.8 --wd-enc 0.01 --wd-dec 0.02 --lamda 0.001 --random-seed 7",
    },
    XNORM: {
        "rgb": "--fusion rgb --learning_rate 2e-4 --seed 2",
        "late": "--fusion late --learning_rate 2e-4 --seed 1",
        "misa": "--fusion misa --learning_rate 1e-2 --seed 0",
        "mult": "--fusion mult --learning_rate 1e-2 --seed 5",
        "gb": "--data_root FOLDER/more_kitchens --fusion gb --learning_rate 2e-4 --num_gb_epochs 2 --batch_size 4 "
        "--max-steps 2 --num_epochs 4 --seed 7",
        "xnorm": "--fusion xnorm --learning_rate 1e-4 --seed 6",
    },
    EMOTION: {
        "xnorm": "--fusion xnorm --seed 5",
        "late": "--fusion late --seed 1",
    },
    IMDB_UNI: {"text": "--n-epochs 12 --lr 2e-2 --seed 0"},
    IMDB_MM: {"late": "--fuse 1 --n-epochs 12 --lr 2e-2 --seed 0"},
    IMDB_DYN: {
        "soft": "--n-epochs 4 --lr 2e-4 --reg 0.3 --seed 2",
        "hard_frozen": "--n-epochs 5 --lr 1e-3 --reg 0.02 --freeze --hard --seed 1",
    },
    AFFECT_UNI: {"text": "--n-epochs 12 --lr 1e-2 --seed 1"},
    AFFECT_MM: {"late": "--n-epochs 13 --lr 1e-2 --seed 2"},
    AFFECT_DYN: {
        "soft": "--n-epochs 5 --lr 5e-3 --reg 0.02 --seed 1",
        "hard_frozen": "--n-epochs 5 --lr 1e-3 --reg 0.02 --freeze --hard-gate --seed 0",
    },
}
NEEDS = {
    IMDB_DYN: [(IMDB_UNI, "text"), (IMDB_MM, "late")],
    AFFECT_DYN: [(AFFECT_UNI, "text"), (AFFECT_MM, "late")],
}


class Curves:
    """Makes each run once, below `folder`; shake: see `curve_recording.Steps`."""

    def __init__(self, folder: Path, shake: float = 0.0) -> None:
        self.folder, self.shake = folder, shake
        self.made: dict[tuple[str, str], Curve] = {}

    def __call__(self, script: str, name: str) -> Curve:
        """The curve of RUNS[script][name]."""
        if (script, name) not in self.made:
            for needed in NEEDS.get(script, []):
                self(*needed)
            with one_thread():
                self.made[script, name] = self.run(script, name)
        return self.made[script, name]

    def run(self, script: str, name: str) -> Curve:
        """Write the stand-ins that are not there yet, and run the script."""
        flags = f"{COMMON[script]} {RUNS[script][name]}"
        for standin in [standin for standin in STANDINS if f"FOLDER/{standin}" in flags]:
            if not (self.folder / standin).exists():
                write_standin(self.words(STANDINS[standin]))
        run_dir = self.folder / "runs" / script / name
        argv = [*self.words(flags), "--gpu", "-1", "--run-dir", str(run_dir)]
        return record(importlib.import_module(script).main, argv, run_dir, self.shake)

    def words(self, line: str) -> list[str]:
        """A command line as a list, FOLDER filled in."""
        return line.replace("FOLDER", str(self.folder)).split()
