"""Bad input of UCRN: one line that names the thing, exit status 2, nothing overwritten."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.pickles import load_arrays_pickle, save_arrays_pickle
from tests.support.run_folders import checkpoint, earlier_run, finals
from tests.support.run_folders import refusal as refused
from tests.support.ucrn_runs import command, published_classes, small_model
from ucrn.main import main

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def run_dir(tmp_path):
    """The folder of an earlier run, which must stay as it is."""
    return earlier_run(tmp_path / "run")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory, no_pictures):
    folder = tmp_path_factory.mktemp("trained")
    main(command(data, folder, "--num_epochs", "1"))
    return folder / "checkpoints" / "best.pt"


def refusal(run_dir, argv):
    return refused(run_dir, lambda: main(argv))


def changed(folder, change, name="mosei_senti_data_noalign.pkl"):
    """The file of the data set after `change` has had its content."""
    content = load_arrays_pickle(folder / name)
    change(content)
    save_arrays_pickle(content, folder / name)
    return folder / name


def test_missing_folder_names_the_file_its_source_and_the_stand_in(run_dir, tmp_path):
    message = refusal(run_dir, command(tmp_path / "nowhere", run_dir))
    assert message.startswith(f"{tmp_path}/nowhere/mosei_senti_data_noalign.pkl: no such file")
    assert "python -m common.standins cmu_mosei" in message
    assert "--data_path" in message


def test_dataset_that_the_folder_does_not_hold(data, run_dir):
    message = refusal(run_dir, command(data, run_dir, "--dataset", "mosi"))
    assert message.startswith(f"{data}/mosi_data_noalign.pkl: no such file")
    assert "mosei_senti_data_noalign.pkl" in message  # what there is
    assert "python -m common.standins cmu_mosi" in message


def test_pickle_that_would_run_code(own_data, run_dir, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    path = own_data / "mosei_senti_data_noalign.pkl"
    path.write_bytes(pickle.dumps({"train": Evil()}))
    message = refusal(run_dir, command(own_data, run_dir))
    assert message.startswith(f"{path}: holds '")
    assert "open'" in message
    assert not (tmp_path / "executed").exists()


def test_truncated_file(own_data, run_dir):
    path = own_data / "mosei_senti_data_noalign.pkl"
    path.write_bytes(path.read_bytes()[:-1000])
    assert refusal(run_dir, command(own_data, run_dir)).startswith(f"{path}: truncated or damaged")


@pytest.mark.parametrize("missing", ["valid", "audio"])
def test_missing_key_is_named(own_data, run_dir, missing):
    path = changed(own_data, lambda content: (content if missing == "valid" else content["test"]).pop(missing))
    message = refusal(run_dir, command(own_data, run_dir))
    assert message.startswith(f"{path}: ")
    assert f"'{missing}'" in message


def test_aligned_file_of_unequal_lengths(own_data, run_dir):
    unaligned = own_data / "mosei_senti_data_noalign.pkl"
    unaligned.replace(own_data / "mosei_senti_data.pkl")
    message = refusal(run_dir, command(own_data, run_dir, "--aligned"))
    assert "steps are text 6, audio 9, vision 8; --aligned" in message


@pytest.mark.parametrize("flag", ["--visualize", "--pretrain", "--resume"])
def test_checkpoint_for_other_lengths(data, run_dir, trained, flag):
    given = ["--visualize", "--resume", str(trained)] if flag == "--visualize" else [flag, str(trained)]
    message = refusal(run_dir, command(data, run_dir, "--aligned", *given))
    assert message.startswith(f"{trained}: 'temp_proj_")
    assert "(it is for 9 steps of a, the data have 6: see --aligned and --dataset)" in message


def test_checkpoint_for_other_features(mosi, run_dir, trained):
    message = refusal(run_dir, command(mosi, run_dir, "--dataset", "mosi", "--pretrain", str(trained)))
    assert "'proj_a.weight'" in message
    assert "(it is for 74 features of a, the data have 5: see --aligned and --dataset)" in message


@pytest.mark.parametrize("flags", [["--nlevels", "2"], ["--temp_proj", "2"], ["--without", "crm"], ["--positions"]])
def test_checkpoint_for_another_network(data, run_dir, trained, flags):
    message = refusal(run_dir, command(data, run_dir, "--visualize", "--resume", str(trained), *flags))
    assert message.startswith(f"{trained}: ")


def test_checkpoint_for_another_set_of_modalities(data, run_dir, trained):
    message = refusal(run_dir, command(data, run_dir, "--pretrain", str(trained), active="l"))
    assert message.startswith(f"{trained}: ")
    assert "another choice of --lonly --aonly --vonly" in message


def test_missing_checkpoint_says_where_one_was_looked_for(data, run_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flags in (["--visualize", "--name", "none"], ["--pretrain", "none"], ["--resume", "none"]):
        message = refusal(run_dir, command(data, run_dir, *flags))
        assert "no such saved model" in message
        assert "none" in message
        assert "pre_trained_models" in message


def test_truncated_checkpoint(data, run_dir, trained, tmp_path):
    cut = tmp_path / "cut.pt"
    cut.write_bytes(trained.read_bytes()[:-2000])
    assert refusal(run_dir, command(data, run_dir, "--resume", str(cut))).startswith(f"{cut}: truncated")


def test_checkpoint_that_would_run_code(data, run_dir, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with published_classes(small_model()) as module:
        module.options = Evil()
        torch.save(module, tmp_path / "module.pt")
    for name in ("evil.pt", "module.pt"):
        message = refusal(run_dir, command(data, run_dir, "--pretrain", str(tmp_path / name)))
        assert message.startswith(f"{tmp_path}/{name}: holds '")
        assert "open'" in message
        assert not (tmp_path / "executed").exists()


def test_checkpoint_that_is_no_model(data, run_dir, tmp_path):
    for content in ([1, 2], {"model": 3}, torch.nn.ReLU()):
        torch.save(content, tmp_path / "none.pt")
        message = refusal(run_dir, command(data, run_dir, "--pretrain", str(tmp_path / "none.pt")))
        assert message.startswith(f"{tmp_path}/none.pt: ")


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("key", ["audio", "vision", "text"])
def test_value_that_no_training_survives_names_file_split_array_and_row(own_data, run_dir, key, value):
    changed(own_data, lambda content: content["valid"][key].__setitem__((7, 3, 1), value))
    message = refusal(run_dir, command(own_data, run_dir))
    assert f"mosei_senti_data_noalign.pkl: split 'valid': '{key}' has NaN or infinite values in 1 clips" in message
    assert "first in row 7; expected finite numbers" in message


def test_values_of_a_modality_that_is_not_used_do_not_matter(own_data, tmp_path):
    changed(own_data, lambda content: content["train"]["vision"].__setitem__((7, 3, 1), np.nan))
    main(command(own_data, tmp_path / "run", "--num_epochs", "1", active="la"))
    assert np.isfinite(finals(tmp_path / "run")["official"]["mae"])


def test_minus_infinity_in_audio_is_cleaned_and_told(own_data, tmp_path, capsys):
    changed(own_data, lambda content: content["test"]["audio"].__setitem__((7, 3, [1, 2]), -np.inf))
    main(command(own_data, tmp_path / "run", "--num_epochs", "1"))
    assert np.isfinite(finals(tmp_path / "run")["official"]["mae"])
    cleaned = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mosei_senti test: 24 clips")]
    assert re.fullmatch(r"mosei_senti test: 24 clips, \d+ values of -inf in the audio set to 0", cleaned[0])


@pytest.mark.parametrize("optim", ["SGD", "Adam"])
def test_exploding_loss_stops_training(data, tmp_path, optim):
    with pytest.raises(UserError, match=r"step \d: the loss is (nan|inf), epoch \d+, learning rate 1e\+15; "):
        main(command(data, tmp_path / "run", "--lr", "1e15", "--optim", optim, "--num_epochs", "3"))


@pytest.mark.parametrize("flags", [["--lr", "-1"], ["--optim", "Muon"]], ids=" ".join)
def test_optimizer_that_cannot_be_built_leaves_an_earlier_run_alone(data, run_dir, flags):
    assert refusal(run_dir, command(data, run_dir, *flags)).startswith("--optim ")


@pytest.mark.parametrize(
    ("flags", "word"), [(["--num_heads", "4"], "divisor of 30"), (["--optim", "nonsense"], "Adam")]
)
def test_flags_are_looked_at_first(data, run_dir, flags, word):
    assert word in refusal(run_dir, command(data, run_dir, *flags))


def test_no_modality(data, run_dir):
    assert refusal(run_dir, command(data, run_dir, active="")).startswith("unknown partial mode type")


def test_half_precision_of_a_cpu(data, run_dir):
    assert refusal(run_dir, command(data, run_dir, "--precision", "fp16")).startswith("--precision fp16")


def test_finished_run_is_not_overwritten(data, trained):
    folder = trained.parents[1]
    assert "holds a finished run" in refusal(folder, command(data, folder, "--num_epochs", "1"))
    assert checkpoint(folder, "best.pt")["epoch"] == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_command_exits_with_2_and_one_line(tmp_path):
    flags = ["--lonly", "--gpu", "7", "--data_path", "nowhere", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "ucrn.main", *flags], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["no CUDA device here: running on the CPU (--gpu 7 asked for)"]
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: nowhere/mosei_senti_data_noalign.pkl: no such file")
    assert not (tmp_path / "run").exists()
