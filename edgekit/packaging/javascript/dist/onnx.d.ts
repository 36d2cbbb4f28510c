/** ONNX Runtime Web, on the CPU. */
import { type LoadOptions, type Runtime } from "./runtime.js";
import type { Contract } from "./types.js";
export declare function openRuntime(contract: Contract, options: LoadOptions): Promise<Runtime>;
