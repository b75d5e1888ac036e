"""Route tables from a file: whatever happens to it, the last good one stays."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.contract.route_table import RouteTable, write
from gateway.discovery.file import TableFile
from gateway.discovery.snapshot import TableSnapshot
from gateway.tasks import spawn
from tests.fakes.parent_process import route_table

GOOD = write(route_table(3, "v1"))


@pytest.fixture
def found(tmp_path: Path) -> TableFile:
    return again(tmp_path)


def again(folder: Path) -> TableFile:
    """As after a restart."""
    return TableFile(folder / "routes.json", 0.001, TableSnapshot(last_good(folder)))


def last_good(folder: Path) -> Path:
    return folder / "state" / "last-good.json"


def replace(found: TableFile, content: bytes) -> None:
    new = found.path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(found.path)


def test_a_table_is_read_once(found: TableFile) -> None:
    replace(found, GOOD)
    assert found.poll() == route_table(3, "v1")
    assert found.read_at is not None
    assert found.poll() is None
    assert (found.problem, found.rejected) == (None, 0)


def test_a_file_rewritten_with_the_same_table_is_no_change(found: TableFile) -> None:
    replace(found, GOOD)
    found.poll()
    replace(found, GOOD + b"\n")
    assert found.poll() is None
    assert found.table == route_table(3, "v1")


@pytest.mark.parametrize(
    "new", [route_table(2, "v1"), route_table(3, "v2"), route_table(0, "v1"), RouteTable(revision=9)]
)
def test_any_other_table_is_taken(found: TableFile, new: RouteTable) -> None:
    replace(found, GOOD)
    found.poll()
    replace(found, write(new))
    assert found.poll() == new


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    os.truncate(path, len(GOOD) // 2)


def malformed(path: Path) -> None:
    path.write_bytes(b"revision: 4")


def of_other_shape(path: Path) -> None:
    path.write_bytes(b'{"revision": 4, "deployment": []}')


def not_unicode(path: Path) -> None:
    path.write_bytes(b'{"revision": 4, "\xff": []}')


def removed(path: Path) -> None:
    path.unlink()


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BROKEN = [
    (emptied, "the document is empty"),
    (truncated, "the document: Invalid JSON: EOF"),
    (malformed, "the document: Invalid JSON"),
    (of_other_shape, "deployments: Field required"),
    (not_unicode, "the document: Invalid JSON"),
    (removed, "No such file or directory"),
    (made_a_folder, "Is a directory"),
    (made_a_pipe, "it is no file"),
]


@pytest.mark.parametrize(("breaks", "reason"), BROKEN)
def test_the_last_good_table_stays_and_each_change_is_told_once(
    found: TableFile, caplog: pytest.LogCaptureFixture, breaks: Callable[[Path], None], reason: str
) -> None:
    replace(found, GOOD)
    found.poll()
    breaks(found.path)
    for _ in range(3):
        assert found.poll() is None
    assert found.table == route_table(3, "v1")
    assert found.rejected == 1
    assert found.problem is not None
    assert found.problem.startswith(reason)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert vars(record)["reason"] == found.problem
    assert vars(record)["revision"] == 3

    after = again(found.path.parent)
    assert after.poll() is None
    assert after.recall() == route_table(3, "v1")
    assert after.problem == found.problem

    if found.path.is_dir():
        found.path.rmdir()
    replace(found, GOOD)
    assert found.poll() is None
    assert found.problem is None
    removed(found.path)
    found.poll()
    assert found.rejected == 2


def test_another_broken_table_is_told_again(found: TableFile, caplog: pytest.LogCaptureFixture) -> None:
    for content in (b"", b"{", b"{}"):
        replace(found, content)
        found.poll()
        found.poll()
    assert found.rejected == 3
    assert len(caplog.records) == 3


def requiring(table: RouteTable, *features: str) -> bytes:
    """As a later release writes it: of the table's deployment something is required, and another one is there."""
    (known,) = table.deployments
    digits = known.model_copy(update={"requires": features})
    return write(table.model_copy(update={"deployments": (digits, known.model_copy(update={"name": "letters"}))}))


