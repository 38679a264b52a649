import pytest

from condi_lib import explore


def test_notes_of_two_people_in_one_file(tmp_path):
    path = tmp_path / "deep" / "notes.csv"
    one, other = explore.Notes(path), explore.Notes(path)
    one.write("r", "test", "v1", "first, with\na line")
    other.write("r", "test", "v2", "  second ")
    one.write("r", "val", "v1", "third")
    assert other.read() == {
        ("r", "test", "v1"): "first, with\na line",
        ("r", "test", "v2"): "second",
        ("r", "val", "v1"): "third",
    }
    other.write("r", "test", "v1", "")
    assert one.of("r", "test", "v1") == "" and one.of("r", "test", "v2") == "second"
    assert [file.name for file in path.parent.iterdir()] == ["notes.csv"]


@pytest.mark.parametrize("text", [b"a,b\n1,2\n", b"", b"\xff\xfe\x00", b"run,split,video,note\nr,test,v\n"])
def test_a_file_that_is_something_else_is_named_and_left(tmp_path, text):
    path = tmp_path / "notes.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="notes.csv: .*(expected|no CSV)"):
        explore.Notes(path)
    assert path.read_bytes() == text


def test_a_spreadsheets_mark_and_line_ends_are_read(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_bytes(b"\xef\xbb\xbfrun,split,video,note\r\nr,test,v,seen\r\n\r\n")
    assert explore.Notes(path).of("r", "test", "v") == "seen"
