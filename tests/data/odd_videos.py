"""Videos of all the kinds that are met, each a few kilobytes: ZOO, {name: function that writes one below a folder}."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image


def moving(n, width=64, height=48, seed=0):
    """uint8 [n, height, width, 3]: a texture that moves and brightens, so that frames need those before them."""
    rng = np.random.default_rng(seed)
    big = np.kron(rng.integers(0, 160, ((height + n) // 4 + 1, (width + 2 * n) // 4 + 1, 3)), np.ones((4, 4, 1), int))
    return np.stack([big[i : i + height, 2 * i : 2 * i + width] + 2 * (i % 40) for i in range(n)]).astype(np.uint8)


def encode(path, frames, codec="libx264", pix_fmt="yuv420p", rate=25, pts=None, container=None, **options):
    """Writes uint8 [T, H, W, 3]; pts: times of the frames in milliseconds."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[i], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def remux(source, path, change, container=None):
    """Writes the packets of a file anew; change(number, pts, dts, data) -> [(pts, dts, data), ...], in ticks."""
    with av.open(str(source)) as i, av.open(str(path), "w", options=container or {}) as o:
        s = i.streams.video[0]
        t = o.add_stream_from_template(s)
        for number, p in enumerate(p for p in i.demux(s) if p.size):
            for pts, dts, data in change(number, p.pts, p.dts, bytes(p)):
                q = av.Packet(data)
                q.stream, q.time_base, q.pts, q.dts, q.is_keyframe = t, s.time_base, pts, dts, p.is_keyframe
                o.mux(q)
    return path


def cut(source, path, start):
    """What `ffmpeg -ss T -i source -c copy path` does: frames from the key frame on, hidden by an edit list up to T."""
    with av.open(str(source)) as i, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as o:
        s = i.streams.video[0]
        t = o.add_stream_from_template(s)
        shift = int(start / 25 / s.time_base)
        i.seek(shift, stream=s)
        for p in i.demux(s):
            if p.dts is not None:
                p.pts, p.dts, p.stream = p.pts - shift, p.dts - shift, t
                o.mux(p)
    return path


def named(data, name):
    """An MPEG-4 packet with an encoder's name before its frame."""
    at = data.find(b"\0\0\1\xb6")
    return data[:at] + b"\0\0\1\xb2" + name + data[at:]


def lag(source, path):
    """The decoder lag of VfW encoders: a chunk of one byte after the first frame, which the header counts."""

    def change(i, pts, dts, data):
        if i == 0:
            return [(0, 0, named(data, b"XviD0046")), (1, 1, b"\x7f")]
        return [(i + 1, i + 1, data)]

    return remux(source, path, change)


def packed(source, path):
    """Packed B-frames: a P and the B shown before it in one chunk, then a chunk that stands for nothing."""
    with av.open(str(source)) as i:
        data = [bytes(p) for p in i.demux(video=0) if p.size]
    kind = [d[d.find(b"\0\0\1\xb6") + 4] >> 6 for d in data]
    chunks = []
    for k, d in zip(kind, data, strict=True):
        if k == 2:
            chunks[-1] += d
            chunks.append(b"\0\0\1\xb6\x50\x00\x7f")
        else:
            chunks.append(d)
    chunks[0] = named(chunks[0], b"DivX503b1393p")
    return remux(source, path, lambda i, pts, dts, _: [(i, i, chunks[i])])


def pictures(folder, frames, first=7, ending="png"):
    folder.mkdir()
    for i, image in enumerate(frames, first):
        Image.fromarray(image).save(folder / f"img_{i}.{ending}")
    return folder


