"""What a notebook that reads whole tables will need, said before it reads them."""

import pyarrow.parquet


def needed_memory(n_clips, n_classes, n_students=1):
    """Bytes that reading the clip table and the score tables whole takes at most, as benchmarks/scale.py found.

    For a class of a clip 46: the teacher's logits in the table and in arrays, probabilities in float64 and what making
    them takes for a while; 8 for each student's logits.
    """
    return n_clips * (n_classes * (46 + 8 * n_students) + 1000) + 7 * 10**8


def say_size(run, n_students=1, least=2 * 2**30):
    """Prints what notebooks that read a run's tables whole (10, 12) will need, where it is more than `least` bytes."""
    file = run.check(run.folder / "clips.parquet", "03_teacher_labels")
    n_clips, n_classes = pyarrow.parquet.read_metadata(file).num_rows, len(run.classes())
    size = needed_memory(n_clips, n_classes, n_students)
    if size > least:
        print(f"{n_clips:,} clips of {n_classes} classes: this notebook will need about {size / 1e9:.0f} GB of memory")
