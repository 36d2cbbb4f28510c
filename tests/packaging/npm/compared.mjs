// compared.mjs DIST: whether pairs of outputs are close enough for the self test, which allows a thousandth.
//
// stdin: [[found, stored], ...], numbers as text, so that there may be NaN and Infinity among them
// stdout: [true or false, ...]

import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { compare } = await import(pathToFileURL(join(process.argv[2], "example.js")).href);
const tensor = (numbers) => ({ data: Float32Array.from(numbers, Number), dims: [numbers.length] });
const pairs = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(pairs.map(([found, stored]) => compare({ y: tensor(found) }, { y: tensor(stored) }, 1e-3).ok)));
