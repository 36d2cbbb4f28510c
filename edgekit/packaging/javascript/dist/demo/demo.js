/** The demo page: loads the package as an application would, and shows what it gives and how long it takes. */
import { readExample } from "../example.js";
import { fetchBytes } from "../files.js";
import { CONTRACT, decodePicture, load } from "../index.js";
import { Drawing } from "./drawing.js";
import { canBeTyped, NumberFields } from "./numbers.js";
import { byId, bytes, element, duration, shown } from "./page.js";
import { showOutputs } from "./results.js";
const MOST_RUNS = 30;
const TIMED_MS = 300;
const status = byId("status", HTMLElement);
try {
    describe();
    const loading = performance.now();
    const model = (await load({ runtimeUrl: new URL("runtime/", location.href) }));
    const { measured, effective } = model.threads;
    const fewer = effective !== null && effective < measured ? ` instead of ${measured}: the page is not cross-origin isolated` : "";
    say(`Ready in ${duration(performance.now() - loading)}, ${effective} thread${effective === 1 ? "" : "s"}${fewer}.`);
    await setUp(model);
    document.documentElement.dataset["state"] = "ready";
}
catch (problem) {
    say(`It could not be loaded: ${text(problem)}`);
    document.documentElement.dataset["state"] = "failed";
    throw problem;
}
function say(line) {
    status.textContent = line;
}
function text(problem) {
    return problem instanceof Error ? problem.message : String(problem);
}
/** What the package says of itself. */
function describe() {
    const { name, version, candidate, measured } = CONTRACT;
    document.title = `${name} ${version}`;
    byId("name", HTMLElement).textContent = name;
    byId("version", HTMLElement).textContent = `${version} · ${candidate} · ${bytes(measured.model_bytes)}`;
    const facts = byId("facts", HTMLElement);
    const rows = [
        ["Median inference", measured.latency_s === null ? "not measured" : `${duration(measured.latency_s * 1000)} on ${measured.device}`],
        ["Agreement with float", measured.agreement === null ? "not measured" : `${shown(measured.agreement * 100)} %`],
    ];
    if (measured.metric !== null) {
        rows.push([measured.metric.name, `${shown(measured.metric.value)} (float ${shown(measured.metric.float)})`]);
    }
    for (const [term, value] of rows)
        facts.append(element("dt", term), element("dd", value));
}
async function setUp(model) {
    byId("self-test", HTMLButtonElement).addEventListener("click", () => guarded(() => selfTest(model)));
    if (CONTRACT.preprocess !== null) {
        setUpPictures(model);
        return;
    }
    const example = readExample(CONTRACT.example.inputs, await fetchBytes(CONTRACT.files.example));
    if (canBeTyped(CONTRACT)) {
        setUpNumbers(model, example);
    }
    else {
        byId("no-input", HTMLElement).hidden = false;
        byId("run-example", HTMLButtonElement).addEventListener("click", () => guarded(() => run(model, example, "")));
    }
}
function setUpPictures(model) {
    byId("pictures", HTMLElement).hidden = false;
    const light = byId("light", HTMLInputElement);
    const runPicture = async (picture) => {
        const began = performance.now();
        const tensor = model.preprocess(picture);
        const prepared = performance.now() - began;
        await run(model, { [CONTRACT.inputs[0].key]: tensor }, ` after ${duration(prepared)} of preprocessing`);
    };
    const drawing = new Drawing(byId("canvas", HTMLCanvasElement), () => light.checked, () => guarded(() => runPicture(drawing.picture())));
    byId("clear", HTMLButtonElement).addEventListener("click", () => drawing.clear());
    light.addEventListener("change", () => drawing.clear());
    const file = byId("file", HTMLInputElement);
    file.addEventListener("change", () => {
        const [chosen] = file.files ?? [];
        if (chosen !== undefined)
            guarded(() => open(chosen));
    });
    const open = async (encoded) => {
        const preview = byId("preview", HTMLImageElement);
        URL.revokeObjectURL(preview.src);
        preview.src = URL.createObjectURL(encoded);
        preview.hidden = false;
        await runPicture(await decodePicture(encoded));
    };
}
function setUpNumbers(model, example) {
    byId("numbers", HTMLElement).hidden = false;
    const fields = new NumberFields(byId("fields", HTMLElement), CONTRACT.inputs, example);
    byId("form", HTMLFormElement).addEventListener("submit", (event) => {
        event.preventDefault();
        guarded(() => run(model, fields.inputs(), ""));
    });
}
/** Shows the outputs, then runs the same again for a moment: the first run of a page is not a typical one. */
async function run(model, inputs, after) {
    const times = [];
    const began = performance.now();
    do {
        const before = performance.now();
        const outputs = await model.run(inputs);
        times.push(performance.now() - before);
        if (times.length === 1)
            showOutputs(byId("outputs", HTMLElement), outputs, CONTRACT);
    } while (times.length < MOST_RUNS && performance.now() - began < TIMED_MS);
    const sorted = times.toSorted((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    say(`Inference in ${duration(median)}${after}: the median of ${times.length} in this browser, the first took ${duration(times[0])}.`);
}
async function selfTest(model) {
    const { ok, outputs } = await model.selfTest();
    const details = outputs.map(({ key, difference, allowed }) => difference === 0 ? `${key} is equal` : `${key} differs by at most ${difference.toExponential(1)} (allowed ${allowed.toExponential(1)})`);
    const verdict = byId("verdict", HTMLElement);
    verdict.textContent = `${ok ? "Passed" : "Failed"}: ${details.join(", ")}.`;
    verdict.dataset["ok"] = String(ok);
}
/** What goes wrong is said on the page. */
function guarded(work) {
    work().catch((problem) => say(text(problem)));
}
