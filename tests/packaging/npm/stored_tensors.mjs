// stored_tensors.mjs PACKAGE: runs a package on its stored example with a runtime that only remembers what it is given.
//
// stdin: {artifact name: {"data": base64, "dims"}}, the outputs that this runtime gives
// stdout: {"inputs": what it was given, by artifact name; "outputs": what the caller got, by key}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const module = (name) => import(pathToFileURL(join(folder, name)).href);
const [{ CONTRACT }, { openModel }, { readExample }, { fromBytes, sizeOf }] = await Promise.all(
  ["contract.js", "model.js", "example.js", "tensors.js"].map(module),
);
const given = JSON.parse(await text(process.stdin));
const bytes = (data) => Uint8Array.from(data).buffer;
const example = bytes(readFileSync(join(folder, "golden.bin")));
let inputs;
const runtime = {
  threads: 1,
  async run(stored) {
    inputs = stored;
    return Object.fromEntries(
      CONTRACT.outputs.map(({ artifactName, artifactDtype }) => {
        const { data, dims } = given[artifactName];
        return [artifactName, { data: fromBytes(artifactDtype, bytes(Buffer.from(data, "base64")), 0, sizeOf(dims)), dims }];
      }),
    );
  },
  async close() {},
};
const model = openModel(CONTRACT, runtime, async () => example);
const outputs = await model.run(readExample(CONTRACT.example.inputs, example));
const encoded = (tensors) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { data, dims }]) => {
      const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      return [name, { kind: data.constructor.name, dims, data: raw.toString("base64") }];
    }),
  );
console.log(JSON.stringify({ inputs: encoded(inputs), outputs: encoded(outputs) }));
