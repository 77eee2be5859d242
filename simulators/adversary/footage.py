"""Edit what a segment shows, how long, and in which container: attacks on one video file of a bundle, manifests re-made."""

import struct
from collections.abc import Callable
from dataclasses import replace

from protocol.errors import MalformedError
from protocol.fmp4 import boxes
from protocol.mp4 import read_tracks
from simulators.adversary.attacks import Attack, Strike, clip, verify
from simulators.adversary.bags import Bag
from simulators.adversary.reels import Frame, Reel, Strip, fragment

_RECORDED = "is not the file that its record names"
_UNKNOWN = "no record of the bundle has the sample root of this file"
_KEPT = "its samples are those recorded, the container was changed"


def _edit(strike: Strike, change: Callable[[bytes], bytes]) -> None:
    bag = Bag(strike.folder)
    name = bag.first_video()
    before = bag.read(name)
    after = change(before)
    if after == before:
        raise MalformedError("changed nothing", where=name)
    bag.write(name, after)
    bag.rewrap()


def _cut(strike: Strike, change: Callable[[Reel], None]) -> None:
    def apply(data: bytes) -> bytes:
        reel = Reel.read(data)
        change(reel)
        return reel.encode()

    _edit(strike, apply)


def _flip(strip: Strip, strike: Strike) -> None:
    frame = strip.frames[strike.draw.randrange(len(strip.frames))]
    data = bytearray(frame.data)
    data[strike.draw.randrange(5, len(data))] ^= 1 << strike.draw.randrange(8)
    frame.data = bytes(data)


def edit_pixels(strike: Strike) -> None:
    """Change one bit of one picture, in place."""
    _edit(strike, lambda data: _in_place(data, "vide", strike))


def edit_sound(strike: Strike) -> None:
    """Change one bit of one piece of sound, in place."""
    _edit(strike, lambda data: _in_place(data, "soun", strike))


def _in_place(data: bytes, kind: str, strike: Strike) -> bytes:
    track = next(track for track in read_tracks(data) if track.kind == kind and track.sizes)
    number = strike.draw.randrange(len(track.sizes))
    out = bytearray(data)
    out[track.places[number] + strike.draw.randrange(5, track.sizes[number])] ^= 1 << strike.draw.randrange(8)
    return bytes(out)


