/** From decoded pixels to the array a model takes: preprocess schema 1, in the steps and the arithmetic of its reference. */
import type { Preprocess, Tensor } from "./types.js";
/**
 * Decoded pixels, row by row: RGB, or RGBA of which the alpha is dropped. An `ImageData` is one.
 *
 * `orientation` is the EXIF orientation (1 to 8) of pixels that have not been turned yet; 1 unless given.
 */
export interface Picture {
    readonly data: Uint8Array | Uint8ClampedArray;
    readonly height: number;
    readonly width: number;
    readonly orientation?: number;
}
/**
 * The model's input for one picture: (1, C, height, width) or (1, height, width, C) by the recorded layout.
 *
 * @throws RangeError when the picture's data does not fit its size.
 */
export declare function preprocess(picture: Picture, recorded: Preprocess): Tensor<Float32Array | Uint8Array>;
