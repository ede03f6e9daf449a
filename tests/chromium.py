"""A headless Chromium that tests drive, and the check of accessibility that runs in it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")


def open_chromium(size: tuple[int, int], downloads: Path | None = None):
    """Returns selenium's driver of a new browser, which the caller quits; skips the test where there is no browser."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(argument)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


def show_in(driver, scheme: str, width: int, media: str = "screen") -> None:
    """Lets the browser prefer light or dark, on a screen of this width or on paper."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def violations(driver) -> list[str]:
    """Returns what axe-core (https://github.com/dequelabs/axe-core) finds wrong with the page, a line each; skips where it is not installed."""
    found = find_spec("axe_playwright_python")
    if found is None:
        pytest.skip("axe-playwright-python is not installed")
    driver.execute_script((Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    driver.set_script_timeout(120)
    result = driver.execute_async_script("axe.run(document).then(arguments[0])")
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in result["violations"] for node in one["nodes"]]