def test_a_deployment_that_cannot_be_served_is_refused_alone(
    found: TableFile, caplog: pytest.LogCaptureFixture
) -> None:
    replace(found, GOOD)
    found.poll()
    for revision in (4, 5):
        replace(found, requiring(route_table(revision, "v1", "v2"), "mirror"))
        new = found.poll()
        assert new is not None
        assert new.revision == revision
        assert new.by_key["vision", "digits"] == route_table(3, "v1").deployments[0]
        assert list(new.by_key["vision", "letters"].by_name) == ["v1", "v2"]
    why = "it requires what this release does not know: mirror"
    assert (found.refused, found.rejected, found.rejecting) == ({"vision/digits": why}, 1, True)
    assert found.problem == f"vision/digits: {why}"
    (record,) = caplog.records
    assert (vars(record)["deployment"], vars(record)["reason"]) == ("vision/digits", why)

    after = again(found.path.parent)  # what stands in is kept for a restart
    assert after.poll() == found.table
    assert after.refused == found.refused

    replace(found, requiring(route_table(6, "v1", "v2")))
    new = found.poll()
    assert new is not None
    assert list(new.by_key["vision", "digits"].by_name) == ["v1", "v2"]
    assert not found.refused
    assert not found.problem
    assert not found.rejecting


def test_a_file_that_comes_back_unchanged_is_read(found: TableFile, tmp_path: Path) -> None:
    replace(found, GOOD)
    found.poll()
    found.path.rename(tmp_path / "away")
    found.poll()
    (tmp_path / "away").rename(found.path)
    found.poll()
    assert found.problem is None


@pytest.mark.parametrize("saved", [None, b"", b"{"])
def test_without_a_good_copy_there_is_no_table(found: TableFile, saved: bytes | None) -> None:
    if saved is not None:
        last_good(found.path.parent).parent.mkdir()
        last_good(found.path.parent).write_bytes(saved)
    assert found.poll() is None
    assert found.recall() is None
    assert found.table is None


def test_the_copy_is_as_old_as_it_says(found: TableFile) -> None:
    replace(found, GOOD)
    found.poll()
    os.utime(last_good(found.path.parent), (1_000, 1_000))
    after = again(found.path.parent)
    after.recall()
    assert after.read_at == 1_000


def test_a_copy_that_cannot_be_written_stops_nothing(found: TableFile, caplog: pytest.LogCaptureFixture) -> None:
    last_good(found.path.parent).parent.write_text("a file where the folder should be")
    replace(found, GOOD)
    assert found.poll() == route_table(3, "v1")
    assert "can't be saved" in caplog.text


def test_nothing_half_written_is_left_beside_the_copy(found: TableFile) -> None:
    replace(found, GOOD)
    found.poll()
    assert [path.name for path in last_good(found.path.parent).parent.iterdir()] == ["last-good.json"]


def watched(found: TableFile, do: Callable[[asyncio.Queue[RouteTable]], Awaitable[object]]) -> None:
    async def run() -> None:
        tables: asyncio.Queue[RouteTable] = asyncio.Queue()
        watch = spawn(found.watch(tables.put_nowait), "watch")
        try:
            await asyncio.wait_for(do(tables), 20)
        finally:
            watch.cancel()

    asyncio.run(run())


def test_watching_starts_from_the_copy_and_goes_on_to_the_file(found: TableFile) -> None:
    replace(found, GOOD)
    found.poll()
    replace(found, b"{")

    async def see(tables: asyncio.Queue[RouteTable]) -> None:
        assert await tables.get() == route_table(3, "v1")
        for revision in range(4, 14):
            replace(found, write(route_table(revision, "v1")))
            assert (await tables.get()).revision == revision

    watched(again(found.path.parent), see)


def test_a_reader_sees_only_whole_tables_of_a_writer_that_renames(found: TableFile) -> None:
    async def see(tables: asyncio.Queue[RouteTable]) -> None:
        last = -1
        for revision in range(10, 310):  # after GOOD's, which may come first, from before the restart
            replace(found, write(route_table(revision, *(f"v{number}" for number in range(1 + revision % 50)))))
            await asyncio.sleep(0)
            while not tables.empty():
                new = tables.get_nowait().revision
                assert new > last
                last = new
        while last < 309:
            last = (await tables.get()).revision

    replace(found, GOOD)
    found.poll()
    found.path.unlink()
    watched(found, see)
    assert found.rejected <= 1
