"""What is carved, and folds."""

import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib.data import assign_folds
from condi_lib.data.splits import carve


def test_folds_group_by_source_and_a_lists_own_are_taken(make_files):
    videos = pd.DataFrame({"label": [0, 1] * 20, "source": [f"{i // 4}{i % 2}" for i in range(40)], "fold": -1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = assign_folds(videos, 4)
    assert (videos.assign(f=folds).groupby("source").f.nunique() == 1).all() and set(folds) == set(range(4))
    own = videos.assign(fold=[7, 3, 3, 7] * 10)
    assert list(assign_folds(own, 2)) == [1, 0, 0, 1] * 10
    with pytest.raises(ValueError, match="folds: found 3, expected 2, the folds that the list gives"):
        assign_folds(own, 3)
    with pytest.raises(ValueError, match="folds: found 11, expected at most 10"):
        assign_folds(videos, 11)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=60), st.booleans(), st.integers(0, 5)
)
def test_carving_keeps_sources_whole_and_every_class_in_train(items, shared, seed):
    sources = [str(g) if shared else f"{c}-{g}" for c, g in items]  # a film may give clips of several classes
    videos = pd.DataFrame({"label": [c for c, _ in items], "split": "train", "source": sources})
    carved = carve(videos, "train", "val", 0.3, seed)
    assert (carved.groupby("source").split.nunique() == 1).all()
    assert set(carved.label[carved.split == "train"]) == set(videos.label)
    several = videos.groupby("label").source.nunique() > 1
    assert shared or set(carved.label[carved.split == "val"]) == set(several.index[several])
