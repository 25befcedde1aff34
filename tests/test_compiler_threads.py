"""One thread for matrix products, while the compiler runs and no longer."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from subbyte.compiler.threads import single_threaded


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_while_it_runs() -> None:
    @single_threaded
    def counted(fails: bool) -> list[int]:
        if fails:
            raise ValueError("no")
        return threads()

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert counted(False) == [1] * len(before)
        with pytest.raises(ValueError, match="^no$"):
            counted(True)
        assert threads() == before
    assert counted.__name__ == "counted"
