"""AAC frames from RTP payloads (RFC 3640, mode AAC-hbr), and what an AudioSpecificConfig says (ISO/IEC 14496-3 1.6.2.1).

Guarantees: only whole frames leave, byte for byte, each with its own place in time; sizes are bounded by the format.
"""

from dataclasses import dataclass

from firmware_adapters.h264 import Piece
from protocol.errors import MalformedError

_FREQUENCIES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
MAX_CONFIG_BYTES = 64
_WAITING_BYTES = 1 << 13  # AU-size has 13 bits


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """The decoder's settings; `channels` 0: given elsewhere in the stream."""

    frequency: int
    channels: int
    frame_samples: int


def read_audio_config(config: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig.

    Raises MalformedError when it is cut short or uses a reserved value.
    """
    if not 2 <= len(config) <= MAX_CONFIG_BYTES:
        raise MalformedError("length of the audio configuration", where="aac")
    bits, left = int.from_bytes(config, "big"), len(config) * 8

    def take(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise MalformedError("audio configuration is cut short", where="aac")
        return bits >> left & ((1 << count) - 1)

    if take(5) == 31:
        take(6)
    index = take(4)
    frequency = take(24) if index == 15 else _FREQUENCIES[index] if index < len(_FREQUENCIES) else 0
    layout = take(4)
    if not frequency or layout >= len(_CHANNELS):
        raise MalformedError("audio configuration uses a reserved value", where="aac")
    is_short = left > 0 and take(1) == 1
    return AudioConfig(frequency, _CHANNELS[layout], 960 if is_short else 1024)


class AacDepacketizer:
    """Takes frames out of packets: several in one packet, or one over several packets."""

    __slots__ = ("_frames", "_missing", "_parts", "_ticks")

    def __init__(self, frame_ticks: int) -> None:
        self._ticks = frame_ticks
        self._frames: list[bytes] = []
        self._parts = bytearray()
        self._missing = 0

    def push(self, data: bytearray, start: int, end: int) -> bool:
        """Take the payload data[start:end]; True when every frame of it is whole.

        Raises MalformedError when header section and data do not fit together (RFC 3640 3.2.1, 3.3.6).
        """
        if end - start < 4:
            raise MalformedError("audio payload is cut short", where="aac")
        header_bits = data[start] << 8 | data[start + 1]
        count, rest = divmod(header_bits, 16)
        body = start + 2 + 2 * count
        if rest or not count or body > end:
            raise MalformedError("audio header section does not fit", where="aac")
        first_size = data[start + 2] << 5 | data[start + 3] >> 3
        if count == 1 and first_size > end - body:
            return self._push_fragment(data, body, end, first_size)
        if self._missing:
            self._reset()
        for at in range(start + 2, start + 2 + 2 * count, 2):
            header = data[at] << 8 | data[at + 1]
            size = header >> 3
            if header & 7:
                raise MalformedError("interleaved audio is not allowed here", where="aac")
            if not size or body + size > end:
                raise MalformedError("audio frame is cut short", where="aac")
            self._frames.append(bytes(data[body : body + size]))
            body += size
        return True

    def finish(self) -> tuple[Piece, ...]:
        """Give the whole frames, each with its offset in ticks."""
        if self._missing:
            return ()
        pieces = tuple(((frame,), at * self._ticks, True) for at, frame in enumerate(self._frames))
        self._reset()
        return pieces

    def flush(self) -> tuple[Piece, ...]:
        """End at a new timestamp: a frame still in parts is lost."""
        if self._missing:
            self._reset()
        return self.finish()

    def spoil(self) -> None:
        """Know that packets are missing: parts of a frame are worth nothing; packets with whole frames stand alone."""
        self._reset()

    def drop(self) -> None:
        """Forget what was collected."""
        self._reset()

    def _push_fragment(self, data: bytearray, start: int, end: int, size: int) -> bool:
        if not self._missing:
            self._parts, self._missing = bytearray(), size
        self._parts += data[start:end]
        self._missing = size - len(self._parts)
        if self._missing < 0 or len(self._parts) > _WAITING_BYTES:
            raise MalformedError("audio fragments exceed their frame", where="aac")
        if self._missing:
            return False
        self._frames.append(bytes(self._parts))
        return True

    def _reset(self) -> None:
        self._frames = []
        self._parts = bytearray()
        self._missing = 0
