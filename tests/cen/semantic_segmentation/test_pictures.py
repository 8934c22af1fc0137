"""Pictures: the published panels of --evaluate, and the comparisons drawn while training."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from cen.semantic_segmentation import final
from cen.semantic_segmentation import pictures as pictures_file
from cen.semantic_segmentation.datasets import NYUDV2
from cen.semantic_segmentation.pictures import Look, ValidationPictures, draw_panel, write_picture
from cen.semantic_segmentation.transforms import Normalisation
from common.datasets.nyudv2.reader import CLASSES, palette
from common.errors import UserError
from common.processes import Processes

AS_IT_IS = Normalisation(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))  # an input of v is drawn as v
H, W = 4, 6


def look(inputs=("rgb", "depth"), norm=AS_IT_IS, depth_in_colour=False):
    return Look(inputs, norm, CLASSES, NYUDV2.colours, 255, depth_in_colour)


def filled(value, channels=3):
    return np.full((channels, H, W), value, np.float32)


def panels(inputs, mask=0, prediction=0, **options):
    """The picture of constant maps, cut into its panels."""
    maps = [np.full((H, W), label, np.int64) for label in (mask, prediction)]
    image = draw_panel(look(list(inputs), **options), inputs, *maps)
    assert image.dtype == np.uint8
    assert image.shape[0] == H
    return np.split(image, image.shape[1] // W, axis=1)


def test_two_inputs_give_four_panels_in_order():
    found = panels({"rgb": filled(7), "depth": filled(20)}, mask=0, prediction=1)
    assert [panel[0, 0].tolist() for panel in found] == [[7, 7, 7], [255, 255, 255], [128, 0, 0], [0, 128, 0]]
    assert all((panel == panel[0, 0]).all() for panel in found)


@pytest.mark.parametrize("name", ["rgb", "depth"])
def test_one_input_gives_one_panel_less(name):
    found = panels({name: filled(10)}, mask=0, prediction=1)
    assert len(found) == 3
    assert found[1][0, 0].tolist() == [128, 0, 0]


def test_same_input_twice_is_drawn_twice():
    found = panels({"depth": filled(10), "depth1": filled(10)})
    assert np.array_equal(found[0], found[1])


def test_ignored_label_is_black_and_every_class_has_the_colour_of_voc():
    assert panels({"rgb": filled(0)}, mask=255)[1].max() == 0
    for label in (0, 1, 39):
        assert panels({"rgb": filled(0)}, mask=label)[1][0, 0].tolist() == palette()[label + 1].tolist()


@pytest.mark.parametrize(("value", "drawn"), [(-11.2, 245), (-0.5, 0), (-256.5, 0), (255.4, 255), (300.7, 44)])
def test_values_outside_a_byte_are_cut_to_integers_and_wrap(value, drawn):
    assert panels({"rgb": filled(value)})[0][0, 0].tolist() == [drawn] * 3


def test_mean_and_deviation_are_put_back_by_channel():
    rgb = np.stack([np.full((H, W), value, np.float32) for value in (0.0, 1.0, -1.0)])
    maps = np.zeros((H, W), np.int64)
    norm = Normalisation(mean=(0.5, 0.25, 0.75), std=(0.1, 0.5, 0.25))
    image = draw_panel(look(["rgb"], norm), {"rgb": rgb}, maps, maps)
    assert image[0, 0].tolist() == [127, 191, 127]


@pytest.mark.parametrize(("far", "expected"), [(5.0, 127), (10.0, 255), (20.0, 255)])
def test_depth_is_divided_by_its_maximum_or_by_ten(far, expected):
    depth = filled(0)
    depth[:, 0, 1] = far
    panel = panels({"depth": depth})[0]
    assert panel[0, 1].tolist() == [expected] * 3
    assert panel[0, 0].tolist() == [0, 0, 0]


def test_depth_is_grey_as_published_or_magma():
    depth = np.tile(np.linspace(0, 10, W, dtype=np.float32), (3, H, 1))
    grey, magma = (panels({"depth": depth}, depth_in_colour=coloured)[0] for coloured in (False, True))
    assert (grey == grey[..., :1]).all()
    assert not (magma == magma[..., :1]).all()
    bright = magma.astype(int).sum(axis=-1)[0]
    assert (np.diff(bright) > 0).all()
    assert magma[0, -1, 0] > magma[0, -1, 2]  # magma ends in a light yellow: red above blue


class Constant(nn.Module):
    """Stands for a network of P streams: stream m sees class m everywhere, the ensemble class 3."""

    def __init__(self, streams):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(streams))

    def forward(self, inputs):
        batch = inputs[0].shape[0]
        labels = [*range(len(inputs)), 3]
        maps = [nn.functional.one_hot(torch.full((batch, 2, 2), label), 5) for label in labels]
        return [m.permute(0, 3, 1, 2).float() for m in maps], self.alpha.softmax(0)


def batches(samples, batch_size=1):
    """Batches of rgb, depth, a mask that is class 2 but for an ignored row, and the place in the list."""
    for start in range(0, samples, batch_size):
        indices = torch.arange(start, min(samples, start + batch_size))
        inputs = torch.linspace(0, 5, H * W).view(1, 1, H, W).expand(-1, 3, -1, -1) + indices.view(-1, 1, 1, 1)
        mask = torch.full((len(indices), H, W), 2)
        mask[:, 0] = 255
        yield {"rgb": inputs, "depth": inputs, "mask": mask, "index": indices}


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("shown", "indices"), [("2", [0, 1]), ("0", []), ("-1", [0, 1, 2]), ("100", [0, 1, 2])])
def test_evaluation_writes_as_many_panels_as_asked_for(run, flags, shown, indices):
    args = flags("--num-classes", "5", "--save-image", shown)
    final.test_saved(args, run, Constant(2), batches(3, batch_size=2))
    assert files(run.images) == [f"validate_{index}.png" for index in indices]
    lines = [line for line in run.printed if line.startswith("imwrite")]
    assert lines == [f"imwrite at {run.images}/validate_{index}.png" for index in indices]


@pytest.mark.parametrize("inputs", [["rgb"], ["rgb", "depth"]])
def test_panel_shows_the_prediction_of_the_ensemble(run, flags, inputs):
    final.test_saved(flags("--num-classes", "5", "-i", *inputs), run, Constant(len(inputs)), batches(1))
    image = cv2.imread(str(run.images / "validate_0.png"))[..., ::-1]
    assert image.shape == (H, (len(inputs) + 2) * W, 3)
    assert (image[:, -W:] == palette()[3 + 1]).all()
    assert (image[0, -2 * W : -W] == 0).all()
    assert (image[1:, -2 * W : -W] == palette()[2 + 1]).all()


def test_quirk_depth_picture_reaches_the_files(run, flags):
    drawn = []
    for choice in ("official", "fixed"):
        args = flags("--num-classes", "5", "-i", "depth", "--quirk", f"depth_picture={choice}")
        final.test_saved(args, run, Constant(1), batches(1))
        drawn.append(cv2.imread(str(run.images / "validate_0.png"))[:, :W])
    assert (drawn[0] == drawn[0][..., :1]).all()
    assert not (drawn[1] == drawn[1][..., :1]).all()


def test_picture_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises((UserError, OSError), match=r"missing/validate_0\.png"):
        write_picture(tmp_path / "missing" / "validate_0.png", np.zeros((H, W, 3), np.uint8))


def test_evaluation_ends_with_the_scores_of_the_ensemble(run, flags):
    final.test_saved(flags("--num-classes", "5", "--save-image", "0"), run, Constant(3), with_a_hit())
    assert run.printed[-1] == "test  checkpoint  pixel_acc 50.00  mean_acc 50.00  miou 25.00"
    valid, test = run.recorded
    assert (valid["epoch"], valid["split"], valid["miou"]) == (0, "valid", test["miou"])
    assert (test["split"], test["final"], test["protocol"]) == ("test", True, "checkpoint")


def with_a_hit():
    """One image, half of class 3, which the ensemble of `Constant` sees everywhere, and half of class 2."""
    batch = next(batches(1))
    batch["mask"][0, :2], batch["mask"][0, 2:] = 3, 2
    yield batch


@pytest.fixture
def saved(monkeypatch):
    """The figures that are saved, by name, instead of drawing them."""
    figures = {}
    monkeypatch.setattr(pictures_file, "save_figure", lambda run, figure, name, *_: figures.update({name: figure}))
    return figures


def maps_of(batch, *labels):
    """Predicted maps (B, H, W), one an output, each of one class."""
    return [torch.full_like(batch["mask"], label) for label in labels]


@pytest.mark.parametrize(
    ("samples", "chosen"), [(1, {0}), (2, {0, 1}), (4, {0, 1, 2, 3}), (10, {0, 3, 6, 9}), (654, {0, 218, 435, 653})]
)
def test_samples_are_evenly_spaced_from_first_to_last(run, flags, samples, chosen):
    assert ValidationPictures(run, flags().look, samples).wanted == chosen


def test_comparison_has_a_row_for_each_chosen_sample_and_a_column_for_each_picture(run, flags, saved):
    found = ValidationPictures(run, flags().look, 10)
    for batch in batches(10, batch_size=3):
        found.see(batch, maps_of(batch, 5, 5, 7))
    found.draw(3)
    assert list(saved) == ["validation_epoch_0003"]
    figure = saved["validation_epoch_0003"]
    titles = ["rgb", "depth", "truth", "prediction: rgb", "prediction: depth", "prediction: ens"]
    assert [axis.get_title() for axis in figure.axes] == titles * 4
    assert "epoch 3" in figure.get_suptitle()
    depths = [axis.images[0].get_array()[0, 0] for axis in figure.axes[1::6]]
    assert depths == pytest.approx([0, 3, 6, 9])  # the samples' places in the list
    assert (figure.axes[5].images[0].get_array() == palette()[7 + 1]).all()


def test_legend_names_every_class_that_is_seen_and_what_is_ignored(run, flags, saved):
    found = ValidationPictures(run, flags().look, 2)
    for batch, labels in zip(batches(2), ((0, 39, 5), (0, 5, 5)), strict=True):
        found.see(batch, maps_of(batch, *labels))
    found.draw(0)
    texts = [text.get_text() for text in saved["validation_epoch_0000"].legends[0].get_texts()]
    assert texts == [*(CLASSES[label] for label in (0, 2, 5, 39)), "ignored"]


def test_classes_beyond_the_named_ones_have_their_number(run, flags, saved):
    found, batch = ValidationPictures(run, flags("-i", "rgb").look, 1), next(batches(1))
    found.see(batch, maps_of(batch, 40, 41))
    found.draw(0)
    texts = [text.get_text() for text in saved["validation_epoch_0000"].legends[0].get_texts()]
    assert texts == [CLASSES[2], "40", "41", "ignored"]


def test_written_samples_are_forgotten(run, flags, saved):
    found, batch = ValidationPictures(run, flags().look, 1), next(batches(1))
    found.see(batch, maps_of(batch, 1, 1, 1))
    found.draw(0)
    found.draw(1)
    assert list(saved) == ["validation_epoch_0000"]
    found.see(batch, maps_of(batch, 9, 9, 9))
    found.draw(2)
    figure = saved["validation_epoch_0002"]
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [CLASSES[2], CLASSES[9], "ignored"]


def test_only_the_first_process_keeps_samples(run, flags, saved):
    run.procs = Processes(rank=1, world=2)
    found, batch = ValidationPictures(run, flags().look, 1), next(batches(1))
    found.see(batch, maps_of(batch, 1, 1, 1))
    found.draw(0)
    assert saved == {}
