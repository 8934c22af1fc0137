"""Files of the modality level: published names, what they hold, and one line where they do not fit."""

from pathlib import Path

import pytest
import torch

from common.errors import UserError
from dynmm.modality.affect import files as affect_files
from dynmm.modality.affect import networks as affect_networks
from dynmm.modality.imdb import files as imdb_files
from dynmm.modality.imdb import networks as imdb_networks
from dynmm.modality.imdb.networks import ImdbSizes
from dynmm.modality.networks.checkpoints import (
    combine_facts,
    expert_file,
    load_network,
    save_network,
)

LOG = Path("log")
SIZES = ImdbSizes(text=6, image=8, genres=3, narrow=40)


def test_imdb_files_have_the_published_names():
    found = [
        *imdb_files.expert_files(LOG, 0),
        *imdb_files.expert_files(LOG, 1),
        *(imdb_files.fusion_file(LOG, fuse) for fuse in range(4)),
    ]
    names = ["encoder_text", "head_text", "encoder_image", "head_image", "best_ef", "best_lf", "best_lrtf", "best_mim"]
    assert found == [LOG / "imdb" / f"{name}.pt" for name in names]
    assert imdb_files.fusion_file(LOG, "lf") == LOG / "imdb" / "best_lf.pt"
    assert imdb_files.dynamic_file(LOG, True, 0.1) == LOG / "imdb" / "DynMMNet_freezeTrue_reg_0.1.pt"
    assert imdb_files.dynamic_file(LOG, False, 0, "other") == LOG / "other" / "DynMMNet_freezeFalse_reg_0.0.pt"


def test_affect_files_have_the_published_names():
    text = affect_files.expert_files(LOG, "mosei", 2)
    assert [path.name for path in text] == ["reg_transformer_encoder_text.pt", "reg_transformer_head_text.pt"]
    audio = affect_files.expert_files(LOG, "mosi", 1, "gru", clf=True)
    assert audio.encoder == LOG / "mosi" / "clf_gru_encoder_audio.pt"
    assert [affect_files.fusion_file(LOG, "mosei", n).name for n in range(6)] == [
        f"{name}.pt" for name in ["ef_gru", "lf_gru", "ef_tran", "lf_tran", "mult", "lrtf"]
    ]
    dynamic = affect_files.dynamic_file(LOG, "mosei", "transformer", 0.01, True)
    assert dynamic == LOG / "mosei" / "dyn_enc_transformer_reg_0.01freezeTrue.pt"


def test_copy_under_the_prefixed_name_goes_before_the_name_that_training_writes(tmp_path):
    written = affect_files.fusion_file(tmp_path, "mosei", 3)
    written.parent.mkdir()
    written.touch()
    assert expert_file(written, "b2_", "command") == written
    copy = written.with_name("b2_lf_tran.pt")
    copy.touch()
    assert expert_file(written, "b2_", "command") == copy
    assert expert_file(written, "", "command") == written


def test_missing_expert_names_the_command_that_trains_it(tmp_path):
    path, command = imdb_files.fusion_file(tmp_path, 1), "python -m dynmm.modality.imdb_mm --fuse 1"
    with pytest.raises(UserError) as error:
        expert_file(path, "", command)
    assert str(error.value) == f"{path}: no such expert; train it first: {command}"
    with pytest.raises(UserError, match=r"no such expert \(nor b2_best_lf.pt\)"):
        expert_file(path, "b2_", command)


def test_saved_network_comes_back_with_its_config_and_provenance(tmp_path):
    path = imdb_files.fusion_file(tmp_path, 1)
    saved, loaded = (imdb_networks.fusion_network("lf", SIZES).eval() for _ in range(2))
    digest = save_network(saved, path, {"narrow": 40, "standin": True})
    facts = load_network(loaded, path)
    assert (facts["sha256"], facts["published"], facts["standin"]) == (digest, False, True)
    assert facts["config"]["narrow"] == 40
    inputs = [torch.randn(4, 6), torch.randn(4, 8)]
    assert torch.equal(saved(inputs), loaded(inputs))


