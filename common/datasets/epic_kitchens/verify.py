"""What a folder of EPIC-KITCHENS frames holds: for each csv the number of segments, lengths, kitchens, verbs, the sizes
of the frames that are read, and each missing, damaged or odd frame.
"""

from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
from tqdm import tqdm

from common.datasets.epic_kitchens.reader import (
    MODALITIES,
    RENEWED,
    Segment,
    check_ends,
    check_folder,
    frame_name,
    part_folders,
    read_flow,
    read_rgb,
    read_segments,
    sampled_frames,
)
from common.datasets.epic_kitchens.subset import LABEL, VERBS
from common.errors import UserError
from common.standins.marker import is_standin

SPLITS = ("train.csv", "val.csv", "test.csv")
FRAMES = 16  # that are read of a segment


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the check."""
    parser.add_argument("--csv", type=Path, metavar="DIR", help="of train.csv, val.csv, test.csv; default FOLDER/csv")


def run(args: Namespace) -> int:
    """Check what the flags name; returns the number of problems."""
    return verify_epic_kitchens(args.folder, args.csv)


def verify_epic_kitchens(folder: Path, csv_folder: Path | None = None) -> int:
    """Print what train.csv, val.csv and test.csv name and what there is of it; returns the number of problems.

    csv_folder: where they lie, by default FOLDER/csv. The 16 frames that are read of each segment and stream are
    decoded, and each bad one is a problem; where the first or last frame is missing, the segment is one.
    Raises UserError for a missing folder or csv file.
    """
    check_folder(folder)
    paths = [(folder / "csv" if csv_folder is None else csv_folder) / name for name in SPLITS]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such csv file; name the folder of {', '.join(SPLITS)} with --csv")
    count, videos = 0, {}
    for path in paths:
        try:
            segments = read_segments(path, len(VERBS), LABEL)
        except UserError as error:
            count += 1
            print(f"{path.name}: unusable\n  {error}")
            continue
        lines, problems = verify_segments(folder, path, segments)
        print(f"{path.name}: {len(segments)} segments{' (stand-in)' if is_standin(folder) else ''}")
        print("\n".join(lines + problems))
        count += len(problems)
        videos[path.name] = {segment.video_id for segment in segments}
    print("".join(f"note: {note}\n" for note in _notes(videos)), end="")
    return count


def verify_segments(folder: Path, csv_file: Path, segments: list[Segment]) -> tuple[list[str], list[str]]:
    """Read the frames of all segments; returns what they hold and every problem as lines of text."""
    forms: dict[str, Counter] = {modality: Counter() for modality in MODALITIES}
    problems = []
    for segment in tqdm(segments, desc=csv_file.name, disable=None):
        for modality, counts in forms.items():
            try:
                check_ends(folder, csv_file, segment, modality)
            except UserError as error:
                problems.append(str(error))
                continue
            found, damaged = _read_frames(folder, segment, modality)
            problems += damaged
            counts.update(found)
            if len(set(found)) > 1:
                problems.append(
                    f"{csv_file}:{segment.line}: segment {segment.narration_id} has {modality} frames of "
                    f"{', '.join(sorted(set(found)))}; expected one size"
                )
    problems = list(dict.fromkeys(problems))  # segments may overlap
    lengths = [segment.stop_frame - segment.start_frame + 1 for segment in segments]
    kitchens, verbs = (Counter(getattr(segment, key) for segment in segments) for key in ("participant_id", "verb"))
    lines = [
        f"  {modality:5}  "
        + (", ".join(f"{form} ({count})" for form, count in counts.most_common()) or "none readable")
        for modality, counts in forms.items()
    ]
    lines.append(f"  {min(lengths)} to {max(lengths)} frames, median {median(lengths):g}")
    lines.append("  " + ", ".join(f"{name} {kitchens[name]}" for name in sorted(kitchens)))
    lines += [f"  {verb:3}  {name:8} {verbs[verb] / len(segments):7.2%}" for verb, name in enumerate(VERBS)]
    return lines, problems


def _read_frames(folder: Path, segment: Segment, modality: str) -> tuple[list[str], list[str]]:
    """Type and size of each frame that is read and can be; what is wrong with the others."""
    forms, problems = [], []
    parts = part_folders(folder, segment, modality)
    read = read_flow if modality == "flow" else read_rgb
    for number in np.unique(sampled_frames(segment, modality, FRAMES)).tolist():
        try:
            frame = read(*(f"{part}/{frame_name(number)}" for part in parts))
            forms.append(f"{frame.dtype} {'x'.join(map(str, frame.shape))}")
        except UserError as error:
            problems.append(str(error))
    return forms, problems


def _notes(videos: dict[str, set[str]]) -> list[str]:
    """What someone should know and is no problem of the files: videos in two splits, renewed ones."""
    names = list(videos)
    shared = [(a, b, videos[a] & videos[b]) for i, a in enumerate(names) for b in names[i + 1 :]]
    notes = [f"{len(both)} videos stand in {a} and in {b}" for a, b, both in shared if both]
    renewed = [video for video in RENEWED if any(video in known for known in videos.values())]
    return [*notes, *(f"{video} is in use: the data set's authors ask to download it again" for video in renewed)]
