"""Bad input of DynMM's scripts: one line that names the thing, and nothing overwritten."""

import pickle
import runpy

import h5py
import numpy as np
import pytest
import torch

from common.errors import UserError
from tests.support.dynmm_runs import run
from tests.support.run_folders import earlier_run
from tests.support.run_folders import refusal as refused


@pytest.fixture
def run_dir(tmp_path):
    """The folder of an earlier run, which must stay as it is."""
    return earlier_run(tmp_path / "run")


def refusal(script, inputs, run_dir, *flags):
    return refused(run_dir, lambda: run(script, inputs, run_dir, *flags))


def change_clips(inputs, change):
    """Rewrite the clips' pickle after change(splits)."""
    path = inputs / "clips" / "mosei_senti_data.pkl"
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("script", ["imdb_uni", "imdb_mm", "imdb_dyn"])
def test_missing_films(inputs, run_dir, script):
    message = refusal(script, inputs, run_dir, "--data-path", "nowhere.hdf5")
    assert message.startswith("nowhere.hdf5: no such file")
    assert "python -m common.standins mm_imdb" in message


@pytest.mark.parametrize("script", ["affect_uni", "affect_mm", "affect_dyn"])
def test_missing_clips(inputs, run_dir, script):
    message = refusal(script, inputs, run_dir, "--data-path", "nowhere.pkl")
    assert message.startswith("nowhere.pkl: no such file")
    assert "python -m common.standins cmu_mosei" in message
    assert "--layout multibench" in message


def test_damaged_films(own_inputs, run_dir):
    path = own_inputs / "films" / "multimodal_imdb.hdf5"
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal("imdb_uni", own_inputs, run_dir).startswith(f"{path}: truncated")
    path.write_bytes(b"no HDF5")
    assert refusal("imdb_uni", own_inputs, run_dir).startswith(f"{path}: not an HDF5 file")


def test_films_with_other_features(own_inputs, run_dir):
    path = own_inputs / "films" / "multimodal_imdb.hdf5"
    with h5py.File(path, "a") as file:
        rows = len(file["features"])
        del file["features"]
        file["features"] = np.zeros((rows, 299), np.float32)
    assert refusal("imdb_mm", own_inputs, run_dir) == (
        f"{path}: dataset 'features' has shape ({rows}, 299), expected (N, 300)"
    )


def test_sizes_that_do_not_add_up(inputs, run_dir):
    message = refusal("imdb_uni", inputs, run_dir, "--sizes", "90", "20", "50")
    assert "168 rows, but --sizes 90 20 50 make 160" in message


