"""X-Norm's evaluation: rows of all processes in order, and what the two protocols count."""

import numpy as np
import pytest
import torch
from torch import nn

from common.metrics.classification import classification_scores
from tests.golden_adapters.xnorm_loop import Features, LinearHeads
from tests.support.xnorm_runs import arguments
from xnorm.evaluate import TestSet as Rows
from xnorm.evaluate import logits_and_labels, on_device
from xnorm.evaluate import test as run_test

NAMES = ["a", "b", "c"]


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(11, 6, generator=generator),
        torch.randn(11, 4, generator=generator),
        torch.randint(0, 3, (11,), generator=generator),
    )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LinearHeads(6, 4, 3)


def in_batches(rows, size=4):
    return [Features(*(part[i : i + size] for part in rows)) for i in range(0, len(rows[0]), size)]


def test_logits_are_those_of_all_rows_in_order_from_the_joint_head(run, model, rows):
    logits, labels = logits_and_labels(arguments("gb"), run, model, in_batches(rows))
    with torch.no_grad():
        torch.testing.assert_close(logits, model(*rows[:2]).joint)
    assert torch.equal(labels, rows[2])
    assert not model.training


def test_official_drops_the_last_rows_and_clean_keeps_them(run, model, rows):
    args, test_set = arguments("gb", batch_size=4), Rows(in_batches(rows), 8, NAMES)
    logits, labels = run_test(args, run, model, test_set, 3)
    official, clean = run.recorded
    assert (official["protocol"], official["rows"], clean["protocol"], clean["rows"]) == ("official", 8, "clean", 11)
    assert official["loss"] == classification_scores(logits[:8], labels[:8], NAMES)["loss"]
    assert clean["loss"] == classification_scores(logits, labels, NAMES)["loss"] != official["loss"]
    assert run.printed[0] == f"Loss: {official['loss']:.4f} Acc: {official['acc'] / 100:.3f}"
    assert run.printed[1].endswith("(epoch 3: highest validation accuracy; 8 of 11 rows)")
    assert run.printed[2].endswith("(epoch 3: highest validation accuracy; 11 of 11 rows)")


def test_evaluation_of_a_checkpoint_has_one_protocol(run, model, rows):
    args = arguments("gb", "--evaluate", "--resume", "some.pt")
    run_test(args, run, model, Rows(in_batches(rows), 8, NAMES), 0)
    assert [entry["protocol"] for entry in run.recorded] == ["checkpoint"]
    assert run.printed[-1].startswith("test  checkpoint  acc ")


def test_channels_last_changes_the_layout_alone(run):
    clips = torch.randn(2, 3, 4, 5, 5)
    batch = Features(clips, None, torch.zeros(2, dtype=torch.int64))
    moved = on_device(arguments("rgb", "--channels-last"), run.device, batch)
    assert torch.equal(moved.rgb, clips)
    assert moved.rgb.is_contiguous(memory_format=torch.channels_last_3d)
    assert moved.flow is None
    assert on_device(arguments("rgb"), run.device, batch) is batch


def test_norms_use_their_stored_statistics(run, rows):
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

        def forward(self, rgb, flow):
            return self.norm(rgb)

    logits, _ = logits_and_labels(arguments("rgb"), run, Norm().train(), in_batches(rows))
    torch.testing.assert_close(logits, rows[0] / np.sqrt(1 + 1e-5), rtol=1e-5, atol=1e-6)
