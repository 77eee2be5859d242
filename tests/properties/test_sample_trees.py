"""The sample root holds over remuxing and breaks at any change; clips and frames are proven, and nothing else is."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import canonical, clips, fmp4
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.merkle import root_of
from protocol.mp4 import Track, read_tracks
from protocol.sample_proofs import Anchor, SampleProof, check_clip, check_whole, prove
from protocol.samples import FLICKS, SampleTree, flicks, levels_over, sample_root, tree_of
from simulators.films import Film, film
from tests.media_parts import FRAGMENTED, remux, segment

STREAM = StreamId("box-1/cam-1")
CASES = [(0, None), (0, "aac"), (0, "opus"), (2, "aac"), (2, "opus")]
PLAN = Film(seconds=2, reorders=True, picture_bytes=20)


@cache
def tree(data: bytes) -> SampleTree:
    return tree_of(data, read_tracks(data))


def anchor(data: bytes, seconds: float = 3.1) -> Anchor:
    return Anchor(tree(data).root(), tree(data).starts() or (), int(seconds * SECOND_NS))


@pytest.mark.parametrize(("b_frames", "sound"), CASES)
@pytest.mark.parametrize("late", [37, 0, 30_000])
def test_the_root_holds_over_remuxing_and_back(b_frames: int, sound: str | None, late: int) -> None:
    data = segment(b_frames, sound, late)
    plain = remux(data)
    fragmented = remux(data, FRAGMENTED)
    copies = [plain, fragmented, remux(fragmented), remux(data, {"movie_timescale": "90000"})]
    if sound != "opus":
        copies.append(remux(plain, FRAGMENTED))  # libav loses the last Opus packet of its own plain files
    for copy in copies:
        assert copy != data
        assert sample_root(copy) == tree(data).root()
        check_whole(copy, anchor(data))


def test_parts_do_not_matter() -> None:
    roots = {sample_root(segment(2, "aac", 37, units)) for units in (20, 60, 100_000)}
    assert len(roots) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bit_of_a_sample_counts(data: st.DataObject) -> None:
    whole = film(3, PLAN)
    track = data.draw(st.sampled_from(read_tracks(whole)))
    at = data.draw(st.integers(0, len(track.dts) - 1))
    byte = track.places[at] + data.draw(st.integers(0, track.sizes[at] - 1))
    spoilt = bytearray(whole)
    spoilt[byte] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        check_whole(bytes(spoilt), anchor(whole))


def columns(track: Track) -> list[tuple[int, int, bool, int, int]]:
    return list(zip(track.dts, track.pts, track.syncs, track.sizes, track.places, strict=True))


def with_columns(track: Track, rows: list[tuple[int, int, bool, int, int]]) -> Track:
    found = [list(column) for column in zip(*rows, strict=True)]
    return replace(track, dts=found[0], pts=found[1], syncs=found[2], sizes=found[3], places=found[4])


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_times_marks_order_number_and_set_up_count(data: st.DataObject) -> None:
    whole = film(4, PLAN)
    tracks = read_tracks(whole)
    place = data.draw(st.integers(0, len(tracks) - 1))
    rows = columns(tracks[place])
    at = data.draw(st.integers(0, len(rows) - 1))
    act = data.draw(st.sampled_from(["due", "shown", "mark", "drop", "swap", "repeat", "set-up", "codec", "kind", "scale"]))
    changed = tracks[place]
    if act in ("due", "shown", "mark"):
        step = data.draw(st.integers(-9, 9).filter(bool))
        due, shown, sync, *rest = rows[at]
        moved = (due + step * (act == "due"), shown + step * (act == "shown"), sync != (act == "mark"))
        rows[at] = (*moved, *rest)  # type: ignore[assignment]
    elif act == "drop":
        del rows[at]
    elif act == "repeat":
        rows.insert(at, rows[at])
    elif act == "swap":
        other = (at + 1) % len(rows)
        first, second = rows[at], rows[other]
        rows[at], rows[other] = (*first[:3], *second[3:]), (*second[:3], *first[3:])
    elif act == "set-up":
        byte = data.draw(st.integers(0, len(changed.config) - 1))
        changed = replace(changed, config=changed.config[:byte] + bytes((changed.config[byte] ^ 1,)) + changed.config[byte + 1 :])
    else:
        changed = replace(changed, **{"codec": {"codec": "h265"}, "kind": {"kind": "text"}, "scale": {"timescale": 24_000}}[act])  # type: ignore[arg-type]
    tracks[place] = with_columns(changed, rows)
    assert tree_of(whole, tracks).root() != tree(whole).root()


def test_order_and_number_of_tracks_count() -> None:
    whole = film(4, PLAN)
    tracks, root = read_tracks(whole), tree(whole).root()
    assert tree_of(whole, tracks[::-1]).root() != root
    assert tree_of(whole, tracks[:1]).root() != root
    assert tree_of(whole, [*tracks, tracks[1]]).root() != root
    silent = replace(tracks[0], dts=[], pts=[], syncs=[], sizes=[], places=[])
    assert tree_of(whole, [tracks[0], silent, tracks[1]]).root() == root  # a track without samples shows nothing


def test_a_track_moved_against_the_other_is_found_by_the_record() -> None:
    data = segment(0, "aac")
    late = segment(0, "aac", 37 + 480)  # 10 ms
    assert tree(data).root() == tree(late).root()
    for copy in (late, remux(late)):
        with pytest.raises(VerificationError, match="ms from where the record has it"):
            check_whole(copy, anchor(data))


def test_a_stretched_end_is_found_by_the_record() -> None:
    data = remux(segment(0, None))
    with pytest.raises(VerificationError, match="stretched"):
        check_whole(data, anchor(segment(0, None), seconds=0.5))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
def test_levels_end_in_the_root_of_rfc_6962(leaves: list[bytes]) -> None:
    assert levels_over(leaves)[-1] == [root_of(leaves)]


@given(st.integers(-(10**9), 10**9), st.sampled_from([1, 1000, 8000, 11_025, 12_800, 15_360, 44_100, 48_000, 90_000, 1_000_000]))
def test_flicks_are_exact_or_refused(ticks: int, scale: int) -> None:
    try:
        found = flicks(ticks, scale)
    except MalformedError:
        assert ticks * FLICKS % scale
    else:
        assert found * scale == ticks * FLICKS


def test_times_that_are_too_far_are_refused() -> None:
    with pytest.raises(MalformedError):
        flicks(1 << 62, 1)
    track = Track(1, "vide", "h264", b"", 1, [0, 1 << 60], [0, 0], [True, True], [0, 0], [0, 0])
    with pytest.raises(MalformedError):
        tree_of(b"", [track])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_run_of_samples_is_proven(data: st.DataObject) -> None:
    whole = film(5, PLAN)
    tracks = read_tracks(whole)
    ranges: dict[int, tuple[int, int]] = {}
    for place in data.draw(st.sets(st.integers(0, 1), min_size=1)):
        first = data.draw(st.integers(0, len(tracks[place].dts) - 1))
        ranges[place] = first, data.draw(st.integers(first + 1, len(tracks[place].dts)))
    proof = prove(tree(whole), STREAM, 7, ranges)
    assert SampleProof.parse(proof.encode()) == proof
    assert len(proof.encode()) < 2048
    clip = clips.cut(whole, tracks, ranges)
    found = check_clip(clip, proof, anchor(whole, 2))
    assert found.samples == sum(end - first for first, end in ranges.values())
    assert 0 <= found.start_ns < found.end_ns <= 2 * SECOND_NS + SECOND_NS // 10


@pytest.mark.parametrize(("b_frames", "sound"), CASES)
def test_clips_hold_over_remuxing(b_frames: int, sound: str | None) -> None:
    whole = segment(b_frames, sound)
    tracks = read_tracks(whole)
    ranges = clips.choose(tracks, 3 * FLICKS // 2, 5 * FLICKS // 2)
    clip, proof = clips.cut(whole, tracks, ranges), prove(tree(whole), STREAM, 7, ranges)
    for copy in (clip, remux(clip), remux(clip, FRAGMENTED)):
        found = check_clip(copy, proof, anchor(whole))
        assert (found.start_ns, found.number) == (SECOND_NS, 7)  # from the key picture before
        assert 2.4 * SECOND_NS < found.end_ns < 2.7 * SECOND_NS


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_bit_of_proof_or_clip_can_change(data: st.DataObject) -> None:
    whole = film(6, PLAN)
    tracks = read_tracks(whole)
    ranges = {0: (7, 31), 1: (20, 60)}
    clip, proof = clips.cut(whole, tracks, ranges), prove(tree(whole), STREAM, 7, ranges).encode()
    if data.draw(st.booleans()):
        spoilt = bytearray(proof)
        spoilt[data.draw(st.integers(0, len(proof) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        proof = bytes(spoilt)
        try:
            read = SampleProof.parse(proof)
        except PortwitnessError:
            return
        if (read.stream, read.number) != (STREAM, 7):
            return  # of another segment: its record has another root
        with pytest.raises(VerificationError):
            check_clip(clip, read, anchor(whole, 2))
        return
    mdat = list(fmp4.boxes(clip))[-1]
    spoilt = bytearray(clip)
    spoilt[data.draw(st.integers(mdat.start + 8, len(clip) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        check_clip(bytes(spoilt), SampleProof.parse(proof), anchor(whole, 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1), st.integers(0, 49), st.data())
def test_a_single_sample_is_proven_by_its_bytes(place: int, index: int, data: st.DataObject) -> None:
    whole = film(7, PLAN)
    body = clips.sample(whole, read_tracks(whole), place, index)
    proof = SampleProof.parse(prove(tree(whole), STREAM, 7, {place: (index, index + 1)}, bare=True).encode())
    assert check_clip(body, proof, anchor(whole, 2)).samples == 1
    spoilt = bytearray(body)
    spoilt[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        check_clip(bytes(spoilt), proof, anchor(whole, 2))
    with pytest.raises(VerificationError):
        check_clip(body, replace(proof, shown=(replace(proof.shown[0], pts=proof.shown[0].pts + 1),)), anchor(whole, 2))
    with pytest.raises(VerificationError):
        check_clip(body, replace(proof, hashes=proof.hashes[:-1]), anchor(whole, 2))
    with pytest.raises(VerificationError):
        check_clip(body, replace(proof, hashes=(*proof.hashes, bytes(32))), anchor(whole, 2))


def test_a_clip_with_less_more_or_other_media_is_refused() -> None:
    whole = film(8, PLAN)
    tracks = read_tracks(whole)
    ranges = {0: (0, 25), 1: (0, 40)}
    proof = prove(tree(whole), STREAM, 7, ranges)
    for other in ({0: (0, 24), 1: (0, 40)}, {0: (1, 26), 1: (0, 40)}, {0: (0, 25)}, {0: (0, 25), 1: (1, 41)}):
        with pytest.raises(VerificationError):
            check_clip(clips.cut(whole, tracks, other), proof, anchor(whole, 2))
    slow = replace(tracks[0], dts=[2 * due for due in tracks[0].dts], pts=[2 * shown for shown in tracks[0].pts])
    with pytest.raises(VerificationError):
        check_clip(clips.cut(whole, [slow, tracks[1]], ranges), proof, anchor(whole, 2))
    moved = replace(tracks[1], dts=[due + 4800 for due in tracks[1].dts], pts=[shown + 4800 for shown in tracks[1].pts])
    with pytest.raises(VerificationError, match="100 ms"):
        check_clip(clips.cut(whole, [tracks[0], moved], ranges), proof, anchor(whole, 2))
    with pytest.raises(VerificationError):
        check_clip(clips.cut(whole, tracks, ranges), proof, replace(anchor(whole, 2), root=bytes(32)))


NONSENSE = [
    b"", b"\x80", b"\x00" * 200_000, [2, "box-1/cam-1", 0, [1], None, [[0, 0, 1, 0, 0, 0]], b""], [1, "box", 0, [1], None, [], b""],
    [1, "box-1/cam-1", -1, [1], None, [[0, 0, 1, 0, 0, 0]], b""], [1, "box-1/cam-1", 0, [], None, [[0, 0, 1, 0, 0, 0]], b""],
    [1, "box-1/cam-1", 0, [0], None, [[0, 0, 1, 0, 0, 0]], b""], [1, "box-1/cam-1", 0, [100_001], None, [[0, 0, 1, 0, 0, 0]], b""],
    [1, "box-1/cam-1", 0, [1], 1, [[0, 0, 1, 0, 0, 0]], b""], [1, "box-1/cam-1", 0, [1], None, [[0, 0, 2, 0, 0, 0]], b""],
    [1, "box-1/cam-1", 0, [1], None, [[1, 0, 1, 0, 0, 0]], b""], [1, "box-1/cam-1", 0, [1], None, [[0, 0, 1, 0, 0, -1]], b""],
    [1, "box-1/cam-1", 0, [1], None, [[0, 0, 1, 0, 0, 2**63]], b""], [1, "box-1/cam-1", 0, [1], None, [[0, 0, 1, 0, 0, 0]], bytes(31)],
    [1, "box-1/cam-1", 0, [3, 3], None, [[1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0]], b""],
    [1, "box-1/cam-1", 0, [3], True, [[0, 0, 2, 0, 0, 0]], b""], [1, "box-1/cam-1", 0, [1], None, [[0, 0, 1, 0, 0, 0]], bytes(32 * 2049)],
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NONSENSE)))
def test_proofs_that_are_none_are_malformed(number: int) -> None:
    given = NONSENSE[number]
    with pytest.raises(MalformedError):
        SampleProof.parse(given if isinstance(given, bytes) else canonical.encode(given))


def test_what_cannot_be_proven_or_cut_is_refused() -> None:
    whole = film(9, PLAN)
    tracks = read_tracks(whole)
    for ranges in ({}, {0: (5, 5)}, {0: (0, 51)}, {2: (0, 1)}):
        with pytest.raises(MalformedError):
            prove(tree(whole), STREAM, 7, ranges)
    for wrong in ({0: (5, 5)}, {2: (0, 1)}):
        with pytest.raises(MalformedError):
            clips.cut(whole, tracks, wrong)
    with pytest.raises(MalformedError, match="no fragmented segment"):
        plain = remux(segment(0, None))
        clips.cut(plain, read_tracks(plain), {0: (0, 1)})
    for start, end in ((5, 5), (6, 5)):
        with pytest.raises(MalformedError):
            clips.choose(tracks, start, end)
    with pytest.raises(MalformedError):
        clips.shown_at(tracks, 20 * FLICKS)
    order = [clips.shown_at(tracks, at * FLICKS // 25) for at in range(8)]
    assert order == [0, 2, 3, 1, 4, 6, 7, 5]
    assert all(later > before for before, later in pairwise(tracks[0].dts))


def test_a_copy_whose_head_is_changed_is_refused() -> None:
    data = segment(2, "aac")
    copy = remux(data)
    check_whole(copy, anchor(data))
    for at in (at for at in range(len(copy)) if copy.startswith((b"mdhd", b"avcC", b"esds", b"stts", b"ctts", b"elst"), at)):
        # time scale, profile, decoder set-up, first duration, first shift, start of an edit
        place = {b"mdhd": 19, b"avcC": 5, b"esds": 39, b"stts": 19, b"ctts": 19, b"elst": 17}[copy[at : at + 4]]
        spoilt = bytearray(copy)
        spoilt[at + place] ^= 2
        with pytest.raises(PortwitnessError):
            check_whole(bytes(spoilt), anchor(data))


def test_marks_of_another_writer_are_read_from_the_content() -> None:
    data = segment(0, None)
    copy = remux(data)
    at = copy.index(b"stss")
    spoilt = copy[: at + 15] + b"\x03" + copy[at + 16 :]
    assert [read_tracks(each)[0].syncs[:3] for each in (copy, spoilt)] == [[True, False, False], [False, False, True]]
    assert sample_root(spoilt) != sample_root(copy)
    check_whole(spoilt, anchor(data))  # libav marks recovery points of its own; what a key picture is stands in its bytes
