"""What somebody sees in the first minute: the demo, from its front page to signed in and out again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.chromium import Chromium
from tests.servers import BINARIES, free_port, running

pytestmark = pytest.mark.server


def test_the_demo(chromium: Chromium, tmp_path: Path) -> None:
    """One address to open; a click, a person, and one is in. Somebody of another organization is turned away."""
    port, idp_port = free_port(), free_port()
    options = [f"--port={port}", f"--idp-port={idp_port}", f"--data={tmp_path / 'data'}"]
    url = f"http://127.0.0.1:{port}"
    command = [str(BINARIES / "sso-middleware"), "demo", *options]
    with running("demo", command, url=url, directory=tmp_path) as demo:
        demo.wait_until_answers()
        page = chromium.first_tab

        page.goto(url)
        assert f"Open  {url}" in demo.log
        chromium.screenshot(page, "1-front")
        page.locator("main a[href*='/reports']").first.click()
        assert page.url.startswith(f"http://localhost:{idp_port}")
        page.get_by_role("button", name="Carol Shaw").click()
        expect(page.locator("body")).to_contain_text("email_outside_domains")
        chromium.screenshot(page, "2-turned-away")
        chromium.forgive("status of 403")

        page.goto(f"{url}/reports")
        page.get_by_role("button", name="Ada Lovelace").click()
        page.wait_for_url(re.compile(f"{url}/reports"))
        expect(page.locator("body")).to_contain_text("Ada Lovelace")
        chromium.screenshot(page, "3-signed-in")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{url}/sso/signed-out")
