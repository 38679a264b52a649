"""What a notebook begins with."""

import os
import re
from pathlib import Path

from condi_lib.models.own import network_sources
from condi_lib.runs.locks import will_write
from condi_lib.runs.parameters import ROOT, STARTED_IN, check_parameters
from condi_lib.runs.run import Run

READ_ONLY = ("00_background", "10_explore", "11_own_video", "15_when_choosing_pays")  # of runs
OF_MANY = {"14_across": "out", "15_when_choosing_pays": "figures_out"}  # runs: the parameter that is their folder


def folder_name(name):
    """The folder of a data set's or a teacher's entry: its name, or that of the function in "networks.py:function"."""
    return re.sub(r"[^\w.+-]+", "_", name.rsplit(":", 1)[-1]) if ":" in name else name


def start(notebook, scope):
    """A notebook's first call, with its name and globals(): checks its parameters and returns its Run.

    Makes the repository's root the working folder, so that relative parameters mean the same under JupyterLab,
    papermill and nbval. No second run of the notebook may write where this one does (BusyRun, once it starts to).
    Where the user stands elsewhere, the folder is printed in full. Raises ParameterError.
    """
    os.chdir(ROOT)
    parameters = check_parameters(notebook, scope)
    names = (
        parameters[f"{kind}_name"] or parameters[what] for kind, what in (("data", "dataset"), ("teacher", "teacher"))
    )
    folder = Path(parameters["out"]).joinpath(*map(folder_name, names))
    run = Run(notebook, parameters, Path(parameters[OF_MANY[notebook]]) if notebook in OF_MANY else folder)
    for source in network_sources(parameters["teacher"]):
        run.uses(source)
    if not STARTED_IN.is_relative_to(ROOT) and notebook not in READ_ONLY:
        print(f"writes below {ROOT / parameters['out']}")
    if notebook not in READ_ONLY and parameters.get("shards", 1) == 1:  # shards share the folder
        own = (parameters[name] for name in ("loss", "seed", "variant")) if "variant" in parameters else None
        will_write(run.student_folder(*own) if own else run.folder, notebook)
    return run
