"""X-Norm's evaluation: rows of all processes in order, and what the two protocols count."""

import numpy as np
import pytest
import torch
from torch import nn

from common.metrics.classification import classification_scores
from tests.golden_adapters.xnorm_loop import Features, LinearHeads
from tests.support.xnorm_runs import settings_of
from xnorm import final
from xnorm.data import Batch
from xnorm.evaluate import evaluate
from xnorm.transforms import scale

NAMES = ["0", "1", "2"]
pytestmark = pytest.mark.usefixtures("no_pictures")


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
    logits, labels = evaluate(model, in_batches(rows), run)
    with torch.no_grad():
        torch.testing.assert_close(logits, model(*rows[:2]).joint)
    assert torch.equal(labels, rows[2])
    assert not model.training


def test_official_drops_the_last_rows_and_clean_keeps_them(run, model, rows):
    final.test(settings_of("gb", batch_size=4, num_classes=3), run, model, in_batches(rows), 3)
    logits, labels = evaluate(model, in_batches(rows), run)
    official, clean = run.recorded
    assert (official["protocol"], official["rows"], clean["protocol"], clean["rows"]) == ("official", 8, "clean", 11)
    assert official["loss"] == classification_scores(logits[:8], labels[:8], NAMES)["loss"]
    assert clean["loss"] == classification_scores(logits, labels, NAMES)["loss"] != official["loss"]
    assert run.printed[0] == f"Loss: {official['loss']:.4f} Acc: {official['acc'] / 100:.3f}"
    assert run.printed[1].endswith("(epoch 3: highest validation accuracy; 8 of 11 rows)")
    assert run.printed[2].endswith("(epoch 3: highest validation accuracy; 11 of 11 rows)")


def test_evaluation_of_a_checkpoint_has_one_protocol(run, model, rows):
    final.test_saved(settings_of("gb", batch_size=4, num_classes=3), run, model, in_batches(rows))
    assert [(entry["protocol"], entry["rows"]) for entry in run.recorded] == [("checkpoint", 8)]
    assert run.printed[-1].startswith("test  checkpoint  acc ")


def test_channels_last_changes_the_layout_alone(run):
    clips = torch.randint(0, 256, (2, 3, 4, 5, 5), dtype=torch.uint8)
    batch = Batch(clips, None, torch.zeros(2, dtype=torch.int64))
    moved = batch.on(run.device, channels_last=True)
    assert torch.equal(moved.rgb, scale(clips))
    assert moved.rgb.is_contiguous(memory_format=torch.channels_last_3d)
    assert moved.flow is None
    assert batch.on(run.device).rgb.is_contiguous()


def test_norms_use_their_stored_statistics(run, rows):
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

        def forward(self, rgb, flow):
            return self.norm(rgb)

    logits, _ = evaluate(Norm().train(), in_batches(rows), run)
    torch.testing.assert_close(logits, rows[0] / np.sqrt(1 + 1e-5), rtol=1e-5, atol=1e-6)
