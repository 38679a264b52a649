import pytest
from hypothesis import given
from hypothesis import strategies as st

from condi_lib.data import in_batches, read_ahead


@given(sizes=st.lists(st.integers(0, 5)), batch_size=st.integers(1, 8), ahead=st.integers(1, 4))
def test_reading_ahead_and_batches_keep_the_order(sizes, batch_size, ahead):
    begun = []

    def read(item):
        begun.append(item)
        return item

    items = list(enumerate(sizes))
    taken = []
    for item in read_ahead(read, iter(items), ahead):
        taken.append(item)
        assert len(begun) <= len(taken) + ahead
    assert taken == items
    batches = list(in_batches(items, lambda item: item[1], batch_size))
    assert [item for batch in batches for item in batch] == items
    for batch in batches[:-1]:
        assert sum(n for _, n in batch) >= batch_size > sum(n for _, n in batch[:-1])


def test_what_fails_while_reading_ahead_is_raised_at_its_item():
    reading = read_ahead(lambda x: 1 / x, [1, 2, 0, 4])
    assert [next(reading), next(reading)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(reading)
