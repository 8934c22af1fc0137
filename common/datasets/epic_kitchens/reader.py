"""Action segments of EPIC-KITCHENS-100: csv files, and RGB and optical-flow frames as the official downloads unpack.

    CSV                                               narration_id,participant_id,video_id,start_frame,stop_frame,LABEL
    FOLDER/P01/rgb_frames/P01_01/frame_0000000001.jpg ...        colour, numbered from 1; official size 456x256 (W x H)
    FOLDER/P01/flow_frames/P01_01/{u,v}/frame_0000000001.jpg ... grey; half the rate, so every second RGB frame has one

A segment is inclusive: RGB frames start .. stop, flow frames (start + 1) // 2 .. (stop + 1) // 2. Flow is in pixels
between two frames of its own rate, u to the right and v downwards, 127.5 + 127.5 / 20 a pixel, cut at 20 pixels.
The data set's authors ask to download video P01_109 again (an erratum): older copies of its frames are faulty.

LABEL is the column of the class's number; what the numbers mean, and how many there are, the caller says.

No torch here. Enlarging, cropping and scaling belong to the papers' transforms.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from common.errors import UserError
from common.hashing import sha256_of

FIELDS = ("narration_id", "participant_id", "video_id", "start_frame", "stop_frame")  # a csv's columns before the label
MODALITIES = ("rgb", "flow")
PARTS = {"rgb": ("",), "flow": ("u", "v")}  # subfolders of a video's frames
FLOW_BOUND = 20  # pixels of motion that the grey levels 0 and 255 stand for
RENEWED = ("P01_109",)

_NAME = re.compile(r"\w+")


class Segment(NamedTuple):
    """One action: frames start_frame .. stop_frame (RGB, from 1, inclusive) of a video.

    verb: the class's number; line: the segment's line in the csv.
    """

    narration_id: str
    participant_id: str
    video_id: str
    start_frame: int
    stop_frame: int
    verb: int
    line: int


class EpicKitchens:
    """The segments of a csv in its order, each as `num_frames` frames spread evenly over it.

    folder: holds P01/rgb_frames ...; num_classes, label: as for `read_segments`; modalities: what is read, and looked
    for, of "rgb" and "flow".
    Item: {"rgb": uint8 (T, H, W, 3), "flow": uint8 (T, H, W, 2) = u, v}, as far as asked for; the label is
    `segments[i].verb`. T = num_frames; the first and the last frame are always among them, short segments repeat some.
    Opening raises UserError for what `read_segments` refuses, for a missing folder, and where the first or the last
    frame of a segment is missing. Reading raises UserError naming a missing or damaged frame, or one of another size.
    """

    def __init__(
        self,
        folder: str | Path,
        csv_file: str | Path,
        num_frames: int,
        num_classes: int,
        modalities: Sequence[str] = MODALITIES,
        label: str = "verb",
    ) -> None:
        self.folder, self.csv_file = Path(folder), Path(csv_file)
        self.num_frames, self.modalities = num_frames, tuple(modalities)
        check_folder(self.folder)
        self.segments = read_segments(self.csv_file, num_classes, label)
        for segment in self.segments:
            for modality in self.modalities:
                check_ends(self.folder, self.csv_file, segment, modality)

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {modality: self.clip(index, modality) for modality in self.modalities}

    def clip(self, index: int, modality: str) -> np.ndarray:
        """One modality of an item."""
        segment = self.segments[index]
        return read_clip(self.folder, segment, sampled_frames(segment, modality, self.num_frames), modality)

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) over `frames_fingerprint` of each modality that is read."""
        prints = "".join(self.frames_fingerprint(modality) for modality in self.modalities)
        return hashlib.sha256(prints.encode()).hexdigest()

    def frames_fingerprint(self, modality: str) -> str:
        """SHA-256 over the csv's bytes and the name and size in bytes of every frame that is read (-1: missing).

        No frame is opened: it takes about a second for 100 000 files on a local disk.
        """
        digest = hashlib.sha256(f"{sha256_of(self.csv_file)} {modality}".encode())
        for segment in self.segments:
            frames = np.unique(sampled_frames(segment, modality, self.num_frames)).tolist()
            for folder in part_folders("", segment, modality):
                sizes = [_size(f"{self.folder}/{folder}/{frame_name(frame)}") for frame in frames]
                digest.update(repr((folder, frames, sizes)).encode())
        return digest.hexdigest()


