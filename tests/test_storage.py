"""Where outputs are stored: files are whole or not there, one process of several creates, locks end with theirs."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from full_disk import full

from augreg.files.locks import BusyError
from augreg.sharding.storage import Storage, StorageError, open_storage
from augreg.sharding.storage_names import temporary_name

fsspec = pytest.importorskip("fsspec")
memory = pytest.importorskip("fsspec.implementations.memory")
ROOT = Path(__file__).parent.parent


@pytest.fixture(params=["path", "file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    place = {"path": str(tmp_path / "out"), "file": f"file://{tmp_path}/out", "memory": f"memory://b{tmp_path}/out"}
    found = open_storage(place[request.param])
    found.make()
    yield found
    memory.MemoryFileSystem.store.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    found = open_storage(str(tmp_path / "out"))
    found.make()
    return found


def put(storage: Storage, name: str, data: bytes) -> None:
    part = storage.temporary(name)
    part.write_bytes(data)
    storage.put(name, part)
    assert not part.exists()


def test_what_is_stored_is_found_again(storage: Storage) -> None:
    storage.write("b/c.txt", b"1")
    storage.write("b/c.txt", b"22")
    put(storage, "shard-000000.tar", b"333")
    put(storage, "shard-000000.tar", b"4444")
    storage.write("a.txt", b"", durable=False)
    storage = pickle.loads(pickle.dumps(storage))
    assert storage.read("b/c.txt") == b"22" and storage.read("shard-000000.tar") == b"4444"
    with storage.open("shard-000000.tar") as file:
        assert file.read(3) == b"444"
    assert storage.names() == ["a.txt", "b/c.txt", "shard-000000.tar"]
    assert storage.names("b/") == storage.names("b/c") == ["b/c.txt"]
    assert storage.names("sh") == ["shard-000000.tar"] and storage.names("b/d") == storage.names("no/") == []
    assert [storage.exists(name) for name in ("a.txt", "b/c.txt", "b", "c")] == [True, True, False, False]
    storage.remove("b/c.txt")
    storage.remove("b/c.txt")
    assert not storage.exists("b/c.txt")
    for missing in (storage.read, storage.open):
        with pytest.raises(FileNotFoundError) as error:
            missing("b/c.txt")
        assert error.value.errno == errno.ENOENT


def test_what_exists_is_not_created(storage: Storage) -> None:
    assert storage.create("x/a", b"1") and not storage.create("x/a", b"2")
    assert storage.read("x/a") == b"1" and storage.names(temporary=True) == []


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a/", "a\0b"])
def test_no_name_leads_out(storage: Storage, name: str) -> None:
    for use in (
        storage.read,
        storage.exists,
        storage.temporary,
        storage.remove,
        lambda name: storage.write(name, b""),
    ):
        with pytest.raises(ValueError, match="is not the name of a file in the output: give a relative path"):
            use(name)
    assert storage.names() == []


def test_no_link_leads_out(folder: Storage, tmp_path: Path) -> None:
    assert folder.local is not None
    (tmp_path / "elsewhere").mkdir()
    (folder.local / "cat").symlink_to(tmp_path / "elsewhere")
    (folder.local / "file").symlink_to(tmp_path / "elsewhere" / "file")
    for write in (folder.write, folder.create):
        with pytest.raises(OSError, match="a link is in the place of this folder; remove it"):
            write("cat/a.png", b"1")
    folder.write("file", b"1")  # the link itself is replaced
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_name_that_is_just_short_enough_is_stored(folder: Storage, tmp_path: Path) -> None:
    most = os.pathconf(tmp_path, "PC_NAME_MAX")
    folder.write("x" * most, b"1")
    assert folder.exists("x" * most)
    with pytest.raises(OSError, match="File name too long"):
        folder.write("x" * (most + 1), b"1")
    assert folder.names() == ["x" * most] and folder.names(temporary=True) == []


def test_a_folder_that_is_moved_gets_no_double(folder: Storage, tmp_path: Path) -> None:
    assert folder.local is not None
    folder.local.rename(tmp_path / "moved")
    for name in ("a", "b/c"):
        with pytest.raises(FileNotFoundError):
            folder.write(name, b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


def test_what_killed_processes_left_is_no_file(folder: Storage) -> None:
    for name in ("a", "b", "c/a"):
        folder.temporary(name).write_bytes(b"half")
    assert folder.names() == [] and len(folder.names(temporary=True)) == 3
    folder.remove_temporary("a")
    assert len(folder.names(temporary=True)) == 2 and len(folder.names("c/", temporary=True)) == 1
    folder.remove_temporary("c/a")
    folder.remove_temporary("no/b")
    assert len(folder.names(temporary=True)) == 1


def test_temporary_files_for_a_remote_place_are_removed_once_their_process_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    storage = open_storage("memory://b/gone")
    ours = storage.temporary("a")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    theirs = ours.with_name(ours.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
    other = storage.temporary("b")
    other = other.with_name(other.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
    for path in (ours, theirs, other):
        path.write_bytes(b"half")
    storage.remove_temporary("a")
    assert {path.name for path in tmp_path.iterdir()} == {ours.name, other.name}


def _create_all(location: str, meet: Any, won: Any) -> None:
    storage, names = open_storage(location), []
    for number in range(100):
        meet.wait(60)
        if storage.create(str(number), str(os.getpid()).encode()):
            names.append(number)
    won.put(names)


def test_of_two_processes_one_creates(folder: Storage) -> None:
    context = multiprocessing.get_context("spawn")
    meet, won = context.Barrier(2), context.Queue()
    both = [context.Process(target=_create_all, args=(folder.location, meet, won)) for _ in range(2)]
    for process in both:
        process.start()
    names = [*won.get(timeout=60), *won.get(timeout=60)]
    for process in both:
        process.join()
    assert sorted(names) == list(range(100))
    assert folder.names(temporary=True) == []


def test_a_file_system_without_hard_links_creates_too(folder: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*paths: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert folder.create("x/a", b"1") and not folder.create("x/a", b"2")
    assert folder.read("x/a") == b"1" and folder.names() == ["x/a"] and folder.names(temporary=True) == []


HOLDER = """
import sys, time
from augreg.sharding.storage import open_storage
storage = open_storage(sys.argv[1])
with storage.lock("000000"):
    with storage.temporary("shard-000000.tar").open("wb") as file:
        file.write(b"half"); file.flush()
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock_and_no_file(folder: Storage) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder.location], stdout=subprocess.PIPE, env=environment
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(BusyError, match="another run is writing 000000; wait until it ends"),
            folder.lock("000000"),
        ):
            pytest.fail("the lock was taken twice")
        with folder.lock("000001"):
            pass
        holder.send_signal(signal.SIGKILL)
    with folder.lock("000000"):
        assert folder.names(".augreg/") == [".augreg/000000.lock"]
        folder.remove_temporary("shard-000000.tar")
    assert folder.names() == [] and folder.names(temporary=True) == []


