"""Progress bars: widgets in a notebook that somebody looks at, lines in logs and terminals."""

import os

# Jupyter's server sets it; papermill and nbclient, which would store widgets without their state, do not
if "JPY_SESSION_NAME" in os.environ:
    from tqdm.auto import tqdm
else:
    from tqdm import tqdm

__all__ = ["tqdm"]
