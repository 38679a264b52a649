"""Drawings of what the method stands on (the thesis' Figures 2.1 to 2.4), and the map of the study.

Convolutions over time are in convolutions.py.
"""

from matplotlib.patches import Rectangle

from condi_lib.figures.convolutions import moving_bar
from condi_lib.figures.schematics import _arrow, _box, _canvas
from condi_lib.figures.style import _BLIND

# (branch, [(family, examples, what ConDi takes from it)])
RELATED_WORK = [
    (
        "classify\nvideos",
        [
            ("2D CNN + recurrent cell", "LRCN (2015), Beyond Short Snippets (2015)", ""),
            ("two streams: image and flow", "Simonyan and Zisserman (2014), TSN (2016)", ""),
            ("2D CNN + temporal blocks", "TRN (2018), TSM (2019)", ""),
            ("3D CNN", "C3D (2015), I3D (2017), 3D ResNet (2018)", "the teacher"),
            ("(2+1)D CNN", "P3D (2017), R(2+1)D (2018)", ""),
            ("two frame rates", "SlowFast (2019)", ""),
        ],
    ),
    (
        "spend less\non each",
        [
            ("small networks", "3D ShuffleNet (2019), CSN (2019), X3D (2020)", "the student"),
            ("choosing the input", "SCSampler (2019), AdaFrame (2019)", "K clips of N"),
            ("easy inputs leave early", "cascades (Viola and Jones 2001)", "division of inference"),
        ],
    ),
    (
        "ideas from\nelsewhere",
        [
            ("knowledge distillation", "Hinton et al. (2015)", "the teacher's soft targets"),
            (
                "knowing when one is wrong",
                "MC dropout (2016), learned confidence (2018)",
                "the confidence $\\tilde{z}$",
            ),
            ("action localisation", "propose segments, then classify them", ""),
        ],
    ),
]

# (what a row of the map is for, [(number, title, question)])
STUDY = [
    (
        "prepare",
        [
            ("00", "Background", "What must I know\nof video?"),
            ("01", "Data set", "What is there, and\nwhat was planted?"),
            ("02", "Teacher", "How good is it, and\nhow sure when wrong?"),
            ("03", "Teacher labels", "On which clips\nis it right?"),
        ],
    ),
    (
        "choose",
        [
            ("04", "Oracle", "How much could\nchoosing win at most?"),
            ("05", "Training a sampler", "Can a small network\npredict its errors?"),
        ],
    ),
    (
        "measure",
        [
            ("06", "Sampling", "How accurate are\nK clips, who wins?"),
            ("07", "Detecting errors", "Does a high score\nmean a right teacher?"),
            ("08", "Cost", "What does a video cost,\ncounted and timed?"),
        ],
    ),
    (
        "look, change",
        [
            ("09", "Figures", "All figures and\ntables at once"),
            ("10", "Explorer", "Which clips does\na sampler choose?"),
            ("11", "Your own video", "What does it make\nof my video?"),
            ("12", "Ablations", "Which choices of the\nmethod matter?"),
        ],
    ),
    (
        "go beyond",
        [
            ("13", "The whole video", "What do the other\nclips tell of a clip?"),
            ("14", "Across data sets", "What holds where?"),
            ("15", "When choosing pays", "How many clips must\nmislead?"),
        ],
    ),
]


def taxonomy():
    """Related work as a tree, with what ConDi takes from each family (Figure 2.1 of the thesis)."""
    step, gap = 0.5, 0.16
    n = sum(len(families) for _, families in RELATED_WORK)
    height = n * step + (len(RELATED_WORK) - 1) * gap + 0.3
    figure, axis = _canvas(10, height)
    y = height - 0.5
    for x, text in ((0.75, "aim"), (3.0, "family"), (5.85, "examples"), (8.95, "taken up here")):
        axis.text(x, height - 0.12, text, ha="center", va="center", fontsize="small", style="italic")
    for colour, (branch, families) in enumerate(RELATED_WORK):
        middle = y - (len(families) - 1) * step / 2
        _box(axis, 0.75, middle, branch, 1.2, 0.7, colour)
        for family, examples, taken in families:
            axis.plot((1.4, 1.6, 1.6, 1.73), (middle, middle, y, y), c=_BLIND[colour], lw=1.2)
            _box(axis, 3.0, y, family, 2.4, 0.28, colour)
            axis.text(4.35, y, examples, va="center", fontsize=9)
            if taken:
                _arrow(axis, (7.55, y), (7.93, y))
                axis.text(7.98, y, taken, va="center", fontsize="small", weight="bold")
            y -= step
        y -= gap
    return figure


def _node(axis, x, y, text):
    axis.text(x, y, text, ha="center", va="center", bbox={"boxstyle": "circle,pad=0.12", "fc": "white", "ec": "0.25"})


