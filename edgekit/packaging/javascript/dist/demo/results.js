/** What the model said, as bars where it looks like scores of classes, otherwise in numbers. */
import { best } from "../labels.js";
import { element, shown } from "./page.js";
const FIRST_NUMBERS = 8;
/** One row of scores, two or more: (n) or (1, ..., n). */
function isScores({ data, dims }) {
    return data.length >= 2 && dims.length >= 1 && dims[dims.length - 1] === data.length;
}
export function showOutputs(into, outputs, contract) {
    into.replaceChildren();
    for (const { key, name } of contract.outputs) {
        const output = outputs[key];
        into.append(element("h3", `${name} · ${output.dims.join(" × ")}`), isScores(output) ? bars(output, contract) : numbers(output));
    }
}
function bars(output, contract) {
    const list = element("ol", "", "scores");
    const ranked = best(output, contract.labels);
    const lowest = Array.from(output.data, Number).reduce((low, score) => Math.min(low, score), 0);
    const range = ranked[0].score - lowest || 1;
    for (const { label, score } of ranked) {
        const row = element("li");
        const bar = element("span", "", "bar");
        bar.style.width = `${Math.max(0, ((score - lowest) / range) * 100)}%`;
        row.append(element("span", label, "label"), bar, element("span", shown(score), "score"));
        list.append(row);
    }
    return list;
}
function numbers({ data }) {
    const values = Array.from(data, Number);
    let [low, high, sum] = [Infinity, -Infinity, 0];
    for (const value of values)
        [low, high, sum] = [Math.min(low, value), Math.max(high, value), sum + value];
    const first = values.slice(0, FIRST_NUMBERS).map(shown).join(", ");
    const more = values.length > FIRST_NUMBERS ? ", …" : "";
    return element("p", `${values.length} numbers from ${shown(low)} to ${shown(high)}, mean ${shown(sum / values.length)}: ${first}${more}`);
}
