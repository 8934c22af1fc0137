"""What is printed and recorded: lines of a validation, figures of the scales, shares of exchanged channels."""

import pytest
import torch

from cen.exchange import penalised_slices
from cen.semantic_segmentation import scales as scales_file
from cen.semantic_segmentation.evaluate import Validation, report
from cen.semantic_segmentation.scales import draw_exchange, exchange_scales, record_scales, slimming_figures
from cen.semantic_segmentation.selection import Selection
from cen.semantic_segmentation.streams import stream_names
from common.metrics.segmentation import SegmentationScores

PUBLISHED = "Epoch %-4d %-7s   glob_acc=%-5.2f    mean_acc=%-5.2f    IoU=%-5.2f%s%s"


def validation(*mious, weights=(0.25, 0.75), names=("rgb", "depth", "ens")):
    return Validation(
        {name: SegmentationScores(76.234, 5.0, miou) for name, miou in zip(names, mious, strict=True)}, list(weights)
    )


def bests(lines):
    return [line.endswith("    (best)") for line in lines[:-1]]


def test_lines_of_a_validation_are_the_published_ones():
    assert validation(48.0, 9.5, 51.106).lines(4, seen=50.0) == [
        "Epoch 4    (rgb)     glob_acc=76.23    mean_acc=5.00     IoU=48.00    0.25",
        "Epoch 4    (depth)   glob_acc=76.23    mean_acc=5.00     IoU=9.50     0.75",
        "Epoch 4    (ens)     glob_acc=76.23    mean_acc=5.00     IoU=51.11            (best)",
        "",
    ]


@pytest.mark.parametrize("epoch", [0, 99, 299, 12345])
def test_widths_are_those_of_the_published_format(epoch):
    rgb, _, ens, _ = validation(100.0, 1.0, 2.5).lines(epoch, seen=100.0)
    assert rgb == PUBLISHED % (epoch, "(rgb)", 76.234, 5.0, 100.0, "    0.25", "")
    assert ens == PUBLISHED % (epoch, "(ens)", 76.234, 5.0, 2.5, " " * 8, "")


def test_best_is_noted_for_every_output_above_all_that_came_before():
    selection, noted = Selection(), []
    for epoch, mious in enumerate([(10.0, 5.0, 12.0), (12.0, 12.5, 12.4), (12.5, 12.5, 12.5)]):
        noted.append(bests(validation(*mious).lines(epoch, selection.seen)))
        selection.take(epoch, validation(*mious))
    assert noted == [[True, False, True], [False, True, False], [False, False, False]]
    assert selection.seen == 12.5


def test_single_stream_has_two_lines_and_a_blank_one():
    lines = validation(0.0, 0.0, weights=(1.0,), names=("rgb", "ens")).lines(0)
    assert [line[11:17].strip() for line in lines] == ["(rgb)", "(ens)", ""]
    assert "    1.00" in lines[0]


def test_report_prints_the_lines_and_records_the_ensemble_and_the_streams(run):
    report(run, 9, validation(48.0, 9.5, 51.0))
    assert len(run.printed) == 4
    assert run.recorded == [
        {
            "epoch": 9,
            "split": "valid",
            "pixel_acc": 76.234,
            "mean_acc": 5.0,
            "miou": 51.0,
            "miou_rgb": 48.0,
            "weight_rgb": 0.25,
            "miou_depth": 9.5,
            "weight_depth": 0.75,
        }
    ]


def test_stream_given_again_gets_its_position():
    assert stream_names(["rgb", "depth"]) == ["rgb", "depth"]
    assert stream_names(["rgb", "rgb", "depth", "depth", "rgb"]) == ["rgb", "rgb1", "depth", "depth3", "rgb4"]


def test_figures_of_the_scales_are_over_signed_values():
    penalised = torch.tensor([0.5, -3.0, 0.01, 0.03])
    smallest, portion = slimming_figures(penalised, 0.02)
    assert smallest == -3.0
    assert portion == 0.5


@pytest.mark.parametrize(("size", "element"), [(1, 0), (32, 0), (33, 1), (100, 3)])
def test_smallest_figure_is_the_value_at_three_per_cent(size, element):
    shuffled = torch.arange(float(size))[torch.randperm(size)]
    assert slimming_figures(shuffled, 0.0)[0] == element


def test_scale_at_the_threshold_is_not_below_it():
    assert slimming_figures(torch.tensor([0.25, 0.25, 0.125]), 0.25)[1] == pytest.approx(1 / 3)


