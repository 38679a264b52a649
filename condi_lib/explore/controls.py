"""The explorer's widgets: what they are and where they stand, not what they do."""

import html
from types import SimpleNamespace

import ipywidgets as widgets

from condi_lib.explore.strip import Strip
from condi_lib.explore.study import DIVIDED, ORDERS
from condi_lib.sampler import SAMPLERS


class Box(widgets.VBox):
    """A box whose text, which is what a stored notebook shows, says how to see it."""

    def __repr__(self):
        return "The explorer: open this notebook in JupyterLab and run it to see it."


def make_controls(names, opened):
    """A namespace of widgets, with the box that holds them all. names: of the runs; opened: the one that is shown."""

    def dropdown(name, options=(), width="240px"):
        return widgets.Dropdown(options=options, description=name, layout={"width": width})

    def button(name, icon, width="120px"):
        return widgets.Button(description=name, icon=icon, layout={"width": width})

    def slider(name, low):
        return widgets.IntSlider(low, low, 1, description=name, layout={"width": "260px"})

    one = SimpleNamespace(
        run=dropdown("run", names, "320px"),
        split=dropdown("split", width="160px"),
        k=slider("K", 1),
        k_student=slider("K_s", 0),
        first=dropdown("sampler", width="290px"),
        second=dropdown("against", width="290px"),
        show=dropdown("show", width="340px"),
        class_name=dropdown("class"),
        group=dropdown("group", width="290px"),
        order=dropdown("sort by", ORDERS),
        previous=button("previous", "arrow-left"),
        video=dropdown("video", width="420px"),
        next=button("next", "arrow-right"),
        place=widgets.HTML(),
        numbers=widgets.HTML(),
        strip=Strip(layout={"width": "100%"}),
        note=widgets.Text(description="note", placeholder="press Enter to keep it", continuous_update=False),
        save=button("save view", "save"),
        said=widgets.HTML(),
    )
    one.run.value = opened
    one.note.layout.width = "560px"
    rows = (
        [one.run, one.split, one.k, one.k_student],
        [one.first, one.second, one.show],
        [one.class_name, one.group, one.order],
        [one.previous, one.video, one.next, one.place],
        [one.numbers],
        [one.strip],
        [one.note, one.save],
        [one.said],
    )
    one.box = Box([widgets.HBox(row, layout={"flex_flow": "row wrap", "width": "100%"}) for row in rows])
    return one


def choose(one, options, default=None):
    """Gives a choice its options; what is chosen stays where it is among them, else it is the default, or the first."""
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    before, one.options = one.value, options
    one.value = next((value for value in (before, default) if value in values), values[0] if values else None)


def numbers_table(study, split, video, k, k_student, names):
    """What some samplers make of a video and of its split, and at what price, as HTML."""
    v = study.place(split, video)
    truth = study.classes[int(study.table(split).labels[v])]
    head = ("", f"this video: {truth}", f"accuracy, {split}", "a video costs", "and takes")
    body = []
    for name in dict.fromkeys(names):
        divided = k_student if name == DIVIDED else 0
        at = study.at(split, k, divided, name)
        guess = int(at["probs"][v].argmax())
        sign = "&#10003;" if at["right"][v] else "&#10007;"
        label = SAMPLERS[name].label + (f", {divided} of {k} to the student" if divided else "")
        said = f"{sign} {html.escape(study.classes[guess])} ({at['probs'][v][guess]:.2f})"
        price = f"{100 * at['multiply_adds_of_dense']:.0f} % of dense's multiply-adds"
        time = f"{1000 * at['seconds']:.1f} ms ({100 * at['seconds_of_dense']:.0f} %; {study.costs['device']})"
        accuracy = f"<b>{100 * at['accuracy']:.1f} %</b>"
        body.append((f"<b>{html.escape(label)}</b>", said, accuracy, html.escape(price), html.escape(time)))
    rows = [[html.escape(text) for text in head], *body]
    cells = ("".join(f"<td style='padding:0 1.6em 0 0;white-space:nowrap'>{cell}</td>" for cell in row) for row in rows)
    return "<table style='line-height:1.6'>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
