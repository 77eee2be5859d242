"""Every attack on bundles, days, boxes and logs is caught, with the right reason; what is intact, remuxed or cut never fails."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from edge.pins import Pins
from protocol import bundle
from protocol.errors import VerificationError
from protocol.messages import Consistency
from protocol.notes import ED25519, NoteKey, SignedCheckpoint
from protocol.records import Seen
from protocol.witnessing import AddCheckpoint
from simulators.adversary.attacks import Attack, Sign
from simulators.adversary.bags import Bag
from simulators.adversary.catalogue import ATTACKS, find
from simulators.adversary.command import strike
from simulators.adversary.judges import Answer, answer_of, ask_fsck, ask_verify, changed_video
from simulators.adversary.logs import ORIGIN, REQUEST, LogFile
from simulators.adversary.noise import endure
from simulators.adversary.reels import Reel
from simulators.adversary.stages import identity, make_stage
from storage import clips, sidecars
from storage.bundles import write_zip
from storage.verify import read_trust, verify
from storage.witness import open_state
from tests.edge_parts import BOX
from tests.media_parts import remux
from tests.witness_parts import post, running_witness, settings_of

CASES = 240  # of random damage here; ./run soak adversary runs ten thousand
CPU_S, MEMORY = 60, 3 << 30  # what the kernel grants a verifier under a parser bomb


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stage(tmp_path_factory.mktemp("adversary") / "stage")


def of(*targets: str) -> list[Attack]:
    return [one for one in ATTACKS if one.target in targets]


def struck(attack: Attack, stage: Path, folder: Path) -> Path:
    target = {"day": stage, "zip": stage / "bundle"}.get(attack.target, stage / attack.target)
    made = strike(attack, target, folder / "struck", seed=3)
    return made / "bundle.zip" if attack.target == "zip" else made


def asked(attack: Attack, sign: Sign, stage: Path, found: Path) -> Answer:
    trust = stage / ("trust-witnessed.json" if "witness" in sign.reason else "trust.json")
    if sign.detector == "portwitness-verify --clip":
        return ask_verify(stage / "bundle", trust, "--clip", changed_video(stage / "bundle", found))
    if sign.detector == "portwitness-verify --whole-c2pa":
        return ask_verify(found, trust, "--whole-c2pa")
    return ask_bounded(found, trust) if attack.name.startswith("bomb-") else ask_verify(found, trust)


def ask_bounded(found: Path, trust: Path) -> Answer:
    """Run `portwitness-verify` as a program whose time and memory the kernel bounds."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    command = [sys.executable, "-m", "storage.verify", str(found), "--trust", str(trust), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=bounded)
    assert done.returncode in (1, 2), done.stderr[-2000:]
    return answer_of(done.stdout, done.returncode)


@pytest.mark.parametrize("attack", of("bundle", "day", "zip"), ids=lambda one: one.name)
def test_evidence_attacked_is_caught_for_the_right_reason(attack: Attack, stage: Path, tmp_path: Path) -> None:
    if any(sign.where == ".c2pa" for sign in attack.signs) and not sidecars.is_available():
        pytest.skip("needs c2pa-python")
    found = struck(attack, stage, tmp_path)
    for sign in attack.signs:
        answer = asked(attack, sign, stage, found)
        if sign.detector == "portwitness-verify, time intervals":
            assert sign.reason in answer.text
        else:
            assert answer.caught
            assert answer.says(sign.reason, sign.where), (sign, list(zip(answer.places, answer.words, strict=True))[:12])


@pytest.mark.parametrize("attack", [one for one in of("box") if one.signs[0].detector == "portwitness-edge fsck"], ids=lambda one: one.name)
def test_a_box_attacked_is_caught(attack: Attack, stage: Path, tmp_path: Path) -> None:
    assert not ask_fsck(stage / "box", BOX, identity().public).caught
    answer = ask_fsck(struck(attack, stage, tmp_path), BOX, identity().public)
    assert answer.says(attack.signs[0].reason), answer.words


@pytest.mark.parametrize("attack", of("log"), ids=lambda one: one.name)
async def test_a_log_that_forks_is_refused_by_witness_and_box(attack: Attack, stage: Path, tmp_path: Path) -> None:
    honest = AddCheckpoint.parse((stage / "log" / REQUEST).read_bytes())
    shown = AddCheckpoint.parse((struck(attack, stage, tmp_path) / REQUEST).read_bytes())
    key = NoteKey(ORIGIN, ED25519, LogFile.read(stage / "log", stage).signer.public)
    settings = settings_of(tmp_path, key)
    async with running_witness(settings) as (url, _):
        assert (await post(url, honest)).status_code == httpx.codes.OK
        assert str((await post(url, shown)).status_code) == attack.signs[0].reason[:3]
    state = open_state(settings)
    state.open()
    forks = [(one.held, one.shown) for one in state.forks()]
    state.close()
    assert forks == ([(honest.checkpoint, shown.checkpoint)] if "kept as proof" in attack.signs[0].reason else [])
    for sign in attack.signs[1:]:
        with pytest.raises(VerificationError, match=sign.reason):
            pin(honest, shown)


