/** What a generated package says of its model. Names and shapes are the original model's unless they are called the artifact's. */

export type DType =
  | "float16" | "float32" | "float64" | "bool"
  | "int8" | "int16" | "int32" | "int64"
  | "uint8" | "uint16" | "uint32" | "uint64";

/** The numbers of a tensor in C order. float16 are the raw 16 bits, bool are bytes of 0 or 1. */
export type TensorData =
  | Float32Array | Float64Array
  | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

export interface Tensor<Data extends TensorData = TensorData> {
  readonly data: Data;
  readonly dims: readonly number[];
}

/** A size; null is for the caller to choose. */
export type Size = number | null;

/**
 * One tensor of the model and how it appears in the packaged file. `key` is what it is called in this package.
 *
 * `permutation` takes the original axes to the artifact's; where `scale` is set the artifact holds integers, and
 * `real = scale * (stored - zeroPoint)`.
 */
export interface TensorMap {
  readonly key: string;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Size[];
  readonly artifactName: string;
  readonly artifactDtype: DType;
  readonly artifactShape: readonly Size[];
  readonly permutation: readonly number[] | null;
  readonly scale: number | null;
  readonly zeroPoint: number;
}

/** Preprocess schema 1: how a picture becomes the input. Sizes are [height, width] in pixels; mean and std apply after / 255. */
export interface Preprocess {
  readonly schema: 1;
  readonly resize: readonly [number, number];
  readonly color: "RGB" | "BGR" | "gray";
  readonly apply_exif: boolean;
  readonly crop: "none" | "center" | "letterbox";
  readonly pad_value: number;
  readonly filter: "nearest" | "bilinear" | "bicubic";
  readonly antialias: boolean;
  readonly round_to_uint8: boolean;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly layout: "NCHW" | "NHWC";
  readonly dtype: "float32" | "uint8";
}

/** One array of the stored example: its place in the example's bytes (little-endian, C order; offset a multiple of 8). */
export interface ExampleArray {
  readonly key: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly offset: number;
}

/** A synthetic input and what the packaged file made of it where it was built. */
export interface Example {
  readonly inputs: readonly ExampleArray[];
  readonly outputs: readonly ExampleArray[];
}

/** What edgekit measured, and where; null is what was not measured. Not in this browser or app: that is for `run` to show. */
export interface Measured {
  readonly device: string | null;
  /** Median seconds an inference. */
  readonly latency_s: number | null;
  /** Fraction of held-out inputs on which it says what the float model says. */
  readonly agreement: number | null;
  readonly metric: { readonly name: string; readonly value: number; readonly float: number } | null;
  readonly model_bytes: number;
}

export interface RuntimeOptions {
  readonly threads: number;
  readonly graphOptimization: "none" | "basic" | "extended" | "all";
  readonly foldWeights: boolean;
}

export interface Contract {
  readonly name: string;
  readonly version: string;
  /** The candidate that was chosen, such as `onnx/int8`. */
  readonly candidate: string;
  readonly inputs: readonly TensorMap[];
  readonly outputs: readonly TensorMap[];
  readonly preprocess: Preprocess | null;
  readonly labels: readonly string[] | null;
  /** How far an output may lie from the example's, as a fraction of its largest magnitude. */
  readonly tolerance: number;
  /** How the runtime was set up when it was measured. */
  readonly runtime: RuntimeOptions;
  readonly example: Example;
  readonly measured: Measured;
}
