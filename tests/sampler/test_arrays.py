"""Clip and score tables as arrays, and what is refused: by anybody's tables, with file, video and clip."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_scores

from condi_lib.sampler import clip_arrays, pad


def test_arrays_do_not_depend_on_the_order_of_rows():
    clips = make_clips(1, 12)
    a, b = clip_arrays(clips), clip_arrays(clips.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(a.probs, b.probs)
    np.testing.assert_array_equal(a.correct[a.mask], clips.correct)
    assert (a.probs[~a.mask] == 0).all() and not a.correct[~a.mask].any()


def test_a_missing_clip_is_an_error():
    clips = make_clips(1, 12, longest=5)
    with pytest.raises(ValueError, match="clip table: the clips of v002 are 1.*; expected 0, 1, 2"):
        clip_arrays(clips[~((clips.video == "v002") & (clips["clip"] == 0))])


def test_scores_of_other_clips_are_an_error():
    clips = make_clips(1, 12)
    with pytest.raises(ValueError, match="score table: lists"):
        clip_arrays(clips, make_scores(clips).iloc[1:])


def test_pad_puts_rows_in_clip_order():
    mask = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(pad([[1, 2], [3, 4], [5, 6]], mask), [[[1, 2], [0, 0]], [[3, 4], [5, 6]]])


def spoilt(table, column, video, clip, value):
    at = table.index[(table.video == video) & (table["clip"] == clip)][0]
    values = table[column].astype(object)
    values[at] = value
    return table.assign(**{column: values})


VECTOR = np.array([0, np.nan, 0, 0], np.float32)
BAD_CLIPS = [
    ("teacher_logits", VECTOR, "teacher_logits of clip 1 of v002 is nan; expected finite numbers"),
    ("teacher_logits", VECTOR[:2], "teacher_logits of clip 1 of v002 is of 2 classes; expected a vector of as many"),
    ("label", 9, "label of clip 1 of v002 is 9; expected one label a video"),
    ("label", None, "label of clip 1 of v002 is None; expected a whole number"),
    ("label", 0.5, "label of clip 1 of v002 is 0.5; expected a whole number"),
    ("correct", None, "correct of clip 1 of v002 is None; expected a finite number"),
    ("correct", 2, "correct of clip 1 of v002 is 2.0; expected True or False"),
    ("shows", np.nan, "shows of clip 1 of v002 is nan; expected a finite number"),
    ("shows", 1.5, "shows of clip 1 of v002 is 1.5; expected 0 to 1"),
]


def test_what_logits_and_label_contradict_is_named():
    clips = make_clips(1)
    at = (clips.video == "v002") & (clips["clip"] == 1)
    clips.loc[at, "correct"] = ~clips.correct[at]
    with pytest.raises(ValueError, match="correct of clip 1 of v002 is .*; expected whether the largest"):
        clip_arrays(clips)


@pytest.mark.parametrize(("column", "value", "message"), BAD_CLIPS)
def test_a_clip_table_that_holds_nonsense_is_an_error(column, value, message):
    clips = make_clips(1, 12, longest=5).assign(shows=0.5)
    with pytest.raises(ValueError, match=f"clip table: {message}"):
        clip_arrays(spoilt(clips, column, "v002", 1, value))


def test_labels_outside_the_teachers_classes_are_an_error():
    clips = make_clips(1, 12)
    for label in (-1, 4):
        bad = clips.assign(label=clips.label.where(clips.video != "v003", label))
        with pytest.raises(ValueError, match=f"label of clip 0 of v003 is {label}; expected 0 to 3"):
            clip_arrays(bad)


BAD_SCORES = [
    ("score", np.nan, "score of clip 1 of v002 is nan; expected a finite number"),
    ("score", np.inf, "score of clip 1 of v002 is inf; expected a finite number"),
    ("score", None, "score of clip 1 of v002 is None; expected a finite number"),
    ("score", "high", "score of clip 1 of v002 is high; expected a finite number"),
    ("confidence", np.nan, "confidence of clip 1 of v002 is nan; expected a finite number"),
    ("confidence", 1.01, "confidence of clip 1 of v002 is 1.01; expected 0 to 1"),
    ("confidence", -0.5, "confidence of clip 1 of v002 is -0.5; expected 0 to 1"),
    ("mc_entropy", -np.inf, "mc_entropy of clip 1 of v002 is -inf; expected a finite number"),
    ("student_logits", VECTOR, "student_logits of clip 1 of v002 is nan; expected finite numbers"),
    ("student_logits", None, "student_logits of clip 1 of v002 is None; expected a vector of as many"),
]


@pytest.mark.parametrize(("column", "value", "message"), BAD_SCORES)
@pytest.mark.parametrize("file", ["", "runs/a/scores.parquet"])
def test_a_score_table_that_holds_nonsense_is_an_error_that_names_its_file(column, value, message, file):
    clips = make_clips(1, 12, longest=5)
    scores = spoilt(make_scores(clips), column, "v002", 1, value)
    if file:
        scores.attrs["file"] = file
    with pytest.raises(ValueError, match=f"{file or 'score table'}: {message}"):
        clip_arrays(clips, scores[scores.video.notna()])  # as read_arrays takes parts of tables


def test_clips_that_come_twice_or_are_missing_are_named():
    clips = make_clips(1, 12, longest=5)
    scores = make_scores(clips)
    clips.attrs["file"], scores.attrs["file"] = "clips.parquet", "scores.parquet"
    one = (scores.video == "v002") & (scores["clip"] == 1)
    for bad, message in (
        (scores[~one], f"lists {len(clips) - 1} of the clip table's {len(clips)} clips, clip 1 of v002 not at all"),
        (pd.concat([scores, scores[one]]), "clip 1 of v002 twice"),
        (pd.concat([scores, scores[one].assign(clip=7)]), "clip 7 of v002 beyond those of the clip table"),
        (scores.assign(video=scores.video.where(~one)), "video, clip: found a row without a video"),
        (
            scores.assign(clip=scores["clip"].astype(str)),
            "video, clip: found (str|object); expected a name and a number",
        ),
        (scores.drop(columns="video"), "found no column video, which a score table has"),
    ):
        with pytest.raises(ValueError, match=f"scores.parquet: .*{message}"):
            clip_arrays(clips, bad)
    with pytest.raises(ValueError, match="clips.parquet: the clips of v002 are 0, 1, 1.*; expected 0, 1, 2"):
        clip_arrays(pd.concat([clips, clips[(clips.video == "v002") & (clips["clip"] == 1)]]))
    more = pd.concat([scores, scores[scores.video == "v001"].assign(video="w")])  # of another split: not asked for
    np.testing.assert_array_equal(clip_arrays(clips, more).score, clip_arrays(clips, scores).score)


def test_a_student_of_other_classes_is_an_error_and_one_without_a_head_is_not():
    clips = make_clips(1, 12)
    scores = make_scores(clips)
    for n in (3, 5):
        with pytest.raises(ValueError, match=f"student_logits have {n} classes, the teacher's have 4"):
            clip_arrays(clips, scores.assign(student_logits=[np.zeros(n, np.float32)] * len(scores)))
    assert clip_arrays(clips, scores.assign(student_logits=[np.zeros(0)] * len(scores))).student_logits.shape[-1] == 0


def test_columns_of_any_kind_that_holds_the_same_numbers_are_read_alike():
    clips = make_clips(1, 12)
    scores = make_scores(clips)
    kinds = {"label": "Int64", "correct": "boolean", "clip": float, "video": "category"}
    other = clips.astype(kinds).assign(teacher_logits=[x.tolist() for x in clips.teacher_logits])
    found = clip_arrays(other, scores.astype({"score": "Float32", "confidence": object, "video": "string"}))
    expected = clip_arrays(clips, scores)
    for name in ("videos", "labels", "correct", "probs", "score", "confidence"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def test_a_loss_without_a_confidence_has_none():
    clips = make_clips(1, 12)
    assert clip_arrays(clips, make_scores(clips).assign(confidence=np.float32(np.nan))).confidence is None
    only = clip_arrays(clips.drop(columns="teacher_logits"), make_scores(clips)[["video", "clip", "score"]])
    assert only.probs is None and only.confidence is None and only.score is not None


def test_some_of_the_videos_are_taken_with_all_that_is_known_of_them():
    clips = make_clips(1, 12)
    arrays = clip_arrays(clips, make_scores(clips))
    few = arrays.take([3, 1])
    assert list(few.videos) == ["v003", "v001"]
    np.testing.assert_array_equal(few.student_logits, arrays.student_logits[[3, 1]])
    assert few.shows is None and few.val is None
