"""Headers of tars that are read directly say what `tarfile` says, and a file that changes is scanned again."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from sharded import encoded, write_tar

from augreg.sharding.inputs import open_input
from augreg.sharding.inputs.tar_members import opened
from augreg.sharding.records import InputError

LONG = "e/" + "x" * 98 + ".j"  # one letter more than fits without a prefix
NAMES = ("a.png", "b/c.d/e.cls", "ä ö.png", LONG, "y" * 100, "d/" * 80 + "q.png", "f.png")


def write(path: Path, format: int) -> None:
    with tarfile.open(path, "w", format=format) as tar:
        for number, name in enumerate(NAMES):
            if name == "f.png":
                link = tarfile.TarInfo("link.png")
                link.type, link.linkname = tarfile.SYMTYPE, "a.png"
                tar.addfile(link)
                folder = tarfile.TarInfo("folder")
                folder.type = tarfile.DIRTYPE
                tar.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size = number * 300
            tar.addfile(member, io.BytesIO(bytes([65 + number]) * member.size))


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(format: int, tmp_path: Path) -> None:
    path = tmp_path / "in.tar"
    write(path, format)
    with opened(str(path)) as members:
        found = [(one.name, one.size, one.type, members.read(one) if one.isreg() else b"") for one in members]
    with tarfile.open(path) as tar:
        want = [(one.name, one.size, one.type, tar.extractfile(one).read() if one.isreg() else b"") for one in tar]  # type: ignore[union-attr]
    assert found == want and len(found) == len(NAMES) + 2


@pytest.mark.parametrize("byte", [0, 101, 124, 130, 150, 156, 300])
def test_a_header_with_another_byte_is_damaged(byte: int, tmp_path: Path) -> None:
    """Its checksum says so, whichever byte it is."""
    path = tmp_path / "in.tar"
    write_tar(path, {f"{number}.png": encoded(number) for number in range(3)})
    data = bytearray(path.read_bytes())
    second = 512 + -(-len(encoded(0)) // 512) * 512
    data[second + byte] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="a damaged tar"), opened(str(path)) as members:
        list(members)


def test_a_tar_that_is_replaced_is_scanned_again(tmp_path: Path) -> None:
    path = tmp_path / "in.tar"
    for count in (4, 8):
        write_tar(path, {f"{number}.png": encoded(number) for number in range(count)})
        os.utime(path, ns=(count, count))
        given = open_input(str(path))
        keys = [[sample.key for sample in given.piece(shard, 2).samples()] for shard in range(2)]
        assert [*keys[0], *keys[1]] == [str(number) for number in range(count)] and len(keys[0]) == count // 2