def test_a_full_disk_leaves_nothing_half_written(folder: Storage) -> None:
    folder.write("a", b"before")
    with full(100_000):
        for write in (folder.write, folder.create):
            with pytest.raises(OSError) as error:
                write("a", bytes(200_000))
            assert error.value.errno == errno.EFBIG
    assert folder.read("a") == b"before" and folder.names(temporary=True) == []
    free = folder.free_bytes()
    assert free is not None and free > 0
    assert open_storage(f"{folder.location}/not/there").free_bytes() is not None


def test_a_folder_that_may_not_be_written_to() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o555)
        root = os.geteuid() == 0
        storage = open_storage(place)
        if root:
            os.seteuid(65534)  # nobody: root may write everywhere
        try:
            for name in ("a", "b/c"):
                with pytest.raises(PermissionError):
                    storage.write(name, b"1")
            with pytest.raises(PermissionError), storage.lock("000000"):
                pytest.fail("there was a lock")
        finally:
            if root:
                os.seteuid(0)
        assert storage.names() == []
        Path(place).chmod(0o755)


class Halfway(memory.MemoryFileSystem):  # type: ignore[misc]
    """A remote place that fails in the middle of an upload."""

    protocol = "halfway"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    fails = True

    def _broken(self, path: str, data: bytes) -> None:
        with self.open(path, "wb") as file:
            file.write(data[: len(data) // 2] if type(self).fails else data)
        if type(self).fails:
            raise RuntimeError("connection lost")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self._broken(path, value)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self._broken(rpath, Path(lpath).read_bytes())


class HalfwayRenaming(Halfway):
    """One that can rename files, but not to a name that is taken."""

    protocol = "halfway-renaming"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        if self.exists(path2):
            raise OSError("it exists")
        self.cp_file(path1, path2)
        self.rm_file(path1)


@pytest.mark.parametrize("kind", [Halfway, HalfwayRenaming])
def test_an_upload_that_fails_leaves_nothing_half_written(kind: type[Halfway], monkeypatch: Any) -> None:
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    storage = open_storage(f"{kind.protocol}://bucket/out")
    storage.make()
    part = storage.temporary("shard-000000.tar")
    part.write_bytes(b"12345678")
    for attempt in (lambda: storage.write("a/b", b"12345678"), lambda: storage.put("shard-000000.tar", part)):
        with pytest.raises(OSError, match="says RuntimeError: connection lost"):
            attempt()
    assert storage.names() == [] and storage.names(temporary=True) == [] and part.exists()
    monkeypatch.setattr(kind, "fails", False)
    for _ in range(2):  # the second time in place of the first
        storage.write("a/b", b"12345678")
    storage.put("shard-000000.tar", part)
    assert storage.names() == ["a/b", "shard-000000.tar"] and not part.exists()
    assert storage.read("a/b") == storage.read("shard-000000.tar") == b"12345678"
    assert not storage.create("a/b", b"1") and storage.create("a/c", b"1")
    if kind is HalfwayRenaming:  # and what was there stays
        monkeypatch.setattr(kind, "fails", True)
        with pytest.raises(OSError, match="connection lost"):
            storage.write("a/b", b"other")
        assert storage.read("a/b") == b"12345678"
        with kind().open(f"{storage.location}/{temporary_name('a/b')}", "wb") as file:  # of an upload that was killed
            file.write(b"1")
        assert len(storage.names(temporary=True)) == 1 and storage.names() == ["a/b", "a/c", "shard-000000.tar"]
        storage.remove_temporary("a/c")
        assert len(storage.names("a/", temporary=True)) == 1
        storage.remove_temporary("a/b")
        assert storage.names(temporary=True) == []


def test_locations_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"nowhere://a/b: cannot be opened: Protocol not known: nowhere"):
        open_storage("nowhere://a/b")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.delitem(sys.modules, "augreg.sharding.remote_storage")
    with pytest.raises(StorageError, match=r"memory://a: URLs need fsspec: pip install 'augreg\[shards\]'"):
        open_storage("memory://a")
    assert open_storage("a").local == Path.cwd() / "a"


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from augreg.sharding.storage import open_storage; import augreg.sharding.outputs; "
        "open_storage('x'); print(sorted({'fsspec', 'pyarrow', 'torch'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
