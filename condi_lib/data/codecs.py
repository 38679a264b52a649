"""What the bytes of a packet say without decoding: does it hold one frame that is shown, can decoding begin there?

Sources: ISO/IEC 14496-10 (H.264), 23008-2 (H.265), 14496-2 (MPEG-4), RFC 6386 (VP8), the VP9 bitstream specification.
"""

import re

import numpy as np

from condi_lib.data.slices import H264Frames, HEVCFrames

INTRA = {"mjpeg", "prores", "dnxhd", "ffv1"}  # the key frames of these need nothing else


def reader(container, stream):
    """(read, complete), or None where this container or codec does not say what is shown.

    complete(), after the last packet: whether none is missing that others need. read(packet) is (shown, entry, kind):
    whether the packet's one frame is shown (None: it does not hold exactly one, or is damaged), whether decoding from
    it gives what decoding from the start does, and for MPEG-4 the kind of frame, I, P or B (its containers may lack
    times of presentation), else None.
    """
    codec, form = stream.codec_context, container.format.name
    if not ("mov" in form or "matroska" in form or (form == "avi" and codec.name in {"mpeg4", "mjpeg", "ffv1"})):
        return None
    if codec.name in {"h264", "hevc"}:
        extra = codec.extradata or b""
        at = 4 if codec.name == "h264" else 21  # of the byte whose last two bits are the length's length less 1
        if len(extra) <= at or extra[0] != 1 or int(codec.field_order) not in (0, 1):
            return None  # packets are not cut at lengths, or may hold fields
        read, frames = (_h264, H264Frames) if codec.name == "h264" else (_hevc, HEVCFrames)
        try:
            frames = frames(extra)
        except (ValueError, IndexError):
            return None
        return lambda packet: (*read(_units(bytes(packet), 1 + (extra[at] & 3)), frames), None), frames.complete
    reads = {
        "mpeg4": _mpeg4,
        **dict.fromkeys(("vp8", "libvpx"), _vp8),
        **dict.fromkeys(("vp9", "libvpx-vp9"), _vp9),
        **dict.fromkeys(("av1", "libdav1d", "libaom-av1"), lambda data: (True, True, None)),
        **dict.fromkeys(INTRA, lambda data: (True if len(data) > 8 else None, True, None)),
        "mjpeg": lambda data: (True if _is_jpeg(data) else None, True, None),
    }
    if codec.name not in reads:
        return None
    read = reads[codec.name]

    def whole(packet):
        data = bytes(packet)
        return (None, False, None) if _overwritten(data) else read(data)

    return whole, lambda: True


def _overwritten(data):
    """Whether a long run of one value says that the data are lost. Rarely it is none, and costs only time."""
    return b"\0" * 16 in data or b"\xff" * 16 in data


def order_by_kind(kinds):
    """The packets of MPEG-4 in the order in which they are shown, int64 [P]: I and P wait for the B that follow them.

    None where the first B have no frame before them to be made from.
    """
    if "B" in kinds[:2]:
        return None
    order, waiting = [], []
    for i, kind in enumerate(kinds):
        if kind == "B":
            order.append(i)
        else:
            order += waiting
            waiting = [i]
    return np.array(order + waiting, np.int64)


def _units(data, width):
    """The units of an H.264 or H.265 packet, each behind its length; none if it is damaged."""
    units, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + width], "big")
        at += width
        if not length or at + length > len(data):
            return []
        units.append(data[at : at + length])
        at += length
    return units


def _sound(slices, frames):
    """Whether the slices of a packet are one picture's that comes where it should; three bytes never read 0, 0, 0."""
    damaged = any(_overwritten(unit) or b"\0\0\0" in unit or b"\0\0\1" in unit for unit in slices)
    try:
        return bool(slices) and not damaged and frames.follows(slices[0])
    except (ValueError, IndexError):
        return False


def _h264(units, frames):
    kinds = {unit[0] & 31 for unit in units}
    changed = kinds & {7, 8} and 5 not in kinds  # settings that decoding which begins later would lack
    sound = _sound([unit for unit in units if unit[0] & 31 in (1, 2, 5)], frames)
    # An I frame that is not an IDR may be a key frame too, but frames after it may be made from others before it
    return (True if sound and not changed else None), 5 in kinds


def _hevc(units, frames):
    kinds = {unit[0] >> 1 & 63 for unit in units}
    spliced = kinds & {16, 17, 18, 36, 37}  # what follows a cut is left out by the decoder
    begins = bool(kinds & {19, 20, 21})
    changed = kinds & {32, 33, 34} and not begins
    sound = _sound([unit for unit in units if unit[0] >> 1 & 63 < 32], frames)
    return (True if sound and not spliced and not changed else None), begins


def _is_jpeg(data):
    """Whether a packet is a JPEG picture whose scan holds no marker that cannot be there."""
    scan = data.find(b"\xff\xda")
    return data[:2] == b"\xff\xd8" and scan > 0 and not re.search(rb"\xff[^\0\xd0-\xd9\xff]", data[scan + 2 :])


def _vp8(data):
    """Of a packet with one frame: a tag of three bytes with its first part's size, then a code in key frames."""
    key, size = not data[0] & 1, int.from_bytes(data[:3], "little") >> 5
    sound = size + 3 + 7 * key <= len(data) and (not key or data[3:6] == b"\x9d\x01\x2a")
    return (bool(data[0] & 16) if sound else None), key, None


def _vp9(data):
    """Of a packet of one frame, or of several behind each other with an index at the end (a superframe)."""
    frames, last = [data], data[-1]
    if last & 0xE0 == 0xC0:
        n, width = (last & 7) + 1, (last >> 3 & 3) + 1
        sizes = np.frombuffer(data[-1 - n * width : -1], np.uint8).reshape(n, width) @ 256 ** np.arange(width)
        starts = np.cumsum(sizes) - sizes
        frames = [data[start : start + size] for start, size in zip(starts, sizes, strict=True) if size]
    bits = [frame[0] << 1 if frame[0] & 0x30 == 0x30 else frame[0] for frame in frames]  # profile 3 has one bit more
    shown = [b & 8 or b & 2 for b in bits]
    sound = sum(map(bool, shown)) == 1 and all(
        frame[0] >> 6 == 2 and (len(frame) > 8 or b & 8) for frame, b in zip(frames, bits, strict=True)
    )
    return (True if sound else None), bits[0] & 12 == 0, None


def _mpeg4(data):
    """Of a packet with one frame. One that is left out ("not coded") is a header and nothing else, at most 16 bytes."""
    at = data.find(b"\0\0\1\xb6")
    sure = 0 <= at < len(data) - 16 and data.find(b"\0\0\1\xb6", at + 4) < 0
    kind = "IPBP"[data[at + 4] >> 6] if sure else ""
    return (True if kind else None), kind == "I", kind