def pin(honest: AddCheckpoint, shown: AddCheckpoint) -> None:
    """Show a box one checkpoint, then another with its proof."""
    pins = Pins()
    heads = [SignedCheckpoint.parse(one.checkpoint).checkpoint for one in (honest, shown)]
    seen = [Seen(one.size, one.root) for one in heads]
    assert pins.knows(seen[0], honest.checkpoint)
    if not pins.knows(seen[1], shown.checkpoint):
        old, new = pins.wait(seen[1], shown.checkpoint)
        pins.prove(Consistency(old, new, shown.proof))


class TestControls:
    """What is intact must never be called wrong."""

    @pytest.mark.parametrize("trust", ["trust.json", "trust-witnessed.json"])
    def test_an_intact_bundle(self, stage: Path, tmp_path: Path, trust: str) -> None:
        assert not ask_verify(stage / "bundle", stage / trust).caught
        write_zip(stage / "bundle", tmp_path / "bundle.zip")
        assert not ask_verify(tmp_path / "bundle.zip", stage / trust).caught

    def test_segments_alone_remuxed_and_rewrapped(self, stage: Path, tmp_path: Path) -> None:
        for number, name in enumerate(Bag(stage / "bundle").videos()[::4]):
            data = (stage / "bundle" / name).read_bytes()
            for way, made in (("same", data), ("remuxed", remux(data)), ("rewrapped", Reel.read(data).encode())):
                path = tmp_path / f"{number}-{way}.mp4"
                path.write_bytes(made)
                answer = ask_verify(stage / "bundle", stage / "trust.json", "--clip", path)
                assert not answer.caught, (name, way, answer.words)

    def test_changed_containers_are_valid_clips(self, stage: Path, tmp_path: Path) -> None:
        for name in ("append-free", "drop-mfra", "change-ftyp", "change-movie-time"):
            found = strike(find(name), stage / "bundle", tmp_path / name, seed=3)
            clip = changed_video(stage / "bundle", found)
            assert not ask_verify(stage / "bundle", stage / "trust.json", "--clip", clip).caught, name

    @pytest.mark.parametrize("cut", [("--from", "0.2", "--to", "0.7"), ("--at", "0.5")])
    def test_sub_clips_with_their_proofs(
        self, stage: Path, tmp_path: Path, cut: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number, name in enumerate(Bag(stage / "bundle").videos()[::5]):
            clip = tmp_path / f"{number}.mp4"
            assert clips.run([str(stage / "bundle" / name), *cut, "--out", str(clip)], sys.stdout, sys.stderr) == 0
            proof = clip.with_suffix(".samples")
            assert not ask_verify(stage / "bundle", stage / "trust.json", "--clip", clip, "--proof", proof).caught
            if "--from" in cut:
                clip.write_bytes(remux(clip.read_bytes()))
                assert not ask_verify(stage / "bundle", stage / "trust.json", "--clip", clip, "--proof", proof).caught
        capsys.readouterr()


def test_no_random_damage_passes_as_valid(stage: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stage / "bundle", tmp_path / "bundle"))
    trust = read_trust(stage / "trust.json")
    tally = endure(folder, trust, CASES, seed=11)
    assert tally.false == []
    assert sum(tally.kinds.values()) == CASES and len(tally.kinds) == 5
    assert verify(folder, trust).valid  # and all of it was undone


def test_each_attack_has_a_name_and_a_sentence_of_its_own() -> None:
    names = [one.name for one in ATTACKS]
    assert len(set(names)) == len(names) > 70
    assert all(one.sentence.endswith(".") and one.signs for one in ATTACKS)


def test_the_program_leaves_its_target_alone(stage: Path, tmp_path: Path) -> None:
    before = {name: Bag(stage / "bundle").read(name) for name in Bag(stage / "bundle").names()}
    command = [sys.executable, "-m", "simulators", "attack"]
    made = [*command, "edit-pixels", str(stage / "bundle"), "--out", str(tmp_path / "out"), "--seed", "5"]
    done = subprocess.run(made, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "out"))
    assert {name: Bag(stage / "bundle").read(name) for name in before} == before
    assert bundle.parse_video(changed_video(stage / "bundle", tmp_path / "out").relative_to(tmp_path / "out").as_posix())
    again = subprocess.run(made, capture_output=True, text=True, check=False)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    listed = subprocess.run([*command, "--list", "--json"], capture_output=True, text=True, check=True)
    assert [one["name"] for one in json.loads(listed.stdout)] == [one.name for one in ATTACKS]
