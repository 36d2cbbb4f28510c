/** Loads the packaged model. See README.md. */
import { type LoadedModel } from "./contract.js";
import { type LoadOptions } from "./files.js";
import type { Picture } from "./preprocess.js";
/** Loads the runtime and the model. */
export declare function load(options?: LoadOptions): Promise<LoadedModel>;
/**
 * The pixels of a JPEG, PNG or whatever else the browser decodes, upright if the model was calibrated with upright pictures.
 *
 * @throws DOMException when the browser cannot decode it.
 */
export declare function decodePicture(encoded: Blob): Promise<Picture>;
export { CONTRACT, type Inputs, type LoadedModel, type Outputs } from "./contract.js";
export { type OutputCheck, type SelfTest } from "./example.js";
export { best, type Ranked } from "./labels.js";
export { type Model, type PictureModel, type Threads } from "./model.js";
export { preprocess, type Picture } from "./preprocess.js";
export { type FileSource, type LoadOptions, type PackagedFile, type WebContract } from "./files.js";
export * from "./types.js";
