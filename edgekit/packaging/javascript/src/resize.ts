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

/** What an output position is a weighted sum of: the first input position, and the weights from there on. */
interface Tap {
  readonly first: number;
  readonly weights: readonly number[];
}

const FIXED_POINT_BITS = 22;
const CUBIC_A = -0.5;

/** The image as (height, width): whole levels when `roundToUint8` or by `nearest`, otherwise doubles, neither rounded nor clipped. */
export function resize(
  image: Image<Uint8Array>, height: number, width: number, filter: Filter, antialias: boolean, roundToUint8: boolean,
): Image {
  if (filter === "nearest") return nearest(image, height, width);
  const { channels } = image;
  const pass = roundToUint8 ? fixedPointPass : floatPass;
  const across = pass(image.data, image.height, image.width, channels, taps(image.width, width, filter, antialias));
  const data = pass(across, 1, image.height, width * channels, taps(image.height, height, filter, antialias));
  return { data, height, width, channels };
}

function nearest(image: Image<Uint8Array>, height: number, width: number): Image {
  const { channels } = image;
  const data = new Uint8Array(height * width * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = nearestIndex(y, image.height, height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = (row + nearestIndex(x, image.width, width)) * channels;
      for (let c = 0; c < channels; c++) data[at++] = image.data[from + c];
    }
  }
  return { data, height, width, channels };
}

/** `floor((i + 0.5) * sizeIn / sizeOut)`, in integers. */
function nearestIndex(position: number, sizeIn: number, sizeOut: number): number {
  return Math.floor(((2 * position + 1) * sizeIn) / (2 * sizeOut));
}

/** Taps outside the image are left out; the rest are scaled to a sum of 1. */
function taps(sizeIn: number, sizeOut: number, filter: "bilinear" | "bicubic", antialias: boolean): Tap[] {
  const scale = sizeIn / sizeOut;
  const widening = antialias ? Math.max(scale, 1) : 1;
  const weigh = filter === "bilinear" ? triangle : cubic;
  const support = (filter === "bilinear" ? 1 : 2) * widening;
  const found: Tap[] = [];
  for (let position = 0; position < sizeOut; position++) {
    const centre = (position + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), sizeIn);
    const weights: number[] = [];
    let total = 0;
    for (let x = first; x < end; x++) {
      const weight = weigh((x - centre + 0.5) * (1 / widening));
      weights.push(weight);
      total += weight;
    }
    found.push({ first, weights: weights.map((weight) => weight / total) });
  }
  return found;
}

function triangle(t: number): number {
  const x = Math.abs(t);
  return x < 1 ? 1 - x : 0;
}

function cubic(t: number): number {
  const x = Math.abs(t);
  if (x < 1) return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * CUBIC_A;
  return 0;
}

/**
 * One pass along the middle axis of (outer, size, inner) in 32-bit integers: weights * 2^22 rounded half away from zero, the sum
 * rounded half up, clipped to 0..255.
 */
function fixedPointPass(levels: Levels, outer: number, size: number, inner: number, positions: readonly Tap[]): Uint8Array {
  const fixed = positions.map(({ first, weights }) => ({ first, weights: Int32Array.from(weights, fixedPoint) }));
  const out = new Uint8Array(outer * positions.length * inner);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const { first, weights } of fixed) {
      const start = (block * size + first) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = 1 << (FIXED_POINT_BITS - 1);
        for (let tap = 0, from = start + i; tap < weights.length; tap++, from += inner) {
          sum = (sum + Math.imul(levels[from], weights[tap])) | 0;
        }
        out[at++] = Math.min(Math.max(sum >> FIXED_POINT_BITS, 0), 255);
      }
    }
  }
  return out;
}

function fixedPoint(weight: number): number {
  const scaled = weight * (1 << FIXED_POINT_BITS);
  return Math.trunc(scaled + (scaled >= 0 ? 0.5 : -0.5));
}

/** The same in doubles: taps are added from the first to the last, nothing is rounded. */
function floatPass(levels: Levels, outer: number, size: number, inner: number, positions: readonly Tap[]): Float64Array {
  const out = new Float64Array(outer * positions.length * inner);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const { first, weights } of positions) {
      const start = (block * size + first) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let tap = 0, from = start + i; tap < weights.length; tap++, from += inner) sum += levels[from] * weights[tap];
        out[at++] = sum;
      }
    }
  }
  return out;
}

/** The largest [height, width] of the same aspect that fits into the box; the free side is rounded half up, at least 1. */
export function fittedSize(height: number, width: number, intoHeight: number, intoWidth: number): [number, number] {
  if (width * intoHeight > height * intoWidth) {
    return [Math.max(1, Math.floor((2 * height * intoWidth + width) / (2 * width))), intoWidth];
  }
  return [intoHeight, Math.max(1, Math.floor((2 * width * intoHeight + height) / (2 * height)))];
}
