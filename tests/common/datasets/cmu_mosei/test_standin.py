import json
import pickle
from itertools import product

import numpy as np
import pytest

from common.datasets.cmu_mosei import standin
from common.datasets.cmu_mosei.reader import read_sentiment_file
from common.datasets.cmu_mosei.standin import DECISIVE_TEXT, REACH, clip_arrays, write_cmu_mosei
from common.datasets.sentences.clips import CUE_SHARE, NOISE, VALENCE, draw_signs, render_clip
from common.datasets.sentences.plan import SUBSETS, ClipPlan, oracle_scores, plan_clip
from common.errors import UserError
from common.standins.__main__ import main

STEPS = (20, 20, 20)


def arrays(layout="mult", numbers=range(200), lengths=STEPS, dataset="cmu_mosei", kind="aligned", seed=0):
    return clip_arrays(dataset, layout, seed, numbers, lengths, kind)


def load(path):
    return pickle.loads(path.read_bytes())


def right_sign(guess, truth):
    return (guess >= 0) == (truth >= 0)


@pytest.fixture(scope="module")
def mult(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mult")
    main(["cmu_mosei", str(folder), "--samples", "30"])
    return folder


@pytest.mark.parametrize(
    ("dataset", "layout", "files", "widths"),
    [
        ("cmu_mosei", "mult", {"mosei_senti_data.pkl", "mosei_senti_data_noalign.pkl"}, (300, 74, 35)),
        ("cmu_mosi", "mult", {"mosi_data.pkl", "mosi_data_noalign.pkl"}, (300, 5, 20)),
        ("cmu_mosei", "multibench", {"mosei_senti_data.pkl"}, (300, 74, 35)),
        ("cmu_mosi", "multibench", {"mosi_raw.pkl"}, (300, 74, 35)),
    ],
)
def test_files_are_read_by_the_reader_of_the_real_data(tmp_path, dataset, layout, files, widths):
    main([dataset, str(tmp_path), "--samples", "7", "--layout", layout, "--lengths", "8", "12", "10"])
    assert {path.name for path in tmp_path.glob("*.pkl")} == files
    for name in files:
        splits = read_sentiment_file(tmp_path / name)
        assert [len(split) for split in splits.values()] == [7, 3, 7]
        train = splits["train"]
        assert train.lengths == ((8, 12, 10) if "noalign" in name else (8, 8, 8))
        assert train.widths == widths
        assert train.text.dtype == train.audio.dtype == train.labels.dtype == np.float32
        assert train.extra["needs"].dtype == np.int8
        assert train.ids.shape == (7, 3)


def test_identities_are_unique_and_bytes_only_where_the_official_ones_are(tmp_path):
    write_cmu_mosei(tmp_path / "mosi", 20, dataset="cmu_mosi")
    content = load(tmp_path / "mosi/mosi_data.pkl")
    assert content["train"]["id"].dtype.kind == "S"
    assert content["train"]["id"][0, 0].decode() == "video000000"
    every = [tuple(row) for split in content.values() for row in split["id"]]
    assert len(set(every)) == len(every) == 50
    assert arrays(numbers=range(2))["id"].dtype.kind == "U"


def test_marker_tells_layout_and_best_scores(mult):
    record = json.loads((mult / "standin.json").read_text())
    assert (record["dataset"], record["samples"], record["truth"]["layout"]) == ("cmu_mosei", 30, "mult")
    assert record["truth"]["best_scores"] == oracle_scores(3, 0.0)


def test_same_seed_writes_the_same_bytes_and_another_seed_others(mult, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        write_cmu_mosei(tmp_path / name, 30, seed)
    for name in ("mosei_senti_data.pkl", "mosei_senti_data_noalign.pkl"):
        assert (mult / name).read_bytes() == (tmp_path / "same" / name).read_bytes()
        assert (mult / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_clip_is_a_function_of_seed_and_number_alone():
    few, one = arrays(numbers=range(30)), arrays(numbers=[17])
    for key, values in one.items():
        np.testing.assert_array_equal(few[key][17], values[0])


def test_files_of_one_call_hold_the_same_clips(mult):
    aligned, unaligned = (load(mult / name) for name in ("mosei_senti_data.pkl", "mosei_senti_data_noalign.pkl"))
    for split in ("train", "valid", "test"):
        for key in ("labels", "id", "needs"):
            np.testing.assert_array_equal(aligned[split][key], unaligned[split][key])


def test_stand_in_of_the_other_layout_is_replaced(tmp_path):
    write_cmu_mosei(tmp_path, 2)
    write_cmu_mosei(tmp_path, 2, layout="multibench")
    assert [path.name for path in tmp_path.glob("*.pkl")] == ["mosei_senti_data.pkl"]


def test_folder_of_the_other_data_set_is_left_alone(tmp_path):
    write_cmu_mosei(tmp_path, 2)
    with pytest.raises(UserError, match="nothing was written"):
        main(["cmu_mosi", str(tmp_path)])
    assert not (tmp_path / "mosi_data.pkl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "--samples 0: expected at least 1"),
        ({"lengths": (20, 4, 20)}, "--lengths 20 4 20: expected at least 5"),
        ({"layout": "other"}, "--layout other: expected one of mult, multibench"),
        ({"dataset": "iemocap"}, "iemocap: expected one of cmu_mosei, cmu_mosi"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write_cmu_mosei(tmp_path / "d", **changes)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("kind", "edge"), [("aligned", 0), ("unaligned", -1)])
def test_zeros_pad_aligned_clips_in_front_and_others_behind(kind, edge):
    found = arrays(lengths=(20, 50, 40), kind=kind)
    for key in ("text", "audio", "vision"):
        said = (found[key] != 0).any(axis=-1)
        assert said[:, -1 - edge].all()
        assert not said[:, edge].all()
        assert ((said[:, 1:] != said[:, :-1]).sum(axis=1) <= 1).all()
        assert said.mean(axis=1).min() > 0.65


def test_aligned_modalities_begin_together():
    found = arrays("mult")
    said = [(found[key] != 0).any(axis=-1) for key in ("text", "audio", "vision")]
    assert (said[0] == said[1]).all()
    assert (said[0] == said[2]).all()


def test_damage_is_that_of_official_files():
    plain, bench = arrays("mult"), arrays("multibench")
    for found in (plain, bench):
        damaged = np.isneginf(found["audio"]).any(axis=(1, 2))
        assert damaged.mean() == pytest.approx(0.02)
        assert not np.isnan(found["audio"]).any()
        assert np.isfinite(found["text"]).all()
        assert np.isfinite(found["vision"]).all()
    assert (plain["text"] != 0).any(axis=(1, 2)).all()
    blank = ~(bench["text"] != 0).any(axis=(1, 2))
    assert blank.mean() == pytest.approx(0.04)
    assert (bench["vision"][blank] != 0).any(axis=(1, 2)).all()


@pytest.mark.parametrize("dataset", ["cmu_mosei", "cmu_mosi"])
def test_labels_spread_over_all_classes_with_exact_zeros(dataset):
    scores = np.array([plan_clip(0, number, REACH[dataset], 0.0).score for number in range(1000)])
    assert np.abs(scores).max() <= 3
    np.testing.assert_allclose(3 * scores, np.rint(3 * scores), atol=1e-6)
    assert np.bincount(np.rint(scores).astype(int) + 3, minlength=7).min() >= 15
    assert 0.06 < (scores == 0).mean() < 0.15
    assert scores.std() == pytest.approx({"cmu_mosei": 1.30, "cmu_mosi": 1.60}[dataset], abs=0.08)


def test_features_have_the_official_scale():
    found = arrays("mult")
    text = found["text"][(found["text"] != 0).any(axis=-1)]
    assert 0.2 < np.abs(text).mean() < 0.35
    assert 0.4 < found["vision"][found["vision"] != 0].std() < 1.5


@pytest.mark.parametrize("layout", ["mult", "multibench"])
def test_share_of_clips_that_text_decides_is_the_layouts(layout):
    plans = [plan_clip(0, number, 3, DECISIVE_TEXT[layout]) for number in range(2000)]
    decided = [plan for plan in plans if plan.needs == 0]
    assert len(decided) / len(plans) == pytest.approx(DECISIVE_TEXT[layout], abs=0.03)
    assert all(plan.parts[1:] == (0, 0) for plan in decided)


def test_scores_of_both_kinds_of_clips_are_distributed_alike():
    by_kind = [[], []]
    for plan in (plan_clip(0, number, 3, 0.5) for number in range(4000)):
        by_kind[plan.needs].append(plan.score)
    shares = [np.bincount(np.rint(kind).astype(int) + 3, minlength=7) / len(kind) for kind in by_kind]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)


@pytest.mark.parametrize(("reach", "decisive"), [(1, 0.0), (2, 0.25), (4, 0.5)])
def test_best_scores_equal_brute_force(reach, decisive):
    draws = list(product((-reach, *range(-reach, reach + 1), reach), repeat=3))
    plans = [(ClipPlan(draw, 1), (1 - decisive) / len(draws)) for draw in draws]
    plans += [(ClipPlan((sum(draw), 0, 0), 0), decisive / len(draws)) for draw in draws]
    for subset in SUBSETS:
        groups = {}
        for plan, weight in plans:
            seen = tuple(
                part for name, part in zip(("text", "audio", "vision"), plan.parts, strict=True) if name in subset
            )
            groups.setdefault(seen + ((plan.needs,) if "text" in subset else ()), []).append((plan.score, weight))
        error = sign = 0.0
        for members in groups.values():
            error += min(sum(weight * abs(score - guess / 6) for score, weight in members) for guess in range(-18, 19))
            sign += max(sum(weight for score, weight in members if right_sign(score, guess)) for guess in (-1, 1))
        assert oracle_scores(reach, decisive)[subset] == pytest.approx({"mae": error, "has0_acc": sign})


def test_docstring_tells_the_best_scores():
    rows = {
        "nothing": ["none"],
        "text": ["text"],
        "audio, or vision": ["audio", "vision"],
        "text, and one of them": ["text+audio", "text+vision"],
        "audio and vision": ["audio+vision"],
        "all three": ["text+audio+vision"],
    }
    told = {line.split("|")[1].strip(): line.split("|")[2:6] for line in standin.__doc__.splitlines() if "|" in line}
    for name, subsets in rows.items():
        cells = [tuple(map(float, cell.split())) for cell in told[name]]
        for cell, (reach, decisive) in zip(cells, [(3, 0.0), (3, 0.5), (4, 0.0), (4, 0.5)], strict=True):
            for subset in subsets:
                assert cell == pytest.approx(tuple(oracle_scores(reach, decisive)[subset].values()), abs=5e-4)


@pytest.mark.parametrize("decisive", [0.0, 0.5])
def test_every_modality_adds_to_what_the_others_tell(decisive):
    best = oracle_scores(3, decisive)
    for subset in SUBSETS[1:]:
        for name in subset.split("+"):
            rest = "+".join(part for part in subset.split("+") if part != name) or "none"
            assert best[subset]["mae"] < best[rest]["mae"]
            assert best[subset]["has0_acc"] > best[rest]["has0_acc"]
    assert best["text+audio+vision"] == pytest.approx({"mae": 0, "has0_acc": 1})


def parts_read(found, signs):
    """Each modality's part in score points, read by projection on the planted direction and averaged over time."""
    levels = len(signs.cues) // 2
    valence = (signs.cues[-1].mean(0) - signs.cues[0].mean(0)) / (2 * levels / 3)
    directions = (valence / VALENCE**2, *(shift / (shift @ shift) for shift in signs.shifts))
    audio = np.where(np.isneginf(found["audio"]), 0, found["audio"])
    sequences = (found["text"], audio, found["vision"])
    return [(x @ v).mean(axis=1) / CUE_SHARE for x, v in zip(sequences, directions, strict=True)]


@pytest.mark.parametrize("kind", ["aligned", "unaligned"])
def test_mean_over_time_reads_the_parts_and_their_sum_the_score(kind):
    found = arrays(numbers=range(400), lengths=(20, 50, 40), kind=kind)
    signs = draw_signs(0, 9, (74, 35))
    plans = [plan_clip(0, number, 3, 0.0) for number in range(400)]
    read = parts_read(found, signs)
    for column, values in enumerate(read):
        planted = np.array([plan.parts[column] / 3 for plan in plans])
        assert np.corrcoef(values, planted)[0, 1] > 0.9
    labels = found["labels"].ravel()
    alone = [np.abs(values - labels).mean() for values in read]
    assert np.abs(sum(read) - labels).mean() < 0.3 < min(alone)


def test_text_alone_reads_the_score_where_it_decides_and_marks_it():
    found = arrays("multibench", numbers=range(400))
    signs = draw_signs(0, 9, (74, 35))
    said = (found["text"] != 0).any(axis=(1, 2))
    text, needs, labels = parts_read(found, signs)[0][said], found["needs"][said], found["labels"].ravel()[said]
    wrong = np.abs(text - labels)
    assert wrong[needs == 0].mean() < 0.25
    assert wrong[needs == 1].mean() > 0.7
    mark = signs.markers.mean(0) - signs.fillers.mean(0)
    marked = (found["text"][said] @ mark).mean(axis=1)
    assert marked[needs == 0].min() > marked[needs == 1].max()


def test_audio_and_vision_hold_noise_alone_where_text_decides():
    signs = draw_signs(0, 9, (74, 35))
    _, audio, vision = render_clip(signs, ClipPlan((5, 0, 0), 0), np.random.default_rng(0), (400, 400, 400))
    for sequence in (audio, vision):
        noise = sequence[(sequence != 0).any(axis=-1)]
        assert noise.std() == pytest.approx(NOISE, rel=0.05)
        assert np.abs(noise.mean(axis=0)).max() < 5 * NOISE / np.sqrt(len(noise))


def test_all_of_few_features_are_shifted():
    audio, vision = draw_signs(0, 12, (5, 20)).shifts
    assert np.count_nonzero(audio) == 5
    assert np.count_nonzero(vision) == 8
