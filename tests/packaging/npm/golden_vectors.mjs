// golden_vectors.mjs FOLDER: reads the golden vectors on stdin; prints for each one the output's kind, shape and bytes in base64.

import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { preprocess } = await import(pathToFileURL(join(process.argv[2], "preprocess.js")).href);
const { vectors } = JSON.parse(await text(process.stdin));
const found = vectors.map(({ pixels, height, width, orientation, preprocess: recorded }) => {
  const picture = { data: Uint8Array.from(Buffer.from(pixels, "base64")), height, width, orientation };
  const { data, dims } = preprocess(picture, recorded);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { kind: data.constructor.name, dims, data: bytes.toString("base64") };
});
console.log(JSON.stringify(found));