def with_scales(model, stream, value, share, block="layer1.0"):
    """Set the first `share` of that stream's scales in a block."""
    scales = model.get_submodule(f"{block}.bn2").norms()[stream].weight.data
    scales[: round(len(scales) * share)] = value


@pytest.fixture
def plain(narrow):
    """Two streams with scales of 1, but in layer1.0: half of stream 0's at -0.5, a quarter of stream 1's at 0.01."""
    model = narrow()
    for name, parameter in model.named_parameters():
        if ".bn2." in name and name.endswith("weight"):
            parameter.data.fill_(1.0)
    with_scales(model, 0, -0.5, 0.5)
    with_scales(model, 1, 0.01, 0.25)
    return model


STREAMS = ("rgb", "depth")


def recorded(model, run, streams=STREAMS, threshold=0.02):
    record_scales(model, penalised_slices(model.named_parameters(), "bn2"), streams, threshold, run, 3)
    return run.recorded[-1]


PENALISED = 3 * 4 + 4 * 8 + 6 * 16 + 3 * 32  # at width 4; of them the two at -0.5 lie below the threshold


def test_lines_of_the_scales_are_the_published_ones(plain, run):
    recorded(plain, run)
    assert run.printed == [
        "Epoch 3, 3% smallest slim_params: 1.0000",
        "Epoch 3, portion of slim_params < 2e-02: 0.0085",
    ]


def test_portion_of_signed_values_and_of_sizes_are_told_apart(plain, run):
    found = recorded(plain, run)
    assert found["slim_portion"] == pytest.approx(2 / PENALISED)
    assert found["slim_portion_abs"] == 0.0


def test_share_of_exchanged_channels_is_recorded_for_every_block_and_stream(plain, run):
    found = recorded(plain, run)
    assert found["layer1.0/rgb"] == 0.0
    assert found["layer1.0/depth"] == 0.25
    blocks = [f"layer{layer}.{block}" for layer, count in enumerate((3, 4, 6, 3), 1) for block in range(count)]
    shares = [key for key in found if "/" in key]
    assert shares == [f"{block}/{name}" for block in blocks for name in ("rgb", "depth")]
    assert sum(found[key] for key in shares) == 0.25


def test_threshold_of_the_flags_decides_what_is_exchanged(plain, run):
    found = recorded(plain, run, threshold=0.6)
    assert (found["layer1.0/rgb"], found["layer1.0/depth"]) == (0.5, 0.25)
    assert run.printed[1].startswith("Epoch 3, portion of slim_params < 6e-01: ")


def test_single_stream_has_figures_but_nothing_exchanged(narrow, run):
    found = recorded(narrow(1), run, ["rgb"])
    assert set(found) == {"epoch", "split", "slim_smallest", "slim_portion", "slim_portion_abs"}
    draw_exchange(narrow(1), ["rgb"], 0.02, run, 3)
    assert list(run.images.iterdir()) == []


def test_pictures_of_the_exchange_name_blocks_epochs_and_shares(plain, run, monkeypatch):
    figures = {}
    monkeypatch.setattr(scales_file, "save_figure", lambda run, figure, name, *_: figures.update({name: figure}))
    recorded(plain, run)
    draw_exchange(plain, STREAMS, 0.02, run, 3)
    assert list(figures) == ["exchange_channels", "exchange_share"]
    rgb, depth = figures["exchange_channels"].axes
    assert rgb.get_title() == "rgb: 0.0% of its channels replaced"
    assert depth.get_title() == f"depth: {1 / PENALISED:.1%} of its channels replaced"
    assert [label.get_text() for label in rgb.get_yticklabels()] == list(exchange_scales(plain))
    assert depth.images[0].get_array()[0].tolist() == [1.0] * 128 + [0.0] * 384
    assert figures["exchange_share"].axes[1].images[0].get_array()[:, 0].tolist() == [0.25] + [0.0] * 15


def test_exchange_scales_are_those_of_every_bottleneck_in_order(narrow):
    model = narrow(3)
    found = exchange_scales(model)
    assert next(iter(found)) == "layer1.0"
    assert len(found) == 16
    for block, vectors in found.items():
        norms = model.get_submodule(block).bn2.norms()
        assert all(torch.equal(vector, norm.weight) for vector, norm in zip(vectors, norms, strict=True))
        assert not any(vector.requires_grad for vector in vectors)
