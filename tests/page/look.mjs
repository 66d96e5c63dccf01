// A browser before the status page: Debian's Chromium, headless.
//
//   node look.mjs http://127.0.0.1:PORT/ FOLDER CHROMIUM '{"request": …}'
//
// Looks at the page in light and dark, wide and narrow, fills in the form as the last argument says, and prints what it saw
// as one JSON object. Screenshots go to FOLDER.

import { chromium } from "playwright-core";

const [url, folder, program, fields] = process.argv.slice(2);
const seen = { console: [], requests: [], failed: [], pages: {} };

const browser = await chromium.launch({
  executablePath: program,
  // There is nothing here that the sandbox would keep from anything, and root has none.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on("console", (message) => seen.console.push(message.text()));
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("request", (request) => seen.requests.push(request.url()));
  page.on("requestfailed", (request) => seen.failed.push(request.url()));

  seen.status = (await page.goto(url)).status();
  // Before any screenshot: taking one leaves marks of its own.
  seen.foreign = await page.evaluate(() => document.querySelectorAll("script, [style], link, img, iframe, object").length);
  const looks = [
    ["light", 1280],
    ["dark", 1280],
    ["dark", 390],
    ["light", 390],
  ];
  for (const [colorScheme, width] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    seen.pages[`${colorScheme}-${width}`] = await page.evaluate(() => {
      const style = (selector) => getComputedStyle(document.querySelector(selector));
      return {
        paper: style("body").backgroundColor,
        ink: style("body").color,
        bar: style("svg.chart rect.denied").fill,
        sidewards: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        bars: document.querySelectorAll("svg.chart g").length,
      };
    });
    if (colorScheme === "dark") {
      await page.screenshot({ path: `${folder}/status-page-dark-${width}.png`, fullPage: true });
    }
  }

  await page.setViewportSize({ width: 1280, height: 900 });
  for (const [name, value] of Object.entries(JSON.parse(fields))) {
    const field = page.locator(`#explain [name=${name}]`);
    await (name === "issuer" ? field.selectOption(value) : field.fill(value));
  }
  await Promise.all([page.waitForURL(/\/explain\?/), page.getByRole("button", { name: "Explain" }).click()]);
  seen.url = page.url();
  seen.verdict = await page.locator(".verdict").innerText();
  seen.told = await page.locator("#explain").innerText();
  seen.in_view = await page.evaluate(() => document.querySelector("#explain").getBoundingClientRect().top < innerHeight);
  await page.screenshot({ path: `${folder}/status-page.png`, fullPage: true });
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