def late_start(source, path, start):
    """A transport stream that begins between key frames."""
    content = source.read_bytes()
    path.write_bytes(content[188 * int(len(content) // 188 * start) :])
    return path


def uneven(seed):
    """Times of 40 frames in milliseconds."""
    return np.cumsum(np.random.default_rng(seed).integers(5, 200, 40)).tolist()


ALT_REF = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "12"}
X264 = {"g": "12", "bf": "3", "sc_threshold": "0"}
ZOO = {
    "h264.mp4": lambda p: encode(p, moving(40), **X264),
    "h264.mkv": lambda p: encode(p, moving(40), **X264),
    "h264.mov": lambda p: encode(p, moving(40), **X264),
    "h264.flv": lambda p: encode(p, moving(40), **X264),
    "h264.avi": lambda p: encode(p, moving(40), **X264 | {"bf": "0"}),
    "h264.ts": lambda p: encode(p, moving(40), **X264),
    "raw.h264": lambda p: encode(p, moving(40), **X264),
    "fragments.mp4": lambda p: encode(p, moving(40), container={"movflags": "frag_keyframe+empty_moov"}, **X264),
    "open.mkv": lambda p: encode(p, moving(40), **X264, **{"x264-params": "open-gop=1:bframes=3"}),
    "open.mp4": lambda p: encode(p, moving(40), **X264, **{"x264-params": "open-gop=1:bframes=3"}),
    "refresh.mp4": lambda p: encode(p, moving(40), **{"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "slow.mp4": lambda p: encode(p, moving(40), preset="veryslow", **X264 | {"bf": "8"}),
    "interlaced.mp4": lambda p: encode(p, moving(40, 64, 64), **X264, **{"x264-params": "tff=1"}),
    "444.mp4": lambda p: encode(p, moving(40), pix_fmt="yuv444p", **X264),
    "h265.mp4": lambda p: encode(p, moving(40), "libx265", **{"x265-params": "keyint=12:log-level=none"}),
    "h265.mkv": lambda p: encode(p, moving(40), "libx265", **{"x265-params": "keyint=12:open-gop=0:log-level=none"}),
    "mpeg4.avi": lambda p: encode(p, moving(40), "mpeg4", g="12", bf="0", sc_threshold="1000000000"),
    "mpeg4_b.avi": lambda p: encode(p, moving(40), "mpeg4", g="12", bf="2", sc_threshold="1000000000"),
    "mpeg4_b.mp4": lambda p: encode(p, moving(40), "mpeg4", g="12", bf="2", sc_threshold="1000000000"),
    "still.avi": lambda p: encode(p, np.repeat(moving(2), 20, 0), "mpeg4", g="12"),
    "msmpeg4.avi": lambda p: encode(p, moving(40), "msmpeg4", g="12"),
    "lag.avi": lambda p: lag(encode(p.with_suffix(".0.avi"), moving(40), "mpeg4"), p),
    "packed.avi": lambda p: packed(encode(p.with_suffix(".0.avi"), moving(40), "mpeg4", g="12", bf="1"), p),
    "mjpeg.avi": lambda p: encode(p, moving(40), "mjpeg", "yuvj420p"),
    "ffv1.mkv": lambda p: encode(p, moving(40), "ffv1", "bgr0"),
    "vp8.webm": lambda p: encode(p, moving(40), "libvpx", **ALT_REF),
    "vp9.webm": lambda p: encode(p, moving(40), "libvpx-vp9", **ALT_REF),
    "av1.mkv": lambda p: encode(p, moving(40), "libsvtav1", g="12", preset="12", **{"svtav1-params": "lp=1"}),
    "mpeg2.mpg": lambda p: encode(p, moving(40), "mpeg2video", g="12", bf="2"),
    "wmv2.asf": lambda p: encode(p, moving(40), "wmv2", g="12"),
    "theora.ogv": lambda p: encode(p, moving(40), "libtheora", g="12"),
    "cut.mp4": lambda p: cut(encode(p.with_suffix(".0.mp4"), moving(60), g="25", bf="0", sc_threshold="0"), p, 15),
    "cut_b.mp4": lambda p: cut(encode(p.with_suffix(".0.mp4"), moving(60), **X264), p, 15),
    "late.ts": lambda p: late_start(encode(p.with_suffix(".0.ts"), moving(60), **X264), p, 0.3),
    "late_open.ts": lambda p: late_start(
        encode(p.with_suffix(".0.ts"), moving(60), **X264, **{"x264-params": "open-gop=1"}), p, 0.3
    ),
    "vfr.mkv": lambda p: encode(p, moving(40), pts=uneven(0), **X264),
    "vfr.mp4": lambda p: encode(p, moving(40), pts=uneven(1), **X264),
    "doubled.mp4": lambda p: remux(
        encode(p.with_suffix(".0.mp4"), moving(40), g="12", bf="0"), p,
        lambda i, pts, dts, data: [(dts + 512 if i % 10 == 4 else pts, dts, data)],
    ),
    "gaps.avi": lambda p: remux(
        encode(p.with_suffix(".0.avi"), moving(40), "mpeg4", g="12"), p,
        lambda i, pts, dts, data: [(i + i // 6, i + i // 6, data)],
    ),
    "pictures": lambda p: pictures(p, moving(30)),
    "jpegs": lambda p: pictures(p, moving(30), 98, "jpg"),
}  # fmt: skip


def available(name):
    """Whether this PyAV has the encoder that a file of the zoo needs."""
    needs = {"h265": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1", "theora": "libtheora"}
    return needs.get(name.split(".")[0], "libx264") in av.codecs_available
