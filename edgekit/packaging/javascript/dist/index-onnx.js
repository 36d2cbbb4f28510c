/** Loads the packaged model. See README.md. */
import { CONTRACT } from "./contract.js";
import { openRuntime } from "./onnx.js";
import { fetchBytes } from "./files.js";
import { openModel } from "./model.js";
import { decode } from "./pictures.js";
/** Loads the runtime and the model. */
export async function load(options = {}) {
    const runtime = await openRuntime(CONTRACT, options);
    return openModel(CONTRACT, runtime, () => fetchBytes(CONTRACT.files.example, options.example));
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
