/** Stands for the module that is generated for each package for React Native. */

import type { Model } from "./model.js";
import type { Contract, Tensor, TensorData } from "./types.js";

export declare const CONTRACT: Contract;
/** The asset's number, as `require` gives it. */
export declare const MODEL: number;
export type Inputs = Record<string, Tensor | TensorData>;
export type Outputs = Record<string, Tensor>;
export type LoadedModel = Model<Inputs, Outputs>;
