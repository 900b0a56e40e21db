"""Take the pictures of docs/how-to/use-the-dashboard.md from the demo.

Run it after a change of a page: ``PYTHONPATH=src:. python scripts/dashboard_screenshots.py``. It
needs the development environment and a Chromium (``scripts/browser.py``).
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.browser import find_browser
from tests.integration.demo_server import Demo, run_demo

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "images"
ARGUMENTS: Final = ["--headless", "--no-sandbox", "--disable-gpu"]
_LOGIN: Final = re.compile(r"^\s+(\S+)\s+(\S+)\s+super_admin", re.MULTILINE)


def take(browser: Browser, demo: Demo) -> None:
    """Sign in, and take a picture of each page: wide and light, or narrow and dark."""
    page = browser.new_page(viewport={"width": 1000, "height": 620}, color_scheme="light")
    sign_in(page, demo)
    page.screenshot(path=FOLDER / "dashboard-overview.png")
    page.goto(f"{demo.origin}/stockade/explain")
    page.get_by_label("E-mail address of the account").fill("member@acme.example")
    page.get_by_label("Route").select_option("POST /companies/admin-endpoint")
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("heading", level=2).wait_for()
    page.screenshot(path=FOLDER / "dashboard-explain.png", full_page=True)
    phone = browser.new_page(viewport={"width": 390, "height": 620}, color_scheme="dark")
    sign_in(phone, demo)
    phone.goto(f"{demo.origin}/stockade/limits")
    phone.screenshot(path=FOLDER / "dashboard-limits.png")


def sign_in(page: Page, demo: Demo) -> None:
    """Sign in as the super administrator of the demo."""
    found = _LOGIN.search(demo.out.read_text("utf-8"))
    if found is None:
        sys.exit("the demo names no super administrator")
    page.goto(f"{demo.origin}/stockade")
    page.get_by_label("E-mail address").fill(found[1])
    page.get_by_label("Password").fill(found[2])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def main() -> None:
    """Run the demo, let it refuse somebody, and take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, run_demo(Path(name)) as demo:
        with demo.client("acme-member") as member:
            for _ in range(30):
                member.get("/notes/export")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_browser(), args=[*ARGUMENTS, "--hide-scrollbars"]
            )
            take(browser, demo)
            browser.close()


if __name__ == "__main__":
    main()