def drop_frame(strike: Strike) -> None:
    """Take one picture out of the middle and move the rest together."""

    def change(reel: Reel) -> None:
        del reel.pictures.frames[len(reel.pictures.frames) // 2]
        reel.pictures.close_up()

    _cut(strike, change)


def swap_frames(strike: Strike) -> None:
    """Exchange two neighbouring pictures and leave their times."""

    def change(reel: Reel) -> None:
        frames = reel.pictures.frames
        at = strike.draw.randrange(2, len(frames) - 1)
        frames[at].data, frames[at + 1].data = frames[at + 1].data, frames[at].data

    _cut(strike, change)


def replay_frames(strike: Strike) -> None:
    """Show the pictures of the first half again in the second."""

    def change(reel: Reel) -> None:
        frames = reel.pictures.frames
        half = len(frames) // 2
        for at in range(half):
            frames[half + at].data, frames[half + at].is_key = frames[at].data, frames[at].is_key

    _cut(strike, change)


def cut_last_frames(strike: Strike) -> None:
    """Cut the last pictures and their sound off a segment."""
    _cut(strike, lambda reel: _keep(reel, slice(None, -5)))


def cut_first_frames(strike: Strike) -> None:
    """Cut the first pictures and their sound off a segment."""
    _cut(strike, lambda reel: _keep(reel, slice(5, None)))


def _keep(reel: Reel, part: slice) -> None:
    for strip in reel.strips:
        strip.frames = strip.frames[part]


def append_frames(strike: Strike) -> None:
    """Append pictures that nobody signed behind the last one."""

    def change(data: bytes) -> bytes:
        pictures = Reel.read(data).pictures
        last = pictures.frames[-1]
        more = [
            replace(frame, due=last.due + last.lasts * at, shown=last.due + last.lasts * at)
            for at, frame in enumerate(pictures.frames[:9], 1)
        ]
        return data + fragment([replace(pictures, frames=more)])

    _edit(strike, change)


def _retime(strip: Strip, change: Callable[[Frame], tuple[int, int, int]]) -> None:
    for frame in strip.frames:
        frame.due, frame.shown, frame.lasts = change(frame)


def retime_tfdt(strike: Strike) -> None:
    """Move the decode times of a later fragment by half a second (`tfdt`)."""

    def change(reel: Reel) -> None:
        pictures = reel.pictures
        half = len(pictures.frames) // 2
        later, ticks = Strip(pictures.track, "vide", pictures.timescale, pictures.frames[half:]), pictures.timescale // 2
        _retime(later, lambda frame: (frame.due + ticks, frame.shown + ticks, frame.lasts))
        pictures.frames[half - 1].lasts += ticks

    _cut(strike, change)


def stretch_durations(strike: Strike) -> None:
    """Play the pictures at half their speed: every duration and time doubled."""
    _cut(strike, lambda reel: _retime(reel.pictures, lambda frame: (2 * frame.due, 2 * frame.shown, 2 * frame.lasts)))


def shift_sound(strike: Strike) -> None:
    """Move the sound by a second against the pictures."""

    def change(reel: Reel) -> None:
        ticks = reel.sound.timescale
        _retime(reel.sound, lambda frame: (frame.due + ticks, frame.shown + ticks, frame.lasts))

    _cut(strike, change)


def swap_sound(strike: Strike) -> None:
    """Put the sound of another segment under the pictures."""
    bag = Bag(strike.folder)
    other = next(name for name in bag.videos("box-1/cam-1") if name != bag.first_video())
    donor = Reel.read(bag.read(other)).sound

    def change(reel: Reel) -> None:
        for mine, theirs in zip(reel.sound.frames, donor.frames, strict=False):
            mine.data = theirs.data

    _cut(strike, change)


def change_sps(strike: Strike) -> None:
    """Change a bit of the sequence parameter set in the decoder's set-up: another size or colour, the same pictures."""

    def change(data: bytes) -> bytes:
        at = data.index(b"avcC") + 4 + 8  # behind version, profile, level, lengths: the first parameter set
        out = bytearray(data)
        out[at + 10] ^= 4
        return bytes(out)

    _edit(strike, change)


def append_free(strike: Strike) -> None:
    """Append a `free` box with a message in it: no player shows it, some signatures leave it out."""
    _edit(strike, lambda data: data + struct.pack(">I4s", 8 + 12, b"free") + b"not the same")


def drop_mfra(strike: Strike) -> None:
    """Cut the index (`mfra`) off the end."""
    _edit(strike, lambda data: b"".join(data[box.start : box.end] for box in boxes(data) if box.type != b"mfra"))


def change_ftyp(strike: Strike) -> None:
    """Write another brand into `ftyp`."""
    _edit(strike, lambda data: data[:8] + b"qt  " + data[12:])


def change_movie_time(strike: Strike) -> None:
    """Write another creation time into `mvhd`."""

    def change(data: bytes) -> bytes:
        at = data.index(b"mvhd") + 8
        return data[:at] + struct.pack(">I", 3_000_000_000 + strike.draw.randrange(1 << 20)) + data[at + 4 :]

    _edit(strike, change)


_PLAYER = "how a player shows it: overlays, aspect, rotation and colour stand outside of the samples"

ATTACKS = (
    Attack("edit-pixels", "bundle", "a copy", edit_pixels, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("edit-sound", "bundle", "a copy", edit_sound, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack(
        "drop-frame",
        "bundle",
        "a copy",
        drop_frame,
        (verify(_RECORDED), clip(_UNKNOWN)),
        "what was lost before the box is recorded as lost",
    ),
    Attack("swap-frames", "bundle", "a copy", swap_frames, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("replay-frames", "bundle", "a copy", replay_frames, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("cut-last-frames", "bundle", "a copy", cut_last_frames, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("cut-first-frames", "bundle", "a copy", cut_first_frames, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("append-frames", "bundle", "a copy", append_frames, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("retime-tfdt", "bundle", "a copy", retime_tfdt, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("stretch-durations", "bundle", "a copy", stretch_durations, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("shift-sound", "bundle", "a copy", shift_sound, (verify(_RECORDED), clip("from where the record has it"))),
    Attack("swap-sound", "bundle", "a copy", swap_sound, (verify(_RECORDED), clip(_UNKNOWN))),
    Attack("change-sps", "bundle", "a copy", change_sps, (verify(_RECORDED), clip(_UNKNOWN)), _PLAYER),
    Attack("append-free", "bundle", "a copy", append_free, (verify(_KEPT),), "as a clip it is valid: its samples are those recorded"),
    Attack("drop-mfra", "bundle", "a copy", drop_mfra, (verify(_KEPT),), "as a clip it is valid: its samples are those recorded"),
    Attack("change-ftyp", "bundle", "a copy", change_ftyp, (verify(_KEPT),), "as a clip it is valid: its samples are those recorded"),
    Attack(
        "change-movie-time", "bundle", "a copy", change_movie_time, (verify(_KEPT),), "as a clip it is valid: no verdict rests on that time"
    ),
)
