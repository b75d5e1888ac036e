"""When an endpoint is left out, for how long, and when it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.policy import outlier_detection
from gateway.upstream.policy.outlier_detection import OutlierDetection


def test_five_failures_in_a_row_eject() -> None:
    one = OutlierDetection()
    assert [one.failed(10, refused=False) for _ in range(5)] == [False] * 4 + [True]
    assert one.until == 40


def test_a_success_in_between_starts_the_count_anew() -> None:
    one = OutlierDetection()
    for _ in range(10):
        assert not any(one.failed(10, refused=False) for _ in range(4))
        assert one.troubled
        one.succeeded()
        assert not one.troubled
    assert one.until == 0


def test_a_refused_connection_ejects_at_once_and_briefly() -> None:
    one = OutlierDetection()
    assert one.failed(10, refused=True)
    assert one.until == 10.5


def test_failures_of_what_was_sent_before_do_not_count() -> None:
    one = OutlierDetection()
    one.failed(10, refused=True)
    assert not any(one.failed(10.4, refused=False) for _ in range(10))
    assert one.until == 10.5


def test_each_time_is_longer_up_to_a_bound() -> None:
    def times(refused: bool) -> list[float]:
        one, now = OutlierDetection(), 0.0
        lengths: list[float] = []
        while len(lengths) < 30:
            if one.failed(now, refused=refused):
                lengths.append(one.until - now)
                now = one.until
        return lengths

    assert times(False)[:6] == [30, 60, 120, 240, 300, 300]
    assert times(True)[:7] == [0.5, 1, 2, 4, 8, 10, 10]
    assert max(times(False)) == outlier_detection.MAX_SECONDS
    assert max(times(True)) == outlier_detection.MAX_REFUSED_SECONDS


def test_a_success_after_it_forgets_how_often() -> None:
    one = OutlierDetection()
    for now in (0.0, 0.5, 1.5):
        assert one.failed(now, refused=True)
    one.succeeded()
    assert (one.until, one.troubled) == (0, False)
    one.failed(100, refused=True)
    assert one.until == 100.5


@given(st.lists(st.tuples(st.floats(0, 1000), st.sampled_from(["success", "failure", "refused"]))))
def test_it_never_lasts_longer_than_it_may(events: list[tuple[float, str]]) -> None:
    one, now = OutlierDetection(), 0.0
    for passed, event in events:
        now += passed
        if event == "success":
            one.succeeded()
        else:
            ejected = one.failed(now, refused=event == "refused")
            assert not ejected or one.until > now
        assert one.until <= now + outlier_detection.MAX_SECONDS
        assert one.troubled or one.until == 0