def check_folder(folder: Path) -> None:
    """Raises UserError where the folder of the frames is missing."""
    if folder.is_dir():
        return
    raise UserError(
        f"{folder}: no such folder; expected P01/rgb_frames/P01_01/frame_0000000001.jpg and "
        "P01/flow_frames/P01_01/{u,v}/frame_0000000001.jpg below it. The real data: the RGB and flow frames of "
        "EPIC-KITCHENS-100, each video's tar unpacked into a folder of its name; a stand-in: "
        f"python -m common.standins epic_kitchens {folder}"
    )


def read_segments(csv_file: str | Path, num_classes: int, label: str = "verb") -> list[Segment]:
    """The rows of a csv, in order; LF or CRLF line ends. label: the column of the class's number.

    Raises UserError naming file and line for a missing or empty file, another header, a wrong number of columns, an
    odd or repeated name, frames that are no whole numbers from 1 or end before they start, a label outside
    0..num_classes-1.
    """
    csv_file, columns = Path(csv_file), (*FIELDS, label)
    if not csv_file.is_file():
        raise UserError(
            f"{csv_file}: no such csv file; expected train.csv, val.csv and test.csv with the columns "
            f"{','.join(columns)}; stand-ins lie in csv/ of the stand-in's folder"
        )
    segments: list[Segment] = []
    lines: dict[str, int] = {}
    for line, row in _rows(csv_file, columns):
        segment = _segment(f"{csv_file}:{line}", columns, row, line, num_classes)
        if segment.narration_id in lines:
            raise UserError(
                f"{csv_file}:{line}: narration_id {segment.narration_id!r} stands in line {lines[segment.narration_id]}"
                " too; expected each once"
            )
        lines[segment.narration_id] = line
        segments.append(segment)
    if not segments:
        raise UserError(f"{csv_file}: no segment below the header; expected at least one")
    return segments


