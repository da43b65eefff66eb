// Opens report pages in headless Chromium, offline, uses them as a reader would, and prints what it saw as JSON.
//
//   node open.mjs FOLDER PAGE…     (screenshots go to FOLDER)

import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...pages] = process.argv.slice(2);
const browser = await puppeteer.launch({
  // One process for all is meant for tiny machines; it hangs now and then.
  args: chromium.args.filter((a) => !["--single-process", "--no-zygote"].includes(a)),
  executablePath: await chromium.executablePath(), headless: "shell",
  protocolTimeout: 60_000,
});
const seen = [];
try {
  for (const [index, page] of pages.entries()) {
    // On a busy machine the browser may exchange a page's process while it is being asked: once more, then it counts.
    seen.push(await visit(page, index).catch(() => visit(page, index)));
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

async function visit(file, index) {
  const errors = [];
  const requests = [];
  const page = await browser.newPage();
  page.on("console", (message) => { if (["error", "warn"].includes(message.type())) errors.push(message.text()); });
  page.on("pageerror", (problem) => errors.push(String(problem)));
  page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) requests.push(request.url()); });
  await page.setOfflineMode(true);
  await page.setViewport({ width: 1360, height: 900 });
  const url = pathToFileURL(file).href;

  // Without the script, the still pictures are there.
  await page.setJavaScriptEnabled(false);
  await page.goto(url);
  const still = await page.$$eval("figure svg path.line, figure svg .dot, figure svg .cell, figure svg .trial", (all) => all.length);

  await page.setJavaScriptEnabled(true);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.goto(url);
  const facts = await page.evaluate(() => ({
    title: document.title,
    sections: [...document.querySelectorAll("section")].map((s) => s.id),
    charts: document.querySelectorAll("[data-chart]").length,
    curves: [...document.querySelectorAll("[data-chart] g[clip-path] path.line")].filter((p) => p.getAttribute("d").length > 5).length,
    wide: document.documentElement.scrollWidth > innerWidth,
    scripts: document.querySelectorAll("script").length,
    marks: window.marked === undefined,
  }));
  const name = (what) => path.join(folder, `${index}-${what}.png`);
  await page.screenshot({ path: name("light"), fullPage: true });
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.click("#theme");
  const dark = await background();
  await page.screenshot({ path: name("dark"), fullPage: true });

  // The pointer over a chart, then smoothing, a logarithmic axis, epochs, a hidden curve, and a closer look.
  let tip = "";
  let changed = false;
  const chart = await page.$("[data-chart] svg");
  if (chart) {
    await chart.scrollIntoView();
    const box = await chart.boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.6);
    tip = await page.$eval("[data-chart] .tip", (t) => (getComputedStyle(t).display === "none" ? "" : t.innerText));
    await page.screenshot({ path: name("hover") });
    const shape = () => page.$$eval("[data-chart] g[clip-path] path.line", (all) => all.map((p) => p.getAttribute("d")).join());
    const before = await shape();
    await page.evaluate(() => {
      for (const [id, value, event] of [["smooth", "0.6", "input"], ["log", "log", "change"], ["axis", "epoch", "change"]]) {
        const tool = document.getElementById(id);
        tool.value = value;
        tool.dispatchEvent(new Event(event));
      }
    });
    changed = (await shape()) !== before;
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.6);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.6, { steps: 4 });
    await page.mouse.up();
    await page.evaluate(() => document.querySelector("[data-chart] .entry")?.dispatchEvent(new MouseEvent("click", { bubbles: true })));
    await page.screenshot({ path: name("used") });
  }
  await page.setViewport({ width: 420, height: 900 });
  await page.screenshot({ path: name("narrow") });
  // The page remembers the theme that was chosen; the next one shall begin afresh.
  await page.evaluate(() => localStorage.clear());
  await page.close();
  return { file, ...facts, errors, requests, still, light, dark, tip, changed };
}
