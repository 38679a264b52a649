"""papermill on every process of an `accelerate launch` or torchrun, with papermill's own arguments:

    accelerate launch --multi_gpu -m workflow.everywhere notebooks/05_train_sampler.ipynb out.ipynb -p seed 3

All processes execute the notebook; training and labelling share the work, files are written once, and the first one's
notebook is kept.
"""

import os
import sys
import tempfile

from papermill.cli import papermill

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IPYTHONDIR"] = folder
        notebook, output, *rest = sys.argv[1:]
        if int(os.environ.get("RANK", "0")):
            output = os.path.join(folder, "out.ipynb")
        papermill([notebook, output, *rest])
