/** LiteRT in React Native, on the CPU. */
import { type TfliteModel } from "react-native-fast-tflite";
import type { Runtime } from "./runtime.js";
import type { Contract, TensorMap } from "./types.js";
export interface LoadOptions {
    /** Another place of the model than the app's own assets, as an address. */
    readonly model?: {
        readonly url: string;
    };
    /** The bytes of `GOLDEN`, for `selfTest`. */
    readonly example?: ArrayBuffer;
}
type Described = TfliteModel["inputs"][number];
export declare function openRuntime(contract: Contract, asset: number, options: LoadOptions): Promise<Runtime>;
/**
 * The contract's tensors in the file's own order: by their names, or where the file calls them otherwise by type and sizes.
 *
 * @throws TypeError when that does not tell two of them apart.
 */
export declare function inOrder(described: readonly Described[], maps: readonly TensorMap[]): TensorMap[];
export {};