def _line(axis, *points, arrow=True):
    """A line through these points, with an arrow head at its end."""
    axis.plot(*zip(*points, strict=True), c="0.25", lw=1.2, solid_joinstyle="miter", zorder=1)
    if arrow:
        _arrow(axis, points[-2], points[-1], shrinkA=0, shrinkB=0, zorder=1)


def _cell(axis, left, right, title, equation):
    axis.add_patch(Rectangle((left, 0.85), right - left, 2.75, fc="0.96", ec="0.5", zorder=0))
    axis.text((left + right) / 2, 3.95, title, ha="center", weight="bold")
    axis.text((left + right) / 2, 0.0, equation, ha="center", fontsize="small")


def recurrent_cells():
    """A recurrent cell and an LSTM cell (Figure 2.2 of the thesis)."""
    figure, axis = _canvas(10, 4.3)
    _cell(axis, 0.9, 2.9, "recurrent cell", "$h_t=\\tanh(Wx_t+Uh_{t-1}+b)$")
    _line(axis, (0.5, 1.3), (1.6, 1.3))
    _line(axis, (1.9, 0.6), (1.9, 1.1))
    _box(axis, 1.9, 1.3, "$W, U$", 0.5, 0.3, 7)
    _line(axis, (1.9, 1.5), (1.9, 2.1))
    _box(axis, 1.9, 2.35, "tanh", 0.6, 0.3, 0)
    _line(axis, (2.25, 2.35), (2.6, 2.35), (2.6, 1.3), (3.4, 1.3))
    for x, y, text in ((0.2, 1.3, "$h_{t-1}$"), (3.6, 1.3, "$h_t$"), (1.9, 0.45, "$x_t$")):
        axis.text(x, y, text, ha="center", va="center")

    _cell(axis, 4.9, 9.3, "LSTM cell", "$c_t=f\\cdot c_{t-1}+i\\cdot g,\\quad h_t=o\\cdot\\tanh(c_t)$")
    _line(axis, (4.5, 3.15), (9.65, 3.15))
    axis.text(6.45, 3.28, "memory", ha="center", fontsize=9, style="italic")
    _line(axis, (4.5, 1.15), (7.8, 1.15), arrow=False)  # what the gates see
    _line(axis, (5.2, 0.6), (5.2, 1.15), arrow=False)
    gates = (
        (5.75, "$f$: $\\sigma$", 1),
        (6.45, "$i$: $\\sigma$", 2),
        (7.15, "$g$: tanh", 0),
        (7.95, "$o$: $\\sigma$", 4),
    )
    for x, text, colour in gates:
        _line(axis, (x, 1.15), (x, 1.5))
        _box(axis, x, 1.72, text, 0.52, 0.26, colour)
    axis.plot((7.8, 7.95), (1.15, 1.15), c="0.25", lw=1.2)
    _line(axis, (5.75, 1.95), (5.75, 3.0))
    _line(axis, (7.15, 1.95), (7.15, 2.3))
    _line(axis, (6.45, 1.95), (6.45, 2.45), (6.98, 2.45))
    _line(axis, (7.15, 2.6), (7.15, 3.0))
    _line(axis, (8.75, 3.15), (8.75, 2.68))
    _box(axis, 8.75, 2.5, "tanh", 0.52, 0.24, 0)
    _line(axis, (8.75, 2.32), (8.75, 1.9))
    _line(axis, (8.28, 1.72), (8.58, 1.72))
    _line(axis, (8.75, 1.55), (8.75, 1.15), (9.65, 1.15))
    for x, y, text in ((5.75, 3.15, "×"), (7.15, 3.15, "+"), (7.15, 2.45, "×"), (8.75, 1.72, "×")):
        _node(axis, x, y, text)
    for x, y, text in ((4.25, 3.15, "$c_{t-1}$"), (9.85, 3.15, "$c_t$"), (4.25, 1.15, "$h_{t-1}$")):
        axis.text(x, y, text, ha="center", va="center")
    axis.text(9.85, 1.15, "$h_t$", ha="center", va="center")
    axis.text(5.2, 0.45, "$x_t$", ha="center", va="center")
    for x, y, text in ((5.69, 2.45, "forget"), (6.39, 2.15, "write"), (7.95, 2.04, "show")):
        axis.text(x, y, text, ha="right" if x < 7 else "center", va="center", fontsize=9)
    return figure


def _picture(axis, image, x, y, side=0.8):
    """A grey picture [H, W] in [0, 1] with its centre at x, y."""
    box = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    axis.imshow(image, extent=box, cmap="gray", vmin=0, vmax=1, interpolation="nearest", zorder=2)
    axis.set(xlim=(0, 10), aspect="equal")


