/** The model's tensors and the packaged file's, translated both ways, so that callers only see the model's own contract. */
import type { DType, Tensor, TensorData, TensorMap } from "./types.js";
/** `size` zeros of a dtype. */
export declare function zeros(dtype: DType, size: number): TensorData;
/** The numbers that stand in `bytes` from `offset` (a multiple of 8) on. */
export declare function fromBytes(dtype: DType, bytes: ArrayBuffer, offset: number, size: number): TensorData;
/** How many numbers a tensor of these sizes has. */
export declare function sizeOf(dims: readonly number[]): number;
/**
 * What a caller gave for one input as the packaged file's runtime wants it: axes exchanged, quantized, in its dtype.
 *
 * @throws TypeError when the numbers are of another kind, RangeError when the sizes do not fit the model.
 */
export declare function toArtifact(given: Tensor | TensorData, map: TensorMap): Tensor;
/** One output of the packaged file under the model's layout and dtype. */
export declare function toOriginal(stored: Tensor, map: TensorMap): Tensor;
/** Axis i of the result is axis `permutation[i]` of the tensor. */
export declare function transpose(tensor: Tensor, permutation: readonly number[]): Tensor;
