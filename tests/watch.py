"""Drives the page of `microgpt watch` in headless Chromium: watch.py PAGE [FOLDER-FOR-SCREENSHOTS].

The page is that of two runs, `short` and `long`, of which both were validated and sampled."""

import sys

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import browser, check, check_soon, done, leave, press, shot, shown, theme


def curves(driver):
    return len(shown(driver, "figure:first-of-type .curve"))


def draws_curves(driver):
    titles = [h.text for h in shown(driver, "figure h2")]
    check(f"four charts: {titles}", titles == ["loss", "learning rate", "gradient norm", "tokens a second"])
    check("training and validation of two runs", curves(driver) == 4)
    for path in shown(driver, "path.curve"):
        check("a curve has points", path.get_attribute("d").count("L") >= 1)
        check("and no hole in its numbers", "NaN" not in path.get_attribute("d"))
    facts = driver.find_element(By.CSS_SELECTOR, ".facts").text
    check(f"both are at rest: {facts}", facts.count("at rest") == 2)


def hides_a_run(driver):
    button = shown(driver, "#runs button")[1]
    button.click()
    check("one run less", curves(driver) == 2 and button.get_attribute("aria-pressed") == "false")
    driver.refresh()
    check_soon("it stays hidden", lambda: curves(driver) == 2)
    shown(driver, "#runs button")[1].click()
    check("and comes back", curves(driver) == 4)


def reads_values(driver):
    chart = shown(driver, "figure svg")[0]
    ActionChains(driver).move_to_element(chart).perform()
    words = [o.text for o in shown(driver, "figcaption output")]
    check(f"values at the pointer, on all charts: {words}", all(w.startswith("step ") for w in words))
    check("of both runs", "short" in words[0] and "long" in words[0] and "training" in words[0])


def changes_the_scale(driver):
    path = lambda: shown(driver, "figure path.curve")[0].get_attribute("d")
    linear = path()
    driver.find_element(By.ID, "log").click()
    check("a logarithmic scale bends the curve", path() != linear)
    driver.find_element(By.ID, "log").click()
    check("and back", path() == linear)
    slider = driver.find_element(By.ID, "smooth")
    slider.send_keys(Keys.HOME)
    check("without smoothing the curve is another", path() != linear)
    slider.send_keys(Keys.END)


def shows_samples(driver):
    box = shown(driver, ".samples:not(.facts)")[0]
    slider = box.find_element(By.CSS_SELECTOR, "input")
    last = box.text
    slider.send_keys(Keys.HOME)
    check("the slider goes back to earlier samples", box.text != last and "at step" in box.text)


def main():
    page = sys.argv[1]
    wide = browser(page, 1500, 1000, "light")
    for behaviour in (draws_curves, hides_a_run, reads_values, changes_the_scale, shows_samples):
        behaviour(wide)
    shot(wide, "watch-light")
    press(wide, "t")
    check("t is dark", theme(wide) == "dark")
    shot(wide, "watch-dark")
    leave(wide)

    phone = browser(page, 390, 844, "dark")
    check("dark follows the system", theme(phone) == "dark")
    lefts = {f.rect["x"] for f in shown(phone, "figure")}
    check("a phone has the charts below each other", len(lefts) == 1)
    shot(phone, "watch-phone")
    leave(phone)
    done("watch")


main()