def cnn_lstm():
    """A 2D CNN for each frame and an LSTM over time (Figure 2.3 of the thesis)."""
    height = 4.6
    figure, axis = _canvas(10, height)
    clip = moving_bar(4, 12).numpy()
    rows = (0.5, 1.4, 2.65, 3.55)
    for t, image in enumerate(clip):
        x = 2.6 + 2.05 * t
        _picture(axis, image, x, rows[0])
        _arrow(axis, (x, 0.92), (x, 1.15))
        _box(axis, x, rows[1], "2D CNN", 1.0, 0.3, 0)
        _arrow(axis, (x, 1.62), (x, 2.38))
        axis.text(x + 0.08, 2.0, f"$x_{t + 1}$", va="center", fontsize="small")
        _box(axis, x, rows[2], "LSTM", 1.0, 0.3, 1)
        _arrow(axis, (x, 2.87), (x, 3.3))
        _box(axis, x, rows[3], f"$p_{t + 1}$", 0.7, 0.28, 2)
        if t:
            _arrow(axis, (x - 1.48, rows[2]), (x - 0.57, rows[2]))
            axis.text(x - 1.03, rows[2] + 0.1, "$h, c$", ha="center", fontsize="small")
        _arrow(axis, (x, 3.75), (5.675 + 0.35 * (t - 1.5), 4.17))
    _box(axis, 5.675, 4.35, "mean of the class probabilities", 3.0, 0.22, 4)
    names = (
        "frames, in order",
        "the same weights\nfor every frame",
        "memory carried\nfrom frame to frame",
        "classes so far",
    )
    for y, text in zip(rows, names, strict=True):
        axis.text(1.75, y, text, ha="right", va="center", fontsize="small", style="italic")
    axis.set(ylim=(0, height))
    return figure


def two_streams():
    """One network sees a frame, another the motion between frames (Figure 2.4 of the thesis)."""
    height = 3.6
    figure, axis = _canvas(10, height)
    clip = moving_bar(4, 12).numpy()
    _picture(axis, clip[0], 1.2, 2.7, 1.2)
    for i in range(3, -1, -1):
        x, y = 1.0 + 0.14 * i, 0.8 + 0.1 * i
        axis.add_patch(Rectangle((x - 0.6, y - 0.6), 1.2, 1.2, fc="white", ec="0.5"))
    for row in range(3, 9):
        y = 0.2 + row / 10
        _arrow(axis, (0.75, y), (1.25, y), shrinkA=0, shrinkB=0)
    axis.text(2.15, 2.7, "one frame, 3 channels:\n$what$ is there?", va="center", fontsize="small")
    axis.text(2.15, 0.9, "optical flow of L frames, 2 L\nchannels: $how$ does it move?", va="center", fontsize="small")
    for y, text, colour in ((2.7, "spatial 2D CNN", 0), (0.9, "temporal 2D CNN", 1)):
        _arrow(axis, (4.55, y), (5.05, y))
        _box(axis, 5.95, y, text, 1.6, 0.5, colour)
        _arrow(axis, (6.85, y), (7.35, y))
        _box(axis, 7.8, y, "classes", 0.75, 0.4, colour)
        _arrow(axis, (8.25, y), (8.75, 1.8 + (y - 1.8) * 0.35))
    _box(axis, 9.2, 1.8, "mean", 0.75, 0.45, 4)
    axis.set(ylim=(0, height))
    return figure


def study_map():
    """Which notebook answers what, and what the next rows read of it."""
    width, height, step = 1.95, 0.86, 1.42
    top = step * len(STUDY) - 0.71
    figure, axis = _canvas(10, top + 0.53)
    for row, (purpose, notebooks) in enumerate(STUDY):
        y = top - row * step
        axis.text(0.55, y, purpose.replace(", ", ",\n"), ha="center", va="center", fontsize="small", style="italic")
        for place, (number, title, question) in enumerate(notebooks):
            x = 2.2 + 2.25 * place
            _box(axis, x, y, "", width, height, row if number != "00" else 7)
            axis.text(x, y + 0.25, f"{number} · {title}", ha="center", va="center", fontsize="small", weight="bold")
            axis.text(x, y - 0.15, question, ha="center", va="center", fontsize=9)
            if row == 0 and place:
                _arrow(axis, (x - 1.25, y), (x - 1.0, y))
    for row, text in enumerate(
        ("clip table: is the teacher right?", "score tables: how sure is each student?", "results")
    ):
        y = top - row * step - 0.51
        _arrow(axis, (5.575, y), (5.575, y - 0.4))
        axis.text(5.75, y - 0.2, text, va="center", fontsize=9)
    return figure
