"""The OHIF viewer opens segments and sizes: in a browser without a window, beside a PACS. ``make test-viewers``."""

from __future__ import annotations

import http.server
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shutil import which

import pydicom
import pytest
from pacs import Pacs, Study

pytestmark = pytest.mark.viewers

VERSION = "3.12.10"
CONFIG = """window.config = {extensions: [], modes: [], showStudyList: true, defaultDataSourceName: 'pacs',
  dataSources: [{
  namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'pacs', configuration: {
    friendlyName: 'pacs', name: 'pacs', wadoUriRoot: '/dicom-web', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
    imageRendering: 'wadors', thumbnailRendering: 'wadors', omitQuotationForMultipartRequest: true}}]};"""
THUMBNAILS = '[data-cy="study-browser-thumbnail"], [data-cy="study-browser-thumbnail-no-image"]'
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


class Site(http.server.SimpleHTTPRequestHandler):
    """OHIF's files, its settings, and the PACS below ``/dicom-web``: one origin."""

    def __init__(self, *given: object, pacs: Pacs, **named: object) -> None:
        self.pacs = pacs
        super().__init__(*given, **named)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/dicom-web"):
            request = urllib.request.Request(self.pacs.url + self.path, headers={"Accept": self.headers["Accept"]})
            try:
                with urllib.request.urlopen(request) as answer:
                    self.give(answer.read(), answer.headers["Content-Type"] or "", answer.status)
            except urllib.error.HTTPError as error:
                self.give(error.read(), "text/plain", error.code)
        elif path == "/app-config.js":
            self.give(CONFIG.encode(), "text/javascript")
        else:
            if not Path(self.directory, path.lstrip("/")).is_file():
                self.path = "/index.html"
            super().do_GET()

    def give(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def ohif(pacs: Pacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve OHIF beside the PACS."""
    if which("npm") is None or which("chromium") is None:
        pytest.skip("needs npm and chromium")
    folder = tmp_path_factory.mktemp("ohif")
    subprocess.run(["npm", "pack", f"@ohif/app@{VERSION}"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    site = partial(Site, pacs=pacs, directory=str(folder / "package" / "dist"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_ohif_opens_segments_and_sizes_without_an_error(pacs: Pacs, study: Study, ohif: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    pacs.store((*study.ct, *study.objects))
    uid = pydicom.dcmread(study.ct[0]).StudyInstanceUID
    errors: list[str] = []
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.goto(f"{ohif}/viewer?StudyInstanceUIDs={uid}")
        page.locator(THUMBNAILS).filter(has_text="Lymph node segments").first.dblclick()
        page.get_by_role("button", name="Yes").first.click()
        page.wait_for_timeout(8_000)
        page.screenshot(path=tmp_path / "segments.png")
        page.locator(THUMBNAILS).filter(has_text="for OHIF").first.dblclick()
        page.get_by_text("L: ").first.wait_for()
        page.wait_for_timeout(4_000)
        page.screenshot(path=tmp_path / "sizes.png")
        shown = page.inner_text("body")
        browser.close()
    print(f"pictures: {tmp_path}")
    long_mm = study.result.nodes[0].sizes.long_axis.length_mm
    assert f"{long_mm:.3g}"[:4] in shown.replace("\n", " ")
    assert not errors
