"""A second data set costs its reader and one entry of DATASETS: flags, transforms, pictures and runs follow it."""

from pathlib import Path

import numpy as np
import pytest

from cen.semantic_segmentation.datasets import DATASETS, NYUDV2, RGBDDataset
from cen.semantic_segmentation.main import main
from cen.semantic_segmentation.transforms import crop_align_to_mask, resize_align_to_mask
from common.datasets.nyudv2.reader import CLASSES, palette
from common.errors import UserError
from tests.support.run_folders import facts, finals

SIDE, IGNORED = 32, 9


class Squares:
    """Four images of 32 x 32 whose masks show all of them in 16 x 16: label 2 within, 0 around, an ignored corner."""

    def __init__(self, folder, list_file, split, num_classes):
        self.folder, self.list_file, self.split, self.num_classes = Path(folder), list_file, split, num_classes

    def __len__(self):
        return 4

    def __getitem__(self, index):
        mask = np.zeros((SIDE // 2, SIDE // 2), np.uint8)
        mask[4:12, 4 + index : 12 + index] = 2
        large = mask.repeat(2, axis=0).repeat(2, axis=1)[..., None].repeat(3, axis=2)
        mask[0, 0] = IGNORED
        return {"rgb": 100 * large, "depth": 1000 * large.astype(np.uint16), "mask": mask}

    def fingerprint(self):
        return self.split


@pytest.fixture
def squares(monkeypatch):
    dataset = RGBDDataset(
        name="squares",
        reader=Squares,
        classes=("ground", "nothing", "square"),
        colours=np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(256, 3),
        ignore=IGNORED,
        depth_scale=1 / 1000,
        align=resize_align_to_mask,
        folder="squares",
        lists={"train": "lists/train.txt", "val": "lists/val.txt"},
    )
    monkeypatch.setitem(DATASETS, dataset.name, dataset)
    return dataset


def test_defaults_of_the_flags_are_those_of_the_data_set(flags, squares):
    settings = flags("--dataset", "squares", "--val-dir", "elsewhere")
    assert (settings.train_dir, settings.val_dir) == ("squares", "elsewhere")
    assert (settings.train_list, settings.val_list) == ("lists/train.txt", "lists/val.txt")
    assert (settings.num_classes, settings.ignore_label, settings.norm.depth_scale) == (3, IGNORED, 1 / 1000)
    assert flags().train_dir == NYUDV2.folder


def test_transforms_align_as_the_data_set_says(flags, squares):
    settings, sample = flags("--dataset", "squares"), Squares("", "", "val", 3)[0]
    assert {key: tuple(tensor.shape) for key, tensor in settings.val_transform(sample).items()} == {
        "rgb": (3, 16, 16),
        "depth": (3, 16, 16),
        "mask": (16, 16),
    }
    assert settings.train_transform.align is resize_align_to_mask
    assert flags().val_transform.align is flags().train_transform.align is crop_align_to_mask


def test_own_ignore_label_is_replaced_where_another_is_asked_for(flags, squares):
    small = ["--crop-size", "16", "--shorter-side", "16", "--low-scale", "1", "--high-scale", "1"]
    for asked, left in ((["--ignore-label", "255"], 255), ([], IGNORED)):
        settings = flags("--dataset", "squares", *small, *asked)
        mask = settings.train_transform(Squares("", "", "train", 3)[0], np.random.default_rng(0))["mask"]
        assert set(mask.unique().tolist()) == {0, 2, left}


def test_pictures_have_its_names_and_colours(flags, squares):
    assert flags("--dataset", "squares").look.classes == squares.classes
    assert flags("--dataset", "squares").look.colours is squares.colours
    assert flags().look.classes == CLASSES
    assert np.array_equal(NYUDV2.colours[:40], palette()[1:])
    assert NYUDV2.colours[255].tolist() == [0, 0, 0]


def test_it_trains_and_is_named_in_the_record(squares, tmp_path):
    sizes = ["--enc", "50", "--width", "4", "--crop-size", "16", "--shorter-side", "16", "--batch-size", "2"]
    once = ["--num-epoch", "1", "--lr-enc", "1e-3", "--lr-dec", "1e-3", "--val-every", "1", "--num-workers", "0"]
    start = ["--gpu", "-1", "--enc-pretrained", "false", "--run-dir", str(tmp_path)]
    main(["--dataset", "squares", *sizes, *once, *start])
    assert facts(tmp_path)["dataset"]["name"] == facts(tmp_path)["args"]["dataset"] == "squares"
    assert np.isfinite(finals(tmp_path)["clean"]["miou"])
    assert (tmp_path / "images" / "validation_epoch_0000.png").exists()


def test_unknown_data_set_is_refused_with_those_that_there_are(flags):
    with pytest.raises(UserError, match=r"--dataset.*'cities'.*nyudv2"):
        flags("--dataset", "cities")
