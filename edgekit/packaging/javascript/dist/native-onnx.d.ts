/** ONNX Runtime in React Native, on the CPU. */
import type { Runtime } from "./runtime.js";
import type { Contract } from "./types.js";
export interface LoadOptions {
    /** The model's file on this phone, as a path or a `file://` address, or its bytes. README.md says how to get it from `MODEL`. */
    readonly model: string | Uint8Array;
    /** The bytes of `GOLDEN`, for `selfTest`. */
    readonly example?: ArrayBuffer;
    /** Instead of the threads that were measured. */
    readonly threads?: number;
}
export declare function openRuntime(contract: Contract, options: LoadOptions): Promise<Runtime>;
