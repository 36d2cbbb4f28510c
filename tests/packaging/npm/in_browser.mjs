// Opens demo pages of packages in headless Chromium and runs the packages in them.
//
// stdin: {"executable", "packages": where node_modules is, "visits": [VISIT]}, a VISIT being
//   {"url", "inputs": [{key: {"data": base64, "dims"}}], "pictures": [{"data": base64 of RGB, "width", "height"}],
//    "files": [base64], "draw": strokes of points in 0..1, "screenshot": path}; all but the url may be missing
// stdout: for each visit what the page said, and for every input, picture and file the outputs:
//   {key: {"data": base64 of the output's bytes, "dims"}}
// stderr: "browser PID", so that whoever waits can end it.

import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const { executable, packages, visits } = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(join(packages, "_"))("playwright-core");

const server = await chromium.launchServer({
  executablePath: executable,
  host: "127.0.0.1",
  chromiumSandbox: process.getuid() !== 0, // its sandbox does not start for root
  args: ["--disable-background-networking", "--disable-component-update"],
});
console.error(`browser ${server.process().pid}`);
try {
  const browser = await chromium.connect(server.wsEndpoint());
  const answers = [];
  for (const visit of visits) answers.push(await made(visit, browser));
  console.log(JSON.stringify(answers));
} finally {
  await server.close();
}

async function made(visit, browser) {
  const page = await browser.newPage({ viewport: { width: 1040, height: 760 }, deviceScaleFactor: 1.5 });
  const [requests, complaints] = [[], []];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (problem) => complaints.push(String(problem)));
  await page.goto(visit.url);
  await page.waitForSelector("html[data-state]", { timeout: 60_000 });
  const state = await page.getAttribute("html", "data-state");
  const ready = await page.textContent("#status");
  const found = state === "ready" ? await page.evaluate(inPage, visit) : null;
  if (state === "ready") await usePage(page, visit);
  await page.mouse.move(0, 0); // off the button
  if (visit.screenshot) await page.screenshot({ path: visit.screenshot, fullPage: true });
  const said = Object.fromEntries(
    await Promise.all(["status", "verdict", "outputs"].map(async (id) => [id, await page.textContent(`#${id}`)])),
  );
  await page.close();
  return { state, ready, said, requests, complaints, found };
}

/** What a visitor does: draws where the page has a canvas, or presses Run; then the self test. */
async function usePage(page, visit) {
  if (await page.isVisible("#canvas")) {
    const { x, y, width, height } = await page.locator("#canvas").boundingBox();
    for (const stroke of visit.draw ?? []) {
      for (const [index, [across, down]] of stroke.entries()) {
        await page.mouse.move(x + across * width, y + down * height, { steps: index === 0 ? 1 : 4 });
        if (index === 0) await page.mouse.down();
      }
      await page.mouse.up();
    }
  } else if (await page.isVisible("#form")) {
    await page.click("#form button");
  } else {
    await page.click("#run-example");
  }
  if (visit.draw || !(await page.isVisible("#canvas"))) await page.waitForSelector("#outputs h3", { timeout: 60_000 });
  await page.click("#self-test");
  await page.waitForFunction(() => document.querySelector("#verdict").textContent !== "", undefined, { timeout: 60_000 });
}

/** Runs in the page: the package as an application uses it. */
async function inPage(visit) {
  const { CONTRACT, decodePicture, load } = await import(new URL("../index.js", location.href).href);
  const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const model = await load();
  const kinds = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array };
  const outputs = [];
  for (const input of visit.inputs ?? []) {
    const tensors = CONTRACT.inputs.map(({ key, dtype }) => [key, { data: new kinds[dtype](bytes(input[key].data).buffer), dims: input[key].dims }]);
    outputs.push(encoded(await model.run(Object.fromEntries(tensors))));
  }
  const pictures = [];
  for (const { data, width, height } of visit.pictures ?? []) {
    pictures.push(encoded(await model.runPicture({ data: bytes(data), width, height })));
  }
  const files = [];
  for (const file of visit.files ?? []) files.push(encoded(await model.runPicture(await decodePicture(new Blob([bytes(file)])))));
  const selfTest = await model.selfTest();
  const wrong = await model.run({}).then(() => "accepted", (problem) => String(problem));
  return { outputs, pictures, files, selfTest, threads: model.threads, wrong };

  function encoded(found) {
    return Object.fromEntries(
      Object.entries(found).map(([key, { data, dims }]) => {
        const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        let characters = "";
        for (let i = 0; i < raw.length; i += 8192) characters += String.fromCharCode(...raw.subarray(i, i + 8192));
        return [key, { data: btoa(characters), dims }];
      }),
    );
  }
}
