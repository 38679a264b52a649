"""Items one after the other: read ahead of who takes them, and gathered into batches."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice


def read_ahead(read, items, ahead=6):
    """Yields read(item) of each item, in order; a thread reads up to `ahead` more of them meanwhile."""
    items = iter(items)
    with ThreadPoolExecutor(1) as thread:
        reading = deque(thread.submit(read, item) for item in islice(items, ahead))
        while reading:
            yield reading.popleft().result()
            reading.extend(thread.submit(read, item) for item in islice(items, ahead - len(reading)))


def in_batches(items, size_of, batch_size):
    """Yields lists of consecutive items whose sizes add up to batch_size or more; the last holds what remains."""
    batch, held = [], 0
    for item in items:
        batch.append(item)
        held += size_of(item)
        if held >= batch_size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
