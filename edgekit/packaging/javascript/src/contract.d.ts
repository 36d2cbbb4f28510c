/** Stands for the module that is generated for each package. */

import type { Model } from "./model.js";
import type { Contract, Tensor, TensorData } from "./types.js";

export declare const CONTRACT: Contract;
export type Inputs = Record<string, Tensor | TensorData>;
export type Outputs = Record<string, Tensor>;
export type LoadedModel = Model<Inputs, Outputs>;