def test_pickle_that_would_run_code_is_refused_and_not_executed(own_inputs, run_dir, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    path = own_inputs / "clips" / "mosei_senti_data.pkl"
    path.write_bytes(pickle.dumps({"train": Evil()}))
    message = refusal("affect_uni", own_inputs, run_dir)
    assert message.startswith(f"{path}: ")
    assert "open" in message
    assert not (tmp_path / "executed").exists()


def test_unaligned_clips(own_inputs, run_dir):
    def widen(content):
        for split in content.values():
            split["audio"] = np.repeat(split["audio"], 2, axis=1)

    change_clips(own_inputs, widen)
    message = refusal("affect_mm", own_inputs, run_dir)
    assert "(20, 40, 20) steps of text, audio, vision; expected an aligned file" in message


def test_other_data(inputs, run_dir):
    assert refusal("affect_uni", inputs, run_dir, "--data", "sims") == "--data sims: expected mosei or mosi"


def test_unknown_modality_and_width(inputs, run_dir):
    assert refusal("imdb_uni", inputs, run_dir, "--mod", "2") == "--mod: found 2, expected 0 (text) or 1 (image)"
    message = refusal("affect_uni", inputs, run_dir, "--hidden-dim1", "32")
    assert message.startswith("--hidden-dim1: found 32, expected a multiple of 5")


@pytest.mark.parametrize(
    ("script", "file", "command"),
    [
        ("imdb_dyn", "imdb/head_text.pt", "python -m dynmm.modality.imdb_uni --mod 0"),
        ("imdb_dyn", "imdb/best_lf.pt", "python -m dynmm.modality.imdb_mm --fuse 1"),
        (
            "affect_dyn",
            "mosei/reg_transformer_encoder_text.pt",
            "python -m dynmm.modality.affect_uni --mod 2 --data mosei",
        ),
        ("affect_dyn", "mosei/lf_tran.pt", "python -m dynmm.modality.affect_mm --fusion 3 --data mosei"),
    ],
)
def test_missing_expert_names_the_command_that_trains_it(own_inputs, run_dir, script, file, command):
    (own_inputs / "log" / file).unlink()
    message = refusal(script, own_inputs, run_dir)
    assert message.startswith(f"{own_inputs}/log/{file}: no such expert")
    assert message.endswith(f"train it first: {command}")


def test_missing_network_of_eval_only(inputs, run_dir):
    message = refusal("imdb_dyn", inputs, run_dir, "--eval-only", "--reg", "0.7")
    assert "DynMMNet_freezeFalse_reg_0.7.pt: no such expert" in message
    assert "python -m dynmm.modality.imdb_dyn" in message


def test_expert_of_other_sizes(inputs, run_dir):
    message = refusal("imdb_dyn", inputs, run_dir, "--narrow", "8")
    assert message.startswith(f"{inputs}/log/imdb/encoder_text.pt: 'fc.weight' is (30, 300), this network's (60, 300)")
    assert "--narrow" in message


def test_expert_that_read_padding_in_another_way(inputs, run_dir):
    message = refusal("affect_dyn", inputs, run_dir, "--quirk", "padding=masked")
    assert "was trained with --quirk padding=official, this run has padding=masked" in message


def test_damaged_and_foreign_expert(own_inputs, run_dir):
    path = own_inputs / "log" / "imdb" / "best_lf.pt"
    path.write_bytes(path.read_bytes()[:-500])
    assert refusal("imdb_dyn", own_inputs, run_dir).startswith(f"{path}: truncated")
    torch.save(torch.nn.Linear(2, 2), path)  # a whole module, as the published scripts save it
    message = refusal("imdb_dyn", own_inputs, run_dir)
    assert message.startswith(f"{path}: holds '")
    assert "state_dict()" in message


def test_resume_from_what_is_no_checkpoint_of_a_run(inputs, run_dir):
    path = inputs / "log" / "imdb" / "best_lf.pt"
    message = refusal("imdb_mm", inputs, run_dir, "--fuse", "1", "--resume", str(path))
    assert message == f"--resume {path}: expected the last.pt of a run of this script"


def test_batch_that_leaves_a_single_film_for_batch_norm(inputs, run_dir):
    message = refusal("imdb_mm", inputs, run_dir, "--batch-size", "19")
    assert message.startswith("--batch-size 19: the last batch of 96 training samples holds 1")


def test_not_a_number_stops_before_the_update_and_names_step_and_rate(inputs, tmp_path):
    with pytest.raises(UserError, match=r"step \d+: the loss is (nan|inf), epoch \d, learning rate 1e\+30; "):
        run("imdb_mm", inputs, tmp_path / "run", "--lr", "1e30", "--log-dir", str(tmp_path))
    assert not (tmp_path / "imdb").exists()


def test_macro_f1_of_zero_for_eight_epochs_is_told(inputs, tmp_path, monkeypatch):
    from dynmm.modality.imdb.scores import GenreTask

    metrics = GenreTask.metrics
    monkeypatch.setattr(GenreTask, "metrics", lambda self, logits, labels: metrics(self, logits - 1e6, labels))
    with pytest.raises(UserError) as caught:
        run("imdb_uni", inputs, tmp_path / "run", "--n-epochs", "30", "--log-dir", str(tmp_path))
    assert "macro F1 on the validation set was 0 for 8 epochs" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "imdb").exists()


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*")
def test_command_prints_one_line_and_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["imdb_mm", "--gpu", "-1", "--fuse", "9"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("dynmm.modality.imdb_mm", run_name="__main__")
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("error: --fuse: found 9, expected one of 0 (ef)")
    assert len(printed.err.splitlines()) == 1
