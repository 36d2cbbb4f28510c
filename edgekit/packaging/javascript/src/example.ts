/** The stored example: a synthetic input, and the output that the packaged file gave where it was built. */

import { fromBytes, sizeOf } from "./tensors.js";
import type { Contract, ExampleArray, Tensor, TensorData } from "./types.js";

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
export function readExample(arrays: readonly ExampleArray[], bytes: ArrayBuffer): Record<string, Tensor> {
  return Object.fromEntries(
    arrays.map(({ key, dtype, dims, offset }) => [key, { data: fromBytes(dtype, bytes, offset, sizeOf(dims)), dims }]),
  );
}

/**
 * Whether every output lies within the tolerance of the stored one: a fraction of that one's largest finite magnitude. Where the
 * stored one is infinite or not a number, the output must be the same.
 */
export function compare(found: Record<string, Tensor>, expected: Record<string, Tensor>, tolerance: Contract["tolerance"]): SelfTest {
  const outputs = Object.entries(expected).map(([key, { data, dims }]) => {
    const output = found[key];
    const allowed = tolerance * Math.max(largest(data), 1e-12);
    const sameSizes = output !== undefined && output.dims.join() === dims.join();
    return { key, difference: sameSizes ? largestDifference(output.data, data) : Infinity, allowed };
  });
  return { ok: outputs.every(({ difference, allowed }) => difference <= allowed), outputs };
}

function largest(data: TensorData): number {
  let found = 0;
  for (const value of data) {
    const magnitude = Math.abs(Number(value));
    if (Number.isFinite(magnitude)) found = Math.max(found, magnitude);
  }
  return found;
}

function largestDifference(found: TensorData, expected: TensorData): number {
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    const [have, want] = [Number(found[i]), Number(expected[i])];
    if (have === want || (Number.isNaN(have) && Number.isNaN(want))) continue;
    const apart = Math.abs(have - want);
    difference = Math.max(difference, Number.isNaN(apart) ? Infinity : apart);
  }
  return difference;
}
