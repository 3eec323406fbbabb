"""Decoded images are kept: used again, made again when stale, never half there."""

import errno
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastvae.train.data import datasets
from fastvae.train.data.description import Reading
from fastvae.train.errors import UserError
from fastvae.train.files import cache
from fastvae.train.images import decode, workers
from tests.support.command_line import fails
from tests.train import own_data


@pytest.fixture
def images(tmp_path):
    return own_data.folder(tmp_path / "discs", 12, suffixes=(".png",))


@pytest.fixture
def reading(tmp_path):
    return Reading(cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def decodes(monkeypatch):
    """Names of the files that were decoded."""
    names = []
    plain = decode.decoded

    def counted(path, *args, **options):
        names.append(path.name)
        return plain(path, *args, **options)

    monkeypatch.setattr(decode, "decoded", counted)
    return names


def place(tmp_path):
    (found,) = (tmp_path / "cache").glob("discs-*")
    return found


def load(images, reading):
    return datasets.load(str(images), None, reading=reading)


def test_it_is_used_again(images, reading, decodes, tmp_path, monkeypatch):
    first = load(images, reading)
    assert len(decodes) == 12
    monkeypatch.setattr(decode, "headers", None)  # nor are sizes read again
    second = load(images, reading)
    assert len(decodes) == 12
    for ours, theirs in zip(first, second, strict=True):
        assert ours.same(theirs)
    manifest = json.loads((place(tmp_path) / "manifest.json").read_text())
    assert sorted(manifest["sources"]["names"])[0] == "blue/000.png"
    assert manifest["shape"] == [3, 12, 12]
    assert manifest["files"]["images.npy"]["size"] == 128 + 12 * 3 * 12 * 12


def change_a_file(images):
    Image.new("RGB", (12, 12)).save(images / "red" / "001.png")


def touch_a_file(images):
    os.utime(images / "red" / "001.png", (1, 1))


def add_a_file(images):
    Image.new("RGB", (12, 12)).save(images / "red" / "more.png")


def take_a_file(images):
    (images / "red" / "001.png").unlink()


def rename_a_file(images):
    (images / "red" / "001.png").rename(images / "blue" / "001.png")


@pytest.mark.parametrize("change", [change_a_file, touch_a_file, add_a_file, take_a_file, rename_a_file])
def test_a_change_makes_it_anew(images, reading, decodes, tmp_path, change):
    load(images, reading)
    change(images)
    decodes.clear()
    found = load(images, reading)
    files = sorted(images.glob("*/*"))
    assert len(decodes) == len(files) == sum(len(part.labels) for part in found)
    assert len(list((tmp_path / "cache").glob("discs-*"))) == 1


def test_other_options_have_their_own(images, reading, decodes, tmp_path):
    load(images, reading)
    load(images, reading._replace(channels=1))
    load(images, reading._replace(image_size=8))
    assert len(decodes) == 36
    load(images, reading)
    assert len(decodes) == 36
    assert len(list((tmp_path / "cache").glob("discs-*"))) == 3


@pytest.mark.parametrize("damage", ["manifest.json", "images.npy"])
def test_a_damaged_one_is_made_anew(images, reading, decodes, tmp_path, damage):
    before = load(images, reading)
    os.truncate(place(tmp_path) / damage, 100)
    assert load(images, reading).train.same(before.train)
    assert len(decodes) == 24


def test_one_with_a_flipped_bit_is_made_anew(images, reading, decodes, tmp_path):
    before = load(images, reading)
    file = place(tmp_path) / "images.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert load(images, reading).train.same(before.train)
    assert len(decodes) == 24


def test_nothing_is_left_of_a_failure(images, reading, tmp_path):
    (images / "red" / "001.png").write_bytes((images / "red" / "003.png").read_bytes()[:-60])
    with pytest.raises(UserError, match="no image that can be read"):
        load(images, reading)
    assert [file.name for file in (tmp_path / "cache").iterdir() if not file.name.startswith(".lock")] == []


def test_a_full_disk_is_one_line(images, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    line = fails("train", "--data", images, "--cache-dir", tmp_path / "cache", "--out", tmp_path / "run")
    assert "--cache-dir: " in line
    assert "No space left on device" in line
    assert [file.name for file in (tmp_path / "cache").iterdir() if not file.name.startswith(".lock")] == []


def test_a_cache_that_is_a_file_is_one_line(images, tmp_path):
    (tmp_path / "cache").touch()
    line = fails("train", "--data", images, "--cache-dir", tmp_path / "cache", "--out", tmp_path / "run")
    assert f"--cache-dir: {tmp_path / 'cache'}: " in line


SLOW = """
import sys, time
from fastvae.train.data import datasets
from fastvae.train.data.description import Reading
from fastvae.train.images import decode, workers
workers.CHUNK = 1
plain = decode.decoded
def slow(path, *args, **options):
    time.sleep(0.5)
    return plain(path, *args, **options)
decode.decoded = slow
datasets.load(sys.argv[1], None, reading=Reading(cache_dir=sys.argv[2]))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor decodes without workers")
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_killed_while_caching(images, reading, tmp_path, decodes, how):
    process = subprocess.Popen([sys.executable, "-c", SLOW, images, reading.cache_dir], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    partial: list[Path] = []
    while not partial and time.monotonic() < deadline and process.poll() is None:
        partial = list(Path(reading.cache_dir).glob(".partial-*/images.npy"))
        time.sleep(0.02)
    assert partial
    time.sleep(0.3)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert children
    process.send_signal(how)
    assert process.wait(30) != 0
    process.stderr.close()
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))
    assert not list(Path(reading.cache_dir).glob("discs-*"))
    found = load(images, reading)
    assert len(decodes) == 12
    assert not list(Path(reading.cache_dir).glob(".partial-*"))
    assert len(found.train.labels) + len(found.test.labels) == 12


def test_a_killed_worker_is_one_line(monkeypatch):
    monkeypatch.setattr(workers, "CHUNK", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    with pytest.raises(UserError, match="decoding: a worker process was killed"):
        list(workers.each(_die, [1, 2, 3], "decoding"))


def _die(items, start):
    os.kill(os.getpid(), signal.SIGKILL)


def _load(images, cache_dir, results):
    data = datasets.load(images, None, reading=Reading(cache_dir=cache_dir))
    results.put(data.train.images.sum().item())


def test_processes_that_begin_together_make_it_once(images, reading, tmp_path, monkeypatch):
    context = multiprocessing.get_context("fork")
    results, count = context.Queue(), context.Value("i", 0)
    plain = decode.decoded

    def slow(path, *args, **options):
        time.sleep(0.02)
        with count.get_lock():
            count.value += 1
        return plain(path, *args, **options)

    monkeypatch.setattr(decode, "decoded", slow)
    processes = [context.Process(target=_load, args=(str(images), reading.cache_dir, results)) for _ in range(3)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(sums)) == 1
    assert count.value == 12


def test_who_has_it_open_keeps_it(images, reading, tmp_path):
    load(images, reading)
    opened = np.load(place(tmp_path) / "images.npy", mmap_mode="r")
    before = opened.copy()
    change_a_file(images)
    load(images, reading)
    np.testing.assert_array_equal(opened, before)


def test_by_default_it_is_the_users(images, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    load(images, Reading())
    assert list((tmp_path / ".cache" / "fastvae").glob("discs-*/manifest.json"))
    assert cache.place(None, images, {}).parent == tmp_path / ".cache" / "fastvae"


def test_a_terminal_sees_how_far_it_is(images, reading, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    data = datasets.load(str(images), None, reading=reading)
    assert "reading sizes: 100%" in terminal.getvalue()
    assert "decoding images: 100%" in terminal.getvalue()
    assert "12/12" in terminal.getvalue()
    assert len(data.train.labels) < 12
