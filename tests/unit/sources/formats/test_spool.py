"""Rows that wait on the disk."""

import pyarrow as pa

from tasks.sources.formats._spool import Spool


def test_batches_come_back_and_take_no_memory_while_they_wait() -> None:
    spool = Spool()
    batches = [
        pa.record_batch({"n": [i, None, 3], "text": ["", "é" * (5_000 * i), None]})
        for i in range(3)
    ]
    places = [spool.add(batch) for batch in batches]
    before = pa.total_allocated_bytes()
    waiting = [spool.read(place) for place in reversed(places)]
    assert pa.total_allocated_bytes() == before
    assert waiting == batches[::-1]
    assert waiting[0].column(0).buffers()[1].address % 8 == 0
    spool.close()
    assert waiting == batches[::-1], "what was read stays, when the spool is gone"
