/** Loads the packaged model. See README.md. */
import { CONTRACT } from "./contract.js";
import { openRuntime } from "./litert.js";
import { openModel } from "./model.js";
import { decode } from "./pictures.js";
/** Loads the runtime and the model. */
export function load(options = {}) {
    return openModel(CONTRACT, openRuntime, options);
}
/**
 * The pixels of a JPEG, PNG or whatever else the browser decodes, upright if the model was calibrated with upright pictures.
 *
 * @throws DOMException when the browser cannot decode it.
 */
export function decodePicture(encoded) {
    return decode(encoded, CONTRACT.preprocess?.apply_exif ?? true);
}
export { CONTRACT } from "./contract.js";
export { best } from "./labels.js";
export { preprocess } from "./preprocess.js";
export * from "./types.js";
