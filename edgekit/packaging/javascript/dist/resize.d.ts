/**
 * Image resizing in the arithmetic of preprocess schema 1, to the bit: separable, horizontal pass first, half-pixel centres.
 *
 * Numbers of JavaScript are IEEE doubles and nothing is fused, which is what the schema asks for.
 */
/** Levels of an image, row by row, channels innermost. */
export type Levels = Uint8Array | Float64Array;
export interface Image<L extends Levels = Levels> {
    readonly data: L;
    readonly height: number;
    readonly width: number;
    readonly channels: number;
}
export type Filter = "nearest" | "bilinear" | "bicubic";
/** The image as (height, width): whole levels when `roundToUint8` or by `nearest`, otherwise doubles, neither rounded nor clipped. */
export declare function resize(image: Image<Uint8Array>, height: number, width: number, filter: Filter, antialias: boolean, roundToUint8: boolean): Image;
/** The largest [height, width] of the same aspect that fits into the box; the free side is rounded half up, at least 1. */
export declare function fittedSize(height: number, width: number, intoHeight: number, intoWidth: number): [number, number];
