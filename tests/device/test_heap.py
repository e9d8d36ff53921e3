"""The heap is swept before it is full, and only when there is a reason to."""

import gc

from firmware.heap import Heap
from wire.kernel import IS_MICROPYTHON

_LOOKS_MAX = 4000


def test_what_is_asked_for_is_done_once():
    heap = Heap()
    heap.is_dirty = True
    assert heap.work(0)
    assert not heap.is_dirty
    if not IS_MICROPYTHON:
        assert not heap.work(0)


def test_a_heap_that_fills_up_is_noticed_before_it_is_full():
    if not IS_MICROPYTHON or not hasattr(gc, "threshold"):
        return
    heap = Heap()
    heap.start()
    if heap.has_plenty:
        return
    gc.collect()
    gc.disable()
    try:
        looks = 0
        while not heap.is_dirty and looks < _LOOKS_MAX:
            bytearray(200)
            heap.look()
            looks += 1
        free = gc.mem_free()
    finally:
        gc.enable()
        gc.collect()
    assert heap.is_dirty
    assert free > 2000


def test_what_is_free_is_told_after_a_sweep():
    heap = Heap()
    heap.is_dirty = True
    heap.work(0)
    heap.work(0)
    assert (heap.free_bytes is not None) == IS_MICROPYTHON
