"""Stages, validations, and what counts as the best checkpoint."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cen.semantic_segmentation import final
from cen.semantic_segmentation.checkpoints import Start
from cen.semantic_segmentation.evaluate import Validation
from cen.semantic_segmentation.schedule import Stages, epoch_plans
from cen.semantic_segmentation.selection import Selection
from common.metrics.segmentation import SegmentationScores
from common.processes import Processes
from common.training.state import TrainState

LR_ENC, LR_DEC = (3.0, 2.0, 1.0), (0.3, 0.2, 0.1)


def plans(num_epoch, val_every=5, start=0):
    return list(epoch_plans(num_epoch, LR_ENC[: len(num_epoch)], LR_DEC[: len(num_epoch)], val_every, start))


def validated(found):
    return [plan.epoch for plan in found if plan.validates]


def test_published_schedule_has_three_stages_of_a_hundred_epochs():
    found = plans([100, 100, 100])
    assert [plan.epoch for plan in found] == list(range(300))
    assert [plan.epoch for plan in found if plan.opens_stage] == [0, 100, 200]
    assert [plan.epoch for plan in found if plan.closes_stage] == [99, 199, 299]
    assert validated(found) == list(range(4, 300, 5))


def test_rates_are_those_of_the_stage():
    assert [(plan.stage, plan.lr_enc, plan.lr_dec) for plan in plans([1, 2])] == [
        (0, 3.0, 0.3),
        (1, 2.0, 0.2),
        (1, 2.0, 0.2),
    ]


def test_validation_is_counted_from_the_start_of_each_stage():
    assert validated(plans([7, 7], val_every=3)) == [2, 5, 9, 12]
    assert validated(plans([2, 2], val_every=3)) == []
    assert validated(plans([2, 2], val_every=1)) == [0, 1, 2, 3]


def test_resumed_stage_counts_its_validations_from_the_epoch_that_it_starts_with():
    assert validated(plans([10, 10], val_every=5, start=7)) == [14, 19]
    assert validated(plans([10, 10], val_every=3, start=7)) == [9, 12, 15, 18]


def test_resumed_training_skips_finished_stages_and_ends_where_it_would_have_ended():
    found = plans([3, 3, 3], start=4)
    assert [(plan.epoch, plan.stage) for plan in found] == [(4, 1), (5, 1), (6, 2), (7, 2), (8, 2)]
    assert [plan.epoch for plan in found if plan.opens_stage] == [4, 6]


def test_start_at_the_end_of_a_stage_begins_with_the_next():
    assert [(plan.epoch, plan.stage) for plan in plans([3, 3], start=3)] == [(3, 1), (4, 1), (5, 1)]


@pytest.mark.parametrize("start", [300, 444])
def test_nothing_is_left_behind_the_last_stage(start):
    assert plans([100, 100, 100], start=start) == []


def test_stage_without_epochs_is_passed_over():
    assert [(plan.epoch, plan.stage) for plan in plans([1, 0, 1])] == [(0, 0), (1, 2)]


@given(
    num_epoch=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    val_every=st.integers(1, 4),
    start=st.integers(0, 20),
)
def test_epochs_follow_each_other_and_every_stage_opens_and_closes_once(num_epoch, val_every, start):
    found = plans(num_epoch, val_every, start)
    assert [plan.epoch for plan in found] == list(range(start, max(start, sum(num_epoch))))
    for stage in {plan.stage for plan in found}:
        inside = [plan for plan in found if plan.stage == stage]
        assert [plan.opens_stage for plan in inside] == [True] + [False] * (len(inside) - 1)
        assert [plan.closes_stage for plan in inside] == [False] * (len(inside) - 1) + [True]
        assert [plan.validates for plan in inside] == [(i + 1) % val_every == 0 for i in range(len(inside))]
        assert sum(num_epoch[:stage]) <= inside[0].epoch
        assert inside[-1].epoch == sum(num_epoch[: stage + 1]) - 1


def news(selection, scores):
    return [selection.update(epoch, score) for epoch, score in enumerate(scores)]


def test_only_a_higher_score_is_a_new_best():
    selection = Selection()
    assert news(selection, (10.0, 10.0, 9.0, 10.5, 10.5)) == [True, False, False, True, False]
    assert selection.best.score == 10.5


def test_score_of_nothing_is_no_best():
    assert not Selection().update(0, 0.0)


def test_checkpoint_says_the_latest_score_even_where_it_is_lower():
    selection = Selection(51.1)
    assert not selection.update(0, 50.0)
    assert (selection.best.score, selection.stored) == (51.1, 50.0)


@given(scores=st.lists(st.floats(0, 100), max_size=8), start=st.floats(0, 100))
def test_best_is_the_highest_of_start_and_scores(scores, start):
    selection = Selection(start)
    bests = [score for score, is_best in zip(scores, news(selection, scores), strict=True) if is_best]
    assert selection.best.score == max([start, *scores])
    assert bests == sorted(set(bests))


def validation(miou):
    low = SegmentationScores(1.0, 1.0, 1.0)
    return Validation({"rgb": low, "depth": low, "ens": SegmentationScores(80.0, 70.0, miou)}, [0.5, 0.5])


def trained(start):
    """The state of a run, its stages (of nine epochs, validated every third) and its selection."""
    stages, selection = Stages([9], [1.0], [1.0], 3, start.epoch), Selection(start.best_val)
    state = TrainState(torch.device("cpu"), Processes(), start.epoch - 1, stages=stages, selection=selection)
    state.load_state_dict(start.ours)
    return state, stages, selection


def test_published_checkpoint_trains_its_epoch_again_and_keeps_its_score():
    state, stages, selection = trained(Start(7, 40.0))
    assert (stages.start, state.epoch) == (7, 6)
    assert not selection.take(7, validation(40.0))
    assert selection.take(8, validation(40.5))


def test_our_checkpoint_goes_on_behind_its_epoch_with_the_highest_score_so_far():
    state, _, before = trained(Start())
    assert before.take(4, validation(40.0))
    assert not before.take(9, validation(30.0))
    state.epoch = 9
    assert before.stored == 30.0
    again, stages, after = trained(Start(9, before.stored, state.state_dict()))
    assert (stages.start, again.epoch) == (0, 9)
    assert not after.take(10, validation(40.0))
    assert after.best_scores["epoch"] == 4
    assert after.last_scores["epoch"] == 10


def test_validation_phase_of_our_checkpoint_is_that_of_the_run_before():
    published, _, _ = trained(Start(3))
    published.epoch = 5
    state, stages, _ = trained(Start(5, 0.0, published.state_dict()))
    assert stages.start == 3
    assert [plan.epoch for plan in stages.plans(state.epoch)] == [6, 7, 8]
    assert validated(stages.plans(stages.start - 1)) == [5, 8]


def finished(run, start, *mious):
    """The printed lines of the end of a run that validated its epochs with these scores."""
    selection, epoch = Selection(start.best_val), start.epoch - 1
    for epoch, miou in enumerate(mious, start.epoch):
        selection.take(epoch, validation(miou))
    final.test(None, run, None, None, selection, epoch)
    return run.printed


def test_end_of_a_run_says_the_best_and_the_last_epoch(run):
    assert finished(run, Start(), 30.0, 40.0, 40.0, 35.0) == [
        "All stages are now finished. Best Val is 40.000",
        "test  official  pixel_acc 80.00  mean_acc 70.00  miou 40.00  (best epoch, selected on these images: 1)",
        "test  clean     pixel_acc 80.00  mean_acc 70.00  miou 35.00  (last epoch: 3)",
    ]
    assert [(entry["protocol"], entry["miou"], entry["epoch"]) for entry in run.history("test")] == [
        ("official", 40.0, 1),
        ("clean", 35.0, 3),
    ]


def test_epoch_that_is_worse_than_the_checkpoint_started_from_is_not_called_the_best(run):
    lines = finished(run, Start(4, 50.0), 30.0)
    assert not [line for line in lines if "miou 30.00" in line and "best epoch" in line]
