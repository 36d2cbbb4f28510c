/** Loads the packaged model. See README.md. */
import { type LoadedModel } from "./contract-native.js";
import { type LoadOptions } from "./native-tflite.js";
/** Loads the model. */
export declare function load(options?: LoadOptions): Promise<LoadedModel>;
export { CONTRACT, MODEL, type Inputs, type LoadedModel, type Outputs } from "./contract-native.js";
export { type OutputCheck, type SelfTest } from "./example.js";
export { best, type Ranked } from "./labels.js";
export { type Model, type PictureModel, type Threads } from "./model.js";
export { type LoadOptions } from "./native-tflite.js";
export { preprocess, type Picture } from "./preprocess.js";
export * from "./types.js";
