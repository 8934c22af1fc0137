"""The emotion task's command: records, pictures, resume, BERT, errors."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.standins.weights.standin import write_weights
from reproductions.report.runs import read_run
from tests.support.emotion_runs import command
from tests.support.run_folders import checkpoint, facts, finals, metrics
from tests.support.xnorm_runs import assert_same_run, log_lines
from xnorm.emotion import train
from xnorm.emotion.flags import read_flags
from xnorm.emotion.main import main
from xnorm.emotion.model import FUSIONS

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def finished(spoken, tmp_path_factory):
    """Run folders of all methods."""
    folder = tmp_path_factory.mktemp("finished")
    for fusion in FUSIONS:
        main(command(spoken, folder / fusion, fusion))
    return folder


@pytest.mark.parametrize("fusion", FUSIONS)
def test_record_is_whole_and_the_last_line_is_the_documented_one(finished, fusion):
    record = read_run(finished / fusion)
    assert (record.info["script"], record.standin) == ("emotion", True)
    assert record.finals["official"] == record.finals["clean"]  # nothing is published: one protocol, ours
    assert record.finals["clean"]["majority"] == pytest.approx(100 / 6)
    shown = re.sub(r"(acc|ua|macro_f1|majority) [\d.]+", r"\1 ..", log_lines(finished / fusion)[-1])
    for file in ("xnorm/emotion/main.py", "xnorm/README.md"):
        assert f"\n    {re.sub(r'epoch [0-9]+', 'epoch ..', shown)}\n" in (ROOT / file).read_text()


def test_exchange_is_recorded_by_layer_and_stream(finished):
    names = {f"{kind}_{stream}_l{k}" for kind in ("gamma", "beta") for stream in ("text", "audio") for k in (0, 1)}
    assert all(line.keys() - {"epoch", "split"} == names for line in metrics(finished / "xnorm", "exchange"))
    assert metrics(finished / "late", "exchange") == []


def test_evaluation_of_a_checkpoint_gives_the_scores_of_its_run(spoken, finished, tmp_path):
    best = finished / "xnorm" / "checkpoints" / "best.pt"
    main(command(spoken, tmp_path / "run", "xnorm", "--evaluate", "--resume", str(best)))
    again, before = finals(tmp_path / "run")["checkpoint"], finals(finished / "xnorm")["official"]
    assert {**again, "epoch": None} == {**before, "epoch": None}


def test_killed_run_ends_like_an_uninterrupted_one(spoken, finished, tmp_path, monkeypatch):
    argv, train_epoch = command(spoken, tmp_path / "run", "xnorm"), train.train_epoch

    def killed(*args):
        if args[-1] == 2:
            raise KeyboardInterrupt
        return train_epoch(*args)

    with monkeypatch.context() as patched:
        patched.setattr(train, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            main(argv)
    main([*argv, "--resume", "auto"])
    assert_same_run(finished / "xnorm", tmp_path / "run")


def test_two_processes_score_every_clip_once(spoken, tmp_path):
    argv = command(spoken, tmp_path / "two", "xnorm", "--dropout", "0")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "xnorm.emotion", *argv], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    main(command(spoken, tmp_path / "one", "xnorm", "--dropout", "0"))
    for split in ("train", "valid"):
        losses = [[line["loss"] for line in metrics(tmp_path / run, split)] for run in ("one", "two")]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_tokens_are_read_by_a_bert(spoken, tmp_path):
    write_weights(tmp_path / "weights", only=["bert"])
    data = tmp_path / "tokens"
    data.mkdir()
    (data / "names.json").write_text((spoken / "names.json").read_text())
    for split in ("train", "valid", "test"):
        with np.load(spoken / f"{split}.npz") as stored:
            arrays = {name: stored[name] for name in stored.files if name not in ("text", "text_mask")}
            ids = 5 + np.arange(12) % 20 + np.zeros_like(stored["text_mask"], dtype=np.int64)
            tokens = np.stack([ids, stored["text_mask"], 0 * ids], axis=1)
        np.savez(data / f"{split}.npz", text_tokens=tokens, **arrays)
    with pytest.raises(UserError, match=r"train\.npz: holds text_tokens: name a BERT with --bert DIR"):
        main(command(data, tmp_path / "run", "early"))
    bert = str(tmp_path / "weights" / "bert-base-uncased")
    main(command(data, tmp_path / "run", "early", "--bert", bert, "--weights-are-published"))
    assert (facts(tmp_path / "run")["state"], facts(tmp_path / "run")["weights"]["standin"]) == ("finished", True)
    assert facts(tmp_path / "run")["weights"]["published"] is False  # a stand-in, whatever the user says
    with pytest.raises(UserError, match=r"train\.npz: holds text: --bert has nothing to read"):
        main(command(spoken, tmp_path / "other", "early", "--bert", bert))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--heads", "3"], "--heads 3: expected a divisor of --width 128"),
        (["--exchange", "0", "4"], "--exchange 4: no such layer; --layers 4 are 0 to 3"),
        (["--weight", "2"], "--weight 2.0: expected 0 to 1"),
        (["--clip", "-1"], "--clip -1.0: expected more than 0"),
        (["--evaluate"], "--evaluate: name the checkpoint"),
        (["--fusion", "video"], "argument --fusion: invalid choice: 'video'"),
    ],
)
def test_what_is_refused(flags, message):
    with pytest.raises(UserError) as caught:
        read_flags(flags)
    assert str(caught.value).startswith(message)


def test_checkpoint_of_another_network(spoken, finished, tmp_path):
    last = finished / "late" / "checkpoints" / "last.pt"
    with pytest.raises(UserError, match=r"last\.pt: lacks 'exchanges\.0\..*another --fusion"):
        main(command(spoken, tmp_path / "run", "xnorm", "--resume", str(last)))
    assert torch.is_tensor(checkpoint(finished / "late")["model"]["text_out.fc1.weight"])