def _rows(csv_file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """(line, columns) of the rows below the header, which is checked; blank lines are left out."""
    try:
        with open(csv_file, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if tuple(header) != columns:
                found = ",".join(header)
                raise UserError(f"{csv_file}:1: found the header {found[:200]!r}, expected {','.join(columns)!r}")
            yield from ((rows.line_num, row) for row in rows if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{csv_file}: cannot be read as a csv file in UTF-8 ({error})") from error


def _segment(where: str, columns: tuple[str, ...], row: list[str], line: int, num_classes: int) -> Segment:
    if len(row) != len(columns):
        raise UserError(f"{where}: {len(row)} columns, expected {len(columns)}: {', '.join(columns)}")
    narration, participant, video = row[:3]
    for name, text in zip(columns[:3], row, strict=False):
        if not _NAME.fullmatch(text):
            raise UserError(f"{where}: {name} is {text[:80]!r}; expected letters, digits and _, such as P01_01_1")
    start, stop, verb = (_whole(where, name, text) for name, text in zip(columns[3:], row[3:], strict=True))
    if start < 1 or stop < start:
        raise UserError(f"{where}: start_frame {start}, stop_frame {stop}; expected 1 <= start_frame <= stop_frame")
    if not 0 <= verb < num_classes:
        raise UserError(f"{where}: {columns[-1]} {verb}; expected 0..{num_classes - 1} ({num_classes} classes)")
    return Segment(narration, participant, video, start, stop, verb, line)


def _whole(where: str, name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"{where}: {name} is {text[:80]!r}; expected a whole number") from error


def frame_range(start: int, stop: int, modality: str) -> tuple[int, int]:
    """First and last frame number of a segment in "rgb" (its own numbers) or "flow" (`flow_range`)."""
    return flow_range(start, stop) if modality == "flow" else (start, stop)


def flow_range(start: int, stop: int) -> tuple[int, int]:
    """First and last flow frame of RGB frames start .. stop."""
    return (start + 1) // 2, (stop + 1) // 2


def frame_positions(length: int, count: int) -> np.ndarray:
    """int64 (count,): evenly spread positions 0 .. length - 1, cut to whole numbers; both ends are among them."""
    return np.linspace(0, length - 1, count).astype(np.int64)


def sampled_frames(segment: Segment, modality: str, count: int) -> np.ndarray:
    """int64 (count,): the frame numbers of a segment that are read."""
    first, last = frame_range(segment.start_frame, segment.stop_frame, modality)
    return first + frame_positions(last - first + 1, count)


def part_folders(folder: str | Path, segment: Segment, modality: str) -> list[str]:
    """Where the frames of a segment's video lie: one folder of RGB, those of u and v of flow."""
    video = os.path.join(folder, segment.participant_id, f"{modality}_frames", segment.video_id)
    return [os.path.join(video, part) if part else video for part in PARTS[modality]]


def frame_name(number: int) -> str:
    """frame_0000000001.jpg for 1."""
    return f"frame_{number:010d}.jpg"


def check_ends(folder: Path, csv_file: Path, segment: Segment, modality: str) -> None:
    """Raises UserError where the first or the last frame of a segment is not there, and says which frames are."""
    first, last = frame_range(segment.start_frame, segment.stop_frame, modality)
    for part in part_folders(folder, segment, modality):
        if all(os.path.exists(f"{part}/{frame_name(frame)}") for frame in (first, last)):
            continue
        where = f"{csv_file}:{segment.line}: segment {segment.narration_id} needs {modality} frames {first} to {last}"
        again = "; the data set's authors ask to download this video again" if segment.video_id in RENEWED else ""
        raise UserError(f"{where}, {part} {_holds(part)}. Complete the video or take the segment out{again}")


def _holds(part: str) -> str:
    if not os.path.isdir(part):
        return "is not there"
    frames = sorted(name for name in os.listdir(part) if name.startswith("frame_"))
    return f"holds {len(frames)} frames ({frames[0]} to {frames[-1]})" if frames else "holds no frame"


def read_clip(folder: Path, segment: Segment, frames: np.ndarray, modality: str) -> np.ndarray:
    """uint8 (T, H, W, 3) of "rgb" or (T, H, W, 2) of "flow": these frames; a repeated one is decoded once.

    Raises UserError for a missing or damaged frame, and for one of another size than the first.
    """
    needed, places = np.unique(frames, return_inverse=True)
    parts = part_folders(folder, segment, modality)
    read = read_flow if modality == "flow" else read_rgb
    decoded = [read(*(f"{part}/{frame_name(number)}" for part in parts)) for number in needed.tolist()]
    for number, frame in zip(needed.tolist(), decoded, strict=True):
        if frame.shape != decoded[0].shape:
            raise UserError(
                f"{parts[0]}/{frame_name(number)}: {_shape(frame)} pixels, {frame_name(needed[0])} has "
                f"{_shape(decoded[0])}; expected one size in a segment ({segment.narration_id}, line {segment.line})"
            )
    return np.stack([decoded[place] for place in places])


def read_rgb(path: str | Path) -> np.ndarray:
    """uint8 (H, W, 3), RGB order. Raises UserError for a missing or damaged file."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_flow(u: str | Path, v: str | Path) -> np.ndarray:
    """uint8 (H, W, 2): the grey levels of both components. Raises UserError for a missing or damaged file, or sizes
    that differ."""
    across, down = (_decode(path, cv2.IMREAD_GRAYSCALE) for path in (u, v))
    if across.shape != down.shape:
        raise UserError(f"{v}: {_shape(down)} pixels, {u} has {_shape(across)}; expected the same size")
    return np.stack([across, down], axis=-1)


def _decode(path: str | Path, flags: int) -> np.ndarray:
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such frame. Unpack the video's frames again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    image = None if _cut_short(content) else cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise UserError(f"{path}: cannot be read as an image; the file is damaged or cut short. Copy it again")
    return image


def _cut_short(content: bytes) -> bool:
    """Nothing in it, or a JPEG without its end marker, of which OpenCV would fill the rest with grey."""
    return not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < len(content) - 1024)


def _shape(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
