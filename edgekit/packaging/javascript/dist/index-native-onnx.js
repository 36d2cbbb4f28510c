/** Loads the packaged model. See README.md. */
import { CONTRACT } from "./contract-native.js";
import { openModel } from "./model.js";
import { openRuntime } from "./native-onnx.js";
/** Loads the model. */
export async function load(options) {
    return openModel(CONTRACT, await openRuntime(CONTRACT, options), async () => {
        if (options.example === undefined)
            throw new TypeError("selfTest needs load({ example: GOLDEN }); see README.md");
        return options.example;
    });
}
export { CONTRACT, MODEL } from "./contract-native.js";
export { best } from "./labels.js";
export { preprocess } from "./preprocess.js";
export * from "./types.js";
