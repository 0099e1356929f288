"""Drives doc/microgpt.html in headless Chromium: page.py PAGE [FOLDER-FOR-SCREENSHOTS]."""

import sys

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import FRAME, browser, check, check_soon, done, leave, press, shot, shown, theme


def languages(driver):
    return [e.get_attribute("data-language") for e in shown(driver, "#norm .column")]


def switches_languages(driver):
    check("all three at first", languages(driver) == ["python", "c", "cuda"])
    press(driver, "3")
    check("3 hides CUDA", languages(driver) == ["python", "c"])
    driver.find_element(By.CSS_SELECTOR, '#languages [data-language="python"]').click()
    check("a click hides Python", languages(driver) == ["c"])
    press(driver, "2")
    check("the last language stays", languages(driver) == ["c"])
    press(driver, "13")
    check("all three again, in order", languages(driver) == ["python", "c", "cuda"])


def aligns_ideas(driver):
    for section in shown(driver, "section"):
        tops = {c.rect["y"] for c in section.find_elements(By.CSS_SELECTOR, ".column")}
        check(f"{section.get_attribute('id')}: columns begin at one height", len(tops) == 1)
        lefts = [c.rect["x"] for c in section.find_elements(By.CSS_SELECTOR, ".column")]
        check("columns stand side by side", lefts == sorted(set(lefts)))


def colours_code(driver):
    for kind in ("keyword", "comment", "string", "number"):
        check(f"{kind}s have a colour", shown(driver, "code ." + kind))
    code = driver.find_element(By.CSS_SELECTOR, '#norm [data-language="python"] code')
    check("the code is whole", code.text.startswith("def norm(x):\n"))


def walks(driver):
    here = lambda: [a.text for a in driver.find_elements(By.CSS_SELECTOR, "#ideas .here")]
    driver.execute_script("scrollTo(0, 0)")
    for _ in range(2):
        press(driver, "j")
    check("j goes on", driver.execute_async_script(FRAME) or here() == ["Normalisation"])
    press(driver, "k")
    check("k goes back", driver.execute_async_script(FRAME) or here() == ["Embedding"])


def searches(driver):
    press(driver, "/")
    press(driver, "softmax")
    found = int(driver.find_element(By.ID, "found").text)
    check("softmax is found", found > 3 and found == len(driver.find_elements(By.TAG_NAME, "mark")))
    ids = [s.get_attribute("id") for s in shown(driver, "section")]
    check("ideas without it are hidden", "attention" in ids and "clip" not in ids)
    press(driver, Keys.ESCAPE)
    check("Escape ends the search", len(shown(driver, "section")) > len(ids))
    check("and takes the marks away", not driver.find_elements(By.TAG_NAME, "mark"))


def speaks_chinese(driver):
    press(driver, "l")
    check("captions in Chinese", "嵌入" in shown(driver, "#embedding h2")[0].text)
    press(driver, "l")
    check("and in English again", shown(driver, "#embedding h2")[0].text == "Embedding")


def remembers(driver):
    press(driver, "1t")
    driver.refresh()
    check_soon("languages are remembered", lambda: languages(driver) == ["c", "cuda"])
    check("the theme is remembered", theme(driver) == "dark")


def main():
    page = sys.argv[1]
    wide = browser(page, 1500, 1000, "light")
    for behaviour in (switches_languages, aligns_ideas, colours_code, walks, searches, speaks_chinese):
        behaviour(wide)
    wide.execute_script("document.querySelector('#attention').scrollIntoView()")
    shot(wide, "page-light")
    remembers(wide)
    shot(wide, "page-dark")
    leave(wide)

    dark = browser(page, 1500, 1000, "dark")
    paper = "return getComputedStyle(document.body).backgroundColor"
    check("dark follows the system", dark.execute_script(paper) == "rgb(22, 24, 28)")
    leave(dark)

    phone = browser(page, 390, 844, "light")
    check("a phone shows one language at first", languages(phone) == ["python"])
    press(phone, "2")
    ys = [c.rect["y"] for c in shown(phone, "#norm .column")]
    check("a phone has them below each other", len(ys) == 2 and ys[0] < ys[1])
    shot(phone, "page-phone")
    leave(phone)
    done("page")


main()
