/** Stands for the module that is generated for each package. */

import type { WebContract } from "./files.js";
import type { Model } from "./model.js";
import type { Tensor, TensorData } from "./types.js";

export declare const CONTRACT: WebContract;
export type Inputs = Record<string, Tensor | TensorData>;
export type Outputs = Record<string, Tensor>;
export type LoadedModel = Model<Inputs, Outputs>;