def test_bare_state_dict_with_published_names_loads_and_counts_as_published_where_the_user_says_so(tmp_path):
    saved, loaded = (imdb_networks.text_expert(SIZES)[0] for _ in range(2))
    torch.save({f"module.{name}": value for name, value in saved.state_dict().items()}, tmp_path / "encoder_text.pt")
    facts = load_network(loaded, tmp_path / "encoder_text.pt", said_to_be_published=True)
    assert (facts["published"], facts["standin"], facts["config"]) == (True, False, {})
    assert (facts["published_by"], facts["ours"]) == ("user", False)
    assert torch.equal(saved.fc.weight, loaded.fc.weight)
    unsaid = load_network(loaded, tmp_path / "encoder_text.pt")
    assert (unsaid["published"], unsaid["published_by"]) == (False, None)


def test_our_own_file_is_never_published_whatever_the_user_says(tmp_path):
    for standin in (True, False):
        save_network(imdb_networks.text_expert(SIZES), tmp_path / "text.pt", {"standin": standin})
        facts = load_network(imdb_networks.text_expert(SIZES), tmp_path / "text.pt", said_to_be_published=True)
        assert (facts["published"], facts["published_by"], facts["standin"], facts["ours"]) == (
            False,
            None,
            standin,
            True,
        )


def test_several_files_are_published_together_and_ours_together(tmp_path):
    torch.save(imdb_networks.text_expert(SIZES).state_dict(), tmp_path / "theirs.pt")
    save_network(imdb_networks.text_expert(SIZES), tmp_path / "ours.pt", {})
    theirs, ours = (
        load_network(imdb_networks.text_expert(SIZES), tmp_path / f"{n}.pt", True) for n in ("theirs", "ours")
    )
    found = {
        name: [combine_facts(files)[name] for files in ([theirs], [theirs, theirs], [theirs, ours], [ours])]
        for name in ("published", "published_by", "ours")
    }
    assert found["published"] == [True, True, False, False]
    assert found["published_by"] == ["user", "user", None, None]
    assert found["ours"] == [False, False, False, True]


def test_whole_module_pickle_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "best_lf.pt"
    torch.save(imdb_networks.fusion_network("lf", SIZES), path)
    with pytest.raises(UserError) as error:
        load_network(imdb_networks.fusion_network("lf", SIZES), path)
    message = str(error.value)
    assert message.startswith(f"{path}: holds 'dynmm.modality.networks.fusion.MMDL'")
    assert "state_dict()" in message
    assert "\n" not in message


def test_damaged_file_says_so_and_nothing_of_pickles(tmp_path):
    path = tmp_path / "best_lf.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="truncated or damaged") as error:
        load_network(imdb_networks.text_expert(SIZES), path)
    assert "state_dict" not in str(error.value)


def test_file_of_another_network_names_the_entry(tmp_path):
    path = tmp_path / "encoder_text.pt"
    save_network(imdb_networks.text_expert(SIZES), path, {})
    with pytest.raises(UserError, match=r"encoder_text.pt: '0.fc.weight' is \(10, 6\), this network's \(512, 300\)"):
        load_network(imdb_networks.text_expert(), path)
    with pytest.raises(UserError, match=r"encoder_text.pt: lacks 'encoders.0.op0.weight'"):
        load_network(imdb_networks.fusion_network("lf", SIZES), path)


def lrtf(mode):
    return affect_networks.fusion_network(5, affect_networks.AffectSizes(4, 4, 4, narrow=50), lrtf=mode).eval()


def test_untrained_factors_are_kept_beside_the_state_dict(tmp_path):
    saved, loaded, path = lrtf("official"), lrtf("official"), tmp_path / "lrtf.pt"
    save_network(saved, path, {})
    load_network(loaded, path)
    inputs, lengths = [torch.randn(2, 3, 4) for _ in range(3)], torch.tensor([3, 2])
    assert torch.equal(saved(inputs, lengths), loaded(inputs, lengths))


def test_untrained_factors_that_a_bare_state_dict_lacks_are_named(tmp_path):
    torch.save(lrtf("official").state_dict(), tmp_path / "lrtf.pt")
    with pytest.raises(UserError, match=r"lacks 'fuse.factor0' \(10, 11, 10\): the untrained factors"):
        load_network(lrtf("official"), tmp_path / "lrtf.pt")
    with pytest.raises(UserError, match=r"lacks 'fuse.factor0'"):
        load_network(lrtf("trained"), tmp_path / "lrtf.pt")
    save_network(lrtf("trained"), tmp_path / "trained.pt", {})
    with pytest.raises(UserError, match=r"holds 'fuse.factor0'"):
        load_network(lrtf("official"), tmp_path / "trained.pt")
