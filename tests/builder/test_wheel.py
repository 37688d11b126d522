"""Where the browser's NumPy wheel comes from, with real pip, real range requests, real bytes."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from builder.site import vendor, wheel
from sims.errors import UserError

STORE = vendor.ROOT / ".wmsite" / "vendor"
CARRIER = "open_webui-0.12.4-py3-none-any.whl"


class Host(SimpleHTTPRequestHandler):
    """A package index on localhost: folders with listings, and range requests."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, asked: list[str], **kwargs: Any) -> None:
        self.asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        ranged = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not ranged or not path.is_file():
            return super().do_GET()
        data = path.read_bytes()
        first, last = ranged[1], ranged[2]
        start = int(first) if first else len(data) - int(last)
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        self.asked.append(f"{end - start + 1} bytes")
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.send_header("Content-Length", str(end - start + 1))
        self.end_headers()
        self.wfile.write(data[start : end + 1])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def host(folder: Path, asked: list[str]) -> Iterator[str]:
    handler = partial(Host, directory=str(folder), asked=asked)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def real() -> Path:
    return vendor.numpy_wheel(STORE)


@pytest.fixture
def lock() -> wheel.Lock:
    return wheel.Lock.read(vendor.node_modules() / "pyodide")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, list[str]]]:
    """An empty index that pip is configured for, and what it was asked."""
    folder, asked = tmp_path / "host", list[str]()
    folder.mkdir()
    with host(folder, asked) as url:
        only(monkeypatch, f"{url}/simple")
        yield folder, asked


def only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let pip know this index alone."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url)


def publish(folder: Path, project: str, name: str, data: bytes) -> None:
    (folder / "simple" / project).mkdir(parents=True)
    (folder / "simple" / project / name).write_bytes(data)


def carry(folder: Path, name: str, data: bytes) -> None:
    """Publish a stand-in for the carrier: a wheel with the member, and much else."""
    (folder / "simple" / "open-webui").mkdir(parents=True)
    with zipfile.ZipFile(folder / "simple" / "open-webui" / CARRIER, "w") as archive:
        archive.writestr("open_webui/big.bin", bytes(20_000_000))
        archive.writestr(f"open_webui/frontend/pyodide/{name}", data)
        info = "open_webui-0.12.4.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: open-webui\nVersion: 0.12.4\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_the_lock_is_the_one_that_the_issue_names(lock: wheel.Lock) -> None:
    assert lock.pyodide == "314.0.4"
    assert lock.version == "2.4.3"
    assert lock.sha256 == "0cad9c1b91f0082e4f959bc0e0bf5835a2efbba6ab3b1e9d1fe6e7e564cca98e"
    assert lock.release is not None
    assert lock.release.endswith(f"/v314.0.4/full/{lock.name}")


@pytest.mark.slow
def test_a_whole_wheel_in_the_cache_asks_nobody(
    real: Path, lock: wheel.Lock, index: tuple[Path, list[str]], tmp_path: Path
) -> None:
    shutil.copy(real, tmp_path)
    assert wheel.find(lock, [tmp_path / "none", tmp_path]) == tmp_path / lock.name
    assert index[1] == []


@pytest.mark.slow
def test_a_cut_wheel_in_the_cache_is_refused_and_replaced_from_the_index(
    real: Path,
    lock: wheel.Lock,
    index: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / lock.name).write_bytes(real.read_bytes()[:1_000_000])
    publish(index[0], "numpy", lock.name, real.read_bytes())
    release = f"{index[0].as_uri()}/never-asked"
    found = wheel.find(replace(lock, release=release), [store])
    assert found.read_bytes() == real.read_bytes()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "refused, its sha256 is" in said[0]
    assert "1000000 bytes" in said[0]


@pytest.mark.slow
def test_another_file_on_the_index_is_refused_and_the_release_is_next(
    real: Path, lock: wheel.Lock, index: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, asked = index
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as other:  # A wheel, but not the one.
        info = "numpy-2.4.3.dist-info"
        other.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.3\n")
        other.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\n")
    publish(folder, "numpy", lock.name, (tmp_path / "other.whl").read_bytes())
    (folder / "release").mkdir()
    shutil.copy(real, folder / "release")
    release = f"{folder.as_uri()}/release/{lock.name}"
    found = wheel.find(replace(lock, release=release), [tmp_path / "store"])
    assert found.read_bytes() == real.read_bytes()
    assert not any("open-webui" in path for path in asked)


@pytest.mark.slow
def test_the_carrier_gives_the_one_member_by_range_request(
    real: Path, lock: wheel.Lock, index: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, asked = index
    carry(folder, lock.name, real.read_bytes())
    # pip reads the metadata from the whole file here, as this index offers it in no other way.
    asked_by_pip = len(asked)
    found = wheel.find(replace(lock, release=None), [tmp_path / "store"])
    assert found.read_bytes() == real.read_bytes()
    read = [int(line.split()[0]) for line in asked[asked_by_pip:] if line.endswith(" bytes")]
    assert len(real.read_bytes()) <= sum(read) < 6_000_000


@pytest.mark.slow
def test_no_source_is_one_line_with_every_reason_and_leaves_nothing(
    lock: wheel.Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that takes connections and never answers, as behind a bad firewall."""
    monkeypatch.setattr(wheel, "CONNECT_S", 1.0)
    monkeypatch.setattr(wheel, "READ_S", 1.0)
    monkeypatch.setattr(wheel, "PIP_S", 4.0)
    monkeypatch.setattr(wheel, "CARRIER_PIP_S", 4.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(32)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        only(monkeypatch, f"{url}/simple")
        with pytest.raises(UserError) as failed:
            wheel.find(replace(lock, release=f"{url}/{lock.name}"), [tmp_path / "store"])
    said = str(failed.value)
    assert all(f"{name}: " in said for name in wheel.SOURCES)
    assert "\n" not in said
    assert "Run: " in said
    assert not list(tmp_path.rglob("*.whl"))


@pytest.mark.slow
def test_a_carrier_with_another_member_is_refused(
    lock: wheel.Lock, index: tuple[Path, list[str]], tmp_path: Path
) -> None:
    carry(index[0], lock.name, b"PK\x03\x04 not that wheel")
    with pytest.raises(UserError, match="refused, its sha256 is"):
        wheel.find(replace(lock, release=None), [tmp_path / "store"])


def test_what_pip_trusts_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/named/by/a/variable.pem")
    assert wheel.certificates() == {"verify": "/named/by/a/variable.pem"}
    monkeypatch.delenv("PIP_CERT")
    told = tmp_path / "pip.conf"
    told.write_text("[global]\ncert = /told/in/a/file.pem\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(told))
    assert wheel.certificates() == {"verify": "/told/in/a/file.pem"}
