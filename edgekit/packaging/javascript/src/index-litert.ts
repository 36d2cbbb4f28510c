/** Loads the packaged model. See README.md. */

import { CONTRACT, type Inputs, type LoadedModel, type Outputs } from "./contract.js";
import { openRuntime } from "./litert.js";
import { fetchBytes, type LoadOptions } from "./files.js";
import { openModel } from "./model.js";
import { decode } from "./pictures.js";
import type { Picture } from "./preprocess.js";

/** Loads the runtime and the model. */
export async function load(options: LoadOptions = {}): Promise<LoadedModel> {
  const runtime = await openRuntime(CONTRACT, options);
  return openModel<Inputs, Outputs>(CONTRACT, runtime, () => fetchBytes(CONTRACT.files.example, options.example));
}

/**
 * The pixels of a JPEG, PNG or whatever else the browser decodes, upright if the model was calibrated with upright pictures.
 *
 * @throws DOMException when the browser cannot decode it.
 */
export function decodePicture(encoded: Blob): Promise<Picture> {
  return decode(encoded, CONTRACT.preprocess?.apply_exif ?? true);
}

export { CONTRACT, type Inputs, type LoadedModel, type Outputs } from "./contract.js";
export { type OutputCheck, type SelfTest } from "./example.js";
export { best, type Ranked } from "./labels.js";
export { type Model, type PictureModel, type Threads } from "./model.js";
export { preprocess, type Picture } from "./preprocess.js";
export { type FileSource, type LoadOptions, type PackagedFile, type WebContract } from "./files.js";
export * from "./types.js";
