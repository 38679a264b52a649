"""The numbers that frames of H.264 and H.265 carry: whether those of a file follow each other, so that none is missing.

Where a frame is missing, its decoder leaves out some of those that need it, which packets do not tell otherwise.
Sources: ISO/IEC 14496-10 (7.3.2.1, 7.3.3, 7.4.3), 14496-15 (the settings beside the packets), 23008-2 (7.3.1 to 7.3.6,
8.3.1). Anything unusual raises ValueError or IndexError, and the file is decoded in order.
"""

_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # H.264 profiles


def _reader(unit, skip):
    """(bits, number) of a unit's payload behind `skip` bytes: bits(n) reads n of them, number() an Exp-Golomb code."""
    data = unit[skip:].replace(b"\0\0\3", b"\0\0")
    value, left = int.from_bytes(data, "big"), 8 * len(data)

    def bits(n):
        nonlocal left
        left -= n
        if left < 0:
            raise ValueError("a unit ends early")
        return value >> left & (1 << n) - 1

    def number():
        zeros = 0
        while not bits(1):
            zeros += 1
        return (1 << zeros) - 1 + bits(zeros)

    return bits, number


def _at_lengths(data, at, count):
    """([units behind lengths of two bytes], where they end)."""
    units = []
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2], "big")
        units.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return units, at


class H264Frames:
    """Follows frame_num: each frame is numbered one after the last that others may be made from."""

    def __init__(self, extra):
        units, _ = _at_lengths(extra, 6, extra[5] & 31)
        if len(units) != 1:
            raise ValueError("several settings")
        bits, number = _reader(units[0], 1)
        profile = bits(8)
        bits(16), number()
        if profile in _WITH_CHROMA:
            if number() == 3 and bits(1):
                raise ValueError("planes apart")
            number(), number(), bits(1)
            if bits(1):
                raise ValueError("matrices of its own")
        self.width, order = number() + 4, number()
        if order == 0:
            number()
        elif order == 1:
            bits(1), number(), number()
            for _ in range(number()):
                number()
        number()
        if bits(1):
            raise ValueError("gaps are allowed")
        self.last = None

    def follows(self, unit):
        """Whether the frame that a packet's first slice belongs to comes where it should."""
        bits, number = _reader(unit[:32], 1)
        if number():  # not the top of a picture
            return False
        if number() > 9 or number() > 255:  # no kind of slice, no settings
            return False
        found = bits(self.width)
        expected = 0 if unit[0] & 31 == 5 else None if self.last is None else (self.last + 1) % (1 << self.width)
        if unit[0] & 0x60:
            self.last = found
        return found == expected

    def complete(self):
        return True


class HEVCFrames:
    """Follows the order count, which numbers the frames as they are shown, anew from each IDR frame."""

    def __init__(self, extra):
        found, at = {33: [], 34: []}, 23
        for _ in range(extra[22]):
            units, end = _at_lengths(extra, at + 3, int.from_bytes(extra[at + 1 : at + 3], "big"))
            found.setdefault(extra[at] & 63, []).extend(units)
            at = end
        if len(found[33]) != 1 or len(found[34]) != 1:
            raise ValueError("several settings")
        bits, number = _reader(found[33][0], 2)
        bits(4)
        layers = bits(3)
        bits(1), bits(96)
        if layers:
            there = [(bits(1), bits(1)) for _ in range(layers)]
            bits(2 * (8 - layers))
            for profile, level in there:
                bits(88 * profile + 8 * level)
        number()
        if number() == 3 and bits(1):
            raise ValueError("planes apart")
        number(), number()
        if bits(1):
            for _ in range(4):
                number()
        number(), number()
        self.width = number() + 4
        bits, number = _reader(found[34][0], 2)
        number(), number(), bits(1)
        if bits(1):
            raise ValueError("frames may be hidden")
        self.extra = bits(3)
        self.counts, self.last = [[]], 0

    def follows(self, unit):
        """Whether a packet's first slice can be read, and begins a picture; `complete` says the rest."""
        kind, layer = unit[0] >> 1 & 63, (unit[1] & 7) - 1
        bits, number = _reader(unit[:32], 2)
        if not bits(1):
            return False
        if 16 <= kind <= 23:
            bits(1)
        if number() > 63 or bits(self.extra) < 0 or number() > 2:  # no settings, no kind of slice
            return False
        count, span = 0, 1 << self.width
        if kind in (19, 20):
            self.counts.append([])
        else:
            count = bits(self.width)
            count += round((self.last - count) / span) * span  # nearest to the last
        if layer == 0 and (kind >= 16 or (kind % 2 and kind < 6)):
            self.last = count
        self.counts[-1].append(count)
        return True

    def complete(self):
        """Whether the frames from each IDR frame to the next are counted evenly."""
        for counts in map(sorted, self.counts):
            if len({b - a for a, b in zip(counts, counts[1:], strict=False)}) > 1:
                return False
        return True
