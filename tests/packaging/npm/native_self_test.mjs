// native_self_test.mjs PACKAGE MODEL: runs the self test of a package for React Native, whose runtime stands in node_modules beside it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
globalThis.require = (asset) => asset.length; // what Metro does: an asset is a number
const module = (name) => import(pathToFileURL(join(folder, name)).href);
const [{ load, CONTRACT, MODEL }, { GOLDEN }] = await Promise.all(["index.js", "golden.js"].map(module));
const model = await load({ ...(file === undefined ? {} : { model: new Uint8Array(readFileSync(file)) }), example: GOLDEN });
const selfTest = await model.selfTest();
const picture =
  CONTRACT.preprocess === null ? null : await model.runPicture({ data: new Uint8Array(3 * 9 * 7).fill(99), width: 9, height: 7 });
await model.close();
const again = await load(file === undefined ? {} : { model: new Uint8Array(readFileSync(file)) });
const without = await again.selfTest().then(() => "accepted", (problem) => String(problem));
const output = picture === null ? null : Array.from(picture[CONTRACT.outputs[0].key].data);
console.log(JSON.stringify({ selfTest, threads: model.threads, output, without, asset: MODEL }));
