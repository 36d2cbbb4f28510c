/** The stored example: a synthetic input, and the output that the packaged file gave where it was built. */
import type { Contract, ExampleArray, Tensor } from "./types.js";
export interface OutputCheck {
    readonly key: string;
    /** Largest difference from the stored output, and how much is allowed; in the units of the output. */
    readonly difference: number;
    readonly allowed: number;
}
export interface SelfTest {
    readonly ok: boolean;
    readonly outputs: readonly OutputCheck[];
}
/** Arrays of the example by their keys, out of its bytes. */
export declare function readExample(arrays: readonly ExampleArray[], bytes: ArrayBuffer): Record<string, Tensor>;
/**
 * Whether every output lies within the tolerance of the stored one: a fraction of that one's largest finite magnitude. Where the
 * stored one is infinite or not a number, the output must be the same.
 */
export declare function compare(found: Record<string, Tensor>, expected: Record<string, Tensor>, tolerance: Contract["tolerance"]): SelfTest;
