"""What the browser tests share: headless Chromium by its WebDriver, and checks that end the test."""

import pathlib
import sys
import time

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

SHOTS = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ".")
FRAME = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0](false)))"
checks = 0


def check(what, truth):
    global checks
    checks += 1
    if not truth:
        sys.exit(f"FAIL: {what}")


def check_soon(what, truth, seconds=20):
    """The page is drawn anew meanwhile: true in the end is enough."""
    until = time.monotonic() + seconds
    held = False
    while not held and time.monotonic() < until:
        try:
            held = truth()
        except StaleElementReferenceException:
            pass
        time.sleep(0 if held else 0.05)
    check(what, held)


def browser(page, width, height, theme):
    options = webdriver.ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "lang=en"):
        options.add_argument("--" + flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("chromedriver"), options=options)
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    scheme = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    driver.get(pathlib.Path(page).resolve().as_uri())
    return driver


def press(driver, keys):
    ActionChains(driver).send_keys(keys).perform()


def shown(driver, selector):
    """The elements that a reader sees."""
    return [e for e in driver.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]


def theme(driver):
    return driver.find_element(By.TAG_NAME, "html").get_attribute("data-theme")


def shot(driver, name):
    driver.save_screenshot(str(SHOTS / f"{name}.png"))


def leave(driver):
    """Nothing may have gone wrong unseen."""
    errors = [e["message"] for e in driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
    check(f"no errors on the console: {errors}", not errors)
    width = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    check("the page is not wider than the window", width <= 0)
    driver.quit()


def done(what):
    print(f"{what}: {checks} checks in Chromium")
