/** Loads the packaged model. See README.md. */

import { CONTRACT, MODEL, type Inputs, type LoadedModel, type Outputs } from "./contract-native.js";
import { openModel } from "./model.js";
import { openRuntime, type LoadOptions } from "./native-tflite.js";

/** Loads the model. */
export async function load(options: LoadOptions = {}): Promise<LoadedModel> {
  return openModel<Inputs, Outputs>(CONTRACT, await openRuntime(CONTRACT, MODEL, options), async () => {
    if (options.example === undefined) throw new TypeError("selfTest needs load({ example: GOLDEN }); see README.md");
    return options.example;
  });
}

export { CONTRACT, MODEL, type Inputs, type LoadedModel, type Outputs } from "./contract-native.js";
export { type OutputCheck, type SelfTest } from "./example.js";
export { best, type Ranked } from "./labels.js";
export { type Model, type PictureModel, type Threads } from "./model.js";
export { type LoadOptions } from "./native-tflite.js";
export { preprocess, type Picture } from "./preprocess.js";
export * from "./types.js";
